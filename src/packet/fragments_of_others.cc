#include "packet/fragments_of_others.h"

#include <algorithm>

#include "base/byte_order.h"

namespace weir::packet {
namespace {

constexpr uint8_t kUdp = 17;
constexpr size_t kUdpOctets = 8;

}  // namespace

std::optional<uint16_t> port_of_first(const FrameView& fragment) noexcept {
  const bool has_header = fragment.fragment.offset_octets == 0 && fragment.fragment.next_header == kUdp &&
                          fragment.payload.size() >= kUdpOctets;
  if (!has_header) return {};
  return load_be16(fragment.payload.data() + 2);
}

FragmentsOfOthers::Entry* FragmentsOfOthers::set_of(const FrameView& f) noexcept {
  const uint64_t hash = hash_of(f.src, hash_of(f.dst, hash_seed_ ^ f.fragment.id));
  return entries_.data() + (hash % kSets) * kPlaces;
}

FragmentsOfOthers::Entry* FragmentsOfOthers::find(const FrameView& f) noexcept {
  Entry* const set = set_of(f);
  Entry* const end = set + kPlaces;
  Entry* const found = std::find_if(set, end, [&](const Entry& e) {
    return e.noted_ns != 0 && e.id == f.fragment.id && e.src == f.src && e.dst == f.dst && e.vlan_ids == f.vlan_ids;
  });
  return found != end ? found : nullptr;
}

void FragmentsOfOthers::note(const FrameView& f, FragmentOwner owner, uint64_t now_ns) noexcept {
  Entry* entry = find(f);
  if (entry == nullptr) {
    Entry* const set = set_of(f);
    entry = std::min_element(set, set + kPlaces,
                             [](const Entry& one, const Entry& other) { return one.noted_ns < other.noted_ns; });
  }
  *entry = {.src = f.src,
            .dst = f.dst,
            .vlan_ids = f.vlan_ids,
            .owner = owner,
            .id = f.fragment.id,
            .noted_ns = std::max(now_ns, uint64_t{1})};
}

void FragmentsOfOthers::forget(const FrameView& f) noexcept {
  if (Entry* const entry = find(f); entry != nullptr) entry->noted_ns = 0;
}

std::optional<FragmentOwner> FragmentsOfOthers::owner_of(const FrameView& f, uint64_t now_ns) noexcept {
  const Entry* const entry = find(f);
  if (entry == nullptr) return {};
  // Clocks go back, as the Reassembler's.
  const uint64_t apart_ns = now_ns > entry->noted_ns ? now_ns - entry->noted_ns : entry->noted_ns - now_ns;
  if (apart_ns > timeout_ns_) return {};
  return entry->owner;
}

}  // namespace weir::packet
