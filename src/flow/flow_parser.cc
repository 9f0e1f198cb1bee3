#include "flow/flow_parser.h"

namespace weir {
namespace {

#define WEIR_NAME_(member, number) #member,
constexpr std::string_view kNumberNames[] = {WEIR_VIEW_NUMBERS(WEIR_NAME_)};
constexpr std::string_view kOctetsNames[] = {WEIR_VIEW_OCTETS(WEIR_NAME_)};
constexpr std::string_view kListNames[] = {WEIR_VIEW_LISTS(WEIR_NAME_)};
#undef WEIR_NAME_

}  // namespace

std::string_view name_of(NumberSlot slot) noexcept { return kNumberNames[static_cast<size_t>(slot)]; }
std::string_view name_of(OctetsSlot slot) noexcept { return kOctetsNames[static_cast<size_t>(slot)]; }
std::string_view name_of(ListSlot slot) noexcept { return kListNames[static_cast<size_t>(slot)]; }

namespace {

enum class Kind : uint8_t { unknown, number_64, number_32, octets, number_list, octets_list };

struct Place {
  Kind kind = Kind::unknown;
  uint8_t slot = 0;
};

// Numbers in use are below 128, or from 1001 on.
constexpr uint32_t kLowNumbers = 128;
constexpr uint32_t kFirstAddition = 1001;
constexpr uint32_t kAdditions = 128;

constexpr uint32_t index_of(uint32_t number) {
  return number < kLowNumbers ? number : number - kFirstAddition + kLowNumbers;
}
constexpr bool is_in_table(uint32_t number) {
  return number < kLowNumbers || number - kFirstAddition < kAdditions;
}

struct PlaceTable {
  Place places[kLowNumbers + kAdditions];

  constexpr PlaceTable() : places{} {
#define WEIR_PLACE_(kind, Slot, member, number) \
  places[index_of(number)] = {Kind::kind, static_cast<uint8_t>(Slot::member)};
#define WEIR_64_(member, number)      WEIR_PLACE_(number_64, NumberSlot, member, number)
#define WEIR_32_(member, number)      WEIR_PLACE_(number_32, NumberSlot, member, number)
#define WEIR_OCTETS_(member, number)  WEIR_PLACE_(octets, OctetsSlot, member, number)
#define WEIR_NUMBERS_(member, number) WEIR_PLACE_(number_list, ListSlot, member, number)
#define WEIR_LISTS_(member, number)   WEIR_PLACE_(octets_list, ListSlot, member, number)
    WEIR_VIEW_NUMBERS_64(WEIR_64_)
    WEIR_VIEW_NUMBERS_32(WEIR_32_)
    WEIR_VIEW_OCTETS(WEIR_OCTETS_)
    WEIR_NUMBER_LISTS(WEIR_NUMBERS_)
    WEIR_VIEW_OCTET_LISTS(WEIR_LISTS_)
#undef WEIR_64_
#undef WEIR_32_
#undef WEIR_OCTETS_
#undef WEIR_NUMBERS_
#undef WEIR_LISTS_
#undef WEIR_PLACE_
  }
};
constexpr PlaceTable kPlaces;

#define WEIR_IN_TABLE_(member, number) static_assert(is_in_table(number));
WEIR_VIEW_NUMBERS(WEIR_IN_TABLE_)
WEIR_VIEW_OCTETS(WEIR_IN_TABLE_)
WEIR_VIEW_LISTS(WEIR_IN_TABLE_)
#undef WEIR_IN_TABLE_

#define WEIR_NUMBER_(member, number) number,
constexpr uint16_t kListNumbers[] = {WEIR_VIEW_LISTS(WEIR_NUMBER_)};
#undef WEIR_NUMBER_

constexpr uint32_t kVarint = 0;
constexpr uint32_t kOctets = 2;

/// Whether octets are varints one behind the other, so that whoever walks the list later need not ask.
bool is_packed(std::string_view octets) noexcept {
  const auto* p = reinterpret_cast<const uint8_t*>(octets.data());
  WireCursor in{p, p + octets.size()};
  for (uint64_t ignored; !in.at_end();) {
    if (!in.varint(ignored)) return false;
  }
  return true;
}

// PERF: the compiler would put `rep stos` in memset's place, whose start alone takes longer than all of it
// (parse/mixed_10_exporters, perf/bench_transform).
void clear(FlowView& view) noexcept {
  size_t octets = sizeof view;
  asm("" : "+r"(octets));
  std::memset(static_cast<void*>(&view), 0, octets);
}

}  // namespace

uint32_t field_number(ListSlot slot) noexcept { return kListNumbers[static_cast<size_t>(slot)]; }

bool parse_flow(std::span<const uint8_t> message, FlowView& view) noexcept {
  clear(view);
  view.message = message;
  if (message.size() > kFlowMessageOctetsMax) return false;
  const uint8_t* const begin = message.data();
  WireCursor at{begin, begin + message.size()};
  bool is_flow = message.empty();
  while (!at.at_end()) {
    const uint8_t* const field = at.p;
    uint64_t key = 0;
    if (!at.varint(key) || key > UINT32_MAX || key < 8) return false;  // field 0 is none
    const auto number = static_cast<uint32_t>(key >> 3);
    const auto type = static_cast<uint32_t>(key & 7);
    const Place place = is_in_table(number) ? kPlaces.places[index_of(number)] : Place{};
    switch (place.kind) {
      case Kind::number_64:
      case Kind::number_32: {
        if (type != kVarint) break;
        uint64_t v = 0;
        if (!at.varint(v)) return false;
        view.numbers[place.slot] = place.kind == Kind::number_64 ? v : static_cast<uint32_t>(v);
        view.given[place.slot / 64] |= uint64_t{1} << place.slot % 64;
        is_flow = true;
        continue;
      }
      case Kind::octets:
        if (type != kOctets) break;
        if (!at.octets(view.octets[place.slot])) return false;
        is_flow = true;
        continue;
      case Kind::number_list:
      case Kind::octets_list: {
        std::string_view octets;
        if (type == kOctets) {
          if (!at.octets(octets)) return false;
          if (place.kind == Kind::number_list && !is_packed(octets)) return false;
        } else if (type != kVarint || place.kind != Kind::number_list) {
          break;
        } else if (!at.skip(type)) {
          return false;
        }
        ListRange& range = view.lists[place.slot];
        if (range.begin == range.end) range.begin = static_cast<uint32_t>(field - begin);
        range.end = static_cast<uint32_t>(at.p - begin);
        is_flow = true;
        continue;
      }
      case Kind::unknown: break;
    }
    if (!at.skip(type)) return false;
  }
  return is_flow;
}

bool parse_unmapped(std::string_view entry, UnmappedView& element) noexcept {
  element = {};
  const auto* p = reinterpret_cast<const uint8_t*>(entry.data());
  WireCursor at{p, p + entry.size()};
  while (!at.at_end()) {
    uint64_t key = 0, v = 0;
    if (!at.varint(key) || key > UINT32_MAX || key < 8) return false;
    if (key == (1 << 3 | kVarint) || key == (2 << 3 | kVarint)) {
      if (!at.varint(v)) return false;
      (key >> 3 == 1 ? element.enterprise : element.id) = static_cast<uint32_t>(v);
    } else if (key == (3 << 3 | kOctets)) {
      if (!at.octets(element.value)) return false;
    } else if (!at.skip(key & 7)) {
      return false;
    }
  }
  return true;
}

}  // namespace weir
