// standing_clock.h — A time that stands, and goes on when a test says so: however long this machine takes for something, it
// took none. For what happens by the clock and not by what arrives.
#pragma once

#include <cstdint>

namespace weir::dataplane::testing {

/// While it lives, every thread of this process finds the steady clock and the wall clock where they were at its beginning, and where it
/// was told to go from there. Whoever believes in them must have ended before it does: the true ones may be behind.
class StandingClock {
 public:
  StandingClock();
  ~StandingClock();
  StandingClock(const StandingClock&) = delete;
  StandingClock& operator=(const StandingClock&) = delete;

  void pass(uint64_t ns);
};

/// How long something truly takes: for whoever waits and loses patience.
uint64_t true_clock_ns() noexcept;

}  // namespace weir::dataplane::testing
