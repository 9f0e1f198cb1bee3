#include "standing_clock.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <ctime>

#include "base/clock.h"

namespace weir::dataplane::testing {
namespace {

std::atomic<bool> g_stands{false};
std::atomic<uint64_t> g_steady_ns{0};
std::atomic<uint64_t> g_wall_ns{0};

}  // namespace
}  // namespace weir::dataplane::testing

/// Stands before the C library's own.
extern "C" int clock_gettime(clockid_t which, timespec* time) noexcept {
  using namespace weir::dataplane::testing;
  using Get = int (*)(clockid_t, timespec*);
  static const auto get = reinterpret_cast<Get>(dlsym(RTLD_NEXT, "clock_gettime"));
  if (!g_stands.load(std::memory_order_acquire) || (which != CLOCK_MONOTONIC && which != CLOCK_REALTIME))
    return get(which, time);
  const uint64_t ns = (which == CLOCK_MONOTONIC ? g_steady_ns : g_wall_ns).load();
  time->tv_sec = static_cast<time_t>(ns / weir::kNsPerSec);
  time->tv_nsec = static_cast<long>(ns % weir::kNsPerSec);
  return 0;
}

namespace weir::dataplane::testing {

StandingClock::StandingClock() {
  if (g_stands) std::abort();  // there is one time
  g_steady_ns = steady_clock_ns();
  g_wall_ns = wall_clock_ns();
  g_stands.store(true, std::memory_order_release);
}

StandingClock::~StandingClock() { g_stands = false; }

void StandingClock::pass(uint64_t ns) {
  g_wall_ns += ns;
  g_steady_ns += ns;
}

uint64_t true_clock_ns() noexcept {
  timespec t{};
  clock_gettime(CLOCK_BOOTTIME, &t);
  return static_cast<uint64_t>(t.tv_sec) * kNsPerSec + static_cast<uint64_t>(t.tv_nsec);
}

}  // namespace weir::dataplane::testing
