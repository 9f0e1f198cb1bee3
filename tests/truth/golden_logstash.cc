// Logstash's netflow codec (Ruby): NetFlow v5 and v9 by names of its own, IPFIX by IANA's.
#include <algorithm>
#include <optional>

#include "support/process.h"
#include "truth/golden_readers.h"

namespace weir::truth {
namespace {

using nlohmann::json;

struct Name {
  uint32_t enterprise;
  uint32_t id;
};

const std::map<std::string, Name>& names() {
  static const std::map<std::string, Name> all = {
      {"ipv4_src_addr", {0, 8}},
      {"ipv4_dst_addr", {0, 12}},
      {"ipv4_next_hop", {0, 15}},
      {"bgp_ipv4_next_hop", {0, 18}},
      {"l4_src_port", {0, 7}},
      {"l4_dst_port", {0, 11}},
      {"protocol", {0, 4}},
      {"in_bytes", {0, 1}},
      {"in_pkts", {0, 2}},
      {"out_bytes", {0, 23}},
      {"out_pkts", {0, 24}},
      {"in_permanent_bytes", {0, 85}},
      {"flows", {0, 3}},
      {"input_snmp", {0, 10}},
      {"output_snmp", {0, 14}},
      {"src_tos", {0, 5}},
      {"tcp_flags", {0, 6}},
      {"src_as", {0, 16}},
      {"dst_as", {0, 17}},
      {"src_mask", {0, 9}},
      {"dst_mask", {0, 13}},
      {"direction", {0, 61}},
      {"ip_protocol_version", {0, 60}},
      {"src_vlan", {0, 58}},
      {"dst_vlan", {0, 59}},
      {"in_src_mac", {0, 56}},
      {"out_dst_mac", {0, 57}},
      {"in_dst_mac", {0, 80}},
      {"out_src_mac", {0, 81}},
      {"icmp_type", {0, 176}},
      {"icmp_code", {0, 177}},
      {"flow_sampler_id", {0, 48}},
      {"sampling_interval", {0, 34}},
      {"sampling_algorithm", {0, 35}},
      {"flow_active_timeout", {0, 36}},
      {"flow_inactive_timeout", {0, 37}},
      {"engine_type", {0, 38}},
      {"engine_id", {0, 39}},
      {"total_bytes_exp", {0, 40}},
      {"total_pkts_exp", {0, 41}},
      {"total_flows_exp", {0, 42}},
      {"forwarding_status", {0, 89}},
      {"src_traffic_index", {0, 92}},
      {"dst_traffic_index", {0, 93}},
      {"application_description", {0, 94}},
      {"application_id", {0, 95}},
      {"application_name", {0, 96}},
      {"flow_end_reason", {0, 136}},
      {"conn_id", {0, 148}},
      {"ip_dscp", {0, 195}},
      {"xlate_src_addr_ipv4", {0, 225}},
      {"xlate_dst_addr_ipv4", {0, 226}},
      {"xlate_src_port", {0, 227}},
      {"xlate_dst_port", {0, 228}},
      {"fw_event", {0, 233}},
      {"fw_ext_event", {0, 33002}},
      {"ingress_acl_id", {0, 33000}},
      {"egress_acl_id", {0, 33001}},
      {"username", {0, 40000}},
      {"event_time_msec", {0, 323}},
      {"flow_start_msec", {0, 152}},
      {"app_id", {0, 56701}},
      {"user_id", {0, 56702}},
      {"nprobe_proto", {0, 57472 + 118}},
      {"nprobe_proto_name", {0, 57472 + 119}},
      {"Timestamp", {10704, 1}},
      {"LogOp", {10704, 2}},
      {"TrafficType", {10704, 3}},
      {"FW_Rule", {10704, 4}},
      {"ServiceName", {10704, 5}},
      {"Reason", {10704, 6}},
      {"ReasonText", {10704, 7}},
      {"BindIPv4Address", {10704, 8}},
      {"BindTransportPort", {10704, 9}},
      {"ConnIPv4Address", {10704, 10}},
      {"ConnTransportPort", {10704, 11}},
      {"AuditCounter", {10704, 12}},
      {"natInsideSvcid", {637, 91}},
      {"natOutsideSvcid", {637, 92}},
      {"natSubString", {637, 93}},
      {"viptelaVPNId", {41916, 4321}},
  };
  return all;
}

constexpr uint64_t kNsPerMs = 1'000'000;

/// The time of a flow's start or end; ours is as exact as the exporter's, theirs is cut.
Expected time_value(const std::string& name, bool start, uint64_t ns, uint64_t tolerance) {
  return {name,
          Kind::number,
          number_text(ns),
          {{start ? "time_flow_start_ns" : "time_flow_end_ns"}},
          tolerance};
}

std::string plain(const json& v) {
  return v.is_string() ? v.get<std::string>() : number_text(v.get<uint64_t>());
}

/// What the codec computes itself instead of copying it; empty for the rest.
std::optional<Record> special(const std::string& name, const json& v, int version) {
  if (name == "version") {
    return Record{{name, Kind::number, version == 5 ? "2" : version == 9 ? "3" : "4", {{"type"}}}};
  }
  if (name == "flow_seq_num") return Record{{name, Kind::number, plain(v), {{"sequence_num"}}}};
  if (name == "first_switched" || name == "last_switched") {
    return Record{time_value(name, name[0] == 'f', iso_time_ns(v), kNsPerMs)};
  }
  if (name == "flowStartMilliseconds" || name == "flowEndMilliseconds") {
    return Record{time_value(name, name[4] == 'S', iso_time_ns(v), kNsPerMs)};
  }
  if (name == "flow_start_msec") {
    return Record{time_value(name, true, v.get<uint64_t>() * kNsPerMs, 0)};
  }
  if (name == "flowStartSeconds" || name == "flowEndSeconds") {
    const uint64_t ns = v.is_string() ? iso_time_ns(v) : v.get<uint64_t>() * 1000 * kNsPerMs;
    return Record{time_value(name, name[4] == 'S', ns, 0)};
  }
  if (name == "flowDurationMilliseconds") {
    return Record{{name, Kind::number, plain(v), {{"", 0, 161}}}};
  }
  if (name == "event_time_msec") {
    return Record{{name,
                   Kind::number,
                   number_text(v.get<uint64_t>() * kNsPerMs),
                   {{"time_flow_end_ns"}, {"time_flow_start_ns"}}}};
  }
  if (name == "forwarding_status") {
    const uint64_t octet = v.at("status").get<uint64_t>() << 6 | v.at("reason").get<uint64_t>();
    return Record{{name, Kind::number, number_text(octet), {{"forwarding_status"}}}};
  }
  if (name == "mpls_label_stack_octets") {
    Record values;
    for (const auto& [part, value] : v.items()) {
      const char* column = part == "ttl"     ? "mpls_ttl/0"
                           : part == "label" ? "mpls_label/0"
                                             : nullptr;
      Expected e{name + "." + part, Kind::number, plain(value), {}};
      if (column != nullptr) e.places.push_back({column});
      values.push_back(std::move(e));
    }
    return values;
  }
  if (name == "ingress_acl_id" || name == "egress_acl_id") {
    std::string hex = v;
    hex.erase(std::remove(hex.begin(), hex.end(), '-'), hex.end());
    return Record{{name, Kind::octets, hex, places_of(0, names().at(name).id)}};
  }
  if (version == 5 && (name == "engine_type" || name == "engine_id")) {
    return Record{{name, Kind::number, plain(v), {{"@" + name}}}};
  }
  return {};
}

void add_value(const std::string& name, const json& v, int version, Record& record) {
  if (const auto values = special(name, v, version); values) {
    record.insert(record.end(), values->begin(), values->end());
    return;
  }
  Name what{0, 0};
  if (const auto found = names().find(name); found != names().end()) {
    what = found->second;
  } else {
    what.id = element_named(name);
  }
  Expected e{name, kind_of(what.enterprise, what.id), plain(v), {}};
  if (what.id != 0) e.places = places_of(what.enterprise, what.id);
  if (what.id == 95) e.kind = Kind::application;
  // NSEL's types for the same before they had numbers of IANA.
  if (what.id >= 225 && what.id <= 228) e.places.push_back({"", 0, what.id - 225 + 40'001});
  if (v.is_number() && e.kind != Kind::mac) e.kind = Kind::number;
  if (v.is_string() && e.kind == Kind::number) {
    const std::string text = v;
    e.kind = text.find(':') == 2          ? Kind::mac
             : same_address(text) != text ? Kind::address
                                          : Kind::text;
    if (text.find('.') != std::string::npos && e.kind == Kind::text) e.kind = Kind::address;
  }
  if (e.kind == Kind::address) e.value = same_address(e.value);
  record.push_back(std::move(e));
}

bool is_options(const json& event) {
  for (const char* name : {"scope_system", "meteringProcessId", "exportingProcessId"}) {
    if (event.contains(name)) return true;
  }
  return !event.contains("in_bytes") && event.contains("sampling_interval") &&
         !event.contains("protocol");
}

}  // namespace

void read_logstash(const std::filesystem::path& path, Golden& golden) {
  const json g = json::parse(test::contents_of(path.string()));
  if (g.at("expected_event_count").is_number()) golden.events = g["expected_event_count"];
  std::map<int, json> events;  // by their place among all events
  for (const json& at : g.at("json_map")) {
    events[at.at("decode_index").get<int>()] =
        g.at("json_events").at(at.at("json_events_index").get<size_t>()).at("netflow");
  }
  for (size_t i = 0; i < g.at("json_events").size(); ++i) {
    const json& event = g["json_events"][i].at("netflow");
    const bool mapped = std::any_of(events.begin(), events.end(),
                                    [&event](const auto& e) { return e.second == event; });
    if (!mapped) events[1000 + static_cast<int>(i)] = event;
  }
  // decode[1].get("[netflow][version]") is 9
  for (const json& a : g.at("asserts")) {
    const std::string expr = a.at("expr");
    const size_t field = expr.find("[netflow][");
    if (!expr.starts_with("decode[") || field == std::string::npos) continue;
    const std::string name = expr.substr(field + 10, expr.find(']', field + 10) - field - 10);
    const int index = std::atoi(expr.c_str() + 7);
    const json value = json::parse(a.at("value").get<std::string>(), nullptr, false);
    if (value.is_discarded()) continue;
    events[index].emplace(name, value);
  }
  uint64_t boot_ms = 0;
  for (const auto& [index, event] : events) {
    if (event.contains("systemInitTimeMilliseconds")) boot_ms = event["systemInitTimeMilliseconds"];
  }
  for (const auto& [index, event] : events) {
    const int version = event.value("version", 0);
    Record record;
    for (const auto& [name, value] : event.items()) {
      if (value.is_null()) continue;
      if (boot_ms != 0 && name.ends_with("SysUpTime")) {
        const uint64_t ms = boot_ms + value.get<uint64_t>();
        record.push_back(time_value(name, name[4] == 'S', ms * kNsPerMs, 0));
        continue;
      }
      add_value(name, value,
                version != 0                    ? version
                : event.contains("l4_src_port") ? 5
                                                : 9,
                record);
    }
    (is_options(event) ? golden.options : golden.flows).push_back(std::move(record));
  }
}

}  // namespace weir::truth
