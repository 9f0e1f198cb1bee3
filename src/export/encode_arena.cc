// encode_arena.cc — Lists, strings and unmapped elements of a record: what few records have.
#include <algorithm>

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
  if (arena == nullptr || ref.offset >= kArenaOctets) return {};
  const size_t items = std::min<size_t>(ref.count, (kArenaOctets - ref.offset) / item_octets);
  return {arena + ref.offset, items * item_octets};
}

template <class Integer>
Integer load(const uint8_t* p) noexcept {
  Integer v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

uint8_t* put_octets(uint8_t* p, Tag t, std::span<const uint8_t> octets) noexcept {
  p = put_varint(put_tag(p, t), octets.size());
  std::memcpy(p, octets.data(), octets.size());
  return p + octets.size();
}

enum class Text : uint8_t { utf8, any_octets };

uint8_t* put_string(uint8_t* p, Tag t, std::span<const uint8_t> octets, Text text) noexcept {
  p = put_octets(p, t, octets);
  if (text == Text::utf8) make_utf8(p - octets.size(), octets.size());
  return p;
}

/// Packed, as proto3 has repeated numbers.
uint8_t* put_number_list(uint8_t* p, Tag t, std::span<const uint8_t> numbers) noexcept {
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

}  // namespace

size_t arena_octets_max(const FlowRecord& r, const uint8_t* arena) noexcept {
  size_t sum = 0;
#define WEIR_STRING_(member, number) sum += kHeadOctetsMax + octets_of(r.member, 1, arena).size();
  WEIR_STRINGS(WEIR_STRING_)
#undef WEIR_STRING_
#define WEIR_NUMBERS_(member, number) \
  sum += kHeadOctetsMax + octets_of(r.member, 4, arena).size() / 4 * wire::kVarint32OctetsMax;
  WEIR_NUMBER_LISTS(WEIR_NUMBERS_)
#undef WEIR_NUMBERS_
  // An address has 3 octets before its 16; a listed string at most 5 where the arena has 2; an
  // element at most 19 where the arena has 8.
#define WEIR_LIST_(member, number) sum += octets_of(r.member, 16, arena).size() / 16 * 19;
  WEIR_ADDRESS_LISTS(WEIR_LIST_)
#undef WEIR_LIST_
#define WEIR_LIST_(member, number) sum += octets_of(r.member, 1, arena).size() * 5 / 2;
  WEIR_STRING_LISTS(WEIR_LIST_)
#undef WEIR_LIST_
  return sum + octets_of(r.unmapped, 1, arena).size() * 5 / 2;
}

uint8_t* put_arena(uint8_t* p, const FlowRecord& r, const uint8_t* arena) noexcept {
#define WEIR_TAG_(number) wire::tag(number, WireType::octets)
#define WEIR_STRING_(member, number)                                        \
  if (const auto octets = octets_of(r.member, 1, arena); !octets.empty()) { \
    p = put_string(p, WEIR_TAG_(number), octets, text_of(Field::member));   \
  }
  WEIR_STRINGS(WEIR_STRING_)
#undef WEIR_STRING_
#define WEIR_NUMBERS_(member, number)                                       \
  if (const auto octets = octets_of(r.member, 4, arena); !octets.empty()) { \
    p = put_number_list(p, WEIR_TAG_(number), octets);                      \
  }
  WEIR_NUMBER_LISTS(WEIR_NUMBERS_)
#undef WEIR_NUMBERS_
#define WEIR_LIST_(member, number) \
  p = put_address_list(p, WEIR_TAG_(number), octets_of(r.member, sizeof(IpAddress), arena));
  WEIR_ADDRESS_LISTS(WEIR_LIST_)
#undef WEIR_LIST_
#define WEIR_LIST_(member, number) \
  p = put_string_list(p, WEIR_TAG_(number), octets_of(r.member, 1, arena), text_of(Field::member));
  WEIR_STRING_LISTS(WEIR_LIST_)
#undef WEIR_LIST_
  return put_unmapped(p, octets_of(r.unmapped, 1, arena));
#undef WEIR_TAG_
}

}  // namespace weir::outbound::parts
