// spdlog, asynchronous, with a file: one thread, 8,192 records. Its messages are made text by the caller.
//
// Takes the arguments of src/job.rs and prints what src/case/mod.rs tells of.

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>
#include <x86intrin.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <new>
#include <string>
#include <thread>
#include <vector>

using Clock = std::chrono::steady_clock;

static std::atomic<bool> is_counting{false};
static std::atomic<uint64_t> allocations{0};

void* operator new(size_t size) {
    if (is_counting.load(std::memory_order_relaxed)) allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* block = std::malloc(size)) return block;
    throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

static constexpr uint64_t WARM_UP = 40;

struct Job {
    std::string kind, full, shape;
    uint64_t threads, calls, burst, pause_us, bytes;
    bool sleeps() const { return threads > 1 || burst == 1; }
};

static inline uint64_t begin() {
    _mm_lfence();
    uint64_t ticks = __rdtsc();
    _mm_lfence();
    return ticks;
}

static inline uint64_t now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return uint64_t(time.tv_sec) * 1000000000 + uint64_t(time.tv_nsec);
}

// Runs `with` with the call of the job's shape.
template <typename With>
static void with_calls(spdlog::logger& log, const Job& job, const std::string& text, With with) {
    if (job.shape == "numbers")
        with([&](uint64_t i) { log.info("filled {} of {} at {}", i, i >> 1, double(i) * 0.25); });
    else if (job.shape == "text")
        with([&](uint64_t) { log.info("said {}", text); });
    else if (job.shape == "fields")
        with([&](uint64_t i) { log.info("request id={} method={} path={} status={}", i, "GET", text, 200); });
    else
        with([&](uint64_t i) { log.info("filled {} of {} at {}", now(), i >> 1, double(i) * 0.25); });
}

struct Samples {
    std::vector<double> bursts, firsts, calls;
};

static void pause_between(const Job& job) {
    auto pause = std::chrono::microseconds(job.pause_us);
    if (job.sleeps()) return std::this_thread::sleep_for(pause);
    auto end = Clock::now() + pause;
    while (Clock::now() < end) _mm_pause();
}

static void print_all(const char* name, const std::vector<double>& samples, double factor) {
    std::printf("%s", name);
    for (double sample : samples) std::printf(" %.1f", sample * factor);
    std::printf("\n");
}

static void latency(const std::shared_ptr<spdlog::logger>& log, const Job& job, const std::string& text) {
    auto began = Clock::now();
    uint64_t ticks = begin();
    std::barrier ready(std::ptrdiff_t(job.threads) + 1);
    std::vector<Samples> samples(job.threads);
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < job.threads; t++)
        threads.emplace_back([&, t] {
            Samples& mine = samples[t];
            mine.bursts.reserve(job.calls / job.burst + 1);
            mine.firsts.reserve(job.calls / job.burst + 1);
            mine.calls.reserve(job.calls);
            with_calls(*log, job, text, [&](auto call) {
                for (uint64_t i = 0; i < WARM_UP; i++) call(i);
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
            });
            ready.arrive_and_wait();
            ready.arrive_and_wait();
            with_calls(*log, job, text, [&](auto call) {
                for (uint64_t burst = 0; burst < job.calls / job.burst; burst++) {
                    pause_between(job);
                    uint64_t from = burst * job.burst;
                    if (burst % 2 == 0 && job.burst > 1) {
                        uint64_t from_ticks = begin();
                        for (uint64_t i = from; i < from + job.burst; i++) call(i);
                        mine.bursts.push_back(double(begin() - from_ticks) / double(job.burst));
                        continue;
                    }
                    for (uint64_t i = from; i < from + job.burst; i++) {
                        uint64_t from_ticks = begin();
                        call(i);
                        double took = double(begin() - from_ticks);
                        if (i == from) mine.firsts.push_back(took);
                        mine.calls.push_back(took);
                    }
                }
            });
        });
    ready.arrive_and_wait();
    is_counting = true;
    ready.arrive_and_wait();
    for (auto& thread : threads) thread.join();
    is_counting = false;
    double nanos = double(std::chrono::nanoseconds(Clock::now() - began).count()) / double(begin() - ticks);
    Samples all;
    for (auto& mine : samples) {
        all.bursts.insert(all.bursts.end(), mine.bursts.begin(), mine.bursts.end());
        all.firsts.insert(all.firsts.end(), mine.firsts.begin(), mine.firsts.end());
        all.calls.insert(all.calls.end(), mine.calls.begin(), mine.calls.end());
    }
    print_all("burst", all.bursts, nanos);
    print_all("first", all.firsts, nanos);
    print_all("call", all.calls, nanos);
    std::printf("allocations %lu\n", (unsigned long)allocations.load());
}

static double fastest(uint64_t calls, const std::function<void(uint64_t)>& loop) {
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        auto began = Clock::now();
        loop(calls);
        best = std::min(best, double(std::chrono::nanoseconds(Clock::now() - began).count()) / double(calls));
    }
    return best;
}

int main(int count, char** arguments) {
    if (count == 2 && !std::strcmp(arguments[1], "version")) {
        std::printf("%d.%d.%d\n", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH);
        return 0;
    }
    if (count != 10) return 2;
    auto number = [&](int at) { return std::strtoull(arguments[at], nullptr, 10); };
    Job job{arguments[1], arguments[2], arguments[3], number(4), number(5), number(6), number(7), number(8)};
    const std::string some = "a string of so many bytes as were asked for, ";
    std::string text;
    while (text.size() < job.bytes) text += some;
    text.resize(job.bytes);

    spdlog::init_thread_pool(8192, 1);
    auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(arguments[9]);
    auto when_full =
        job.full == "wait" ? spdlog::async_overflow_policy::block : spdlog::async_overflow_policy::overrun_oldest;
    auto log = std::make_shared<spdlog::async_logger>("peers", file, spdlog::thread_pool(), when_full);

    double seconds = 0, call_seconds = 0;
    auto began = Clock::now();
    if (job.kind == "latency") {
        latency(log, job, text);
    } else if (job.kind == "flat_out") {
        std::barrier ready(std::ptrdiff_t(job.threads) + 1);
        std::vector<std::thread> threads;
        for (uint64_t t = 0; t < job.threads; t++)
            threads.emplace_back([&] {
                ready.arrive_and_wait();
                with_calls(*log, job, text, [&](auto call) {
                    for (uint64_t i = 0; i < job.calls; i++) call(i);
                });
            });
        ready.arrive_and_wait();
        began = Clock::now();
        for (auto& thread : threads) thread.join();
        call_seconds = std::chrono::duration<double>(Clock::now() - began).count();
    } else {
        double disabled = fastest(job.calls, [&](uint64_t calls) {
            for (uint64_t i = 0; i < calls; i++) {
                asm volatile("" : "+r"(i));
                log->debug("filled {} of {} at {}", i, i >> 1, double(i));
            }
        });
        double nothing = fastest(job.calls, [&](uint64_t calls) {
            for (uint64_t i = 0; i < calls; i++) asm volatile("" : "+r"(i));
        });
        std::printf("call %.1f\n", disabled - nothing);
    }
    std::printf("lost %zu\n", spdlog::thread_pool()->overrun_counter());
    log.reset();
    spdlog::shutdown(); // joins the thread, when it has written all
    file->flush();
    seconds = std::chrono::duration<double>(Clock::now() - began).count();
    std::printf("seconds %f\ncall_seconds %f\n", seconds, call_seconds);
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.rfind("VmHWM:", 0) == 0) std::printf("peak_kib %ld\n", std::strtol(line.c_str() + 6, nullptr, 10));
}
