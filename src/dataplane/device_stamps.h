// device_stamps.h — The time that a device itself noted when a frame came in, as time of the wall clock.
//
// Runs on:  DeviceClock on the control_thread; a StampReader on the rx_lcore that has the queue. No DPDK here.
// Failure:  a stamp that cannot be the time of a frame just received is counted, and the burst's time stands in.
//
// A device counts by a clock of its own, at a rate that it does not say (rte_eth_read_clock tells where it stands): the
// control thread keeps lines on the kernel's clocks as it does for the CPU's ticks. A device that cannot be asked counts
// nanoseconds since the epoch, if somebody sets its clock (PTP), or its stamps are not credible.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/clock_discipline.h"
#include "base/counter.h"
#include "base/named_enum.h"
#include "dataplane/timekeeper.h"

namespace weir::dataplane {

/// none: there are no stamps. file: microseconds since the epoch of a capture that is replayed. ticks: of a clock that can
/// be asked. epoch: nanoseconds.
#define WEIR_STAMP_KINDS(X) X(none) X(file) X(ticks) X(epoch)
WEIR_NAMED_ENUM(StampKind, uint8_t, WEIR_STAMP_KINDS)

/// A frame that waited for longer in a ring would have been dropped, and none comes from the future: but clocks differ.
inline constexpr uint64_t kStampPastMaxNs = kNsPerSec;
inline constexpr uint64_t kStampFutureMaxNs = kNsPerMs;

class DeviceClock {
 public:
  /// `ask` writes where the device's clock stands; false where it does not say.
  template <class Ask>
  void step(uint64_t steady_now_ns, Ask ask) noexcept WEIR_RUNS_ON(control_thread) {
    if (steady_now_ns < next_ns_) return;
    next_ns_ = steady_now_ns + kKeepEveryNs;
    constexpr int kTries = 3;
    ClockReading best{.width_ns = ~uint64_t{0}};
    for (int i = 0; i < kTries; ++i) {
      const uint64_t before_ns = steady_clock_ns();
      uint64_t ticks = 0;
      if (!ask(ticks)) return;
      const uint64_t wall_ns = wall_clock_ns();
      const uint64_t width_ns = steady_clock_ns() - before_ns;
      if (width_ns < best.width_ns) best = {ticks, before_ns + width_ns / 2, wall_ns, width_ns};
    }
    take(best);
  }
  void take(const ClockReading& now) noexcept {
    discipline_.take(now);
    board_.publish(discipline_.lines());
  }
  const ClockBoard& board() const noexcept { return board_; }
  TickTrouble trouble() const noexcept { return discipline_.trouble(); }

 private:
  ClockDiscipline discipline_{/*has_even_ticks=*/true};
  ClockBoard board_;
  uint64_t next_ns_ = 0;
};

/// Of one queue.
class StampReader {
 public:
  /// Before its core runs. `clock`: of StampKind::ticks; outlives the queue.
  void use(StampKind kind, const DeviceClock* clock = nullptr) noexcept {
    kind_ = kind;
    board_ = clock != nullptr ? &clock->board() : nullptr;
  }
  StampKind kind() const noexcept { return kind_; }

  /// Once a burst.
  void look() noexcept {
    if (board_ != nullptr) board_->take(seen_, lines_);
  }
  /// When a frame came that has this stamp and was received by `now`. What a file says state ages by as well.
  Moment time_of(uint64_t stamp, const Moment& now) noexcept {
    if (kind_ == StampKind::file) return stamp * kNsPerUs;
    if (kind_ == StampKind::ticks && lines_.ticks_max == 0) return now;  // not measured yet
    const uint64_t ns = kind_ == StampKind::ticks ? lines_.wall_of(stamp) : stamp;
    if (ns + kStampPastMaxNs - now.wall_ns > kStampPastMaxNs + kStampFutureMaxNs) {
      refused_.increment();
      return now;
    }
    used_.increment();
    return {ns, now.aged_ns};
  }
  uint64_t used() const noexcept { return used_.value(); }
  uint64_t refused() const noexcept { return refused_.value(); }

 private:
  StampKind kind_ = StampKind::none;
  const ClockBoard* board_ = nullptr;
  uint64_t seen_ = ~uint64_t{0};
  ClockLines lines_;
  Counter used_;
  Counter refused_;
};

}  // namespace weir::dataplane
