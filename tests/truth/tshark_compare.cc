#include "truth/tshark_compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <set>

#include "base/byte_order.h"
#include "base/ip_address.h"
#include "flow.pb.h"
#include "lab/capture_file.h"
#include "lab/export_payload.h"
#include "lab/frame_builder.h"
#include "support/captures.h"
#include "support/program.h"
#include "truth/differences.h"
#include "truth/golden.h"
#include "truth/tshark_flows.h"

namespace weir::truth {
namespace {

using flowpb::FlowMessage;
using test::CaptureFile;
using test::run_program;

// ---- Values in one form -------------------------------------------------------------------------

/// tshark shows numbers in tens and in hexadecimal.
std::string same_number(const std::string& text) {
  return number_text(std::strtoull(text.c_str(), nullptr, 0));
}
std::string same_address(const std::string& text) {
  const auto a = IpAddress::parse(text);
  return a ? a->to_string() : text;
}
std::string same(const std::string& text) { return text; }

/// A field of FlowMessage and what tshark calls its sources. Where a record has several of them, any
/// may be the one taken: which one is another test's matter.
struct Compared {
  const char* name;
  std::vector<const char*> tshark;
  std::function<std::string(const FlowMessage&)> ours;
  std::string (*normal)(const std::string&);
};

const std::vector<Compared>& compared() {
#define NUMBER(field)  [](const FlowMessage& m) { return number_text(m.field()); }, same_number
#define ADDRESS(field) [](const FlowMessage& m) { return address_text(m.field()); }, same_address
#define MAC(field)     [](const FlowMessage& m) { return mac_text(m.field()); }, same
  static const std::vector<Compared> all = {
      {"src_addr",
       {"cflow.srcaddr", "cflow.srcaddrv6", "ip.src", "ipv6.src", "sflow_245.ipv4_src",
        "sflow_245.ipv6_src"},
       ADDRESS(src_addr)},
      {"dst_addr",
       {"cflow.dstaddr", "cflow.dstaddrv6", "ip.dst", "ipv6.dst", "sflow_245.ipv4_dst",
        "sflow_245.ipv6_dst"},
       ADDRESS(dst_addr)},
      {"next_hop", {"cflow.nexthop", "cflow.nexthopv6", "sflow_245.nexthop"}, ADDRESS(next_hop)},
      {"bgp_next_hop", {"cflow.bgpnexthop", "cflow.bgpnexthopv6"}, ADDRESS(bgp_next_hop)},
      {"bytes", {"cflow.octets", "sflow_245.header.frame_length"}, NUMBER(bytes)},
      {"packets", {"cflow.packets"}, NUMBER(packets)},
      {"proto",
       {"cflow.protocol", "ip.proto", "ipv6.nxt", "ipv6.fraghdr.nxt", "ipv6.hopopts.nxt",
        "ipv6.routing.nxt", "ipv6.dstopts.nxt", "sflow.ip_protocol"},
       NUMBER(proto)},
      {"src_port",
       {"cflow.srcport", "tcp.srcport", "udp.srcport", "sflow_245.ip.source_port"},
       NUMBER(src_port)},
      {"dst_port",
       {"cflow.dstport", "tcp.dstport", "udp.dstport", "sflow.ip.destination_port"},
       NUMBER(dst_port)},
      {"in_if",
       {"cflow.inputint", "sflow.flow_sample.input_interface",
        "sflow.flow_sample.input_interface_value"},
       NUMBER(in_if)},
      {"out_if", {"cflow.outputint", "sflow.flow_sample.output_interface_value"}, NUMBER(out_if)},
      {"src_as", {"cflow.srcas"}, NUMBER(src_as)},
      {"dst_as", {"cflow.dstas"}, NUMBER(dst_as)},
      {"src_net", {"cflow.srcmask", "cflow.srcmaskv6"}, NUMBER(src_net)},
      {"dst_net", {"cflow.dstmask", "cflow.dstmaskv6"}, NUMBER(dst_net)},
      {"ip_tos", {"cflow.tos"}, NUMBER(ip_tos)},
      {"tcp_flags", {"cflow.tcpflags", "tcp.flags"}, NUMBER(tcp_flags)},
      {"flow_direction", {"cflow.direction"}, NUMBER(flow_direction)},
      {"flow_end_reason", {"cflow.flow_end_reason"}, NUMBER(flow_end_reason)},
      {"src_vlan", {"cflow.vlanid", "cflow.dot1q_vlan_id", "sflow_245.vlan.in"}, NUMBER(src_vlan)},
      {"dst_vlan",
       {"cflow.post_vlanid", "cflow.post_dot1q_vlan_id", "sflow_245.vlan.out"},
       NUMBER(dst_vlan)},
      {"src_mac", {"cflow.srcmac", "cflow.post_srcmac", "eth.src"}, MAC(src_mac)},
      {"dst_mac", {"cflow.dstmac", "cflow.post_dstmac", "eth.dst"}, MAC(dst_mac)},
      {"ip_ttl", {"cflow.ip_ttl", "cflow.ttl_min", "ip.ttl", "ipv6.hlim"}, NUMBER(ip_ttl)},
      {"ipv6_flow_label", {"cflow.ipv6flowlabel", "ipv6.flow"}, NUMBER(ipv6_flow_label)},
      {"fragment_id", {"cflow.frag_ident", "ip.id"}, NUMBER(fragment_id)},
      {"fragment_offset", {"cflow.fragment_offset"}, NUMBER(fragment_offset)},
      {"icmp_type",
       {"cflow.icmp_ipv4_type", "cflow.icmp_ipv6_type", "icmp.type", "icmpv6.type"},
       NUMBER(icmp_type)},
      {"icmp_code",
       {"cflow.icmp_ipv4_code", "cflow.icmp_ipv6_code", "icmp.code", "icmpv6.code"},
       NUMBER(icmp_code)},
      {"sampler_id", {"cflow.sampler_id", "cflow.selector_id"}, NUMBER(sampler_id)},
      {"ingress_vrf_id", {"cflow.ingress_vrfid"}, NUMBER(ingress_vrf_id)},
      {"egress_vrf_id", {"cflow.egress_vrfid"}, NUMBER(egress_vrf_id)},
      {"nat_event", {"cflow.nat_event"}, NUMBER(nat_event)},
      {"firewall_event", {"cflow.firewall_event"}, NUMBER(firewall_event)},
      {"post_nat_src_addr",
       {"cflow.post_natsource_ipv4_address", "cflow.post_nat_source_ipv6_address"},
       ADDRESS(post_nat_src_addr)},
      {"post_nat_dst_addr",
       {"cflow.post_natdestination_ipv4_address", "cflow.post_nat_destination_ipv6_address"},
       ADDRESS(post_nat_dst_addr)},
      {"post_nat_src_port", {"cflow.post_naptsource_transport_port"}, NUMBER(post_nat_src_port)},
      {"post_nat_dst_port",
       {"cflow.post_naptdestination_transport_port"},
       NUMBER(post_nat_dst_port)},
      {"port_range_start", {"cflow.port_range_start"}, NUMBER(port_range_start)},
      {"port_range_end", {"cflow.port_range_end"}, NUMBER(port_range_end)},
      {"sampling_rate", {"sflow.flow_sample.sampling_rate"}, NUMBER(sampling_rate)},
      {"vlan_id", {"vlan.id"}, NUMBER(vlan_id)},
  };
#undef NUMBER
#undef ADDRESS
#undef MAC
  return all;
}

std::vector<std::string> values_of(const TsharkFlow& flow, const Compared& c) {
  std::vector<std::string> values;
  for (const char* key : c.tshark) {
    for (auto [at, end] = flow.equal_range(key); at != end; ++at) {
      values.push_back(c.normal(at->second));
    }
  }
  return values;
}

bool is_nothing(const std::string& v) {
  return v == "0" || v == "" || v == "0.0.0.0" || v == "::" || v == "00:00:00:00:00:00";
}

// ---- Differences ----------------------------------------------------------------------------------

/// Why a value differs, where that is right; null where it is not known to be.
const char* explain(const Compared& c, const TsharkFlow& theirs, const FlowMessage& ours,
                    const std::string& where) {
  const std::string_view name = c.name;
  const bool icmp = ours.proto() == 1 || ours.proto() == 58;
  if (icmp &&
      (name == "dst_port" || name == "src_port" || name == "icmp_type" || name == "icmp_code")) {
    // The port's octets are type and code: docs/FLOW_MESSAGE.md, row icmp_type.
    return "ICMP has no ports";
  }
  if (ours.proto() == 47 && (name == "dst_port" || name == "src_port" || name == "tcp_flags")) return "GRE has no ports";
  const auto is = [&theirs](const char* key, const std::string& value) {
    const auto found = theirs.find(key);
    return found != theirs.end() && found->second == value;
  };
  // sFlow v5 §5, "interface": the upper two bits say what the rest is; all of it set is unknown.
  if (name == "in_if" && is("sflow.flow_sample.input_interface", "1073741823") &&
      ours.in_if() == 0) {
    return "an unknown interface is 0";
  }
  if (name == "out_if" && ours.out_if() == 0 &&
      (is("sflow.flow_sample.output_interface_format", "1") ||
       is("sflow.flow_sample.output_interface_format", "2") ||
       is("sflow.flow_sample.output_interface_value", "1073741823"))) {
    return "a reason or a count is no interface";
  }
  // tshark has one name for the next hops of extended_router and extended_gateway.
  if (name == "next_hop" && ours.next_hop().empty() &&
      is("sflow_245.nexthop", address_text(ours.bgp_next_hop()))) {
    return "the next hop of extended_gateway is BGP's";
  }
  // sFlow v5 §5: a sample is opaque octets of a given length; tshark reads on behind its end.
  if (where.find("SFlowTestPacket5") != std::string::npos && name == "next_hop") {
    return "what lies behind a sample's end";
  }
  return nullptr;
}

/// Captures in which tshark gives up on a set, and why going on is right.
const char* explain_records(const std::string& file) {
  // The template has an IPV4_NEXT_HOP of two octets, and RFC 3954 §5.2 makes the template's field
  // length the one that holds; tshark ends the FlowSet there.
  if (file == "sequences/logstash-16-Netflow_9_H3C.pcap") return "a field of unusual length";
  return nullptr;
}

void compare_flow(const TsharkFlow& theirs, const FlowMessage& ours, const std::string& where,
                  Report& report) {
  for (const Compared& c : compared()) {
    const std::vector<std::string> values = values_of(theirs, c);
    if (values.empty()) continue;
    ++report.values;
    const std::string own = c.ours(ours);
    if (std::find(values.begin(), values.end(), own) != values.end()) continue;
    if (is_nothing(own) && std::any_of(values.begin(), values.end(), is_nothing)) continue;
    if (const char* why = explain(c, theirs, ours, where); why != nullptr) {
      ++report.explained[why];
      continue;
    }
    report.differs(c.name, where + ": tshark " + values.front() + ", ours " + own);
  }
}

void compare_times(const TsharkMessage& message, const TsharkFlow& theirs, const FlowMessage& ours,
                   const std::string& where, Report& report) {
  const auto one = [&](const char* uptime_key, const char* absolute_key, uint64_t own,
                       const char* name) {
    uint64_t expected = 0;
    if (theirs.count(absolute_key) == 1) {
      expected = parse_time(theirs.find(absolute_key)->second);
    } else if (message.version < 10 && theirs.count(uptime_key) == 1) {
      const uint64_t uptime_ms = parse_seconds(theirs.find(uptime_key)->second) / 1'000'000;
      const auto delta_ms = static_cast<int32_t>(static_cast<uint32_t>(uptime_ms) -
                                                 static_cast<uint32_t>(message.uptime_ms));
      expected = message.export_ns + static_cast<uint64_t>(int64_t{delta_ms} * 1'000'000);
    }
    if (expected == 0) return;
    ++report.values;
    // RFC 7011 §6.1.9: the lowest bits of a fraction are below a microsecond, and noise.
    if (own - expected + 1000 <= 2000) return;
    if (ours.time_source() == flowpb::TIME_EXPORT || ours.time_source() == flowpb::TIME_RECEIVED) {
      ++report.explained["an implausible time is replaced, and time_source says so"];
      return;
    }
    report.differs(name, where + ": tshark " + std::to_string(expected) + ", ours " +
                             std::to_string(own) + " (source " +
                             flowpb::TimeSource_Name(ours.time_source()) + ")");
  };
  one("cflow.timestart", "cflow.abstimestart", ours.time_flow_start_ns(), "time_flow_start_ns");
  one("cflow.timeend", "cflow.abstimeend", ours.time_flow_end_ns(), "time_flow_end_ns");
}

// ---- Captures -------------------------------------------------------------------------------------

/// The UDP ports in a capture to which exports go, and the dissector that tshark has to be told.
std::map<uint16_t, const char*> export_ports(const std::string& file) {
  std::map<uint16_t, const char*> ports;
  auto reader = lab::CaptureReader::open(file);
  if (!reader) return ports;
  lab::CapturedFrame frame;
  for (;;) {
    const auto more = reader->next(frame);
    if (!more || !*more) return ports;
    const auto view = packet::parse_frame(frame.octets, frame.link);
    if (view.verdict != packet::FrameVerdict::udp || view.payload.size() < 16) continue;
    if (lab::is_export_port(view.dst_port) || lab::looks_like_export(view.payload)) {
      ports[view.dst_port] = load_be16(view.payload.data()) == 0 ? "sflow" : "cflow";
    }
  }
}

/// Payload files as a capture, for both decoders alike.
std::string as_pcap(const CaptureFile& file, const test::TemporaryFolder& folder) {
  if (file.is_pcap()) return file.path();
  std::string to = folder / "wrapped.pcap";
  auto reader = lab::PayloadReader::open(file.path());
  auto writer = lab::CaptureWriter::create(to, packet::LinkType::ethernet);
  if (!reader || !writer) return "";
  const lab::UdpEnds ends = {"192.0.2.1", "192.0.2.2", 50'000, 2055};
  for (uint64_t i = 0;; ++i) {
    const auto payload = reader->next();
    if (!payload || payload->empty()) break;
    const lab::Octets octets(payload->begin(), payload->end());
    const uint64_t time_ns = uint64_t{lab::export_seconds(*payload)} * 1'000'000'000 + i;
    if (octets.size() > 65'000 || !writer->write(lab::udp_frame(ends, octets), time_ns)) return "";
  }
  return writer->close() ? to : "";
}

using Key = std::pair<uint64_t, uint32_t>;  // packet's time, sequence number

/// What a sample is told by: length, interface, VLAN.
std::vector<std::string> marks_of(const std::function<std::string(const Compared&)>& value_of) {
  std::vector<std::string> marks;
  for (const Compared& c : compared()) {
    const std::string_view name = c.name;
    if (name == "bytes" || name == "in_if" || name == "src_vlan") marks.push_back(value_of(c));
  }
  return marks;
}
std::vector<std::string> marks_of(const FlowMessage& m) {
  return marks_of([&](const Compared& c) { return c.ours(m); });
}
std::vector<std::string> marks_of(const TsharkFlow& flow) {
  return marks_of([&](const Compared& c) {
    const std::vector<std::string> values = values_of(flow, c);
    return values.empty() ? std::string() : values.front();
  });
}

}  // namespace

void Report::print() const {
  std::cout << messages << " messages (" << messages_of_other_size << " of another number of records), " << values
            << " values compared; " << unexplained << " differ\n";
  for (const auto& [why, count] : explained) std::cout << "  " << count << " explained: " << why << "\n";
  for (const auto& [field, what] : differences) {
    std::cout << "  " << what.first << " of " << field << ", e.g. " << what.second << "\n";
  }
}

bool has_tshark() { return run_program({"tshark", "--version"}).status == 0; }

nlohmann::ordered_json run_tshark(const std::string& pcap, const std::map<uint16_t, const char*>& ports) {
  std::vector<std::string> tshark = {"tshark",
                                     "-n",
                                     "-r",
                                     pcap,
                                     "-T",
                                     "json",
                                     "-Y",
                                     "cflow || sflow",
                                     "-J",
                                     "frame cflow sflow",
                                     "--no-duplicate-keys"};
  for (const auto& [port, dissector] : ports) {
    tshark.insert(tshark.end(), {"-d", "udp.port==" + std::to_string(port) + "," + dissector});
  }
  const test::Outcome shown = run_program(tshark);
  auto document = nlohmann::ordered_json::parse(shown.out, nullptr, false);
  EXPECT_TRUE(document.is_array()) << shown.err;
  return document.is_array() ? document : nlohmann::ordered_json::array();
}

void compare_capture(const CaptureFile& file, Report& report) {
  const test::TemporaryFolder folder;
  const std::string pcap = as_pcap(file, folder);
  if (!pcap.empty()) compare_pcap(file.name, pcap, report);
}

void compare_pcap(const std::string& name, const std::string& pcap, Report& report, SampleOrder order) {
  const auto ports = export_ports(pcap);
  if (ports.empty()) return;

  std::vector<std::string> weir = {test::built("weir"), "decode", "--format", "protobuf", pcap};
  for (const auto& [port, dissector] : ports) weir.insert(weir.end(), {"--port", std::to_string(port)});
  const nlohmann::ordered_json document = run_tshark(pcap, ports);
  const test::Outcome decoded = run_program(weir);
  flowpb::FlowBatch batch;
  ASSERT_TRUE(batch.ParseFromString(decoded.out)) << decoded.err;
  std::map<Key, std::vector<const FlowMessage*>> ours;
  for (const FlowMessage& m : batch.flows()) {
    ours[{m.time_received_ns(), m.sequence_num()}].push_back(&m);
  }

  // Packets of one time and sequence number (copies of each other) are taken together.
  std::map<Key, std::vector<std::pair<const TsharkMessage*, const TsharkFlow*>>> theirs;
  const std::vector<TsharkMessage> messages = read_tshark(document);
  std::set<Key> incomplete;
  for (const TsharkMessage& m : messages) {
    const Key key{m.time_ns, m.version == 1 ? 0 : m.sequence};
    if (m.has_undecoded_sets) incomplete.insert(key);
    for (const TsharkFlow& flow : m.flows) theirs[key].emplace_back(&m, &flow);
  }
  for (auto& [key, flows] : theirs) {
    ++report.messages;
    const auto own = ours.find(key);
    if (order == SampleOrder::by_values && own != ours.end()) {
      std::stable_sort(flows.begin(), flows.end(),
                       [](const auto& a, const auto& b) { return marks_of(*a.second) < marks_of(*b.second); });
      std::stable_sort(own->second.begin(), own->second.end(),
                       [](const auto* a, const auto* b) { return marks_of(*a) < marks_of(*b); });
    }
    const size_t count = own == ours.end() ? 0 : own->second.size();
    const std::string where = name + " sequence " + std::to_string(key.second);
    if (count != flows.size()) {
      ++report.messages_of_other_size;
      if (const char* why = explain_records(name); why != nullptr) {
        ++report.explained[why];
      } else if (!incomplete.contains(key)) {
        report.differs("number of records", where + ": tshark " + std::to_string(flows.size()) +
                                                ", ours " + std::to_string(count));
      }
      continue;
    }
    for (size_t i = 0; i < count; ++i) {
      compare_flow(*flows[i].second, *own->second[i], where, report);
      compare_times(*flows[i].first, *flows[i].second, *own->second[i], where, report);
    }
  }
}

}  // namespace weir::truth
