// ocsf_unmapped.cc — What no attribute of the class is made for, under the fields' own names.
#include <array>
#include <bit>
#include <cstring>

#include "flow/enumerator_names.h"
#include "transform/ocsf_parts.h"

namespace weir::transform::parts {
namespace {

// Fields that always go here, numbers in the order of their slots and all else in this one. Those that go here only sometimes stand in put_unmapped.
// clang-format off
#define WEIR_UNMAPPED_NUMBERS(X)                                                                          \
  X(sequence_num) X(ip_tos) X(ip_ttl) X(ip_flags) X(forwarding_status) X(icmp_type)      \
  X(icmp_code) X(ipv6_flow_label) X(fragment_id) X(fragment_offset) X(src_net) X(dst_net) X(next_hop_as)  \
  X(observation_domain_id) X(observation_point_id) X(ipv6_routing_header_seg_left) X(flow_direction)      \
  X(flow_end_reason) X(exporter_port) X(engine) X(sampler_id) X(ingress_vrf_id) X(egress_vrf_id)          \
  X(post_nat_src_port) X(post_nat_dst_port) X(nat_event) X(firewall_event) X(sub_agent_id) X(source_id)   \
  X(inner_proto) X(inner_src_port) X(inner_dst_port) X(port_range_start) X(port_range_end)                \
  X(port_range_step) X(port_range_num)
#define WEIR_UNMAPPED_ADDRESSES(X)                                                                        \
  X(next_hop) X(bgp_next_hop) X(exporter_address) X(post_nat_src_addr) X(post_nat_dst_addr)               \
  X(inner_src_addr) X(inner_dst_addr)
#define WEIR_UNMAPPED_TEXTS(X)                                                                            \
  X(user_name) X(server_name) X(ingress_vrf_name) X(egress_vrf_name) X(partition) X(site)
#define WEIR_UNMAPPED_NUMBER_LISTS(X)                                                                     \
  X(bgp_communities) X(as_path) X(mpls_ttl) X(mpls_label) X(layer_size)
#define WEIR_UNMAPPED_ADDRESS_LISTS(X) X(mpls_ip) X(ipv6_routing_header_addresses) X(srv6_segments)
// clang-format on

struct Key {
  std::string_view text;  // "name":
  uint8_t slot;
};
#define WEIR_NUMBER_KEY_(field)  Key{"\"" #field "\":", static_cast<uint8_t>(NumberSlot::field)},
#define WEIR_OCTETS_KEY_(field)  Key{"\"" #field "\":", static_cast<uint8_t>(OctetsSlot::field)},
#define WEIR_LIST_KEY_(field)    Key{"\"" #field "\":[", static_cast<uint8_t>(ListSlot::field)},
/// By slot; of the others there is nothing.
// PERF: all of the same width, for which copying needs no length (event, perf/bench_transform).
struct NumberKeys {
  static constexpr size_t kWidth = 32;
  struct Text {
    char octets[kWidth];
    uint8_t length;
  };
  std::array<Text, FlowView::kNumbers> text{};
  std::array<uint64_t, std::tuple_size_v<decltype(FlowView::given)>> wanted{};
  constexpr NumberKeys() {
    for (const Key& key : {WEIR_UNMAPPED_NUMBERS(WEIR_NUMBER_KEY_)}) {
      Text& padded = text[key.slot];
      for (const char c : key.text) padded.octets[padded.length++] = c;
      wanted[key.slot / 64] |= uint64_t{1} << key.slot % 64;
    }
  }
};
constexpr NumberKeys kNumbers;
constexpr Key kAddresses[] = {WEIR_UNMAPPED_ADDRESSES(WEIR_OCTETS_KEY_)};
constexpr Key kTexts[] = {WEIR_UNMAPPED_TEXTS(WEIR_OCTETS_KEY_)};
constexpr Key kNumberLists[] = {WEIR_UNMAPPED_NUMBER_LISTS(WEIR_LIST_KEY_)};
constexpr Key kAddressLists[] = {WEIR_UNMAPPED_ADDRESS_LISTS(WEIR_LIST_KEY_)};
#undef WEIR_NUMBER_KEY_
#undef WEIR_OCTETS_KEY_
#undef WEIR_LIST_KEY_

/// A choice that costs nothing to ask.
struct AllFields {
  static constexpr bool wants(NumberSlot) noexcept { return true; }
  static constexpr bool wants(OctetsSlot) noexcept { return true; }
  static constexpr bool wants(ListSlot) noexcept { return true; }
  static constexpr bool wants_target(size_t) noexcept { return true; }
};

void put_name_or_number(TextBuffer& out, std::string_view key, std::string_view name, uint64_t number) {
  if (name.empty()) {
    put_number(out, key, number);
  } else {
    put_plain(out, key, name);
  }
}

void put_named(TextBuffer& out, std::string_view key, std::string_view name, uint64_t number) {
  if (number != 0) put_name_or_number(out, key, name, number);
}

/// NetFlow v5 has a next hop in every record: 0.0.0.0 is none.
bool says_something(std::string_view octets) noexcept {
  return octets.find_first_not_of('\0') != std::string_view::npos;
}

template <class Choice>
void put_lists(TextBuffer& out, const FlowView& flow, const Choice& choice) {
  const auto has = [&](ListSlot slot) { return flow.has(slot) && choice.wants(slot); };
  for (const Key& key : kNumberLists) {
    if (!has(static_cast<ListSlot>(key.slot))) continue;
    const Scope list(out, key.text, ']');
    for_each_number(flow, static_cast<ListSlot>(key.slot), [&](uint32_t v) {
      out.put_number(v);
      out.put(',');
    });
  }
  if (has(ListSlot::layer_stack)) {
    const Scope list(out, "\"layer_stack\":[", ']');
    for_each_number(flow, ListSlot::layer_stack,
                              [&](uint32_t v) { put_name_or_number(out, {}, layer_name(v), v); });
  }
  for (const Key& key : kAddressLists) {
    if (!has(static_cast<ListSlot>(key.slot))) continue;
    const Scope list(out, key.text, ']');
    for_each_octets(flow, static_cast<ListSlot>(key.slot),
                              [&](std::string_view address) { put_address(out, {}, address); });
  }
  if (has(ListSlot::rule_ids)) {
    const Scope list(out, "\"rule_ids\":[", ']');
    for_each_octets(flow, ListSlot::rule_ids, [&](std::string_view id) { put_text(out, {}, id); });
  }
  if (has(ListSlot::bgp_extended_communities)) {
    const Scope list(out, "\"bgp_extended_communities\":[", ']');
    for_each_octets(flow, ListSlot::bgp_extended_communities, [&](std::string_view octets) {
      outbound::parts::put_quoted_hex(out, octets);
      out.put(',');
    });
  }
  if (has(ListSlot::unmapped)) {
    const Scope list(out, "\"elements\":[", ']');
    const bool is_sflow = static_cast<FlowType>(flow[NumberSlot::type]) == FlowType::sflow_5;
    for_each_octets(flow, ListSlot::unmapped, [&](std::string_view entry) {
      UnmappedView view;
      if (!parse_unmapped(entry, view)) return;
      const outbound::parts::ElementText element{view.enterprise, view.id, view.value};
      is_sflow ? outbound::parts::put_sflow_record(out, element) : outbound::parts::put_unmapped(out, element);
      out.put(',');
    });
  }
}

/// Targets of rules that are no attributes.
template <class Choice>
void put_own_targets(TextBuffer& out, const Decisions& decisions, const Choice& choice) {
  constexpr std::string_view kOpen = "unmapped.";
  if (decisions.outcome == nullptr) return;
  const std::vector<rules::Target>& targets = decisions.program->targets;
  for (size_t i = static_cast<size_t>(EventTarget::count_); i < targets.size(); ++i) {
    if (!decisions.outcome->has(i) || !choice.wants_target(i)) continue;
    const rules::Cell& cell = decisions.outcome->targets[i];
    put_plain(out, {}, std::string_view(targets[i].name).substr(kOpen.size()));  // a name has nothing to escape
    if (out.overflowed()) return;
    out.last() = ':';  // the comma's place
    if (cell.kind == rules::CellKind::text) {
      put_text(out, {}, cell.text);
    } else if (cell.kind == rules::CellKind::boolean) {
      out.put(cell.boolean ? "true," : "false,");
    } else {
      char number[rules::Decimal::kTextMax];
      out.put({number, static_cast<size_t>(cell.number.write_json(number) - number)});
      out.put(',');
    }
  }
}

template <class Choice>
void put_numbers(TextBuffer& out, const FlowView& flow, const Choice& choice) {
  // PERF: of some 36 a message has a few, and asking for each takes longer than writing those (event, perf/bench_transform).
  for (size_t word = 0; word < flow.given.size(); ++word) {
    for (uint64_t left = flow.given[word] & kNumbers.wanted[word]; left != 0; left &= left - 1) {
      const size_t slot = 64 * word + static_cast<size_t>(std::countr_zero(left));
      const uint64_t v = flow.numbers[slot];
      if (v == 0 || !choice.wants(static_cast<NumberSlot>(slot))) continue;
      const NumberKeys::Text& key = kNumbers.text[slot];
      char* const p = out.room_for(NumberKeys::kWidth + kDecimalTextRoom + 1);
      if (p == nullptr) return;
      std::memcpy(p, key.octets, NumberKeys::kWidth);
      out.end_at(write_number(p + key.length, std::min(v, kLongMax)));
    }
  }
}

template <class Choice>
void put_texts_and_lists(TextBuffer& out, const FlowView& flow, const Decisions& decisions, const Choice& choice) {
  for (const Key& key : kAddresses) {
    if (const std::string_view octets = flow.octets[key.slot]; says_something(octets) && choice.wants(static_cast<OctetsSlot>(key.slot))) {
      put_address(out, key.text, octets);
    }
  }
  for (const Key& key : kTexts) {
    if (const std::string_view text = flow.octets[key.slot]; !text.empty() && choice.wants(static_cast<OctetsSlot>(key.slot))) {
      put_text(out, key.text, text);
    }
  }
  if (const std::string_view id = flow[OctetsSlot::application_id]; !id.empty() && choice.wants(OctetsSlot::application_id)) {
    out.put("\"application_id\":");
    outbound::parts::put_quoted_hex(out, id);
    out.put(',');
  }
  put_lists(out, flow, choice);
  put_own_targets(out, decisions, choice);
}

}  // namespace

void put_unmapped(TextBuffer& out, const FlowView& flow, const Decisions& decisions) {
  using N = NumberSlot;
  const Scope unmapped(out, "\"unmapped\":{");
  put_name_or_number(out, "\"flow_type\":", flow_type_name(flow[N::type]), flow[N::type]);
  if (const uint64_t rate = sampling_rate_of(flow, decisions); rate != 0) put_number(out, "\"sampling_rate\":", rate);
  put_numbers(out, flow, AllFields());
  put_named(out, "\"sampling_source\":", sampling_source_name(flow[N::sampling_source]), flow[N::sampling_source]);
  put_named(out, "\"time_source\":", time_source_name(flow[N::time_source]), flow[N::time_source]);
  // What an endpoint has no place for.
  if (const uint64_t etype = flow[N::etype]; etype != 0 && etype != 0x0800 && etype != 0x86dd) {
    put_number(out, "\"etype\":", etype);
  }
  if (flow[N::src_vlan] != 0 && flow[N::vlan_id] != 0) put_number(out, "\"vlan_id\":", flow[N::vlan_id]);
  if (flow[N::src_port] != 0 && !is_port(flow, N::src_port)) put_number(out, "\"src_port\":", flow[N::src_port]);
  if (flow[N::dst_port] != 0 && !is_port(flow, N::dst_port)) put_number(out, "\"dst_port\":", flow[N::dst_port]);
  for (const auto& [slot, key] : {std::pair{OctetsSlot::src_addr, "\"src_addr\":"},
                                  std::pair{OctetsSlot::dst_addr, "\"dst_addr\":"},
                                  std::pair{OctetsSlot::sampler_address, "\"sampler_address\":"}}) {
    if (!flow[slot].empty() && !is_address(flow[slot])) put_address(out, key, flow[slot]);
  }
  put_texts_and_lists(out, flow, decisions, AllFields());
}

void put_fields(TextBuffer& out, const FlowView& flow, const Decisions& decisions, const FieldChoice& choice) {
  put_numbers(out, flow, choice);
  put_texts_and_lists(out, flow, decisions, choice);
}

}  // namespace weir::transform::parts
