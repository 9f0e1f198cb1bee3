// Records of real Cisco routers, field by field against what NetGauze's own decoder says of them.
//
// The golden files: a JSON object a datagram, information elements by their IANA names.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "capture_support.h"

namespace weir::decode {
namespace {

using nlohmann::json;

uint64_t parse_time(const std::string& text) {
  std::tm t{};
  double seconds = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%dT%d:%d:%lfZ", &t.tm_year, &t.tm_mon, &t.tm_mday,
                  &t.tm_hour, &t.tm_min, &seconds) != 6) {
    return 0;
  }
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  const auto whole = static_cast<uint64_t>(timegm(&t));
  return whole * 1000 + static_cast<uint64_t>(seconds * 1000 + 0.5);
}

/// One record, as both sides can say it; members that its template does not carry are empty.
struct Flow {
  std::optional<uint64_t> bytes, packets, src_port, dst_port, in_if, out_if, src_as, dst_as, tos,
      ttl, src_net, dst_net, vlan, sampler, in_vrf, out_vrf, start_ms, end_ms;
  std::string src, dst, next_hop, bgp_next_hop, labels;
  bool icmp = false;

  std::string to_string() const {
    std::string s = fmt::format("{}>{} via {}/{} mpls{}", src, dst, next_hop, bgp_next_hop, labels);
    // The golden decoder leaves ICMP's type in the port.
    for (const auto& v : {bytes, packets, icmp ? std::nullopt : src_port,
                          icmp ? std::nullopt : dst_port, in_if, out_if, src_as, dst_as, tos, ttl,
                          src_net, dst_net, vlan, sampler, in_vrf, out_vrf, start_ms, end_ms}) {
      s.push_back(',');
      s += v ? std::to_string(*v) : "-";
    }
    return s;
  }
};

std::string labels_text(const std::vector<uint32_t>& labels) {
  std::string s;
  for (const uint32_t l : labels) {
    s.push_back(' ');
    s += std::to_string(l);
  }
  return s;
}

Flow flow_of(const KeptRecord& kept) {
  const FlowRecord& r = kept.record;
  Flow f;
  const auto take = [&r](Field field, uint64_t value, std::optional<uint64_t>& to) {
    if (r.present.has(field)) to = value;
  };
  take(Field::bytes, r.bytes, f.bytes);
  take(Field::packets, r.packets, f.packets);
  take(Field::src_port, r.src_port, f.src_port);
  take(Field::dst_port, r.dst_port, f.dst_port);
  take(Field::in_if, r.in_if, f.in_if);
  take(Field::out_if, r.out_if, f.out_if);
  take(Field::src_as, r.src_as, f.src_as);
  take(Field::dst_as, r.dst_as, f.dst_as);
  take(Field::ip_tos, r.ip_tos, f.tos);
  take(Field::ip_ttl, r.ip_ttl, f.ttl);
  take(Field::src_net, r.src_net, f.src_net);
  take(Field::dst_net, r.dst_net, f.dst_net);
  take(Field::vlan_id, r.vlan_id, f.vlan);
  take(Field::sampler_id, r.sampler_id, f.sampler);
  take(Field::ingress_vrf_id, r.ingress_vrf_id, f.in_vrf);
  take(Field::egress_vrf_id, r.egress_vrf_id, f.out_vrf);
  take(Field::time_flow_start_ns, r.time_flow_start_ns / 1'000'000, f.start_ms);
  take(Field::time_flow_end_ns, r.time_flow_end_ns / 1'000'000, f.end_ms);
  const auto text = [&r](Field field, const IpAddress& a) {
    return r.present.has(field) ? a.to_string() : std::string();
  };
  f.src = text(Field::src_addr, r.src_addr);
  f.dst = text(Field::dst_addr, r.dst_addr);
  f.next_hop = text(Field::next_hop, r.next_hop);
  f.bgp_next_hop = text(Field::bgp_next_hop, r.bgp_next_hop);
  f.labels = labels_text(kept.numbers(r.mpls_label));
  f.icmp = r.proto == 1 || r.proto == 58;
  return f;
}

/// The IPv4 address unless only the IPv6 one says something.
void take_address(std::string& to, std::string text) {
  if (text.starts_with("::ffff:")) text.erase(0, 7);  // we write such as IPv4
  if (to.empty() || to == "0.0.0.0" || to == "::") {
    if (to.empty() || (text != "0.0.0.0" && text != "::")) to = text;
  }
}

/// What the message's header says, or options data said before it, of times.
struct Clock {
  uint64_t export_ms;
  uint32_t uptime_ms;
  bool boot_known;  // else the export time stands in for uptimes
};

Flow flow_of(const json& fields, const Clock& clock) {
  Flow f;
  std::vector<uint32_t> labels;
  bool bottom = false;
  bool has_proto = false;
  for (const json& field : fields) {
    const std::string name = field.begin().key();
    const json& v = field.begin().value();
    const auto number = [&](const char* wanted, std::optional<uint64_t>& to) {
      if (name == wanted && v.is_number() && !to)
        to = v.get<uint64_t>();  // the outer one's is first
    };
    number("octetDeltaCount", f.bytes);
    number("packetDeltaCount", f.packets);
    number("sourceTransportPort", f.src_port);
    number("destinationTransportPort", f.dst_port);
    number("ingressInterface", f.in_if);
    number("egressInterface", f.out_if);
    number("bgpSourceAsNumber", f.src_as);
    number("bgpDestinationAsNumber", f.dst_as);
    number("ipClassOfService", f.tos);
    number("minimumTTL", f.ttl);
    number("sourceIPv4PrefixLength", f.src_net);
    number("destinationIPv4PrefixLength", f.dst_net);
    number("sourceIPv6PrefixLength", f.src_net);
    number("destinationIPv6PrefixLength", f.dst_net);
    number("vlanId", f.vlan);
    if (!f.vlan) number("dot1qVlanId", f.vlan);
    number("samplerId", f.sampler);
    number("selectorId", f.sampler);
    number("ingressVRFID", f.in_vrf);
    number("egressVRFID", f.out_vrf);
    if (name == "sourceIPv4Address" || name == "sourceIPv6Address") take_address(f.src, v);
    if (name == "destinationIPv4Address" || name == "destinationIPv6Address")
      take_address(f.dst, v);
    if (name == "ipNextHopIPv4Address" || name == "ipNextHopIPv6Address")
      take_address(f.next_hop, v);
    if (name == "bgpNextHopIPv4Address" || name == "bgpNextHopIPv6Address") {
      take_address(f.bgp_next_hop, v);
    }
    if (name == "flowStartMilliseconds") f.start_ms = parse_time(v);
    if (name == "flowEndMilliseconds") f.end_ms = parse_time(v);
    const auto from_uptime = [&](uint32_t ms) {
      if (!clock.boot_known) return clock.export_ms;
      const auto before = static_cast<int32_t>(clock.uptime_ms - ms);
      return clock.export_ms - static_cast<uint64_t>(static_cast<int64_t>(before));
    };
    if (name == "flowStartSysUpTime") f.start_ms = from_uptime(v);
    if (name == "flowEndSysUpTime") f.end_ms = from_uptime(v);
    if (name.starts_with("mpls") && name.find("LabelStackSection") != std::string::npos &&
        !bottom) {
      const uint32_t entry =
          v[0].get<uint32_t>() << 16 | v[1].get<uint32_t>() << 8 | v[2].get<uint32_t>();
      labels.push_back(entry >> 4);
      bottom = (entry & 1) != 0;
    }
    if (name == "protocolIdentifier" && !std::exchange(has_proto, true))
      f.icmp = v == "ICMP" || v == "IPv6ICMP" || v == "ICMPv6";
  }
  if (!bottom) {
    while (!labels.empty() && labels.back() == 0) labels.pop_back();
  }
  f.labels = labels_text(labels);
  return f;
}

std::vector<std::string> golden_flows(const std::filesystem::path& path) {
  std::vector<std::string> flows;
  std::map<uint32_t, uint64_t> boot_ms;  // by domain
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const json datagram = json::parse(line);
    const bool v9 = datagram.contains("NetFlowV9");
    const json& m = v9 ? datagram["NetFlowV9"] : datagram["IPFIX"];
    const uint64_t export_ms = parse_time(v9 ? m["unix_time"] : m["export_time"]);
    Clock clock{export_ms, v9 ? m["sys_up_time"].get<uint32_t>() : 0, v9};
    for (const json& set : m["sets"]) {
      if (!set.contains("Data")) continue;
      for (const json& record : set["Data"]["records"]) {
        if (!record["scope_fields"].empty()) {  // options
          for (const json& field : record["fields"]) {
            if (!field.contains("systemInitTimeMilliseconds")) continue;
            boot_ms[m["observation_domain_id"].get<uint32_t>()] =
                parse_time(field["systemInitTimeMilliseconds"]);
          }
          continue;
        }
        const auto boot = boot_ms.find(m.value("observation_domain_id", 0u));
        if (!v9 && boot != boot_ms.end()) {
          clock = {export_ms, static_cast<uint32_t>(export_ms - boot->second), true};
        }
        flows.push_back(flow_of(record["fields"], clock).to_string());
      }
    }
  }
  return flows;
}

/// traffic-00-flow.json is of traffic-00.pcap.
std::string capture_of(const std::string& golden) {
  return golden.substr(0, golden.size() - std::string_view("-flow.json").size()) + ".pcap";
}

TEST(Goldens, EveryFieldOfNetGauzesDecodes) {
  namespace fs = std::filesystem;
  const fs::path folder = captures_folder() / "NetGauze-NetGauze";
  if (!fs::exists(folder)) GTEST_SKIP() << "no captures in " << folder;
  // The parts of a scenario are one exporter's day: templates of one serve the next.
  std::map<fs::path, std::vector<fs::path>> scenarios;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string path = entry.path().string();
    if (path.ends_with("-flow.json") && fs::exists(capture_of(path))) {
      scenarios[entry.path().parent_path()].push_back(entry.path());
    }
  }
  size_t compared = 0;
  for (auto& [scenario, parts] : scenarios) {
    SCOPED_TRACE(scenario);
    std::sort(parts.begin(), parts.end());
    Bench b(capture_config());
    std::vector<std::string> theirs;
    for (const fs::path& part : parts) {
      const std::string golden = part.string();
      for (const Payload& p : read_payloads(capture_of(golden))) {
        b.send(p.octets, {.source = p.source, .port = p.source_port, .at_ns = p.received_ns});
      }
      for (std::string& flow : golden_flows(part)) theirs.push_back(std::move(flow));
    }
    std::vector<std::string> ours;
    for (const KeptRecord& r : b.sink.records) ours.push_back(flow_of(r).to_string());
    std::sort(ours.begin(), ours.end());
    std::sort(theirs.begin(), theirs.end());
    ASSERT_EQ(ours.size(), theirs.size());
    std::vector<std::string> only_ours;
    std::vector<std::string> only_theirs;
    std::set_difference(ours.begin(), ours.end(), theirs.begin(), theirs.end(),
                        std::back_inserter(only_ours));
    std::set_difference(theirs.begin(), theirs.end(), ours.begin(), ours.end(),
                        std::back_inserter(only_theirs));
    EXPECT_EQ(only_ours, only_theirs);
    compared += ours.size();
  }
  EXPECT_GT(compared, 300u);
  std::cout << compared << " records compared\n";
}

}  // namespace
}  // namespace weir::decode
