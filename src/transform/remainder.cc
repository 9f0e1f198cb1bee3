#include "transform/remainder.h"

#include "transform/ocsf_parts.h"

namespace weir::transform {
namespace {

using namespace parts;
using N = NumberSlot;
using O = OctetsSlot;
using L = ListSlot;

// What describes the datagram rather than the flow (sequence numbers, engines, samplers, sources of times) is not here.
constexpr N kNumbers[] = {N::ip_flags, N::ipv6_flow_label, N::fragment_id, N::fragment_offset, N::observation_point_id,
                          N::ipv6_routing_header_seg_left, N::ingress_vrf_id, N::egress_vrf_id, N::inner_proto,
                          N::inner_src_port, N::inner_dst_port, N::port_range_start, N::port_range_end, N::port_range_step,
                          N::port_range_num};
constexpr O kOctets[] = {O::inner_src_addr, O::inner_dst_addr, O::ingress_vrf_name, O::egress_vrf_name};
constexpr L kLists[] = {L::mpls_ttl, L::mpls_label, L::mpls_ip, L::layer_stack, L::layer_size,
                        L::ipv6_routing_header_addresses, L::srv6_segments, L::rule_ids, L::bgp_extended_communities,
                        L::unmapped};
constexpr O kNames[] = {O::in_if_name, O::out_if_name};

constexpr FieldChoice kChoice = [] {
  FieldChoice choice;
  for (const N slot : kNumbers) choice.numbers[static_cast<size_t>(slot)] = true;
  for (const O slot : kOctets) choice.octets[static_cast<size_t>(slot)] = true;
  for (const L slot : kLists) choice.lists[static_cast<size_t>(slot)] = true;
  return choice;
}();

/// Attributes of events that rules set and no column holds.
struct Said {
  EventTarget target;
  std::string_view key;
  bool is_number;
};
constexpr Said kSaid[] = {{EventTarget::severity_id, "\"severity_id\":", true},
                          {EventTarget::message, "\"message\":", false},
                          {EventTarget::boundary_id, "\"boundary_id\":", true},
                          {EventTarget::src_name, "\"src_name\":", false},
                          {EventTarget::src_hostname, "\"src_hostname\":", false},
                          {EventTarget::src_svc_name, "\"src_svc_name\":", false},
                          {EventTarget::src_zone, "\"src_zone\":", false},
                          {EventTarget::dst_name, "\"dst_name\":", false},
                          {EventTarget::dst_hostname, "\"dst_hostname\":", false},
                          {EventTarget::dst_svc_name, "\"dst_svc_name\":", false},
                          {EventTarget::dst_zone, "\"dst_zone\":", false},
                          {EventTarget::device_name, "\"device_name\":", false},
                          {EventTarget::device_hostname, "\"device_hostname\":", false},
                          {EventTarget::tenant_uid, "\"tenant_uid\":", false}};

constexpr uint64_t kSaidMask = [] {
  uint64_t mask = 0;
  for (const Said& said : kSaid) mask |= uint64_t{1} << static_cast<unsigned>(said.target);
  return mask;
}();
constexpr uint64_t kAttributesMask = (uint64_t{1} << static_cast<unsigned>(EventTarget::count_)) - 1;

/// Mostly there is nothing, and that is soon seen.
bool has_any(const FlowView& flow, uint64_t said, bool wants_application_id) noexcept {
  uint64_t numbers = said;
  for (const N slot : kNumbers) numbers |= flow[slot];
  size_t octets = wants_application_id ? flow[O::application_id].size() : 0;
  for (const O slot : kOctets) octets |= flow[slot].size();
  for (const O slot : kNames) octets |= flow[slot].size();
  bool lists = false;
  for (const L slot : kLists) lists |= flow.has(slot);
  return numbers != 0 || octets != 0 || lists;
}

void put_what_is_said(TextBuffer& text, const FlowView& flow, const Decisions& decisions, uint64_t said, uint64_t targets_elsewhere,
                      bool wants_application_id) {
  FieldChoice choice = kChoice;
  choice.targets_elsewhere = targets_elsewhere;
  choice.octets[static_cast<size_t>(O::application_id)] = wants_application_id;
  put_fields(text, flow, decisions, choice);
  put_text_if_any(text, "\"in_if_name\":", flow[O::in_if_name]);
  put_text_if_any(text, "\"out_if_name\":", flow[O::out_if_name]);
  for (const Said& each : kSaid) {
    if ((said >> static_cast<unsigned>(each.target) & 1) == 0) continue;
    if (each.is_number) {
      put_number(text, each.key, decisions.number(each.target, 0));
    } else {
      put_text_if_any(text, each.key, decisions.text(each.target));
    }
  }
}

}  // namespace

size_t write_remainder(const FlowView& flow, const Decisions& decisions, uint64_t targets_elsewhere, std::span<char> out,
                       bool& is_cut) noexcept {
  is_cut = false;
  const uint64_t set = decisions.outcome != nullptr ? decisions.outcome->targets_set : 0;
  const uint64_t said = set & (kSaidMask | ~(kAttributesMask | targets_elsewhere));
  const bool wants_application_id = flow[O::application_name].empty();
  const bool has_fields = has_any(flow, said, wants_application_id);
  if (!has_fields && decisions.decided.empty() && decisions.known == nullptr) return 0;

  TextBuffer text(out);
  text.put('{');
  if (!decisions.decided.empty()) {
    text.put("\"decision\":");
    text.put(decisions.decided);
    text.put(',');
  }
  if (has_fields) put_what_is_said(text, flow, decisions, said, targets_elsewhere, wants_application_id);
  put_enrichments_of_others(text, flow, decisions);
  is_cut = text.overflowed();
  if (is_cut || text.used() == 1) return 0;
  text.last() = '}';
  return text.used();
}

}  // namespace weir::transform
