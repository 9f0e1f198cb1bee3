// ocsf_enrichments.cc — What is known of a flow's addresses and has no place of its own: enrichments, and threats, which are OCSF's osint.
#include "transform/ocsf_parts.h"

namespace weir::transform::parts {
namespace {

using L = ListSlot;
using O = OctetsSlot;

/// Addresses of the flow that are no end of it. OCSF has no place for them but `unmapped`.
// PERF: the exporter's own address is of every flow, and of none: telling of it each time would be 140 octets an event (enriched,
// perf/bench_transform).
struct Other {
  O slot;
  std::string_view attribute;
};
constexpr Other kOthers[] = {{O::post_nat_src_addr, "unmapped.post_nat_src_addr"}, {O::post_nat_dst_addr, "unmapped.post_nat_dst_addr"},
                             {O::inner_src_addr, "unmapped.inner_src_addr"},       {O::inner_dst_addr, "unmapped.inner_dst_addr"},
                             {O::next_hop, "unmapped.next_hop"},                   {O::bgp_next_hop, "unmapped.bgp_next_hop"}};
struct OtherList {
  L slot;
  std::string_view attribute;
};
constexpr OtherList kOtherLists[] = {{L::mpls_ip, "unmapped.mpls_ip"},
                                     {L::srv6_segments, "unmapped.srv6_segments"},
                                     {L::ipv6_routing_header_addresses, "unmapped.ipv6_routing_header_addresses"}};

bool is_some_address(std::string_view octets) noexcept {
  return is_address(octets) && octets.find_first_not_of('\0') != std::string_view::npos;
}

/// Calls `put(attribute, address, facts)` for those of whom something may be known.
template <class Put>
void for_each_other(const FlowView& flow, const Decisions& decisions, Put put) {
  const enrich::Enrichment* const known = decisions.known;
  if (known == nullptr) return;
  const auto ask = [&](std::string_view attribute, std::string_view octets) {
    if (!is_some_address(octets)) return;
    if (const enrich::AddressFacts* const facts = known->find(octets); facts != nullptr) put(attribute, octets, *facts);
  };
  for (const Other& other : kOthers) {
    if (!flow[other.slot].empty()) ask(other.attribute, flow[other.slot]);
  }
  for (const OtherList& list : kOtherLists) {
    if (flow.has(list.slot)) for_each_octets(flow, list.slot, [&](std::string_view octets) { ask(list.attribute, octets); });
  }
}

/// Likewise for the flow's ends, whose facts were looked up before.
template <class Put>
void for_each_end(const FlowView& flow, const Decisions& decisions, Put put) {
  if (decisions.src != nullptr && is_address(flow[O::src_addr])) put("src_endpoint.ip", flow[O::src_addr], *decisions.src);
  if (decisions.dst != nullptr && is_address(flow[O::dst_addr])) put("dst_endpoint.ip", flow[O::dst_addr], *decisions.dst);
}

void put_cloud(TextBuffer& out, std::string_view attribute, std::string_view octets, const enrich::AddressFacts& facts) {
  if (facts.cloud.empty()) return;
  const Scope enrichment(out, "{");
  put_plain(out, "\"name\":", attribute);
  put_address(out, "\"value\":", octets);
  put_plain(out, "\"type\":", "cloud");
  put_text(out, "\"provider\":", facts.cloud);
  out.put("\"data\":{\"provider\":");
  outbound::parts::put_string(out, facts.cloud);
  out.put("},");
}

/// Of an endpoint these are attributes.
void put_place_and_network(TextBuffer& out, std::string_view attribute, std::string_view octets, const enrich::AddressFacts& facts) {
  if (facts.country.empty() && facts.city.empty() && facts.as_number == 0) return;
  const Scope enrichment(out, "{");
  put_plain(out, "\"name\":", attribute);
  put_address(out, "\"value\":", octets);
  put_plain(out, "\"type\":", "address");
  const Scope data(out, "\"data\":{");
  if (!facts.country.empty()) put_plain(out, "\"country\":", facts.country);
  put_text_if_any(out, "\"city\":", facts.city);
  if (facts.as_number != 0) put_number(out, "\"as_number\":", facts.as_number);
  put_text_if_any(out, "\"as_name\":", facts.as_name);
}

void put_threat(TextBuffer& out, std::string_view octets, const enrich::AddressFacts& facts) {
  if (facts.threat.empty()) return;
  const Scope indicator(out, "{");
  out.put("\"type_id\":1,\"type\":\"IP Address\",");
  put_address(out, "\"value\":", octets);
  put_text(out, "\"name\":", facts.threat);
}

/// Whether one of them is a threat.
bool put_others(TextBuffer& out, const FlowView& flow, const Decisions& decisions) {
  bool has_threat = false;
  for_each_other(flow, decisions, [&](std::string_view attribute, std::string_view octets, const enrich::AddressFacts& facts) {
    put_place_and_network(out, attribute, octets, facts);
    put_cloud(out, attribute, octets, facts);
    has_threat |= !facts.threat.empty();
  });
  return has_threat;
}

/// The list has to be there, and may be empty.
void put_osint(TextBuffer& out, const FlowView& flow, const Decisions& decisions, bool with_others) {
  out.put("\"osint\":[");
  const size_t before = out.used();
  const auto put = [&](std::string_view, std::string_view octets, const enrich::AddressFacts& facts) { put_threat(out, octets, facts); };
  for_each_end(flow, decisions, put);
  if (with_others) for_each_other(flow, decisions, put);
  if (out.overflowed()) return;
  if (out.used() != before) out.cut(out.used() - 1);
  out.put("],");
}

}  // namespace

void put_enrichments(TextBuffer& out, const FlowView& flow, const Decisions& decisions) {
  bool has_threat = false;
  {
    const Scope enrichments(out, "\"enrichments\":[", ']');
    for_each_end(flow, decisions, [&](std::string_view attribute, std::string_view octets, const enrich::AddressFacts& facts) {
      put_cloud(out, attribute, octets, facts);
    });
    has_threat = put_others(out, flow, decisions);
  }
  put_osint(out, flow, decisions, has_threat);
}

void put_enrichments_of_others(TextBuffer& out, const FlowView& flow, const Decisions& decisions) {
  bool has_threat = false;
  {
    const Scope enrichments(out, "\"enrichments\":[", ']');
    has_threat = put_others(out, flow, decisions);
  }
  if (!has_threat) return;
  const Scope threats(out, "\"osint\":[", ']');
  for_each_other(flow, decisions, [&](std::string_view, std::string_view octets, const enrich::AddressFacts& facts) { put_threat(out, octets, facts); });
}

}  // namespace weir::transform::parts
