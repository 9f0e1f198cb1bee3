// What `weir generate` sends is what its made-up exporters mean: nfcapd and nfdump say so, record by record.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "support/program.h"
#include "truth/generated.h"
#include "truth/golden.h"
#include "truth/nfdump_flows.h"

namespace weir::truth {
namespace {

using lab::ExportedFlow;
using lab::ExportProtocol;
using lab::RecordKind;
using nlohmann::json;
using test::run_program;

std::string mac_of(uint64_t mac) { return mac_text(mac); }
std::string number(uint64_t n) { return std::to_string(n); }

/// What nfdump shows of a record, where it shows it, and what it must be.
std::vector<std::pair<const char*, std::string>> nfdump_values(const GeneratedKind& kind, const ExportedFlow& f) {
  const bool v5 = kind.config.protocol == ExportProtocol::netflow_v5;
  const auto as = [&](uint32_t n) { return number(v5 && n > 0xffff ? 23456 : n); };
  std::vector<std::pair<const char*, std::string>> values = {
      {"src4_addr", f.src.to_string()}, {"src6_addr", f.src.to_string()}, {"dst4_addr", f.dst.to_string()},
      {"dst6_addr", f.dst.to_string()}, {"proto", number(f.proto)}};
  const auto add = [&](std::initializer_list<std::pair<const char*, std::string>> more) {
    values.insert(values.end(), more);
  };
  if (f.proto == 6 || f.proto == 17) add({{"src_port", number(f.src_port)}, {"dst_port", number(f.dst_port)}});
  if (f.kind == RecordKind::nat) {
    add({{"src4_xlt_ip", f.post_src.to_string()},
         {"dst4_xlt_ip", f.dst.to_string()},
         {"src_xlt_port", number(f.post_src_port)},
         {"dst_xlt_port", number(f.dst_port)},
         {"nat_event_id", number(f.nat_event)},
         {"ingress_vrf", number(f.vrf)}});
    return values;
  }
  // Of v5's sampling it makes estimates.
  const uint64_t scale = v5 ? std::max(kind.config.sampling, 1u) : 1;
  add({{"in_packets", number(f.packets * scale)},
       {"in_bytes", number(f.octets * scale)},
       {"src_tos", number(f.tos)},
       {"input_snmp", number(f.in_if)},
       {"output_snmp", number(f.out_if)},
       {"src_as", as(f.src_as)},
       {"dst_as", as(f.dst_as)},
       {"ip4_next_hop", f.next_hop.to_string()},
       {"ip6_next_hop", f.next_hop.to_string()},
       {"bgp4_next_hop", f.bgp_next_hop.to_string()},
       {"bgp6_next_hop", f.bgp_next_hop.to_string()},
       {"next_as", number(f.next_as)},
       {"prev_as", number(f.previous_as)},
       {"src_vlan", number(f.vlan)},
       {"in_src_mac", mac_of(f.src_mac)},
       {"in_dst_mac", mac_of(f.dst_mac)}});
  if (!v5) add({{"src_mask", number(f.src_mask)}, {"dst_mask", number(f.dst_mask)}});
  return values;
}

std::string text_of(const json& v) { return v.is_string() ? same_address(v.get<std::string>()) : v.dump(); }

TEST(Generated, SaysToNfdumpWhatTheModelMeans) {
  if (!Nfcapd::is_installed()) {
    GTEST_SKIP() << "nfcapd and nfdump are not installed (Debian package nfdump)";
  }
  size_t records = 0;
  std::map<std::string, size_t> looked_at;
  for (const GeneratedKind& kind : generated_kinds()) {
    if (kind.is_sflow()) continue;  // that is another program of theirs, which Debian does not have
    SCOPED_TRACE(kind.name());
    Nfcapd nfcapd;
    ASSERT_TRUE(nfcapd.is_listening());
    std::vector<std::string> arguments = arguments_of(kind);
    arguments.insert(arguments.end(), {"--to", nfcapd.address()});
    const test::Outcome sent = run_program(arguments);
    ASSERT_EQ(sent.status, 0) << sent.err;
    const std::vector<json> kept = nfcapd.finish();
    EXPECT_THAT(nfcapd.words(), testing::HasSubstr("Sequence Errors: 0, Bad Packets: 0"));

    std::vector<ExportedFlow> flows;
    for (const GeneratedDatagram& d : model_of(kind)) flows.insert(flows.end(), d.flows.begin(), d.flows.end());
    ASSERT_EQ(kept.size(), flows.size());
    for (size_t i = 0; i < kept.size() && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE(fmt::format("record {}: {}", i, kept[i].dump()));
      for (const auto& [name, value] : nfdump_values(kind, flows[i])) {
        if (!kept[i].contains(name)) continue;
        EXPECT_EQ(text_of(kept[i][name]), value) << name;
        ++looked_at[name];
      }
      ++records;
    }
  }
  std::cout << records << " records;";
  for (const auto& [name, count] : looked_at) std::cout << ' ' << name << ' ' << count;
  std::cout << '\n';
  for (const char* name : {"src4_addr", "src6_addr", "in_bytes", "src_xlt_port", "bgp4_next_hop", "next_as"}) {
    EXPECT_GT(looked_at[name], 0u) << name;
  }
}

}  // namespace
}  // namespace weir::truth
