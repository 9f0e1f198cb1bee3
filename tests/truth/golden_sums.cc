// Programs that add up what they read: pmacct's flows, softflowd's own statistics.
#include <fstream>
#include <regex>
#include <sstream>

#include "support/process.h"
#include "truth/golden_readers.h"

namespace weir::truth {
namespace {

using nlohmann::json;
using Op = Sum::Op;

const std::map<std::string, std::string>& protocols() {
  static const std::map<std::string, std::string> all = {
      {"icmp", "1"},   {"tcp", "6"}, {"udp", "17"},    {"ipv6-icmp", "58"},
      {"vrrp", "112"}, {"ip", "0"},  {"ipencap", "4"}, {"ipv6", "41"}};
  return all;
}

std::string flags_number(const json& names) {
  static const char* const kFlags[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
  uint64_t flags = 0;
  for (size_t i = 0; i < std::size(kFlags); ++i) {
    for (const json& name : names) {
      if (name == kFlags[i]) flags |= uint64_t{1} << i;
    }
  }
  return number_text(flags);
}

std::string forwarding_number(const std::string& text) {
  static const std::map<std::string, const char*> kStatus = {
      {"UNKNOWN Unclassified", "0"}, {"FORWARDED Unknown", "64"}, {"CONSUMED For us", "195"}};
  return kStatus.at(text);
}

/// `["0-69", "1-24305"]` → `69 24305`
std::string labels_text(const json& labels) {
  std::string text;
  for (const json& l : labels) {
    const std::string entry = l;
    append_word(text, entry.substr(entry.find('-') + 1));
  }
  return text;
}

std::string joined(const json& list) {
  std::string text;
  for (const json& l : list) append_word(text, l.is_string() ? l.get<std::string>() : l.dump());
  return text;
}

/// What pmacct knows by BGP, BMP, its own maps and configuration, and of itself.
constexpr const char* kNotExported = "(not of the export)";

uint64_t seconds_ns(const std::string& text) { return std::stoull(text) * 1'000'000'000; }

struct About {
  bool timed;      // flows have times of their own
  bool routed;     // networks are those of its BGP table
  bool tunnelled;  // tunnel_… are the outer packet's, the others the inner one's
};

void add_pmacct(const std::string& name, const json& v, const About& about, SumRecord& to) {
  static const std::map<std::string, const char*> kNumbers = {{"iface_in", "in_if"},
                                                              {"iface_out", "out_if"},
                                                              {"mask_src", "src_net"},
                                                              {"mask_dst", "dst_net"},
                                                              {"port_src", "src_port"},
                                                              {"port_dst", "dst_port"},
                                                              {"tos", "ip_tos"},
                                                              {"vlan_in", "vlan_id"},
                                                              {"vrf_id_ingress", "ingress_vrf_id"},
                                                              {"vrf_id_egress", "egress_vrf_id"}};
  static const std::map<std::string, const char*> kTexts = {
      {"ip_src", "src_addr"},
      {"ip_dst", "dst_addr"},
      {"mac_src", "src_mac"},
      {"mac_dst", "dst_mac"},
      {"net_src", "@src_prefix"},
      {"net_dst", "@dst_prefix"},
      {"mpls_tl_ipv4_address", "mpls_ip/0"},
      {"ingress_vrf_name", "ingress_vrf_name"},
      {"egress_vrf_name", "egress_vrf_name"},
      {"tunnel_ip_src", "inner_src_addr"},
      {"tunnel_ip_dst", "inner_dst_addr"}};
  const std::string text = v.is_string() ? v.get<std::string>() : v.is_number() ? v.dump() : "";
  const auto add = [&](const std::string& value, std::string column) {
    static const std::map<std::string, const char*> kInner = {
        {"src_addr", "inner_src_addr"}, {"dst_addr", "inner_dst_addr"}, {"proto", "inner_proto"},
        {"src_port", "inner_src_port"}, {"dst_port", "inner_dst_port"}, {"inner_proto", "proto"},
        {"inner_src_addr", "src_addr"}, {"inner_dst_addr", "dst_addr"}};
    if (about.tunnelled && kInner.contains(column)) column = kInner.at(column);
    Expected e{name, Kind::number, value, {{column}}};
    if (column.ends_with("dst_port"))
      e.places.insert(e.places.end(), {{"@icmp"}, {"@icmpv6_type_alone"}});
    if (about.tunnelled && column == "ip_tos") e.places = {{"", 0, 5}};
    to.filter.push_back(std::move(e));
  };
  if (name == "packets" || name == "bytes") {
    to.sums.push_back({name, Op::total, name, v.get<uint64_t>()});
  } else if (name == "tcp_flags") {
    // A key where flows are kept apart by their times, else collected over those added up.
    if (about.timed) {
      add(flags_number(v), "tcp_flags");
    } else {
      to.sums.push_back({name, Op::any_bit, "tcp_flags", std::stoull(flags_number(v))});
    }
  } else if (name == "timestamp_start" || name == "timestamp_end") {
    if (!about.timed) {
      to.filter.push_back({name, Kind::number, text, {}});
      return;
    }
    const bool start = name.ends_with("start");
    to.filter.push_back({name,
                         Kind::number,
                         number_text(seconds_ns(text)),
                         {{start ? "time_flow_start_ns" : "time_flow_end_ns"}},
                         1'000'000'000,
                         1'000'000'000});
  } else if (about.routed && (name.starts_with("mask_") || name.starts_with("net_"))) {
    to.filter.push_back({"(network of a BGP table)", Kind::text, "", {}});
  } else if (const auto n = kNumbers.find(name); n != kNumbers.end()) {
    add(text, n->second);
  } else if (const auto t = kTexts.find(name); t != kTexts.end()) {
    add(same_address(text), t->second);
  } else if (name == "fwd_status") {
    add(forwarding_number(text), "forwarding_status");
  } else if (name == "ip_proto") {
    add(protocols().contains(text) ? protocols().at(text) : text, "proto");
  } else if (name == "tunnel_ip_proto") {
    add(protocols().contains(text) ? protocols().at(text) : text, "inner_proto");
  } else if (name == "etype") {
    add(number_text(std::stoull(text, nullptr, 16)), "etype");
  } else if (name == "mpls_label_stack") {
    add(labels_text(v), "@mpls_labels");
  } else if (name == "srv6_seg_ipv6_list") {
    add(joined(v), "@segments");
  } else if (name == "mpls_vpn_rd" && text.starts_with("vrfid:")) {
    add(text.substr(6), "ingress_vrf_id");
  } else if (name == "mpls_tl_prefix_length") {
    to.filter.push_back({name, Kind::number, text, {{"", 0, 91}}});
  } else if (name == "mpls_tl_type") {
    to.filter.push_back({name, Kind::number, text, {{"", 0, 46}}});
  } else if (name == "custom_primitives") {
    for (const auto& [inner, value] : v.items()) add_pmacct(inner, value, about, to);
  } else {
    to.filter.push_back({kNotExported, Kind::text, "", {}});
  }
}

/// Flows that only differ in what cannot be compared are sums of the same flows of ours.
void merge_alike(std::vector<SumRecord>& records) {
  std::map<std::string, SumRecord*> first;
  for (SumRecord& r : records) {
    std::string key;
    for (const Expected& e : r.filter) {
      if (!e.places.empty()) append_word(key, e.name + '=' + e.value);
    }
    auto [at, is_first] = first.emplace(std::move(key), &r);
    if (is_first) continue;
    for (size_t i = 0; i < r.sums.size(); ++i) {
      Sum& to = at->second->sums[i];
      to.value = to.op == Op::any_bit ? to.value | r.sums[i].value : to.value + r.sums[i].value;
    }
    r.sums.clear();
  }
}

}  // namespace

std::vector<SumRecord> read_pmacct(const std::filesystem::path& path) {
  std::vector<SumRecord> records;
  // IPFIX with uptimes: it takes the export time, and does not know options data (element 160).
  const bool ipfix = path.string().find("/50") != std::string::npos;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const json flow = json::parse(line);
    SumRecord& record = records.emplace_back();
    const bool routed = path.string().find("-BGP-") != std::string::npos ||
                        path.string().find("-BMP-") != std::string::npos;
    const About about{flow.contains("timestamp_start") && !ipfix, routed,
                      !flow.value("tunnel_ip_src", "").empty()};
    for (const auto& [name, value] : flow.items()) add_pmacct(name, value, about, record);
  }
  merge_alike(records);
  return records;
}

std::vector<SumRecord> read_softflowd(const std::filesystem::path& path) {
  std::vector<SumRecord> records;
  std::istringstream lines(test::contents_of(path.string()));
  static const std::regex exported(R"(Flows exported: \d+ \((\d+) records\).*)");
  static const std::regex protocol(R"(\s+(\S+) \((\d+)\):\s+(\d+)\s+(\d+)\s.*)");
  for (std::string line; std::getline(lines, line);) {
    std::smatch m;
    if (std::regex_match(line, m, exported)) {
      records.push_back({{}, {{"Flows exported", Op::count, "", std::stoull(m[1])}}});
    } else if (std::regex_match(line, m, protocol)) {
      records.push_back({{{m[1].str() + " protocol", Kind::number, m[2], {{"proto"}}}},
                         {{"Octets", Op::total, "bytes", std::stoull(m[3])},
                          {"Packets", Op::total, "packets", std::stoull(m[4])}}});
    }
  }
  return records;
}

}  // namespace weir::truth
