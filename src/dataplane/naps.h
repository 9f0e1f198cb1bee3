// naps.h — How long a core naps between two looks at queues that nothing tells it about.
//
// Runs on:  the rx_lcore whose naps they are; what is constexpr, anywhere.
//
// A wake costs tens of microseconds where the CPU is a virtual machine's, whatever is done then: an idle core's CPU is the
// number of its naps. They grow while nothing comes, and once nothing came for kSilenceNs they are as long as the ring
// allows: full datagrams that begin then, at the link's own rate, are in the ring when the core looks. A nap is kNapMinNs, or at
// most a quarter of the silence before it; so that what comes faster than a ring holds for a nap (smallest datagrams at line rate
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

/// A full export datagram takes 1538 octets of a wire, gap and preamble among them: 1230 ns at 10 Gbit/s, 123 ns at 100. 1024
/// descriptors hold 1.26 and 0.126 ms of them, 4096 hold 5.04 and 0.504 ms. A fifth is left for a kernel that wakes us late.
constexpr uint64_t long_nap_of_ring_ns(uint64_t frames, uint32_t link_mbps) noexcept {
  constexpr uint64_t kFrameBits = 1538 * 8;
  const uint64_t frames_needed = std::min<uint64_t>(frames, UINT32_MAX);
  return std::clamp(frames_needed * kFrameBits * 1000 / std::max(link_mbps, 1u) / 5 * 4, kNapMinNs, kLongNapMaxNs);
}

/// Descriptors of a ring, where nobody says how many.
inline constexpr uint16_t kRxDescriptors = 1024;
/// And at most: buffers that go round among more of them leave the CPU's cache between two uses.
inline constexpr uint16_t kRxDescriptorsMax = 4096;

/// As many as hold full datagrams through a nap of kNapMaxNs, which is what an idle core may cost: 1024 up to 10 Gbit/s, 4096 from
/// 25 on.
constexpr uint16_t descriptors_for(uint32_t link_mbps) noexcept {
  uint16_t descriptors = kRxDescriptors;
  while (descriptors < kRxDescriptorsMax && long_nap_of_ring_ns(descriptors, link_mbps) < kNapMaxNs) descriptors = static_cast<uint16_t>(2 * descriptors);
  return descriptors;
}

class Naps {
 public:
  /// Something came.
  void begin_anew() noexcept { *this = Naps(); }
  /// How long the next nap may be, where the ring allows `longest_ns`.
  uint64_t next_ns(uint64_t steady_now_ns, uint64_t longest_ns) noexcept {
    if (naps_++ == 0) silent_since_ns_ = steady_now_ns;
    if (steady_now_ns - silent_since_ns_ >= kSilenceNs) return longest_ns;
    const uint64_t ns = nap_ns_;
    if (naps_ % kNapsBeforeLonger == 0) nap_ns_ = std::min(nap_ns_ * 2, kNapMaxNs);
    return std::min(ns, longest_ns);
  }

 private:
  static constexpr unsigned kNapsBeforeLonger = 8;

  uint64_t nap_ns_ = kNapMinNs;
  uint64_t silent_since_ns_ = 0;
  uint64_t naps_ = 0;
};

}  // namespace weir::dataplane
