#include "classify/record_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace weir::classify {
namespace {

// Where a record has what a slot shows; offset 0 and width 0: nowhere, it is the header's or nobody's.
struct Place {
  uint16_t offset = 0;
  uint8_t width = 0;
};

constexpr size_t place_of(NumberSlot slot) { return static_cast<size_t>(slot); }
constexpr size_t place_of(OctetsSlot slot) { return static_cast<size_t>(slot); }

struct Places {
  Place numbers[static_cast<size_t>(NumberSlot::count_)];
  Place octets[static_cast<size_t>(OctetsSlot::count_)];
};

// clang-format off
constexpr Places make_places() {
  Places p{};
#define WEIR_PLACE_(member, number) \
  p.numbers[place_of(NumberSlot::member)] = {offsetof(FlowRecord, member), sizeof(FlowRecord::member)};
  WEIR_BLOCK_COUNTERS(WEIR_PLACE_) WEIR_BLOCK_BASIC(WEIR_PLACE_) WEIR_BLOCK_SECOND(WEIR_PLACE_)
  WEIR_BLOCK_HEADERS(WEIR_PLACE_) WEIR_BLOCK_CONTEXT(WEIR_PLACE_) WEIR_BLOCK_NAT(WEIR_PLACE_) WEIR_BLOCK_RARE(WEIR_PLACE_)
  WEIR_PLACE_(time_flow_start_ns, 111) WEIR_PLACE_(time_flow_end_ns, 112) WEIR_PLACE_(src_mac, 27) WEIR_PLACE_(dst_mac, 28)
  WEIR_PLACE_(etype, 30) WEIR_PLACE_(proto, 20)
#undef WEIR_PLACE_
#define WEIR_PLACE_(member, number) p.octets[place_of(OctetsSlot::member)] = {offsetof(FlowRecord, member), sizeof(FlowRecord::member)};
  WEIR_ADDRESSES(WEIR_PLACE_) WEIR_STRINGS(WEIR_PLACE_)
#undef WEIR_PLACE_
  return p;
}
// clang-format on
constexpr Places kPlaces = make_places();

uint64_t number_of_header(const ExportHeader& header, NumberSlot slot) noexcept {
  switch (slot) {
    case NumberSlot::time_received_ns: return header.time_received_ns;
    case NumberSlot::type: return static_cast<uint64_t>(header.type);
    case NumberSlot::sequence_num: return header.sequence_num;
    case NumberSlot::observation_domain_id: return header.observation_domain_id;
    case NumberSlot::exporter_port: return header.exporter_port;
    case NumberSlot::engine: return header.engine;
    case NumberSlot::sub_agent_id: return header.sub_agent_id;
    default: return 0;
  }
}

uint64_t number_of(const ExportHeader& header, const FlowRecord& record, NumberSlot slot) noexcept {
  const Place place = kPlaces.numbers[place_of(slot)];
  const auto* const at = reinterpret_cast<const uint8_t*>(&record) + place.offset;
  switch (place.width) {
    case 8: {
      uint64_t v = 0;
      std::memcpy(&v, at, sizeof v);
      return v;
    }
    case 4: {
      uint32_t v = 0;
      std::memcpy(&v, at, sizeof v);
      return v;
    }
    case 2: return record.proto;
    default: return number_of_header(header, slot);
  }
}

std::string_view octets_of(const IpAddress& address) noexcept {
  const auto* const p = reinterpret_cast<const char*>(address.octets.data());
  return address.is_v4() ? std::string_view(p + 12, 4) : std::string_view(p, 16);
}

std::string_view octets_of(const ExportHeader& header, const FlowRecord& record, const uint8_t* arena,
                           OctetsSlot slot) noexcept {
  switch (slot) {
    case OctetsSlot::sampler_address: return octets_of(header.sampler_address);
    case OctetsSlot::exporter_address:
      return header.exporter_address == header.sampler_address ? std::string_view{} : octets_of(header.exporter_address);
    case OctetsSlot::partition: return header.partition;
    case OctetsSlot::site: return header.site;
    default: break;
  }
  const Place place = kPlaces.octets[place_of(slot)];
  const auto* const at = reinterpret_cast<const uint8_t*>(&record) + place.offset;
  if (place.width == sizeof(IpAddress)) {
    const size_t index = (place.offset - offsetof(FlowRecord, src_addr)) / sizeof(IpAddress);
    if ((record.addresses >> index & 1) == 0) return {};
    return octets_of(*reinterpret_cast<const IpAddress*>(at));
  }
  ArenaRef ref;
  std::memcpy(&ref, at, sizeof ref);
  return {reinterpret_cast<const char*>(arena) + ref.offset, ref.count};
}

template <class Slot>
void add_once(std::vector<Slot>& slots, Slot slot) {
  if (std::find(slots.begin(), slots.end(), slot) == slots.end()) slots.push_back(slot);
}

}  // namespace

void RecordFields::add(NumberSlot slot) { add_once(numbers_, slot); }
void RecordFields::add(OctetsSlot slot) { add_once(octets_, slot); }

void RecordFields::add(const RecordFields& others) {
  for (const NumberSlot slot : others.numbers_) add(slot);
  for (const OctetsSlot slot : others.octets_) add(slot);
}

Result<RecordFields> RecordFields::of(const rules::Program& program, size_t begin) {
  using rules::FieldKind;
  using rules::Op;
  RecordFields fields;
  for (size_t i = begin; i < program.code.size(); ++i) {
    const rules::Instruction& each = program.code[i];
    switch (each.op) {
      case Op::if_number:
      case Op::if_number_in: fields.add(static_cast<NumberSlot>(each.a)); break;
      case Op::if_address_in:
      case Op::if_address_is:
      case Op::if_text_is: fields.add(static_cast<OctetsSlot>(each.a)); break;
      case Op::address_in_set: fields.add(static_cast<OctetsSlot>(each.b)); break;
      case Op::load_field:
        switch (static_cast<FieldKind>(each.b)) {
          case FieldKind::number:
          case FieldKind::mac:
          case FieldKind::flow_type: fields.add(static_cast<NumberSlot>(each.c)); break;
          case FieldKind::text:
          case FieldKind::octets:
          case FieldKind::address: fields.add(static_cast<OctetsSlot>(each.c)); break;
          default: return Error{"lists cannot be asked for here"};
        }
        break;
      case Op::if_list_has:
      case Op::list_length:
      case Op::list_contains: return Error{"lists cannot be asked for here"};
      default: break;
    }
  }
  if (std::find(fields.octets_.begin(), fields.octets_.end(), OctetsSlot::protocol_name) != fields.octets_.end())
    return Error{"protocol_name is not known yet here: ask for proto"};
  return fields;
}

void RecordFields::show(const ExportHeader& header, const FlowRecord& record, const uint8_t* arena,
                        FlowView& view) const noexcept {
  for (const NumberSlot slot : numbers_) view.numbers[place_of(slot)] = number_of(header, record, slot);
  for (const OctetsSlot slot : octets_) view.octets[place_of(slot)] = octets_of(header, record, arena, slot);
}

}  // namespace weir::classify
