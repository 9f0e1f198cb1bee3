// fragments_of_others.h — Datagrams in fragments that are not this core's to put together: the host's, as their first
// fragments said, and those of which a worker has fragments.
//
// Spec:     RFC 791 §3.2, RFC 8200 §4.5: only the first fragment has the ports.
// Runs on:  rx_lcore: one core's own. No clock: the caller says the time.
// Owns:     kDatagrams entries of 64 octets, reserved at start.
// Bounds:   kPlaces entries of one hash. Beyond them the one that was noted first goes; what still comes of its datagram
//           is then taken for a piece of who knows which, and waits in vain.
//
// So the fragments of others go their way one by one, as they came, and take no room from what is to be put together.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/ip_address.h"
#include "packet/frame.h"

namespace weir::packet {

/// The UDP port that its datagram is for; none: it is not the first, or does not begin with a UDP header (in IPv6 other
/// headers may come between), or ends within that.
std::optional<uint16_t> port_of_first(const FrameView& fragment) noexcept;

enum class FragmentOwner : uint8_t { host, worker };

class FragmentsOfOthers {
 public:
  static constexpr size_t kSets = 1024;
  static constexpr size_t kPlaces = 4;
  static constexpr size_t kDatagrams = kSets * kPlaces;

  FragmentsOfOthers(uint64_t timeout_ns, uint64_t hash_seed)
      : timeout_ns_(timeout_ns), hash_seed_(hash_seed), entries_(kDatagrams) {}

  /// The fragment's datagram is that one's, whosever it was.
  void note(const FrameView& fragment, FragmentOwner owner, uint64_t now_ns) noexcept;
  /// It is nobody else's, or not any more: identifications come round.
  void forget(const FrameView& fragment) noexcept;
  /// None: nothing is known of its datagram.
  std::optional<FragmentOwner> owner_of(const FrameView& fragment, uint64_t now_ns) noexcept;

 private:
  struct Entry {
    IpAddress src;
    IpAddress dst;
    std::array<uint16_t, kVlanTagsMax> vlan_ids{};
    FragmentOwner owner{};
    uint32_t id = 0;
    uint64_t noted_ns = 0;  // 0: there is none
  };

  Entry* set_of(const FrameView& fragment) noexcept;
  Entry* find(const FrameView& fragment) noexcept;

  const uint64_t timeout_ns_;
  const uint64_t hash_seed_;
  std::vector<Entry> entries_;  // kPlaces of each set behind one another
};

}  // namespace weir::packet
