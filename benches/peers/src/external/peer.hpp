// What the programs of the loggers in C++ share: the job, its cases, what is printed. It takes the arguments of
// src/job.rs and prints what src/case/mod.rs tells of.
//
// A logger is a type:
//
//     Logger(const char* file, const Job&)   set up as its own documentation says
//     auto enter()                           each thread, before its first call: what it calls with
//         numbers, text, fields, disabled    as in src/peer/mod.rs
//     Said stop()                            returns when the last byte is in the file
//
// and its main is `return peers::run<Logger>(count, arguments);`.

#pragma once

#include <x86intrin.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace peers {

inline std::atomic<bool> is_counting{false};
inline std::atomic<uint64_t> allocations{0};

using Clock = std::chrono::steady_clock;

inline constexpr uint64_t WARM_UP = 40;
inline constexpr int TRIES = 5;

struct Job {
    std::string kind, full, shape;
    uint64_t threads, calls, burst, pause_us, bytes;

    bool waits() const { return full == "wait"; }
    bool sleeps() const { return threads > 1 || burst == 1; }

    // From the eight arguments of a job.
    static Job parse(char** words) {
        auto number = [&](int at) { return std::strtoull(words[at], nullptr, 10); };
        return {words[0], words[1], words[2], number(3), number(4), number(5), number(6), number(7)};
    }
};

// What a logger says of its losses: their number, or the words before it in its file, or nothing.
struct Said {
    std::optional<uint64_t> lost = {};
    const char* behind = nullptr;
};

inline double seconds_since(Clock::time_point began) {
    return std::chrono::duration<double>(Clock::now() - began).count();
}

inline uint64_t ticks() {
    _mm_lfence();
    uint64_t ticks = __rdtsc();
    _mm_lfence();
    return ticks;
}

// The monotonic clock, which all processes share.
inline uint64_t now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return uint64_t(time.tv_sec) * 1000000000 + uint64_t(time.tv_nsec);
}

// The number, of which the compiler knows nothing.
inline uint64_t opaque(uint64_t i) {
    asm volatile("" : "+r"(i));
    return i;
}

// Runs `with` with the call of the job's shape; what it is called with makes the calls differ.
template <typename Caller, typename With>
void with_calls(Caller& log, const Job& job, const std::string& text, With with) {
    if (job.shape == "numbers")
        with([&](uint64_t i) { log.numbers(i, i >> 1, double(i) * 0.25); });
    else if (job.shape == "text")
        with([&](uint64_t) { log.text(text); });
    else if (job.shape == "fields")
        with([&](uint64_t i) { log.fields(i, text); });
    else
        with([&](uint64_t i) { log.numbers(now(), i >> 1, double(i) * 0.25); });
}

inline std::string text_of(const Job& job) {
    const std::string some = "a string of so many bytes as were asked for, ";
    std::string text;
    while (text.size() < job.bytes) text += some;
    text.resize(job.bytes);
    return text;
}

inline void print_all(const char* name, const std::vector<double>& samples, double factor) {
    std::printf("%s", name);
    for (double sample : samples) std::printf(" %.1f", sample * factor);
    std::printf("\n");
}

// In ticks.
struct Samples {
    std::vector<double> bursts, firsts, calls;

    // All the room that is needed: nothing is allocated between the calls.
    void reserve(const Job& job) {
        bursts.reserve(job.calls / job.burst + 1);
        firsts.reserve(job.calls / job.burst + 1);
        calls.reserve(job.calls);
    }

    void extend(const Samples& other) {
        bursts.insert(bursts.end(), other.bursts.begin(), other.bursts.end());
        firsts.insert(firsts.end(), other.firsts.begin(), other.firsts.end());
        calls.insert(calls.end(), other.calls.begin(), other.calls.end());
    }
};

inline void pause_between(const Job& job) {
    auto pause = std::chrono::microseconds(job.pause_us);
    if (job.sleeps()) return std::this_thread::sleep_for(pause);
    auto end = Clock::now() + pause;
    while (Clock::now() < end) _mm_pause();
}

template <typename Call>
void bursts(const Job& job, Samples& samples, Call call) {
    for (uint64_t burst = 0; burst < job.calls / job.burst; burst++) {
        pause_between(job);
        uint64_t from = burst * job.burst;
        if (burst % 2 == 0 && job.burst > 1) {
            uint64_t began = ticks();
            for (uint64_t i = from; i < from + job.burst; i++) call(opaque(i));
            samples.bursts.push_back(double(ticks() - began) / double(job.burst));
            continue;
        }
        for (uint64_t i = from; i < from + job.burst; i++) {
            uint64_t began = ticks();
            call(opaque(i));
            double took = double(ticks() - began);
            if (i == from) samples.firsts.push_back(took);
            samples.calls.push_back(took);
        }
    }
}

template <typename Logger>
void latency(Logger& logger, const Job& job) {
    auto began = Clock::now();
    uint64_t began_ticks = ticks();
    std::barrier ready(std::ptrdiff_t(job.threads) + 1);
    std::vector<Samples> samples(job.threads);
    std::vector<std::thread> threads;
    for (auto& mine : samples)
        threads.emplace_back([&] {
            std::string text = text_of(job);
            auto caller = logger.enter();
            mine.reserve(job);
            with_calls(caller, job, text, [&](auto call) {
                for (uint64_t i = 0; i < WARM_UP; i++) call(opaque(i));
            });
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            ready.arrive_and_wait();
            ready.arrive_and_wait();
            with_calls(caller, job, text, [&](auto call) { bursts(job, mine, call); });
        });
    ready.arrive_and_wait();
    is_counting = true;
    ready.arrive_and_wait();
    for (auto& thread : threads) thread.join();
    is_counting = false;
    double nanos = seconds_since(began) * 1e9 / double(ticks() - began_ticks);
    Samples all;
    for (auto& mine : samples) all.extend(mine);
    print_all("burst", all.bursts, nanos);
    print_all("first", all.firsts, nanos);
    print_all("call", all.calls, nanos);
    std::printf("allocations %lu\n", (unsigned long)allocations.load());
}

// Returns when the first call began.
template <typename Logger>
Clock::time_point flat_out(Logger& logger, const Job& job) {
    std::barrier ready{std::ptrdiff_t(job.threads)};
    std::vector<Clock::time_point> begun(job.threads);
    std::vector<std::thread> threads;
    for (auto& began : begun)
        threads.emplace_back([&] {
            std::string text = text_of(job);
            auto caller = logger.enter();
            ready.arrive_and_wait();
            began = Clock::now();
            with_calls(caller, job, text, [&](auto call) {
                for (uint64_t i = 0; i < job.calls; i++) call(opaque(i));
            });
        });
    for (auto& thread : threads) thread.join();
    auto began = *std::min_element(begun.begin(), begun.end());
    std::printf("call_seconds %f\n", seconds_since(began));
    return began;
}

// The fastest counts: what is slower was disturbed.
template <typename Call>
double fastest(uint64_t calls, Call call) {
    double best = 1e9;
    for (int i = 0; i < TRIES; i++) {
        auto began = Clock::now();
        for (uint64_t i = 0; i < calls; i++) call(opaque(i));
        best = std::min(best, seconds_since(began) * 1e9 / double(calls));
    }
    return best;
}

template <typename Logger>
void disabled(Logger& logger, const Job& job) {
    auto caller = logger.enter();
    double disabled = fastest(job.calls, [&](uint64_t i) { caller.disabled(i, i >> 1, double(i)); });
    double nothing = fastest(job.calls, [](uint64_t) {});
    std::printf("call %.1f\n", disabled - nothing);
}

inline void print_peak() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:")) std::printf("peak_kib %ld\n", std::strtol(line.c_str() + 6, nullptr, 10));
}

// Does the job of the arguments, the last of which is the file.
template <typename Logger>
int run(int count, char** arguments) {
    if (count != 10) return 2;
    Job job = Job::parse(arguments + 1);
    Logger logger(arguments[9], job);
    auto began = Clock::now();
    if (job.kind == "latency")
        latency(logger, job);
    else if (job.kind == "flat_out")
        began = flat_out(logger, job);
    else
        disabled(logger, job);
    Said said = logger.stop();
    std::printf("seconds %f\n", seconds_since(began));
    if (said.lost) std::printf("lost %lu\n", (unsigned long)*said.lost);
    if (said.behind) std::printf("lost_behind %s\n", said.behind);
    print_peak();
    return 0;
}

}  // namespace peers

void* operator new(size_t size) {
    if (peers::is_counting.load(std::memory_order_relaxed))
        peers::allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* block = std::malloc(size)) return block;
    throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
