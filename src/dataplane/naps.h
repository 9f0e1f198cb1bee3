// naps.h — How long a core naps between two looks at queues that nothing tells it about.
//
// Runs on:  the rx_lcore whose naps they are.
//
// A wake costs tens of microseconds where the CPU is a virtual machine's, whatever is done then: an idle core's CPU is the
// number of its naps. They grow while nothing comes, and once nothing came for kSilenceNs they are as long as the ring
// allows: full datagrams that begin then, at line rate, are in the ring when the core looks. A nap is kNapMinNs, or at most
// a quarter of the silence before it; so that what comes faster than a ring holds for a nap (smallest datagrams at line rate
// do) must come out of four times as much silence to be dropped, which the device counts.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace weir::dataplane {

inline constexpr uint64_t kNapMinNs = 50 * kNsPerUs;
inline constexpr uint64_t kNapMaxNs = kNsPerMs;          // while something came within kSilenceNs
inline constexpr uint64_t kLongNapMaxNs = 5 * kNsPerMs;  // two hundred wakes a second
inline constexpr uint64_t kSilenceNs = kNsPerSec;

/// Of one queue's core: what a faster link brings to one queue is lost, whether it naps or not.
inline constexpr uint32_t kCoreGbpsMax = 25;

/// A full export datagram takes 1538 octets of a wire, gap and preamble among them: 1230 ns at 10 Gbit/s, 492 ns at 25. 1024
/// descriptors hold 1.26 and 0.50 ms of them, 4096 hold 5.04 and 2.01 ms. A fifth is left for a kernel that wakes us late.
/// Naps are no shorter than before a silence, however few the descriptors.
constexpr uint64_t long_nap_of_ring_ns(uint64_t frames, uint32_t link_gbps) noexcept {
  constexpr uint64_t kFrameBits = 1538 * 8;
  return std::clamp(frames * (kFrameBits / std::clamp(link_gbps, 10u, kCoreGbpsMax)) / 5 * 4, kNapMaxNs, kLongNapMaxNs);
}

class Naps {
 public:
  Naps() = default;
  /// The shortest of its queues'.
  void set_long_nap(uint64_t ns) noexcept { long_nap_ns_ = ns; }

  /// Something came.
  void begin_anew() noexcept { *this = Naps(long_nap_ns_); }
  /// How long the next nap may be.
  uint64_t next_ns(uint64_t steady_now_ns) noexcept {
    if (naps_++ == 0) silent_since_ns_ = steady_now_ns;
    if (steady_now_ns - silent_since_ns_ >= kSilenceNs) return long_nap_ns_;
    const uint64_t ns = nap_ns_;
    if (naps_ % kNapsBeforeLonger == 0) nap_ns_ = std::min(nap_ns_ * 2, kNapMaxNs);
    return ns;
  }

 private:
  explicit Naps(uint64_t long_nap_ns) noexcept : long_nap_ns_(long_nap_ns) {}

  static constexpr unsigned kNapsBeforeLonger = 8;

  uint64_t long_nap_ns_ = kNapMaxNs;
  uint64_t nap_ns_ = kNapMinNs;
  uint64_t silent_since_ns_ = 0;
  uint64_t naps_ = 0;
};

}  // namespace weir::dataplane
