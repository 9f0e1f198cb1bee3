// reassembly.h — IP fragments, put together to the UDP datagram that they were cut from.
//
// Spec:     RFC 791 §3.2, RFC 8200 §4.5, RFC 5722 (overlapping fragments), RFC 1858 §3 (tiny ones),
//           RFC 4963 (identifications that come round).
// Runs on:  rx_lcore, and whoever reads captures: one core's own. No clock: the caller says the time.
// Owns:     room for datagrams_max datagrams of 64 KiB, reserved at start; pages are touched as they are used.
// Bounds:   ReassemblyLimits; kFragmentsPerDatagramMax. Beyond them the oldest datagram of the source goes, or the
//           oldest of all strangers; one of a known source makes room for those of known sources only. A fragment
//           costs a look into two chains, however many wait.
// Failure:  every fragment ends in one FragmentOutcome, or waits.
// Missing:  the memory of what is complete: of a datagram that a mirror shows twice, the second copies wait
//           for each other in vain when they do not come together.
//
// Two datagrams of a router may carry one identification within seconds (16 bits, IPv4), and pieces of
// both would make a third. So the UDP checksum of what was put together is verified, whatever the policy
// for whole frames; where IPv4 says that there is none (0), that what waits is given up soon must do.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
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
inline constexpr size_t kReassembledOctetsMax = 65535;  // behind IPv6's header; IPv4's own is within it

// joined: its datagram was put together. duplicate: the same octets were there already. Alone are refused,
// since anybody may have sent them: a `tiny` one that begins a datagram with less than
// kFirstFragmentOctetsMin; a `malformed` one, which is empty, reaches beyond the largest datagram, or is not the
// last and no multiple of 8 octets; one that is `not_allowed` to send; one of a datagram for which there is
// `no_listener`, as its first fragment says (fragments_of_others.h). With the rest of their datagram:
// `overlapping` ones, which differ from what was there, or reach beyond the end that the last one told; a
// `tiny` one that is one more than kFragmentsPerDatagramMax; `expired` ones, of which others did not come in time;
// and those that made room for newer ones, by `source_limit` or `table_limit`; a stranger's that finds a table full of
// known sources' is refused by `table_limit`.
// clang-format off
#define WEIR_FRAGMENT_OUTCOMES(X)                                                    \
  X(joined) X(duplicate) X(overlapping) X(tiny) X(malformed) X(not_allowed)          \
  X(no_listener) X(expired) X(source_limit) X(table_limit)
// clang-format on
WEIR_NAMED_ENUM(FragmentOutcome, uint8_t, WEIR_FRAGMENT_OUTCOMES)

/// Whether something of the source's was decoded before. A flood of made-up sources is of strangers.
enum class Standing : uint8_t { stranger, known };

struct ReassemblyLimits {
  size_t datagrams_max = 256;  // at a time, of a core; 1 to kDatagramsMax
  size_t datagrams_per_source_max = 32;
  // The fragments of a datagram follow one another; with 10,000 datagrams a second identifications
  // come round after 6 s.
  uint64_t timeout_ns = 2 * kNsPerSec;

  static constexpr size_t kDatagramsMax = 16384;  // 1 GiB
  static constexpr size_t kOctetsPerDatagram = (size_t{64} << 10) + 1024 + 256;  // with its books
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
  bool add(FrameView& view, uint64_t now_ns, Standing standing = Standing::stranger) noexcept;
  /// All octets of the datagram that was put together last, its own headers included; until the next call of add.
  std::span<const uint8_t> joined() const noexcept { return joined_; }
  /// Whether fragments of its datagram wait here.
  bool has_some_of(const FrameView& view, uint64_t now_ns) noexcept;
  /// Counts a fragment that is not to be looked at.
  void refuse(FragmentOutcome why) noexcept { counters_.fragments[why].increment(); }
  /// Gives up what has waited for too long, the oldest first. Without it what waits too long goes when its
  /// own next fragment comes, or for want of room.
  void expire(uint64_t now_ns) noexcept;
  /// Nothing more will come.
  void give_up_all() noexcept;

  const ReassemblyCounters& counters() const noexcept { return counters_; }

 private:
  using Index = uint16_t;
  static constexpr Index kNone = 0xffff;
  static_assert(ReassemblyLimits::kDatagramsMax < kNone);
  static constexpr size_t kUnitOctets = 8;
  static constexpr size_t kBufferOctets = size_t{64} << 10;

  /// Which units of 8 octets of a datagram are here: a bit each.
  using Units = std::array<uint64_t, kBufferOctets / kUnitOctets / 64>;

  /// A datagram of which some is here. One that was given up stays until its time is up, so that what
  /// still comes of it does not begin another.
  struct Partial {
    IpAddress src;
    IpAddress dst;
    std::array<uint16_t, kVlanTagsMax> vlan_ids;
    uint32_t id;
    uint32_t octets;      // of the whole; 0: the last fragment is not here
    uint32_t reach;       // up to which octet fragments go
    uint32_t units_here;  // so many bits are set
    uint64_t first_ns;
    uint16_t fragments;   // that wait
    uint8_t next_header;  // as the first fragment has it
    FragmentOutcome given_up;  // count_: it was not
    Standing standing;  // of its source when it began
    Index source;
    Index chain_next;  // of the same hash of the key
    Index older;       // of all of its standing
    Index newer;
    Index source_older;  // of the same source
    Index source_newer;
  };
  /// Whose datagrams are here.
  struct Source {
    IpAddress address;
    Index partials;  // so many
    Index oldest;
    Index newest;
    Index chain_next;
  };
  /// In the order in which they began.
  struct Ages {
    Index oldest = kNone;
    Index newest = kNone;
  };

  Index& chain_of(const FrameView& view) noexcept;
  Index& chain_of(const Partial& partial) noexcept;
  Index& source_chain_of(const IpAddress& address) noexcept;
  Index find(const FrameView& view) noexcept;
  Index find_source(const IpAddress& address) noexcept;
  Index begin(const FrameView& view, uint64_t now_ns, Standing standing) noexcept;
  Index who_makes_room(Standing newcomer, uint64_t now_ns) const noexcept;
  Ages& ages_of(Standing standing) noexcept { return ages_[static_cast<size_t>(standing)]; }
  void give_up(Partial& partial, FragmentOutcome why) noexcept;
  void release(Index index) noexcept;
  void remove(Index index, FragmentOutcome why) noexcept;
  bool fill(Index index, const FrameView& view) noexcept;
  bool is_over(const Partial& partial, uint64_t now_ns) const noexcept;
  uint8_t* octets_of(Index index) noexcept { return octets_.get() + size_t{index} * kBufferOctets; }

  const ReassemblyLimits limits_;
  const uint64_t hash_seed_;
  std::vector<Partial> partials_;
  std::vector<Units> units_;  // of the partial at the same place
  std::unique_ptr<uint8_t[]> octets_;
  std::vector<Index> free_;
  std::vector<Index> chains_;
  std::vector<Source> sources_;
  std::vector<Index> free_sources_;
  std::vector<Index> source_chains_;
  std::array<Ages, 2> ages_;  // by Standing
  std::span<const uint8_t> joined_;
  ReassemblyCounters counters_;
};

}  // namespace weir::packet
