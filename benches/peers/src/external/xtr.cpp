// xtr with its defaults: a ring of 256 KiB for each sink, here one for each thread; a thread that never sleeps. With
// `XTR_LOG` that thread takes a record's time when it comes across it; with `XTR_LOGL_TSC` the call takes it, as with all
// others here. It has no socket for commands, of which its thread would ask the kernel each round, and no io_uring, which
// needs one more library.

#include <xtr/logger.hpp>

#include <string_view>

#include "peer.hpp"

// A call that waits for room, or one that loses its record.
#define LOG(level, ...)                              \
    if constexpr (WAITS)                             \
        XTR_LOGL_TSC(level, sink, __VA_ARGS__);      \
    else                                             \
        XTR_TRY_LOGL_TSC(level, sink, __VA_ARGS__)

template <bool WAITS>
struct Caller {
    xtr::sink sink;

    void numbers(uint64_t a, uint64_t b, double c) { LOG(info, "filled {} of {} at {}", a, b, c); }
    void text(const std::string& text) { LOG(info, "said {}", text); }
    void fields(uint64_t id, const std::string& path) {
        LOG(info, "request id={} method={} path={} status={}", id, "GET", path, 200);
    }
    void disabled(uint64_t a, uint64_t b, double c) { LOG(debug, "filled {} of {} at {}", a, b, c); }
};

template <bool WAITS>
struct Xtr {
    std::optional<xtr::logger> logger;

    Xtr(const char* path, const peers::Job&) {
        logger.emplace(path, std::chrono::system_clock(), xtr::null_command_path);
    }

    Caller<WAITS> enter() { return {logger->get_sink("peers")}; }

    // In lines like "W 2026-11-23 09:00:00.123456 peers: 12 messages dropped".
    peers::Said stop() {
        logger.reset();  // when all sinks are closed and written
        return {.behind = "peers:"};
    }
};

int main(int count, char** arguments) {
    bool drops = count > 2 && std::string_view(arguments[2]) == "drop";
    if (drops) return peers::run<Xtr<false>>(count, arguments);
    return peers::run<Xtr<true>>(count, arguments);
}
