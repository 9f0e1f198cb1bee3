// clock_discipline.h — A counter of ticks (the CPU's TSC, a NIC's clock) made into the time: by straight lines that one
// thread keeps on the kernel's clocks, and others go by.
//
// Runs on:  ClockDiscipline and ClockBoard::publish on one thread; ClockBoard::take on any, without a lock. No clock is
//           read here: readings are given.
// Bounds:   a line is gone by for kLineNsMax; whoever finds it older asks the kernel.
// Failure:  ticks that disagree with the kernel's clock are not gone by until they have agreed again for kAgreeingMin
//           readings, and after kLossesMax such losses not any more.
//
// The kernel slews both of its clocks alike: the rate of a line follows, and what the line was wrong by is taken back over
// the next second, so that no time jumps. What moves the wall clock against the steady one is a step (settimeofday, NTP, a
// suspend): it is taken as one, at the next reading.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/clock.h"
#include "base/named_enum.h"

namespace weir {

/// A line is not gone by for longer: the thread that keeps it stands still, or the ticks jumped.
inline constexpr uint64_t kLineNsMax = kNsPerSec;
/// The wall clock moved by so much against the steady one: it was set. Less is what reading them is wrong by, and followed.
inline constexpr uint64_t kClockStepNs = kNsPerMs;

/// All clocks at one moment.
struct ClockReading {
  uint64_t ticks = 0;
  uint64_t steady_ns = 0;
  uint64_t wall_ns = 0;
  uint64_t width_ns = 0;  // how long it took: it is wrong by up to that
};

/// The time as a function of ticks. Constant once it is made.
struct ClockLines {
  static constexpr unsigned kRateBits = 28;  // behind the point of ns a tick

  uint64_t ticks = 0;       // where the lines begin
  uint64_t ticks_max = 0;   // how far from there they go, either way; 0: there are none
  uint64_t steady_ns = 0;   // there
  uint64_t wall_ns = 0;
  uint64_t steady_rate = 0;
  uint64_t wall_rate = 0;

  bool reach(uint64_t since) const noexcept { return since < ticks_max; }
  uint64_t steady_at(uint64_t since) const noexcept { return steady_ns + (since * steady_rate >> kRateBits); }
  uint64_t wall_at(uint64_t since) const noexcept { return wall_ns + (since * wall_rate >> kRateBits); }
  /// Of a stamp, which may be older than the lines. 0: it is not near them.
  uint64_t wall_of(uint64_t stamp) const noexcept {
    const uint64_t since = stamp - ticks, before = ticks - stamp;
    if (reach(since)) return wall_at(since);
    return reach(before) ? wall_ns - (before * wall_rate >> kRateBits) : 0;
  }
};

/// Why ticks are not gone by: the CPU does not promise that they are even; too few readings agreed yet; they disagreed with
/// the kernel's clock, for now or too often.
#define WEIR_TICK_TROUBLES(X) X(none) X(not_invariant) X(measuring) X(disagrees) X(given_up)
WEIR_NAMED_ENUM(TickTrouble, uint8_t, WEIR_TICK_TROUBLES)

class ClockDiscipline {
 public:
  static constexpr unsigned kAgreeingMin = 10;
  static constexpr unsigned kLossesMax = 8;
  static constexpr uint64_t kWidthNsMax = 50 * kNsPerUs;  // a reading that took longer says nothing of ticks

  explicit ClockDiscipline(bool has_even_ticks) noexcept
      : trouble_(has_even_ticks ? TickTrouble::measuring : TickTrouble::not_invariant) {}

  void take(const ClockReading& now) noexcept;
  /// As of the last reading; ticks_max is 0 where ticks are not gone by.
  const ClockLines& lines() const noexcept { return lines_; }
  TickTrouble trouble() const noexcept { return trouble_; }
  uint64_t steps() const noexcept { return steps_; }              // of the wall clock
  int64_t last_step_ns() const noexcept { return last_step_ns_; }
  uint64_t last_step_steady_ns() const noexcept { return last_step_steady_ns_; }  // when
  uint64_t losses() const noexcept { return losses_; }            // times that ticks disagreed after they had agreed
  int64_t error_ns() const noexcept { return error_ns_; }         // that the line was wrong by at the last reading

 private:
  void look_for_step(const ClockReading& now) noexcept;
  void begin_anew(const ClockReading& now) noexcept;
  void lose(const ClockReading& now) noexcept;

  TickTrouble trouble_;
  bool has_last_ = false;
  bool has_stepped_ = false;  // at this reading, or one since the lines were moved
  ClockReading last_;         // of the clocks
  ClockReading on_line_;      // the last that the lines were kept on
  bool has_line_ = false;
  ClockLines measured_;  // also while they are not gone by
  ClockLines lines_;
  unsigned agreeing_ = 0;
  uint64_t steps_ = 0;
  uint64_t losses_ = 0;
  int64_t last_step_ns_ = 0;
  uint64_t last_step_steady_ns_ = 0;
  int64_t error_ns_ = 0;
};

/// Where the lines hang. A reader keeps a copy of its own, and goes on by it should it look while another is put up.
class ClockBoard {
 public:
  void publish(const ClockLines& lines) noexcept {
    const std::array<uint64_t, kWords> words = {lines.ticks,   lines.ticks_max,   lines.steady_ns,
                                                lines.wall_ns, lines.steady_rate, lines.wall_rate};
    const uint64_t turn = turn_.load(std::memory_order_relaxed);
    turn_.store(turn + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    for (size_t i = 0; i < kWords; ++i) words_[i].store(words[i], std::memory_order_relaxed);
    turn_.store(turn + 2, std::memory_order_release);
  }

  /// Renews `lines` if there are others than those of the turn `seen`; whether it did.
  bool take(uint64_t& seen, ClockLines& lines) const noexcept {
    const uint64_t turn = turn_.load(std::memory_order_acquire);
    if (turn == seen || turn % 2 != 0) [[likely]] return false;
    std::array<uint64_t, kWords> words;
    for (size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (turn_.load(std::memory_order_relaxed) != turn) return false;
    seen = turn;
    lines = {words[0], words[1], words[2], words[3], words[4], words[5]};
    return true;
  }

 private:
  static constexpr size_t kWords = 6;
  std::atomic<uint64_t> turn_{0};
  std::array<std::atomic<uint64_t>, kWords> words_{};
};

}  // namespace weir
