// spdlog, asynchronous, with a file: one thread, 8,192 records. Its messages are made text by the caller.

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <string_view>

#include "peer.hpp"

struct Caller {
    spdlog::logger& log;

    void numbers(uint64_t a, uint64_t b, double c) { log.info("filled {} of {} at {}", a, b, c); }
    void text(const std::string& text) { log.info("said {}", text); }
    void fields(uint64_t id, const std::string& path) {
        log.info("request id={} method={} path={} status={}", id, "GET", path, 200);
    }
    void disabled(uint64_t a, uint64_t b, double c) { log.debug("filled {} of {} at {}", a, b, c); }
};

struct Spdlog {
    std::shared_ptr<spdlog::sinks::basic_file_sink_mt> file;
    std::shared_ptr<spdlog::async_logger> log;

    Spdlog(const char* path, const peers::Job& job) {
        using When = spdlog::async_overflow_policy;
        spdlog::init_thread_pool(8192, 1);
        file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
        auto when_full = job.waits() ? When::block : When::overrun_oldest;
        log = std::make_shared<spdlog::async_logger>("peers", file, spdlog::thread_pool(), when_full);
    }

    Caller enter() { return {*log}; }

    peers::Said stop() {
        uint64_t lost = spdlog::thread_pool()->overrun_counter();
        log.reset();
        spdlog::shutdown();  // joins the thread, when it has written all
        file->flush();
        return {.lost = lost};
    }
};

int main(int count, char** arguments) {
    if (count == 2 && std::string_view(arguments[1]) == "version")
        return std::printf("%d.%d.%d\n", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH) < 0;
    return peers::run<Spdlog>(count, arguments);
}
