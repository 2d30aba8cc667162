// NanoLog in its C++17 mode, which needs no preprocessor, with its defaults: a ring of 1 MiB for each thread, and who finds
// no room waits, always. Its file is binary; `read FILE` makes lines of one.

#include <array>
#include <string_view>

#include <Log.h>
#include <NanoLogCpp17.h>

#include "peer.hpp"

// Its other mode would generate these.
namespace GeneratedFunctions {
size_t numLogIds = 0;
}

using namespace NanoLog::LogLevels;

struct Caller {
    void numbers(uint64_t a, uint64_t b, double c) { NANO_LOG(NOTICE, "filled %lu of %lu at %f", a, b, c); }
    void text(const std::string& text) { NANO_LOG(NOTICE, "said %s", text.c_str()); }
    void fields(uint64_t id, const std::string& path) {
        NANO_LOG(NOTICE, "request id=%lu method=%s path=%s status=%d", id, "GET", path.c_str(), 200);
    }
    void disabled(uint64_t a, uint64_t b, double c) { NANO_LOG(DEBUG, "filled %lu of %lu at %f", a, b, c); }
};

struct Nanolog {
    Nanolog(const char* path, const peers::Job&) {
        NanoLog::setLogFile(path);
        NanoLog::setLogLevel(NOTICE);
    }

    Caller enter() {
        NanoLog::preallocate();
        return {};
    }

    peers::Said stop() {
        NanoLog::sync();  // returns when it has written all
        return {};
    }
};

int main(int count, char** arguments) {
    if (count == 3 && std::string_view(arguments[1]) == "read") {
        NanoLogInternal::Log::Decoder decoder;
        return !decoder.open(arguments[2]) || decoder.decompressUnordered(stdout) < 0;
    }
    return peers::run<Nanolog>(count, arguments);
}
