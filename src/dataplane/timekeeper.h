// timekeeper.h — The time as receive cores know it: by the CPU's ticks, which the control thread keeps on the kernel's
// clocks, or by these themselves where ticks are not to be trusted.
//
// Runs on:  Timekeeper::step and stats on the control_thread; a CoreClock on its core, which reads the Timekeeper's board.
// Bounds:   a reading each kKeepEveryNs; a core sees a step of the wall clock after at most twice that.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/clock_discipline.h"
#include "base/thread_roles.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace weir::dataplane {

inline constexpr uint64_t kKeepEveryNs = 100 * kNsPerMs;

/// This machine's.
struct SystemClocks {
  static uint64_t ticks() noexcept {
#if defined(__x86_64__)
    return __rdtsc();
#else
    return 0;
#endif
  }
  static uint64_t steady_ns() noexcept { return steady_clock_ns(); }
  static uint64_t wall_ns() noexcept { return wall_clock_ns(); }
  /// At one rate, whatever the CPU does: it says so.
  static bool has_even_ticks() noexcept;
};

/// The clocks as close together as a few tries make them.
template <class Clocks>
ClockReading read_clocks() noexcept {
  constexpr int kTries = 4;
  ClockReading best{.width_ns = ~uint64_t{0}};
  for (int i = 0; i < kTries; ++i) {
    const uint64_t before_ns = Clocks::steady_ns();
    const uint64_t ticks = Clocks::ticks();
    const uint64_t wall_ns = Clocks::wall_ns();
    const uint64_t after_ns = Clocks::steady_ns();
    const uint64_t width_ns = after_ns - before_ns;
    if (width_ns < best.width_ns)
      best = {.ticks = ticks, .steady_ns = before_ns + width_ns / 2, .wall_ns = wall_ns, .width_ns = width_ns};
  }
  return best;
}

struct TimeStats {
  TickTrouble trouble = TickTrouble::measuring;  // none: cores go by ticks
  uint64_t steps = 0;         // of the wall clock
  int64_t last_step_ns = 0;
  uint64_t last_step_steady_ns = 0;
  uint64_t losses = 0;        // times that ticks disagreed after they had been gone by
  int64_t error_ns = 0;
};

class Timekeeper {
 public:
  explicit Timekeeper(bool has_even_ticks = SystemClocks::has_even_ticks()) noexcept : discipline_(has_even_ticks) {
    take(read_clocks<SystemClocks>());
  }
  Timekeeper(const Timekeeper&) = delete;
  Timekeeper& operator=(const Timekeeper&) = delete;

  /// A reading, when it is time for one.
  void step(uint64_t steady_now_ns) noexcept WEIR_RUNS_ON(control_thread) {
    if (steady_now_ns < next_ns_) return;
    next_ns_ = steady_now_ns + kKeepEveryNs;
    take(read_clocks<SystemClocks>());
  }
  TimeStats stats() const noexcept WEIR_RUNS_ON(control_thread) {
    return {.trouble = discipline_.trouble(),
            .steps = discipline_.steps(),
            .last_step_ns = discipline_.last_step_ns(),
            .last_step_steady_ns = discipline_.last_step_steady_ns(),
            .losses = discipline_.losses(),
            .error_ns = discipline_.error_ns()};
  }

  const ClockBoard& board() const noexcept { return board_; }
  /// From steady time to the one that state ages by: the same for all cores.
  uint64_t aged_offset_ns() const noexcept { return aged_offset_ns_; }
  void take(const ClockReading& now) noexcept {
    if (aged_offset_ns_ == 0) aged_offset_ns_ = now.wall_ns - now.steady_ns;
    discipline_.take(now);
    board_.publish(discipline_.lines());
  }

 private:
  ClockDiscipline discipline_;
  ClockBoard board_;
  uint64_t aged_offset_ns_ = 0;  // as the clocks stood at the start
  uint64_t next_ns_ = 0;
};

/// What a core looks at once a burst.
template <class Clocks>
class BasicCoreClock {
 public:
  explicit BasicCoreClock(const Timekeeper& keeper) noexcept
      : board_(keeper.board()), aged_offset_ns_(keeper.aged_offset_ns()) {
    look();
  }

  void look() noexcept {
    if (board_.take(seen_, lines_)) agrees_ = agrees_here();
    const uint64_t since = Clocks::ticks() - lines_.ticks;
    if (agrees_ && lines_.reach(since)) [[likely]] {
      set_steady(lines_.steady_at(since));
      wall_ns_ = lines_.wall_at(since);
      return;
    }
    ask_kernel();
  }
  uint64_t steady_ns() const noexcept { return steady_ns_; }
  uint64_t wall_ns() const noexcept { return wall_ns_; }
  Moment now() const noexcept { return {wall_ns_, steady_ns_ + aged_offset_ns_}; }

 private:
  /// The lines are of the control thread's CPU: are this one's ticks the same?
  bool agrees_here() const noexcept {
    if (lines_.ticks_max == 0) return false;
    const uint64_t before_ns = Clocks::steady_ns();
    const uint64_t since = Clocks::ticks() - lines_.ticks;
    const uint64_t after_ns = Clocks::steady_ns();
    if (!lines_.reach(since)) return false;
    const uint64_t by_ticks_ns = lines_.steady_at(since);
    return by_ticks_ns + kApartNsMax > before_ns && by_ticks_ns < after_ns + kApartNsMax;
  }
  /// Never back, where lines give way to others.
  void set_steady(uint64_t ns) noexcept {
    if (ns > steady_ns_) steady_ns_ = ns;
  }
  /// One system call's price: the wall clock is the steady one and an offset that is renewed now and then.
  void ask_kernel() noexcept {
    const uint64_t now_ns = Clocks::steady_ns();
    set_steady(now_ns);
    if (now_ns >= renew_at_ns_) {
      wall_offset_ns_ = Clocks::wall_ns() - now_ns;
      renew_at_ns_ = now_ns + kKeepEveryNs;
    }
    wall_ns_ = now_ns + wall_offset_ns_;
  }

  static constexpr uint64_t kApartNsMax = kNsPerMs;

  const ClockBoard& board_;
  const uint64_t aged_offset_ns_;
  bool agrees_ = false;  // as of the lines taken last
  uint64_t seen_ = ~uint64_t{0};
  ClockLines lines_;
  uint64_t steady_ns_ = 0;
  uint64_t wall_ns_ = 0;
  uint64_t wall_offset_ns_ = 0;
  uint64_t renew_at_ns_ = 0;
};

using CoreClock = BasicCoreClock<SystemClocks>;

}  // namespace weir::dataplane
