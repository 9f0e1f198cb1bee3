// NetGauze (Rust): every field of every datagram, elements by their IANA names.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "support/program.h"
#include "truth/golden_readers.h"

namespace weir::truth {
namespace {

using nlohmann::json;

std::string read_text(const std::filesystem::path& path) {
  if (path.extension() == ".gz") return test::run_program({"gzip", "-dc", path.string()}).out;
  return test::contents_of(path.string());
}

/// NetGauze's spellings of IANA's protocols, forwarding statuses and flow end reasons.
uint64_t number_named(const std::string& element, const json& v) {
  static const std::map<std::string, std::map<std::string, uint64_t>> kNames = {
      {"protocolIdentifier",
       {{"ICMP", 1},
        {"IPv4", 4},
        {"TCP", 6},
        {"UDP", 17},
        {"IPv6", 41},
        {"IPv6ICMP", 58},
        {"VRRP", 112}}},
      {"flowDirection", {{"ingress", 0}, {"egress", 1}}},
      {"flowEndReason", {{"activetimeout", 2}}},
      {"mplsTopLabelType", {{"Unknown", 0}, {"BGP", 4}, {"LDP", 5}}},
      {"selectorAlgorithm", {{"RandomnoutofNSampling", 3}}},
  };
  if (v.is_object()) return v.begin().value().get<uint64_t>();  // {"Unassigned": 255}
  const auto names = kNames.find(element);
  if (names == kNames.end()) throw std::invalid_argument(element + " " + v.dump());
  return names->second.at(v.get<std::string>());
}

uint64_t forwarding_status(const json& v) {
  static const std::map<std::string, uint64_t> kStatus = {
      {"Forwarded", 1}, {"Dropped", 2}, {"Consumed", 3}};
  static const std::map<std::string, uint64_t> kReason = {{"Unknown", 0}, {"Forus", 3}};
  return kStatus.at(v.begin().key()) << 6 | kReason.at(v.begin().value().get<std::string>());
}

uint64_t tcp_flags(const json& v) {
  static const char* const kFlags[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
  uint64_t flags = 0;
  for (size_t i = 0; i < std::size(kFlags); ++i) {
    if (v.at(kFlags[i]).get<bool>()) flags |= uint64_t{1} << i;
  }
  return flags;
}

std::string octets_of(const json& numbers) {
  std::string octets;
  for (const json& n : numbers) octets += static_cast<char>(n.get<uint8_t>());
  return octets;
}

/// What uptimes refer to: the message's header, or options data before it.
struct Clock {
  uint64_t export_ns = 0;
  uint32_t uptime_ms = 0;
  bool boot_known = false;  // else the export time stands in

  uint64_t at(uint32_t uptime) const {
    if (!boot_known) return export_ns;
    const auto ago_ms = static_cast<int32_t>(uptime_ms - uptime);
    return export_ns - static_cast<uint64_t>(int64_t{ago_ms} * 1'000'000);
  }
};

Expected value_of(const std::string& name, const json& v, const Clock& clock) {
  const uint32_t id = element_named(name);
  Expected e{name, kind_of(0, id), "", places_of(0, id)};
  if (id == 0) throw std::invalid_argument("no element " + name);
  const bool starts = name.starts_with("flowStart");
  if (name == "flowStartSysUpTime" || name == "flowEndSysUpTime") {
    e.value = number_text(clock.at(v.get<uint32_t>()));
    e.places = {{starts ? "time_flow_start_ns" : "time_flow_end_ns"}};
  } else if (name == "flowStartMilliseconds" || name == "flowEndMilliseconds") {
    e.value = number_text(iso_time_ns(v));
    e.places = {{starts ? "time_flow_start_ns" : "time_flow_end_ns"}};
  } else if (name == "systemInitTimeMilliseconds") {
    e.value = number_text(iso_time_ns(v) / 1'000'000);
  } else if (name == "forwardingStatus") {
    e.value = number_text(forwarding_status(v));
  } else if (name == "tcpControlBits") {
    e.value = number_text(tcp_flags(v));
  } else if (id >= 70 && id <= 79) {
    const std::string o = octets_of(v);
    const auto at = [&o](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(o[i])); };
    e.kind = Kind::label;
    e.value = number_text((at(0) << 16 | at(1) << 8 | at(2)) >> 4);
  } else if (name == "icmpTypeCodeIPv4" || name == "icmpTypeCodeIPv6") {
    e.value = number_text(v.get<uint64_t>());
  } else if (v.is_array()) {
    uint64_t mac = 0;
    for (const char c : octets_of(v)) mac = mac << 8 | static_cast<uint8_t>(c);
    e.kind = v.size() == 6 ? Kind::mac : Kind::octets;
    e.value = v.size() == 6 ? mac_text(mac) : hex_text(octets_of(v));
  } else if (v.is_number()) {
    e.value = number_text(v.get<uint64_t>());
  } else if (v.is_string() && (e.kind == Kind::address || e.kind == Kind::text)) {
    e.value = e.kind == Kind::address ? same_address(v) : v.get<std::string>();
  } else {
    e.value = number_text(number_named(name, v));
  }
  return e;
}

/// Where a record says addresses, protocol or ports twice, the first are the outer packet's. An address
/// of all zeros says nothing.
void outer_and_inner(Record& values) {
  std::map<std::string, int> seen;
  for (Expected& e : values) {
    if (e.places.empty()) continue;
    std::string& column = e.places[0].column;
    if (column == "ip_tos" && ++seen[column] > 1) e.places.erase(e.places.begin());
    static const char* const kTwice[] = {"src_addr", "dst_addr", "proto", "src_port", "dst_port"};
    if (std::find(std::begin(kTwice), std::end(kTwice), column) == std::end(kTwice)) continue;
    if (column.ends_with("_addr") && is_nothing(e.value)) continue;
    if (++seen[column] > 1) column = "inner_" + column;
    // RFC 792, RFC 4443: type and code where other protocols have ports.
    if (column.ends_with("dst_port"))
      e.places.insert(e.places.end(), {{"@icmp"}, {"@icmpv6_type_alone"}});
  }
}

}  // namespace

void NetgauzeReader::read(const std::filesystem::path& path, Golden& golden) {
  std::istringstream lines(read_text(path));
  for (std::string line; std::getline(lines, line);) {
    const json datagram = json::parse(line);
    const bool v9 = datagram.contains("NetFlowV9");
    const json& m = datagram.begin().value();
    const uint64_t export_ns = iso_time_ns(m.at(v9 ? "unix_time" : "export_time"));
    const uint64_t domain = m.at(v9 ? "source_id" : "observation_domain_id");
    Clock clock{export_ns, v9 ? m.at("sys_up_time").get<uint32_t>() : 0, v9};
    if (const auto boot = boot_ms_.find(domain); !v9 && boot != boot_ms_.end()) {
      clock.uptime_ms = static_cast<uint32_t>(export_ns / 1'000'000 - boot->second);
      clock.boot_known = true;
    }
    for (const json& set : m.at("sets")) {
      if (!set.contains("Data")) continue;
      for (const json& record : set["Data"]["records"]) {
        const bool is_options = !record.at("scope_fields").empty();
        Record values;
        if (!is_options) {
          values.push_back({"version", Kind::number, v9 ? "3" : "4", {{"type"}}});
          values.push_back({"sequence_number",
                            Kind::number,
                            number_text(m.at("sequence_number").get<uint64_t>()),
                            {{"sequence_num"}}});
          values.push_back({v9 ? "source_id" : "observation_domain_id",
                            Kind::number,
                            number_text(domain),
                            {{"observation_domain_id"}}});
        }
        for (const char* part : {"scope_fields", "fields"}) {
          for (const json& field : record.at(part)) {
            values.push_back(value_of(field.begin().key(), field.begin().value(), clock));
            if (values.back().name == "systemInitTimeMilliseconds") {
              boot_ms_[domain] = std::stoull(values.back().value);
            }
          }
        }
        outer_and_inner(values);
        (is_options ? golden.options : golden.flows).push_back(std::move(values));
        ++golden.events;
      }
    }
  }
}

}  // namespace weir::truth
