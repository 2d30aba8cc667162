// fmtlog with its polling thread: a ring of 1 MiB for each thread. The thread looks again at once: its default is a look
// each second, in which a ring fills up.

#include <atomic>
#include <cstdint>

// Its macro is read where a call finds no room, and nowhere else.
static bool waits = true;
#define FMTLOG_BLOCK waits
#define FMTLOG_HEADER_ONLY
#include <fmtlog.h>

#include "peer.hpp"

static std::atomic<uint64_t> lost{0};

struct Caller {
    void numbers(uint64_t a, uint64_t b, double c) { logi("filled {} of {} at {}", a, b, c); }
    void text(const std::string& text) { logi("said {}", text); }
    void fields(uint64_t id, const std::string& path) {
        logi("request id={} method={} path={} status={}", id, "GET", path, 200);
    }
    void disabled(uint64_t a, uint64_t b, double c) { logd("filled {} of {} at {}", a, b, c); }
};

struct Fmtlog {
    Fmtlog(const char* path, const peers::Job& job) {
        waits = job.waits();
        // It tells of a call that waits, too, once.
        if (!waits) fmtlog::setLogQFullCB([](void*) { lost++; }, nullptr);
        fmtlog::setLogFile(path);
        fmtlog::startPollingThread(1);
    }

    Caller enter() {
        fmtlog::preallocate();
        return {};
    }

    peers::Said stop() {
        fmtlog::stopPollingThread();  // when it has written all
        fmtlog::closeLogFile();
        return {.lost = lost};
    }
};

int main(int count, char** arguments) { return peers::run<Fmtlog>(count, arguments); }
