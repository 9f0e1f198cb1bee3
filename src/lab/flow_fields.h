// flow_fields.h — The templates of a made-up exporter of NetFlow v9 or IPFIX, and the octets of their records.
//
// Spec:     RFC 3954; RFC 7011; IANA's information elements.
#pragma once

#include <cstdint>
#include <vector>

#include "lab/flow_details.h"
#include "lab/message_builder.h"

namespace weir::lab {

inline constexpr uint16_t kTemplateFlowFirst = 256;  // 256 IPv4, 257 IPv6, 259 NAT
inline constexpr uint16_t kTemplateSampler = 258;
inline constexpr uint16_t kTemplateNat = 259;
inline constexpr uint16_t kTemplateInterface = 260;

struct FlowTemplate {
  RecordKind kind = RecordKind::ipv4;
  Template layout;
  size_t fixed_octets = 0;  // of a record, but for values of variable length
};

/// By RecordKind; a kind that `extras` does not want has none.
std::vector<FlowTemplate> flow_templates(ExportProtocol protocol, const Extras& extras);

struct FlowTimes {
  uint32_t first_uptime_ms, last_uptime_ms;
  uint64_t first_ms, last_ms;  // since the epoch
};
/// A flow cannot have begun before its exporter booted.
FlowTimes times_of(const Flow& flow, uint64_t now_ns, uint32_t uptime_ms);

size_t record_octets(const FlowTemplate& t, const ExportedFlow& flow);
/// record_octets() of them; returns their end.
uint8_t* put_record(uint8_t* to, const FlowTemplate& t, const ExportedFlow& flow, const FlowTimes& times);

/// The low `width` octets of `value`, most significant first; returns their end.
uint8_t* put_be(uint8_t* to, uint64_t value, size_t width);

}  // namespace weir::lab
