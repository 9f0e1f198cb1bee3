// reassembly.h — IP fragments, put together to the UDP datagram that they were cut from.
//
// Spec:     RFC 791 §3.2, RFC 8200 §4.5, RFC 5722 (overlapping fragments), RFC 1858 §3 (tiny ones),
//           RFC 4963 (identifications that come round).
// Runs on:  rx_lcore, and whoever reads captures: one core's own. No clock: the caller says the time.
// Owns:     room for datagrams_max datagrams of 64 KiB, reserved at start; pages are touched as they are used.
// Bounds:   ReassemblyLimits; kFragmentsPerDatagramMax. Beyond them the oldest datagram of the source
//           goes, or the oldest of all.
// Failure:  every fragment ends in one FragmentOutcome, or waits.
//
// Two datagrams of a router may carry one identification within seconds (16 bits, IPv4), and pieces of
// both would make a third: what was put together is asked for its UDP checksum, whatever the policy for
// whole frames, and what waits is given up soon.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/counter.h"
#include "base/ip_address.h"
#include "base/named_enum.h"
#include "packet/frame.h"

namespace weir::packet {

/// The first fragment is as long as the narrowest link lets through: 68 octets (RFC 791) with a header
/// of 20. A shorter one was made to hide something.
inline constexpr size_t kFirstFragmentOctetsMin = 48;
/// 64 KiB over links of 576 octets are 119, and twice as many where a tunnel cuts each once more.
inline constexpr size_t kFragmentsPerDatagramMax = 256;
inline constexpr size_t kReassembledOctetsMax = 65535;

// joined: its datagram was put together. duplicate: the same octets were there already. The datagram of
// all others is given up: `overlapping` ones differ from what was there, or reach beyond the end that the
// last one told; a `tiny` one begins a datagram with less than kFirstFragmentOctetsMin, or is one more
// than kFragmentsPerDatagramMax; a `malformed` one is empty, reaches beyond kReassembledOctetsMax, or
// is not the last and no multiple of 8 octets; of `expired` ones others did not come in time;
// `source_limit` and `table_limit` made room for newer ones.
// clang-format off
#define WEIR_FRAGMENT_OUTCOMES(X)                                                    \
  X(joined) X(duplicate) X(overlapping) X(tiny) X(malformed) X(expired)              \
  X(source_limit) X(table_limit)
// clang-format on
WEIR_NAMED_ENUM(FragmentOutcome, uint8_t, WEIR_FRAGMENT_OUTCOMES)

struct ReassemblyLimits {
  size_t datagrams_max = 256;  // at a time, of a core; 1 to kDatagramsMax
  size_t datagrams_per_source_max = 32;
  // The fragments of a datagram follow one another; with 10,000 datagrams a second identifications
  // come round after 6 s.
  uint64_t timeout_ns = 2 * kNsPerSec;

  static constexpr size_t kDatagramsMax = 16384;  // 1 GiB
};

/// fragments given = Σ fragments + waiting.
struct ReassemblyCounters {
  CounterArray<FragmentOutcome> fragments;
  Counter waiting;                        // fragments whose datagram is not complete
  CounterArray<FrameVerdict> datagrams;  // put together, by what they turned out to be
  Counter datagrams_given_up;             // of which at least one fragment was here
};

class Reassembler {
 public:
  Reassembler(const ReassemblyLimits& limits, uint64_t hash_seed);

  /// Takes what parse_frame called a fragment. True when it was the one that was missing: then `view` is
  /// the datagram's, with the verdict on it and a payload that is valid until the next call.
  bool add(FrameView& view, uint64_t now_ns) noexcept;
  /// Gives up what has waited for too long. add does so too; this is for when nothing comes.
  void expire(uint64_t now_ns) noexcept;
  /// Nothing more will come.
  void give_up_all() noexcept;

  const ReassemblyCounters& counters() const noexcept { return counters_; }

 private:
  using Index = uint16_t;
  static constexpr Index kNone = 0xffff;
  static constexpr size_t kUnitOctets = 8;
  static constexpr size_t kBufferOctets = size_t{64} << 10;

  /// A datagram of which some is here. One that was given up stays until its time is up, so that what
  /// still comes of it does not begin another.
  struct Partial {
    IpAddress src;
    IpAddress dst;
    uint64_t first_ns = 0;
    uint32_t id = 0;
    uint32_t octets = 0;       // of the whole; 0: the last fragment is not here
    uint32_t reach = 0;        // up to which octet fragments go
    uint32_t units = 0;        // of 8 octets that are here
    uint16_t fragments = 0;    // that wait
    uint8_t next_header = 0;   // as the first fragment has it
    bool is_given_up = false;
    FragmentOutcome why = FragmentOutcome::expired;  // it was given up
    Index chain_next = kNone;  // of the same hash of the source, newest first
    Index older = kNone;
    Index newer = kNone;
    std::array<uint64_t, kBufferOctets / kUnitOctets / 64> here;  // a bit a unit
  };

  Index find(const FrameView& view) const noexcept;
  Index begin(const FrameView& view, uint64_t now_ns) noexcept;
  void give_up(Partial& partial, FragmentOutcome why) noexcept;
  void release(Index index) noexcept;
  void remove(Index index, FragmentOutcome why) noexcept;
  bool fill(Index index, const FrameView& view) noexcept;
  Index& chain_of(const IpAddress& source) noexcept;
  uint8_t* octets_of(Index index) noexcept { return octets_.get() + size_t{index} * kBufferOctets; }

  const ReassemblyLimits limits_;
  const uint64_t hash_seed_;
  std::vector<Partial> partials_;
  std::unique_ptr<uint8_t[]> octets_;
  std::vector<Index> free_;
  std::vector<Index> chains_;
  Index oldest_ = kNone;
  Index newest_ = kNone;
  ReassemblyCounters counters_;
};

}  // namespace weir::packet
