// What `weir generate` writes is what its made-up exporters mean: tshark says so, record by record.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <set>

#include "base/clock.h"
#include "lab/capture_file.h"
#include "support/program.h"
#include "truth/generated.h"
#include "truth/golden.h"
#include "truth/tshark_compare.h"
#include "truth/tshark_flows.h"

namespace weir::truth {
namespace {

using lab::ExportedFlow;
using lab::ExportProtocol;
using lab::RecordKind;
using nlohmann::json;
using test::run_program;

const char* const kTsharkMissing = "tshark is not installed (Debian package tshark)";

/// Made by the program into `folder`; its own account of it.
json write_capture(const GeneratedKind& kind, const std::string& pcap) {
  std::vector<std::string> arguments = arguments_of(kind);
  arguments.insert(arguments.end(), {"--pcap", pcap});
  const test::Outcome made = run_program(arguments);
  EXPECT_EQ(made.status, 0) << made.err;
  return json::parse(made.out, nullptr, false);
}

// ---- What a record must say ------------------------------------------------------------------------

/// One value, under the first of these names that the record has.
struct Said {
  std::vector<const char*> names;
  std::string value;
};

std::string mac_of(uint64_t mac) { return mac_text(mac); }
std::string number(uint64_t n) { return std::to_string(n); }

/// As FlowTimes has them: tshark shows an uptime in seconds, and an absolute time as a date.
Said time_said(bool is_uptime, const char* uptime_name, const char* absolute_name, uint64_t ms) {
  return is_uptime ? Said{{uptime_name}, number(ms)} : Said{{absolute_name}, number(ms)};
}

std::vector<Said> netflow_values(const GeneratedKind& kind, const ExportedFlow& f, const lab::FlowTimes& t) {
  const bool v5 = kind.config.protocol == ExportProtocol::netflow_v5;
  const bool ipfix = kind.config.protocol == ExportProtocol::ipfix;
  const lab::Extras& extras = kind.config.extras;
  std::vector<Said> said = {
      {{"cflow.srcaddr", "cflow.srcaddrv6"}, f.src.to_string()},
      {{"cflow.dstaddr", "cflow.dstaddrv6"}, f.dst.to_string()},
      {{"cflow.srcport"}, number(f.src_port)},
      {{"cflow.dstport"}, number(f.dst_port)},
      {{"cflow.protocol"}, number(f.proto)},
  };
  const auto add = [&](std::initializer_list<Said> more) { said.insert(said.end(), more); };
  if (f.kind == RecordKind::nat) {
    add({{{"cflow.post_natsource_ipv4_address"}, f.post_src.to_string()},
         {{"cflow.post_natdestination_ipv4_address"}, f.dst.to_string()},
         {{"cflow.post_naptsource_transport_port"}, number(f.post_src_port)},
         {{"cflow.post_naptdestination_transport_port"}, number(f.dst_port)},
         {{"cflow.nat_event"}, number(f.nat_event)},
         {{"cflow.ingress_vrfid"}, number(f.vrf)}});
    return said;
  }
  const auto as = [&](uint32_t n) { return number(v5 && n > 0xffff ? 23456 : n); };
  add({{{"cflow.nexthop", "cflow.nexthopv6"}, f.next_hop.to_string()},
       {{"cflow.inputint"}, number(f.in_if)},
       {{"cflow.outputint"}, number(f.out_if)},
       {{"cflow.packets"}, number(f.packets)},
       {{"cflow.octets"}, number(f.octets)},
       {{"cflow.tcpflags"}, number(f.tcp_flags)},
       {{"cflow.tos"}, number(f.tos)},
       {{"cflow.srcas"}, as(f.src_as)},
       {{"cflow.dstas"}, as(f.dst_as)},
       {{"cflow.srcmask", "cflow.srcmaskv6"}, number(f.src_mask)},
       {{"cflow.dstmask", "cflow.dstmaskv6"}, number(f.dst_mask)},
       time_said(!ipfix, "cflow.timestart", "cflow.abstimestart", ipfix ? t.first_ms : t.first_uptime_ms),
       time_said(!ipfix, "cflow.timeend", "cflow.abstimeend", ipfix ? t.last_ms : t.last_uptime_ms)});
  if (!v5) add({{{"cflow.direction"}, number(f.direction)}});
  if (!v5 && !f.src.is_v4()) add({{{"cflow.ipv6flowlabel"}, number(f.flow_label)}});
  if (kind.config.protocol == ExportProtocol::netflow_v9) add({{{"cflow.sampler_id"}, number(f.sampler)}});
  if (ipfix) {
    add({{{"cflow.flow_end_reason"}, number(f.end_reason)},
         {{"cflow.vlanid"}, number(f.vlan)},
         {{"cflow.srcmac"}, mac_of(f.src_mac)},
         {{"cflow.dstmac"}, mac_of(f.dst_mac)}});
  }
  if (ipfix && extras.samplers) add({{{"cflow.selector_id"}, number(f.sampler)}});
  if (extras.bgp) {
    add({{{"cflow.bgpnexthop", "cflow.bgpnexthopv6"}, f.bgp_next_hop.to_string()},
         {{"cflow.peer_dstas"}, number(f.next_as)},
         {{"cflow.peer_srcas"}, number(f.previous_as)}});
  }
  if (extras.variable) {
    add({{{"cflow.appl_name"}, std::string(f.application)},
         {{"cflow.user_name"}, f.user}});
    if (!f.host.empty()) add({{{"cflow.http_request_host"}, f.host}});  // it shows no empty text
  }
  return said;
}

/// Of a sampled header all layers have their values, the outer before the inner.
std::vector<Said> sflow_values(const GeneratedKind& kind, const ExportedFlow& f) {
  // Behind UDP it looks at nothing of a header that was cut: what VXLAN carries is another test's.
  const bool is_hidden = f.tunnel == lab::Tunnel::vxlan;
  std::vector<Said> said = {
      {{"ip.src", "ipv6.src"}, is_hidden ? "198.51.100.1" : f.src.to_string()},
      {{"ip.dst", "ipv6.dst"}, is_hidden ? "198.51.100.2" : f.dst.to_string()},
      {{"eth.src"}, mac_of(f.src_mac)},
      {{"eth.dst"}, mac_of(f.dst_mac)},
      {{"vlan.id"}, number(f.vlan)},
      {{"sflow_245.vlan.in"}, number(f.vlan)},
      {{"sflow_245.header.frame_length"}, number(lab::sampled_frame(f).octets + lab::kFrameCheckOctets)},
      {{"sflow.flow_sample.sampling_rate"}, number(std::max(kind.config.sampling, 1u))},
      {{"sflow.flow_sample.input_interface", "sflow.flow_sample.input_interface_value"}, number(f.in_if)},
      {{"sflow.flow_sample.output_interface_value"}, number(f.out_if)},
      {{"sflow_245.nexthop", "sflow_245.nexthop.v6"}, f.next_hop.to_string()},
      {{"sflow_245.nexthop.src_mask"}, number(f.src_mask)},
      {{"sflow_245.nexthop.dst_mask"}, number(f.dst_mask)},
  };
  const auto add = [&](std::initializer_list<Said> more) { said.insert(said.end(), more); };
  if (is_hidden) {
    add({{{"udp.dstport"}, "4789"}});
  } else if (f.proto == 6 || f.proto == 17) {
    add({{{"tcp.srcport", "udp.srcport"}, number(f.src_port)}, {{"tcp.dstport", "udp.dstport"}, number(f.dst_port)}});
  }
  if (f.tunnel == lab::Tunnel::gre) add({{{"ip.proto"}, "47"}, {{"gre.proto"}, number(f.src.is_v4() ? 0x800 : 0x86dd)}});
  if (kind.config.extras.bgp) {
    add({{{"sflow_245.srcAS"}, number(f.src_as)},
         {{"sflow_245.peerAS"}, number(f.previous_as)},
         {{"sflow_245.dstAS"}, number(f.dst_as)}});
  }
  return said;
}

/// tshark's text in the form of the above: numbers in tens, times in milliseconds.
std::string normal(const std::string& name, const std::string& text) {
  if (name == "cflow.timestart" || name == "cflow.timeend") return number(parse_seconds(text) / 1'000'000);
  if (name == "cflow.abstimestart" || name == "cflow.abstimeend") return number(parse_time(text) / 1'000'000);
  if (text.starts_with("0x")) return number(std::strtoull(text.c_str(), nullptr, 16));
  return same_address(text);
}

/// See SampleOrder.
void bring_into_order(std::vector<TsharkFlow>& shown, std::vector<ExportedFlow>& flows) {
  const auto marks_of_shown = [](const TsharkFlow& f) {
    std::vector<std::string> marks;
    for (const char* name : {"sflow_245.header.frame_length", "sflow_245.vlan.in"}) {
      const auto at = f.find(name);
      marks.push_back(at == f.end() ? "" : at->second);
    }
    return marks;
  };
  const auto marks_of = [](const ExportedFlow& f) {
    return std::vector<std::string>{number(lab::sampled_frame(f).octets + lab::kFrameCheckOctets), number(f.vlan)};
  };
  std::stable_sort(shown.begin(), shown.end(),
                   [&](const auto& a, const auto& b) { return marks_of_shown(a) < marks_of_shown(b); });
  std::stable_sort(flows.begin(), flows.end(), [&](const auto& a, const auto& b) { return marks_of(a) < marks_of(b); });
}

/// How many values were looked at.
size_t expect_said(const TsharkFlow& shown, const std::vector<Said>& values) {
  for (const Said& s : values) {
    std::vector<std::string> found;
    for (const char* name : s.names) {
      for (auto [at, end] = shown.equal_range(name); at != end; ++at) found.push_back(normal(name, at->second));
    }
    EXPECT_THAT(found, testing::Contains(s.value)) << s.names.front();
  }
  return values.size();
}

TEST(Generated, IsWhatTheModelMeans) {
  const test::TemporaryFolder folder;
  for (const GeneratedKind& kind : generated_kinds()) {
    SCOPED_TRACE(kind.name());
    const json report = write_capture(kind, folder / "x.pcap");
    const std::vector<GeneratedDatagram> model = model_of(kind);
    auto reader = lab::CaptureReader::open(folder / "x.pcap");
    ASSERT_TRUE(reader);
    lab::CapturedFrame frame;
    uint64_t flows = 0, octets = 0;
    for (const GeneratedDatagram& d : model) {
      ASSERT_TRUE(*reader->next(frame));
      const auto view = packet::parse_frame(frame.octets, frame.link);
      ASSERT_TRUE(std::equal(view.payload.begin(), view.payload.end(), d.content.octets.begin(), d.content.octets.end()));
      EXPECT_LE(d.content.octets.size(), kind.config.datagram_octets);
      flows += d.flows.size();
      octets += d.content.flow_octets;
    }
    EXPECT_FALSE(*reader->next(frame));
    EXPECT_EQ(report["records"], flows);
    EXPECT_EQ(report["flow_octets"], octets);
  }
}

TEST(Generated, SaysToTsharkWhatTheModelMeans) {
  if (!has_tshark()) GTEST_SKIP() << kTsharkMissing;
  const test::TemporaryFolder folder;
  size_t values = 0, records = 0;
  for (const GeneratedKind& kind : generated_kinds()) {
    SCOPED_TRACE(kind.name());
    const std::string pcap = folder / "x.pcap";
    write_capture(kind, pcap);
    auto messages = read_tshark(run_tshark(pcap, {{2055, kind.is_sflow() ? "sflow" : "cflow"}}));
    std::vector<GeneratedDatagram> model = model_of(kind);
    ASSERT_EQ(messages.size(), model.size());
    for (size_t i = 0; i < model.size() && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE(fmt::format("datagram {}", i + 1));
      GeneratedDatagram& d = model[i];
      if (kind.is_sflow()) bring_into_order(messages[i].flows, d.flows);
      ASSERT_EQ(messages[i].flows.size(), d.flows.size());
      const auto uptime_ms = static_cast<uint32_t>(messages[i].uptime_ms);
      for (size_t n = 0; n < d.flows.size(); ++n) {
        const lab::FlowTimes times =
            lab::times_of(d.flows[n], d.time_ns, uptime_ms != 0 ? uptime_ms : 3'600'000 + static_cast<uint32_t>(i));
        values += expect_said(messages[i].flows[n], kind.is_sflow() ? sflow_values(kind, d.flows[n])
                                                                    : netflow_values(kind, d.flows[n], times));
        ++records;
      }
    }
  }
  std::cout << records << " records, " << values << " values\n";
}

TEST(Generated, CarriesPacketsThroughTunnels) {
  if (!has_tshark()) GTEST_SKIP() << kTsharkMissing;
  const test::TemporaryFolder folder;
  const std::string pcap = folder / "x.pcap";
  const auto& kinds = generated_kinds();
  const auto kind = std::find_if(kinds.begin(), kinds.end(), [](const auto& k) { return k.config.extras.tunnels; });
  ASSERT_NE(kind, kinds.end());
  auto writer = lab::CaptureWriter::create(pcap, packet::LinkType::ethernet);
  ASSERT_TRUE(writer);
  std::vector<ExportedFlow> flows;
  for (const GeneratedDatagram& d : model_of(*kind)) {
    for (const ExportedFlow& f : d.flows) {
      const lab::Octets header = lab::sampled_frame(f).header;
      const auto& octets = d.content.octets;
      EXPECT_NE(std::search(octets.begin(), octets.end(), header.begin(), header.end()), octets.end());
      if (f.tunnel == lab::Tunnel::none) continue;
      ASSERT_TRUE(writer->write(header, d.time_ns));
      flows.push_back(f);
    }
  }
  ASSERT_TRUE(writer->close());
  ASSERT_GT(flows.size(), 30u);
  const test::Outcome shown = run_program({"tshark", "-n", "-r", pcap, "-T", "fields", "-E", "occurrence=l", "-e",
                                           "gre.proto", "-e", "vxlan.vni", "-e", "ip.src", "-e", "ipv6.src", "-e",
                                           "tcp.dstport", "-e", "udp.dstport"});
  const std::vector<std::string> lines = test::lines_of(shown.out);
  ASSERT_EQ(lines.size(), flows.size()) << shown.err;
  for (size_t i = 0; i < flows.size(); ++i) {
    const ExportedFlow& f = flows[i];
    const bool v4 = f.src.is_v4();
    SCOPED_TRACE(lines[i]);
    const std::string gre = f.tunnel == lab::Tunnel::gre ? (v4 ? "0x0800" : "0x86dd") : "";
    const std::string vni = f.tunnel == lab::Tunnel::vxlan ? "5000" : "";
    const std::string source = f.src.to_string();
    const std::string begin = fmt::format("{}\t{}\t{}\t{}\t", gre, vni, v4 ? source : "198.51.100.1", v4 ? "" : source);
    EXPECT_THAT(lines[i], testing::StartsWith(begin));
    if (f.proto == 6 || f.proto == 17) {
      EXPECT_THAT(lines[i], testing::HasSubstr(fmt::format("\t{}", f.dst_port)));
    }
  }
}

TEST(Generated, HasNothingThatTsharkWarnsOf) {
  if (!has_tshark()) GTEST_SKIP() << kTsharkMissing;
  const test::TemporaryFolder folder;
  for (const GeneratedKind& kind : generated_kinds()) {
    SCOPED_TRACE(kind.name());
    write_capture(kind, folder / "x.pcap");
    const test::Outcome wrong = run_program(
        {"tshark", "-n", "-r", folder / "x.pcap", "-d", kind.is_sflow() ? "udp.port==2055,sflow" : "udp.port==2055,cflow",
         "-Y", "_ws.malformed || _ws.expert.severity >= \"Warning\" || cflow.unexpected_sequence_number"});
    EXPECT_EQ(wrong.status, 0) << wrong.err;  // a filter that it does not understand finds nothing either
    EXPECT_EQ(wrong.out, "");
  }
}

TEST(Generated, IsDecodedAsTsharkDecodesIt) {
  if (!has_tshark()) GTEST_SKIP() << kTsharkMissing;
  const test::TemporaryFolder folder;
  Report report;
  for (const GeneratedKind& kind : generated_kinds()) {
    write_capture(kind, folder / "x.pcap");
    compare_pcap(kind.name(), folder / "x.pcap", report,
                 kind.is_sflow() ? SampleOrder::by_values : SampleOrder::as_shown);
  }
  report.print();
  EXPECT_GT(report.values, 100'000u);
  EXPECT_EQ(report.messages_of_other_size, 0u);
  EXPECT_EQ(report.unexplained, 0u);
}

// ---- What exporters say of themselves ---------------------------------------------------------------

/// All values of a field in the capture.
std::multiset<std::string> all_of(const std::string& pcap, const char* dissector, const std::string& field) {
  const test::Outcome shown =
      run_program({"tshark", "-n", "-r", pcap, "-d", fmt::format("udp.port==2055,{}", dissector), "-T", "fields", "-E",
                   "occurrence=a", "-E", "aggregator=|", "-e", field});
  std::multiset<std::string> all;
  for (const std::string& line : test::lines_of(shown.out)) {
    for (size_t at = 0; at < line.size();) {
      const size_t end = std::min(line.find('|', at), line.size());
      all.insert(line.substr(at, end - at));
      at = end + 1;
    }
  }
  return all;
}

TEST(Generated, NamesInterfacesAndSamplersByOptions) {
  if (!has_tshark()) GTEST_SKIP() << kTsharkMissing;
  const test::TemporaryFolder folder;
  const std::string pcap = folder / "x.pcap";
  std::multiset<std::string> names;
  for (uint32_t i = 1; i <= lab::kUplinks; ++i) names.insert(lab::interface_name(i));
  for (uint32_t i = 0; i < lab::kAccessInterfaces; ++i) names.insert(lab::interface_name(lab::kAccessInterfaceFirst + i));
  for (const GeneratedKind& kind : generated_kinds()) {
    SCOPED_TRACE(kind.name());
    if (!kind.config.extras.interfaces) continue;
    write_capture(kind, pcap);
    EXPECT_EQ(all_of(pcap, "cflow", "cflow.if_name"), names);
    EXPECT_EQ(all_of(pcap, "cflow", "cflow.if_descr").count("customer 101"), 1u);
    if (kind.config.protocol == ExportProtocol::netflow_v9) {
      const std::multiset<std::string> rates = {"1000", "2000", "4000", "8000"};
      EXPECT_EQ(all_of(pcap, "cflow", "cflow.sampler_random_interval"), rates);
    } else {
      const std::multiset<std::string> passed_over = {"999", "1999", "3999", "7999"};
      EXPECT_EQ(all_of(pcap, "cflow", "cflow.sampling_packet_space"), passed_over);
    }
  }
}

TEST(Generated, CountsInterfacesInSflow) {
  if (!has_tshark()) GTEST_SKIP() << kTsharkMissing;
  const test::TemporaryFolder folder;
  for (const GeneratedKind& kind : generated_kinds()) {
    if (!kind.config.extras.counters) continue;
    SCOPED_TRACE(kind.name());
    const json report = write_capture(kind, folder / "x.pcap");
    EXPECT_EQ(report["counter_samples"], kGeneratedDatagrams / lab::kCountersEveryDatagrams);
    EXPECT_EQ(all_of(folder / "x.pcap", "sflow", "sflow_245.ifindex").size(), report["counter_samples"]);
    EXPECT_EQ(all_of(folder / "x.pcap", "sflow", "sflow_245.ifspeed").count("1000000000"), report["counter_samples"]);
  }
}

}  // namespace
}  // namespace weir::truth
