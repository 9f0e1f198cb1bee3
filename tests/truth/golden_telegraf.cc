// Telegraf's netflow plugin (Go): line protocol, a line a record.
#include <algorithm>
#include <fstream>

#include "truth/golden_readers.h"

namespace weir::truth {
namespace {

struct Name {
  uint32_t id;
  const char* sflow = nullptr;  // column of SflowCounters or SflowDiscard
};

const std::map<std::string, Name>& names() {
  static const std::map<std::string, Name> all = {
      {"src_port", {7}},
      {"dst_port", {11}},
      {"in_bytes", {1, "interface.if_in_octets"}},
      {"in_packets", {2}},
      {"in_total_bytes", {85}},
      {"in_total_packets", {86}},
      {"src_tos", {5}},
      {"dst_tos", {55}},
      {"vlan_src", {58}},
      {"next_hop", {15}},
      {"in_snmp", {10, "source_index"}},
      {"out_snmp", {14}},
      {"src_mask", {9}},
      {"dst_mask", {13}},
      {"bgp_src_as", {16}},
      {"bgp_dst_as", {17}},
      {"in_src_mac", {56}},
      {"out_dst_mac", {57}},
      {"app_latency_ms", {125}},
      {"client_nw_latency_ms", {123}},
      {"server_nw_latency_ms", {124}},
      {"l7_proto", {118}},
      {"ssl_server_name", {188}},
      {"ja3c_hash", {489}},
      {"ja3s_hash", {490}},
      {"ssl_cipher", {493}},
      {"ssl_unsafe_cipher", {494}},
      {"ssl_version", {495}},
      {"retransmitted_in_pkts", {109}},
      {"retransmitted_out_pkts", {110}},
      {"retransmitted_in_bytes", {127}},
      {"retransmitted_out_bytes", {128}},
      {"interface", {0, "interface.if_index"}},
      {"interface_type", {0, "interface.if_type"}},
      {"speed", {0, "interface.if_speed"}},
      {"promiscuous", {0, "interface.if_promiscuous_mode"}},
      {"in_unicast_packets_total", {0, "interface.if_in_ucast_pkts"}},
      {"in_mcast_packets_total", {0, "interface.if_in_multicast_pkts"}},
      {"in_broadcast_packets_total", {0, "interface.if_in_broadcast_pkts"}},
      {"in_dropped_packets", {0, "interface.if_in_discards"}},
      {"in_errors", {0, "interface.if_in_errors"}},
      {"in_unknown_protocol", {0, "interface.if_in_unknown_protos"}},
      {"out_bytes", {0, "interface.if_out_octets"}},
      {"out_unicast_packets_total", {0, "interface.if_out_ucast_pkts"}},
      {"out_mcast_packets_total", {0, "interface.if_out_multicast_pkts"}},
      {"out_broadcast_packets_total", {0, "interface.if_out_broadcast_pkts"}},
      {"out_dropped_packets", {0, "interface.if_out_discards"}},
      {"out_errors", {0, "interface.if_out_errors"}},
      {"port_name", {0, "port_name.name"}},
      {"errors_alignment", {0, "ethernet.alignment_errors"}},
      {"errors_fcs", {0, "ethernet.fcs_errors"}},
      {"collision_frames_single", {0, "ethernet.single_collision_frames"}},
      {"collision_frames_multi", {0, "ethernet.multiple_collision_frames"}},
      {"errors_sqetest", {0, "ethernet.sqe_test_errors"}},
      {"deferred", {0, "ethernet.deferred_transmissions"}},
      {"collisions_late", {0, "ethernet.late_collisions"}},
      {"collisions_excessive", {0, "ethernet.excessive_collisions"}},
      {"errors_internal_mac_tx", {0, "ethernet.internal_mac_transmit_errors"}},
      {"errors_carrier_sense", {0, "ethernet.carrier_sense_errors"}},
      {"errors_frame_too_long", {0, "ethernet.frame_too_longs"}},
      {"errors_internal_mac_rx", {0, "ethernet.internal_mac_receive_errors"}},
      {"errors_symbols", {0, "ethernet.symbol_errors"}},
      {"reason", {0, "reason"}},
      {"sampling_drops", {0, "drops"}},
  };
  return all;
}

/// Values that the plugin writes as words.
const std::map<std::string, std::map<std::string, std::string>>& words() {
  static const std::map<std::string, std::map<std::string, std::string>> all = {
      {"protocol", {{"tcp", "6"}, {"udp", "17"}, {"icmp", "1"}}},
      {"flow_end_reason",
       {{"idle timeout", "1"}, {"active timeout", "2"}, {"end of flow", "3"}, {"forced end", "4"}}},
      {"ip_version", {{"IPv4", "4"}, {"IPv6", "6"}}},
      {"fwd_status", {{"unknown", "0"}}},
      {"fwd_reason", {{"unknown", "0"}}},
      {"status", {{"up", "3"}}},
  };
  return all;
}

std::string octets_from_hex(const std::string& text) {
  std::string octets;
  for (size_t i = 2; i + 1 < text.size(); i += 2) {
    octets += static_cast<char>(std::stoul(text.substr(i, 2), nullptr, 16));
  }
  return octets;
}

/// `...AP...`: CWR, ECE, URG, ACK, PSH, RST, SYN, FIN.
std::string flags_number(const std::string& text) {
  uint64_t n = 0;
  for (const char c : text) n = n << 1 | uint64_t{c != '.'};
  return number_text(n);
}

bool is_sflow(const std::string& line) { return line.find("version=sFlowV5") != std::string::npos; }

Expected value_of(const std::string& name, std::string v, const std::string& line) {
  const bool v5 = line.find("version=NetFlowV5") != std::string::npos;
  const bool sflow = is_sflow(line);
  const bool discard = sflow && line.find("sampling_drops=") != std::string::npos;
  if (const auto w = words().find(name); w != words().end()) v = w->second.at(v);
  const auto in_packet = [&](const char* column) {
    return std::vector<Place>{{discard ? "packet." + std::string(column) : column}};
  };
  if (name == "protocol") return {name, Kind::number, v, {{"proto"}}};
  if (name == "src" || name == "dst")
    return {name, Kind::address, same_address(v), {{name + "_addr"}}};
  if (name == "tcp_flags") return {name, Kind::number, flags_number(v), {{"tcp_flags"}}};
  if (name == "flow_start_ms" || name == "flow_end_ms" || name == "flow_start" ||
      name == "flow_end") {
    const bool ms = name.ends_with("_ms");
    // Seconds beside milliseconds: the finer ones are the flow's.
    return {name,
            Kind::number,
            number_text(std::stoull(v) * (ms ? 1'000'000 : 1'000'000'000)),
            {{name.starts_with("flow_start") ? "time_flow_start_ns" : "time_flow_end_ns"}},
            ms ? 0u : 1'000'000'000u};
  }
  if (name == "flow_end_reason") return {name, Kind::number, v, {{"flow_end_reason"}}};
  if (name == "ip_version" && !sflow)
    return {name, Kind::number, v, {{"@ip_version"}, {"", 0, 60}}};
  if (name == "fwd_status" || name == "fwd_reason") {
    return {name, Kind::number, v, {{"forwarding_status"}}};
  }
  if (name == "icmp_type" || name == "icmp_code") return {name, Kind::number, v, {{name}}};
  if (name == "engine_type" || name == "engine_id") {
    Expected e{name,
               Kind::number,
               number_text(std::stoull(v, nullptr, name == "engine_id" ? 0 : 10)),
               {{"@" + name}}};
    if (!v5) e.places = {{"", 0, name == "engine_type" ? 38u : 39u}};
    return e;
  }
  if (name == "seq_number") {
    return {name, Kind::number, v, {{sflow ? "sample_sequence" : "sequence_num"}}};
  }
  if (name == "ip_version" && sflow) return {name, Kind::number, v, {{"@agent_version"}}};
  if (name == "sampling_interval") return {name, Kind::number, v, {{"sampling_rate"}}};
  if (name == "agent_ip") return {name, Kind::address, v, in_packet("sampler_address")};
  if (name == "agent_subid") return {name, Kind::number, v, in_packet("sub_agent_id")};
  if (name == "sys_uptime" && sflow) return {name, Kind::number, v, {{"agent_uptime_ms"}}};
  if (name == "status") return {name, Kind::number, v, {{"interface.if_status"}}};
  if (discard && (name == "in_snmp" || name == "out_snmp")) {
    return {name, Kind::number, v, in_packet(name == "in_snmp" ? "in_if" : "out_if")};
  }
  if (name == "out_queue") return {name, Kind::number, v, {{"", 0, 1036}}};
  if (name == "first_switched" || name == "last_switched") {
    return {name, Kind::number, v, {{"", 0, name[0] == 'f' ? 22u : 21u}}};
  }
  if (name.starts_with("type_")) {
    const bool reverse = name.find("_rev_") != std::string::npos;
    const auto enterprise = static_cast<uint32_t>(std::stoul(name.substr(5)));
    auto id = static_cast<uint32_t>(std::stoul(name.substr(name.rfind('_') + 1)));
    if (reverse) id |= 0x4000;  // as YAF numbers the other direction of its own
    Expected e{name, Kind::octets, hex_text(octets_from_hex(v)), {{"", enterprise, id}}};
    if (enterprise == 29305 && (id == 85 || id == 86)) {  // RFC 5103
      e.kind = Kind::number;
      e.value = number_text(std::stoull(v, nullptr, 16));
      e.places.push_back({id == 85 ? "bytes_in" : "packets_in"});
    }
    if (enterprise == 35632 && id == 118) {
      e.kind = Kind::number;
      e.value = number_text(std::stoull(v, nullptr, 16));
    }
    return e;
  }
  const auto found = names().find(name);
  if (found == names().end()) return {name, Kind::text, v, {}};
  if (sflow) {
    Expected e{name, Kind::number, v, {}};
    if (found->second.sflow != nullptr) e.places.push_back({found->second.sflow});
    return e;
  }
  const bool ntop = found->second.id > 100;
  const uint32_t enterprise = ntop ? 35632 : 0;
  Expected e{name, kind_of(enterprise, found->second.id), v,
             places_of(enterprise, found->second.id)};
  if (e.kind == Kind::address) e.value = same_address(v);
  if (v.starts_with("0x")) e.value = number_text(std::stoull(v, nullptr, 16));
  return e;
}

/// The `key=value` pairs behind the measurement and its tags.
std::map<std::string, std::string> pairs_of(const std::string& line) {
  std::map<std::string, std::string> pairs;
  size_t at = line.find(' ') + 1;
  while (at < line.size() && line[at] != ' ') {
    const size_t equals = line.find('=', at);
    if (equals == std::string::npos) break;
    const std::string name = line.substr(at, equals - at);
    std::string value;
    at = equals + 1;
    if (line[at] == '"') {
      const size_t end = line.find('"', at + 1);
      value = line.substr(at + 1, end - at - 1);
      at = end + 1;
    } else {
      const size_t end = std::min(line.find_first_of(", ", at), line.size());
      value = line.substr(at, end - at);
      if (!value.empty() && value.back() == 'u') value.pop_back();
      at = end;
    }
    pairs[name] = value;
    if (at < line.size() && line[at] == ',') ++at;
  }
  return pairs;
}

}  // namespace

void read_telegraf(const std::filesystem::path& path, Golden& golden) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    Record record;
    const auto pairs = pairs_of(line);
    for (const auto& [name, value] : pairs) record.push_back(value_of(name, value, line));
    // Uptimes as they are, without the header's time: what can be compared is how long.
    if (pairs.contains("first_switched") && !pairs.contains("flow_start_ms")) {
      const uint64_t first = std::stoull(pairs.at("first_switched"));
      const uint64_t last = std::stoull(pairs.at("last_switched"));
      for (Expected& e : record) {
        if (!e.name.ends_with("_switched")) continue;
        e.value = number_text(last - first);
        e.places = {{"@duration_ms"}};
      }
    }
    const bool discard = line.find("sampling_drops=") != std::string::npos;
    auto& to = line.starts_with("netflow_options") ? golden.options
               : !is_sflow(line)                   ? golden.flows
               : discard                           ? golden.discards
                                                   : golden.counters;
    to.push_back(std::move(record));
    golden.events += !is_sflow(line);
  }
}

}  // namespace weir::truth
