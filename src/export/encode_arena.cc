// encode_arena.cc — Lists, strings and unmapped elements of a record: what few records have.
#include <algorithm>
#include <bit>

#include "base/copy_short.h"
#include "base/utf8.h"
#include "export/encode_parts.h"

namespace weir::outbound::parts {
namespace {

using wire::put_tag;
using wire::put_varint;
using wire::varint_octets;

// References come from our own decoder. Should it ever be wrong, a record is cut short; the arena
// is not left, and the other exporters' records are not lost to an assertion.
std::span<const uint8_t> octets_of(ArenaRef ref, size_t item_octets,
                                   const uint8_t* arena) noexcept {
  // What stages added lies behind what the decoder did, and no ref reaches from one into the other.
  const size_t end = ref.offset < kArenaOctets ? kArenaOctets : kArenaOctets + kStageArenaOctets;
  if (ref.count == 0 || arena == nullptr || ref.offset >= end) return {};
  const size_t items = std::min<size_t>(ref.count, (end - ref.offset) / item_octets);
  return {arena + ref.offset, items * item_octets};
}

/// Of a number in the arena, which has the host's order.
constexpr size_t kLowOctet = std::endian::native == std::endian::little ? 0 : 3;

template <class Integer>
Integer load(const uint8_t* p) noexcept {
  Integer v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

uint8_t* put_octets(uint8_t* p, Tag t, std::span<const uint8_t> octets) noexcept {
  p = put_varint(put_tag(p, t), octets.size());
  copy_short(p, octets.data(), octets.size());
  return p + octets.size();
}

enum class Text : uint8_t { utf8, any_octets };

uint8_t* put_string(uint8_t* p, Tag t, std::span<const uint8_t> octets, Text text) noexcept {
  p = put_octets(p, t, octets);
  if (text == Text::utf8) make_utf8(p - octets.size(), octets.size());
  return p;
}

/// Packed, as proto3 has repeated numbers. PERF: layers and their sizes are nearly always below 128,
/// an octet each (encode_only/sflow_raw_header).
uint8_t* put_number_list(uint8_t* p, Tag t, std::span<const uint8_t> numbers) noexcept {
  constexpr uint32_t kOneOctetMax = 0x7f;
  uint32_t bits = 0;
  for (size_t i = 0; i < numbers.size(); i += 4) bits |= load<uint32_t>(&numbers[i]);
  const size_t count = numbers.size() / 4;
  if (bits <= kOneOctetMax && count <= kOneOctetMax) {
    p = put_tag(p, t);
    *p++ = static_cast<uint8_t>(count);
    for (size_t i = 0; i < count; ++i) p[i] = numbers[4 * i + kLowOctet];
    return p + count;
  }
  size_t length = 0;
  for (size_t i = 0; i < numbers.size(); i += 4)
    length += varint_octets(load<uint32_t>(&numbers[i]));
  p = put_varint(put_tag(p, t), length);
  for (size_t i = 0; i < numbers.size(); i += 4) p = put_varint(p, load<uint32_t>(&numbers[i]));
  return p;
}

uint8_t* put_address_list(uint8_t* p, Tag t, std::span<const uint8_t> addresses) noexcept {
  for (size_t i = 0; i < addresses.size(); i += sizeof(IpAddress)) {
    const auto address = load<IpAddress>(&addresses[i]);
    p = put_octets(p, t, {address.wire_data(), address.wire_octets()});
  }
  return p;
}

uint8_t* put_string_list(uint8_t* p, Tag t, std::span<const uint8_t> list, Text text) noexcept {
  while (list.size() >= 2) {
    const size_t octets = load<uint16_t>(list.data());
    if (octets > list.size() - 2) break;
    p = put_string(p, t, list.subspan(2, octets), text);
    list = list.subspan(2 + octets);
  }
  return p;
}

constexpr size_t kUnmappedHeaderOctets = 8;

uint8_t* put_unmapped(uint8_t* p, std::span<const uint8_t> elements) noexcept {
  constexpr Tag kUnmapped = wire::tag(1038, WireType::octets);
  while (elements.size() >= kUnmappedHeaderOctets) {
    const auto enterprise = load<uint32_t>(elements.data());
    const auto id = load<uint16_t>(elements.data() + 4);
    const size_t octets = load<uint16_t>(elements.data() + 6);
    if (octets > elements.size() - kUnmappedHeaderOctets) break;
    const size_t length = (enterprise != 0 ? 1 + varint_octets(enterprise) : 0) +
                          (id != 0 ? 1 + varint_octets(id) : 0) +
                          (octets != 0 ? 1 + varint_octets(octets) + octets : 0);
    p = put_varint(put_tag(p, kUnmapped), length);
    p = wire::put_field(p, wire::tag(1, WireType::varint), enterprise);
    p = wire::put_field(p, wire::tag(2, WireType::varint), id);
    if (octets != 0) {
      p = put_octets(p, wire::tag(3, WireType::octets),
                     elements.subspan(kUnmappedHeaderOctets, octets));
    }
    elements = elements.subspan(kUnmappedHeaderOctets + octets);
  }
  return p;
}

/// Tag and length of a field of octets.
constexpr size_t kHeadOctetsMax = wire::kTagOctetsMax + wire::kVarint32OctetsMax;

constexpr Text text_of(Field f) {
  return f == Field::application_id || f == Field::bgp_extended_communities ? Text::any_octets
                                                                            : Text::utf8;
}
/// PERF: lists that rules add were looked at when the rules were read (bench_classify, sflow_all_known).
constexpr Text list_text_of(Field f, ArenaRef ref) {
  return ref.offset >= kArenaOctets ? Text::any_octets : text_of(f);
}

/// How many refs of a kind a record has; they lie one behind the other.
#define WEIR_ONE_(member, number) +1
constexpr size_t kStrings = 0 WEIR_STRINGS(WEIR_ONE_);
constexpr size_t kNumberLists = 0 WEIR_NUMBER_LISTS(WEIR_ONE_);
constexpr size_t kAddressLists = 0 WEIR_ADDRESS_LISTS(WEIR_ONE_);
constexpr size_t kStringLists = 0 WEIR_STRING_LISTS(WEIR_ONE_);
#undef WEIR_ONE_
static_assert(offsetof(FlowRecord, unmapped) - offsetof(FlowRecord, application_id) ==
              (kStrings + kNumberLists + kAddressLists + kStringLists) * sizeof(ArenaRef));

/// An item takes so many octets in the arena, and at most so many on the wire.
template <size_t kRefs, uint32_t kItemOctets, uint32_t kWireOctets>
uint32_t octets_max_of(const ArenaRef* ref) noexcept {
  constexpr uint32_t kItemsMax = static_cast<uint32_t>(kArenaOctets) / kItemOctets;
  uint32_t items = 0;
  for (size_t i = 0; i < kRefs; ++i) items += ref[i].count;
  return std::min<uint32_t>(items, kRefs * kItemsMax) * kWireOctets +
         static_cast<uint32_t>(kRefs * kHeadOctetsMax);
}

}  // namespace

// PERF: here and below, kinds that the record does not have are not looked at.
size_t arena_octets_max(const FlowRecord& r) noexcept {
  const uint32_t parts = r.arena_parts;
  uint32_t sum = 0;
  if ((parts & arena_part::kStrings) != 0) sum += octets_max_of<kStrings, 1, 1>(&r.application_id);
  if ((parts & arena_part::kNumberLists) != 0) {
    sum += octets_max_of<kNumberLists, 4, wire::kVarint32OctetsMax>(&r.bgp_communities);
  }
  // An address has 3 octets before its 16; a listed string at most 5 where the arena has 2; an element
  // at most 19 where the arena has 8.
  if ((parts & arena_part::kAddressLists) != 0) {
    sum += octets_max_of<kAddressLists, sizeof(IpAddress), 19>(&r.mpls_ip);
  }
  if ((parts & arena_part::kStringLists) != 0) sum += octets_max_of<kStringLists, 1, 3>(&r.labels);
  if ((parts & arena_part::kUnmapped) != 0) sum += octets_max_of<1, 1, 3>(&r.unmapped);
  return sum;
}

uint8_t* put_arena(uint8_t* p, const FlowRecord& r, const uint8_t* arena) noexcept {
  const uint32_t parts = r.arena_parts;
#define WEIR_TAG_(number) wire::tag(number, WireType::octets)
#define WEIR_STRING_(member, number)                                        \
  if (const auto octets = octets_of(r.member, 1, arena); !octets.empty()) { \
    p = put_string(p, WEIR_TAG_(number), octets, text_of(Field::member));   \
  }
  if ((parts & arena_part::kStrings) != 0) {
    WEIR_STRINGS(WEIR_STRING_)
  }
#undef WEIR_STRING_
#define WEIR_NUMBERS_(member, number)                                       \
  if (const auto octets = octets_of(r.member, 4, arena); !octets.empty()) { \
    p = put_number_list(p, WEIR_TAG_(number), octets);                      \
  }
  if ((parts & arena_part::kNumberLists) != 0) {
    WEIR_NUMBER_LISTS(WEIR_NUMBERS_)
  }
#undef WEIR_NUMBERS_
#define WEIR_LIST_(member, number) \
  p = put_address_list(p, WEIR_TAG_(number), octets_of(r.member, sizeof(IpAddress), arena));
  if ((parts & arena_part::kAddressLists) != 0) {
    WEIR_ADDRESS_LISTS(WEIR_LIST_)
  }
#undef WEIR_LIST_
#define WEIR_LIST_(member, number) \
  p = put_string_list(p, WEIR_TAG_(number), octets_of(r.member, 1, arena), list_text_of(Field::member, r.member));
  if ((parts & arena_part::kStringLists) != 0) {
    WEIR_STRING_LISTS(WEIR_LIST_)
  }
#undef WEIR_LIST_
  if ((parts & arena_part::kUnmapped) == 0) return p;
  return put_unmapped(p, octets_of(r.unmapped, 1, arena));
#undef WEIR_TAG_
}

}  // namespace weir::outbound::parts
