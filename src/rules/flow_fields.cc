#include "rules/flow_fields.h"

#include <algorithm>
#include <map>

#include "base/ip_text.h"
#include "flow/enumerator_names.h"
#include "flow/flow_parser.h"
#include "rules/mac_text.h"

namespace weir::rules {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";
constexpr size_t kOctetsShownMax = kFieldTextMax / 2;  // of what is no address and no text

std::string_view octets_text(std::string_view octets, char* room) noexcept {
  const auto* const o = reinterpret_cast<const uint8_t*>(octets.data());
  if (octets.size() == 4) return {room, static_cast<size_t>(write_ipv4(room, o) - room)};
  if (octets.size() == 16) return {room, static_cast<size_t>(write_ipv6(room, o) - room)};
  return {};
}

std::string_view hex_text(std::string_view octets, char* room) noexcept {
  const size_t shown = std::min(octets.size(), kOctetsShownMax);
  for (size_t i = 0; i < shown; ++i) {
    room[2 * i] = kHexDigits[static_cast<uint8_t>(octets[i]) >> 4];
    room[2 * i + 1] = kHexDigits[static_cast<uint8_t>(octets[i]) & 15];
  }
  return {room, 2 * shown};
}

std::string_view mac_text(uint64_t mac, char* room) noexcept {
  write_mac(room, mac);
  return {room, kMacTextOctets};
}

std::map<std::string_view, FieldRef> make_fields() {
  std::map<std::string_view, FieldRef> fields;
#define WEIR_FIELD_(Kind, Slot, member) fields[#member] = {FieldKind::Kind, static_cast<uint8_t>(Slot::member)};
#define WEIR_NUMBER_(member, id)    WEIR_FIELD_(number, NumberSlot, member)
#define WEIR_ADDRESS_(member, id)   WEIR_FIELD_(address, OctetsSlot, member)
#define WEIR_TEXT_(member, id)      WEIR_FIELD_(text, OctetsSlot, member)
#define WEIR_NUMBERS_(member, id)   WEIR_FIELD_(numbers, ListSlot, member)
#define WEIR_ADDRESSES_(member, id) WEIR_FIELD_(addresses, ListSlot, member)
  WEIR_VIEW_NUMBERS(WEIR_NUMBER_)
  WEIR_VIEW_ADDRESSES(WEIR_ADDRESS_)
  WEIR_VIEW_TEXTS(WEIR_TEXT_)
  WEIR_NUMBER_LISTS(WEIR_NUMBERS_)
  WEIR_ADDRESS_LISTS(WEIR_ADDRESSES_)
  WEIR_FIELD_(texts, ListSlot, labels)
  WEIR_FIELD_(texts, ListSlot, rule_ids)
  WEIR_FIELD_(mac, NumberSlot, src_mac)
  WEIR_FIELD_(mac, NumberSlot, dst_mac)
  WEIR_FIELD_(octets, OctetsSlot, application_id)
#undef WEIR_NUMBER_
#undef WEIR_ADDRESS_
#undef WEIR_TEXT_
#undef WEIR_NUMBERS_
#undef WEIR_ADDRESSES_
#undef WEIR_FIELD_
  fields.erase("type");
  fields["flow_type"] = {FieldKind::flow_type, static_cast<uint8_t>(NumberSlot::type)};
  return fields;
}

const std::map<std::string_view, FieldRef>& fields() {
  static const std::map<std::string_view, FieldRef> kFields = make_fields();
  return kFields;
}

}  // namespace

std::optional<FieldRef> find_field(std::string_view name) {
  const auto at = fields().find(name);
  return at != fields().end() ? std::optional(at->second) : std::nullopt;
}

const std::vector<std::string_view>& field_names() {
  static const std::vector<std::string_view> kNames = [] {
    std::vector<std::string_view> names;
    for (const auto& [name, field] : fields()) names.push_back(name);
    return names;
  }();
  return kNames;
}

std::string_view text_of(const FlowView& flow, FieldRef field, char* room) noexcept {
  switch (field.kind) {
    case FieldKind::text: return flow.octets[field.slot];
    case FieldKind::octets: return hex_text(flow.octets[field.slot], room);
    case FieldKind::address: return octets_text(flow.octets[field.slot], room);
    case FieldKind::mac: return mac_text(flow.numbers[field.slot], room);
    case FieldKind::flow_type: return flow_type_name(flow.numbers[field.slot]);
    case FieldKind::number:
    case FieldKind::numbers:
    case FieldKind::addresses:
    case FieldKind::texts:
    case FieldKind::count_: break;
  }
  return {};
}

Value value_of(const FlowView& flow, FieldRef field) {
  char room[kFieldTextMax];
  Value all = Value::array();
  const auto slot = static_cast<ListSlot>(field.slot);
  switch (field.kind) {
    case FieldKind::number: return Value::of(Decimal(flow.numbers[field.slot]));
    case FieldKind::numbers:
      for_each_number(flow, slot, [&](uint32_t v) { all.items.push_back(Value::of(Decimal(v))); });
      return all;
    case FieldKind::addresses:
      for_each_octets(flow, slot,
                      [&](std::string_view o) { all.items.push_back(Value::of(std::string(octets_text(o, room)))); });
      return all;
    case FieldKind::texts:
      for_each_octets(flow, slot, [&](std::string_view o) { all.items.push_back(Value::of(std::string(o))); });
      return all;
    default: return Value::of(std::string(text_of(flow, field, room)));
  }
}

Value context_of(const FlowView& flow) {
  Value all = Value::object();
  for (const auto& [name, field] : fields()) all.members.emplace_back(name, value_of(flow, field));
  return all;
}

}  // namespace weir::rules
