// gathering.h — How long a receive core lets packets gather, so that it takes several by one turn: waking up and the
// system calls of a turn cost many times what a packet does.
//
// Runs on:  the rx_lcore whose turns they are.
//
// Only where it pays: packets that are rare are waited for and taken as they come, and those that come so fast that a
// burst is there before a sleep would be over are not slept for. A pause ends within what the queues surely hold, see
// longest_pause_ns: a flood may begin in the middle of one.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"
#include "dataplane/burst.h"

namespace weir::dataplane {

/// No pause is longer, whatever the queues hold: batches linger for tens of times as long.
inline constexpr uint64_t kPauseMaxNs = kNsPerMs;
/// Nor shorter: the kernel is late by so much when it wakes somebody up (its timer slack).
inline constexpr uint64_t kPauseMinNs = 50 * kNsPerUs;

/// In which a flood at 8 Gbit/s fills a quarter of a socket's receive buffer, by the kernel's own account of octets.
constexpr uint64_t longest_pause_of_buffer_ns(uint64_t octets) noexcept { return std::min(octets / 4, kPauseMaxNs); }
/// In which a million frames a second fill a quarter of a driver's ring.
constexpr uint64_t longest_pause_of_ring_ns(uint64_t frames) noexcept { return std::min(frames * 250, kPauseMaxNs); }

class Gathering {
 public:
  /// A turn brought so many.
  void took(unsigned packets) noexcept { taken_ += packets; }

  /// After the last turn for now: how long to let others gather, at most `longest_ns`; 0: there is no use in it. As
  /// fast as they came since this was last asked, it will be a burst.
  uint64_t pause_ns(uint64_t steady_now_ns, uint64_t longest_ns) noexcept {
    const uint64_t since_ns = steady_now_ns - asked_ns_;
    const uint64_t packets = taken_;
    asked_ns_ = steady_now_ns;
    taken_ = 0;
    if (packets == 0) return 0;
    const uint64_t pause_ns = std::min(since_ns * kBurst / packets, longest_ns);
    return pause_ns >= kPauseMinNs && pause_ns * packets >= kWorthWhile * since_ns ? pause_ns : 0;
  }

 private:
  static constexpr uint64_t kWorthWhile = 2;  // packets to be expected

  uint64_t asked_ns_ = 0;
  uint64_t taken_ = 0;
};

}  // namespace weir::dataplane
