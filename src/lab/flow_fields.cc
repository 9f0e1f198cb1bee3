#include "lab/flow_fields.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/clock.h"

namespace weir::lab {
namespace {

constexpr uint8_t kProtoIcmp = 1, kProtoIcmp6 = 58;
constexpr uint16_t kSelectorId = 302;
constexpr uint16_t kApplicationName = 96, kUserName = 371, kHttpRequestHost = 460;
constexpr size_t kShortLengthMax = 254;  // RFC 7011 §7

// A router's classic record with 32-bit counters and uptimes: 56 octets.
constexpr FieldSpecifier kV9Ipv4[] = {
    {8, 4}, {12, 4}, {15, 4}, {10, 4}, {14, 4}, {2, 4},  {1, 4}, {22, 4}, {21, 4}, {7, 2}, {11, 2},
    {4, 1}, {6, 1},  {5, 1},  {61, 1}, {16, 4}, {17, 4}, {9, 1}, {13, 1}, {48, 1}, {89, 1}};
constexpr FieldSpecifier kV9Ipv6[] = {{27, 16}, {28, 16}, {62, 16}, {10, 4}, {14, 4}, {2, 4},
                                      {1, 4},   {22, 4},  {21, 4},  {7, 2},  {11, 2}, {4, 1},
                                      {6, 1},   {5, 1},   {61, 1},  {16, 4}, {17, 4}, {29, 1},
                                      {30, 1},  {31, 3},  {48, 1}};
// 64-bit counters, milliseconds since the epoch, layer 2.
constexpr FieldSpecifier kIpfixIpv4[] = {{8, 4},  {12, 4},  {15, 4},  {10, 4}, {14, 4}, {2, 8},
                                         {1, 8},  {152, 8}, {153, 8}, {7, 2},  {11, 2}, {4, 1},
                                         {6, 2},  {5, 1},   {61, 1},  {16, 4}, {17, 4}, {9, 1},
                                         {13, 1}, {32, 2},  {136, 1}, {58, 2}, {56, 6}, {80, 6}};
constexpr FieldSpecifier kIpfixIpv6[] = {
    {27, 16}, {28, 16}, {62, 16}, {10, 4},  {14, 4}, {2, 8},  {1, 8},  {152, 8}, {153, 8},
    {7, 2},   {11, 2},  {4, 1},   {6, 2},   {5, 1},  {61, 1}, {16, 4}, {17, 4},  {29, 1},
    {30, 1},  {31, 4},  {139, 2}, {136, 1}, {58, 2}, {56, 6}, {80, 6}};
// A translation: when, both sides of it, which event, in which VRF.
constexpr FieldSpecifier kNat[] = {{323, 8}, {8, 4},   {12, 4},  {225, 4}, {226, 4}, {7, 2},
                                   {11, 2},  {227, 2}, {228, 2}, {4, 1},   {230, 1}, {234, 4}};
constexpr FieldSpecifier kBgpIpv4[] = {{18, 4}, {128, 4}, {129, 4}};
constexpr FieldSpecifier kBgpIpv6[] = {{63, 16}, {128, 4}, {129, 4}};

std::span<const FieldSpecifier> base_fields(ExportProtocol protocol, RecordKind kind) {
  if (kind == RecordKind::nat) return kNat;
  const bool v4 = kind == RecordKind::ipv4;
  if (protocol == ExportProtocol::netflow_v9) {
    return v4 ? std::span<const FieldSpecifier>(kV9Ipv4) : kV9Ipv6;
  }
  return v4 ? std::span<const FieldSpecifier>(kIpfixIpv4) : kIpfixIpv6;
}

bool is_icmp(const Flow& f) { return f.proto == kProtoIcmp || f.proto == kProtoIcmp6; }

/// Information elements (below 128: v9's field types too) as these exporters fill them.
uint64_t value_of(uint16_t id, const ExportedFlow& f, const FlowTimes& t) {
  switch (id) {
    case 1: return f.octets;
    case 2: return f.packets;
    case 4: return f.proto;
    case 5: return f.tos;
    case 6: return f.tcp_flags;
    case 7: return f.src_port;
    case 9:
    case 29: return f.src_mask;
    case 10: return f.in_if;
    case 11:
    case 228: return f.dst_port;
    case 13:
    case 30: return f.dst_mask;
    case 14: return f.out_if;
    case 16: return f.src_as;
    case 17: return f.dst_as;
    case 21: return t.last_uptime_ms;
    case 22: return t.first_uptime_ms;
    case 31: return f.flow_label;
    case 32:
    case 139: return is_icmp(f) ? f.dst_port : 0;
    case 48:
    case kSelectorId: return f.sampler;
    case 56: return f.src_mac;
    case 58: return f.vlan;
    case 61: return f.direction;
    case 80: return f.dst_mac;
    case 89: return 64;  // forwarded
    case 128: return f.next_as;
    case 129: return f.previous_as;
    case 136: return f.end_reason;
    case 152: return t.first_ms;
    case 153:
    case 323: return t.last_ms;
    case 227: return f.post_src_port;
    case 230: return f.nat_event;
    case 234: return f.vrf;
    default: return 0;
  }
}

const IpAddress* address_of(uint16_t id, const ExportedFlow& f) {
  switch (id) {
    case 8:
    case 27: return &f.src;
    case 12:
    case 28:
    case 226: return &f.dst;
    case 15:
    case 62: return &f.next_hop;
    case 18:
    case 63: return &f.bgp_next_hop;
    case 225: return &f.post_src;
    default: return nullptr;
  }
}

std::string_view text_of(uint16_t id, const ExportedFlow& f) {
  switch (id) {
    case kApplicationName: return f.application;
    case kUserName: return f.user;
    default: return f.host;
  }
}

uint8_t* put_variable(uint8_t* to, std::string_view text) {
  if (text.size() <= kShortLengthMax) {
    to = put_be(to, text.size(), 1);
  } else {
    to = put_be(put_be(to, 255, 1), text.size(), 2);
  }
  std::copy(text.begin(), text.end(), to);
  return to + text.size();
}

FlowTemplate template_of(RecordKind kind, ExportProtocol protocol, const Extras& extras) {
  FlowTemplate t;
  t.kind = kind;
  t.layout.id = kind == RecordKind::nat
                    ? kTemplateNat
                    : static_cast<uint16_t>(kTemplateFlowFirst + static_cast<uint16_t>(kind));
  auto& fields = t.layout.fields;
  const auto add = [&](std::span<const FieldSpecifier> more) {
    fields.insert(fields.end(), more.begin(), more.end());
  };
  const bool has_names = extras.variable && kind != RecordKind::nat;
  // One before the others, so that nothing behind it is where a template of fixed length would have it.
  if (has_names) fields.push_back({kApplicationName, kVariableLength});
  add(base_fields(protocol, kind));
  if (extras.bgp && kind == RecordKind::ipv4) add(kBgpIpv4);
  if (extras.bgp && kind == RecordKind::ipv6) add(kBgpIpv6);
  if (extras.samplers && kind != RecordKind::nat && protocol == ExportProtocol::ipfix) {
    fields.push_back({kSelectorId, 8});
  }
  if (has_names) add(std::initializer_list<FieldSpecifier>{{kUserName, kVariableLength}, {kHttpRequestHost, kVariableLength}});
  for (const FieldSpecifier& f : fields) t.fixed_octets += f.length == kVariableLength ? 0 : f.length;
  return t;
}

}  // namespace

uint8_t* put_be(uint8_t* to, uint64_t value, size_t width) {
  for (size_t i = width; i-- > 0; value >>= 8) to[i] = static_cast<uint8_t>(value);
  return to + width;
}

FlowTimes times_of(const Flow& f, uint64_t now_ns, uint32_t uptime_ms) {
  const uint32_t idle = std::min(f.idle_ms, uptime_ms);
  const uint32_t duration = std::min(f.duration_ms, uptime_ms - idle);
  const uint64_t last_ms = now_ns / kNsPerMs - idle;
  return {uptime_ms - idle - duration, uptime_ms - idle, last_ms - duration, last_ms};
}

std::vector<FlowTemplate> flow_templates(ExportProtocol protocol, const Extras& extras) {
  std::vector<FlowTemplate> all = {template_of(RecordKind::ipv4, protocol, extras),
                                   template_of(RecordKind::ipv6, protocol, extras)};
  if (extras.nat) all.push_back(template_of(RecordKind::nat, protocol, extras));
  return all;
}

size_t record_octets(const FlowTemplate& t, const ExportedFlow& flow) {
  size_t octets = t.fixed_octets;
  for (const FieldSpecifier& field : t.layout.fields) {
    if (field.length != kVariableLength) continue;
    const size_t length = text_of(field.id, flow).size();
    octets += length + (length <= kShortLengthMax ? 1 : 3);
  }
  return octets;
}

uint8_t* put_record(uint8_t* to, const FlowTemplate& t, const ExportedFlow& flow, const FlowTimes& times) {
  for (const FieldSpecifier& field : t.layout.fields) {
    if (field.length == kVariableLength) {
      to = put_variable(to, text_of(field.id, flow));
    } else if (const IpAddress* a = address_of(field.id, flow)) {
      std::memcpy(to, a->wire_data(), field.length);
      to += field.length;
    } else {
      to = put_be(to, value_of(field.id, flow, times), field.length);
    }
  }
  return to;
}

}  // namespace weir::lab
