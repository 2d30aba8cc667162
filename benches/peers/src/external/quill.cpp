// quill with its defaults: a ring of 128 KiB for each thread, which grows by as much again and again where there is no
// room; the time stamp counter; a backend that sleeps 100 µs when it finds nothing. `bounded` as the first argument: the
// same ring does not grow, and who finds no room waits. Where a call shall not wait a ring that does not grow loses it.

#include <quill/Backend.h>
#include <quill/Frontend.h>
#include <quill/LogMacros.h>
#include <quill/sinks/FileSink.h>

#include <string_view>

#include "peer.hpp"

// Told of by its error notifier: "Dropped 12 events from thread 345".
static std::atomic<uint64_t> lost{0};

static void be_told(const std::string& words) {
    static constexpr std::string_view DROPPED = "Dropped ";
    if (auto at = words.find(DROPPED); at != words.npos)
        lost += std::strtoull(words.c_str() + at + DROPPED.size(), nullptr, 10);
}

template <quill::QueueType QUEUE>
struct Options : quill::FrontendOptions {
    static constexpr quill::QueueType queue_type = QUEUE;
};

template <typename Log>
struct Caller {
    Log* log;

    void numbers(uint64_t a, uint64_t b, double c) { LOG_INFO(log, "filled {} of {} at {}", a, b, c); }
    void text(const std::string& text) { LOG_INFO(log, "said {}", text); }
    void fields(uint64_t id, const std::string& path) {
        LOG_INFO(log, "request id={} method={} path={} status={}", id, "GET", path, 200);
    }
    void disabled(uint64_t a, uint64_t b, double c) { LOG_DEBUG(log, "filled {} of {} at {}", a, b, c); }
};

template <quill::QueueType QUEUE>
struct Quill {
    using Frontend = quill::FrontendImpl<Options<QUEUE>>;
    using Log = quill::LoggerImpl<Options<QUEUE>>;

    Log* log;

    Quill(const char* path, const peers::Job&) {
        quill::BackendOptions options;
        options.error_notifier = be_told;
        quill::Backend::start(options);
        auto file = Frontend::template create_or_get_sink<quill::FileSink>(path);
        log = Frontend::create_or_get_logger("peers", std::move(file));
    }

    Caller<Log> enter() {
        Frontend::preallocate();
        return {log};
    }

    peers::Said stop() {
        quill::Backend::stop();  // when it has written all
        return {.lost = lost};
    }
};

int main(int count, char** arguments) {
    using quill::QueueType;
    bool is_bounded = count > 1 && std::string_view(arguments[1]) == "bounded";
    count -= is_bounded;
    arguments += is_bounded;
    bool drops = count > 2 && std::string_view(arguments[2]) == "drop";
    if (drops) return peers::run<Quill<QueueType::BoundedDropping>>(count, arguments);
    if (is_bounded) return peers::run<Quill<QueueType::BoundedBlocking>>(count, arguments);
    return peers::run<Quill<QueueType::UnboundedBlocking>>(count, arguments);
}
