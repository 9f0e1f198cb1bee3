// ocsf_totals.cc — cumulative_traffic: what an exporter counted since the flow began, told beside what is new since its last record.
//
// A total that is told alone is the record's `bytes`, and no one can tell it from a delta then; one that is told beside the delta is left
// over, and lies with the elements that have no field.
#include "transform/ocsf_parts.h"

namespace weir::transform::parts {
namespace {

constexpr uint32_t kIana = 0;
constexpr uint32_t kReverse = 29305;  // RFC 5103: the same elements of the other direction
constexpr uint32_t kOctetTotalCount = 85;
constexpr uint32_t kPacketTotalCount = 86;

/// Unsigned, of as many octets as the exporter spent; 0 of what is no number.
uint64_t number_of(std::string_view octets) noexcept {
  if (octets.size() > sizeof(uint64_t)) return 0;
  uint64_t number = 0;
  for (const char octet : octets) number = number << 8 | static_cast<uint8_t>(octet);
  return number;
}

}  // namespace

void put_cumulative_traffic(TextBuffer& out, const FlowView& flow) {
  if (!flow.has(ListSlot::unmapped)) return;
  const auto type = static_cast<FlowType>(flow[NumberSlot::type]);
  if (type != FlowType::ipfix && type != FlowType::netflow_v9) return;  // sFlow's have other numbers
  Volume bytes, packets;
  for_each_octets(flow, ListSlot::unmapped, [&](std::string_view entry) {
    UnmappedView element;
    if (!parse_unmapped(entry, element) || (element.enterprise != kIana && element.enterprise != kReverse)) return;
    if (element.id != kOctetTotalCount && element.id != kPacketTotalCount) return;
    Volume& volume = element.id == kOctetTotalCount ? bytes : packets;
    (element.enterprise == kIana ? volume.forth : volume.back) = number_of(element.value);
  });
  const Scope traffic(out, "\"cumulative_traffic\":{");
  put_volumes(out, bytes, packets);
}

}  // namespace weir::transform::parts
