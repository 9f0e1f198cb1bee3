// What each field of a flow becomes in its event: docs/OCSF.md line by line.
#include "transform/ocsf_event.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <tuple>

#include "base/version.h"
#include "flow/enumerator_names.h"
#include "flow/sflow_discard_view.h"
#include "rules/rule_set.h"
#include "rules/sets.h"
#include "sflow.pb.h"
#include "support/process.h"
#include "transform/flow_maker.h"
#include "transform/given_names.h"
#include "transform/judge.h"
#include "transform/remainder.h"

namespace weir::transform {
namespace {

using nlohmann::json;
using test::event_of;
using test::event_text;
using test::usual_flow;
using test::wire;
using Flow = flowpb::FlowMessage;

TEST(OcsfEvent, OfAUsualFlowIsThis) {
  const json expected = json::parse(R"({
    "class_uid": 4001, "class_name": "Network Activity", "category_uid": 4, "category_name": "Network Activity",
    "activity_id": 6, "activity_name": "Traffic", "type_uid": 400106, "type_name": "Network Activity: Traffic",
    "severity_id": 1, "severity": "Informational",
    "time": 1714764451500, "start_time": 1714764441000, "end_time": 1714764451500, "duration": 10500,
    "metadata": {"version": "1.7.0", "product": {"name": "Weir", "version": "9.9"}, "log_name": "flows",
                 "profiles": ["cloud", "host", "osint"], "log_format": "IPFIX", "logged_time": 1714764460123,
                 "reporter": {"ip": "203.0.113.1"}},
    "src_endpoint": {"ip": "192.0.2.10", "port": 51514},
    "dst_endpoint": {"ip": "198.51.100.7", "port": 443},
    "connection_info": {"uid": "1:4xkicb3Uu6w+ETiHXoWiAzPyZD8=", "community_uid": "1:4xkicb3Uu6w+ETiHXoWiAzPyZD8=",
                        "protocol_num": 6, "protocol_name": "tcp", "protocol_ver_id": 4,
                        "direction_id": 0, "direction": "Unknown", "boundary_id": 0, "boundary": "Unknown"},
    "traffic": {"bytes": 123456, "bytes_out": 123456, "packets": 100, "packets_out": 100},
    "device": {"type_id": 12, "type": "Router", "ip": "203.0.113.1"},
    "observation_point_id": 3, "is_src_dst_assignment_known": false,
    "cloud": {"provider": "on_prem"}, "timezone_offset": 0, "osint": [],
    "unmapped": {"flow_type": "IPFIX", "time_source": "TIME_MILLISECONDS"}})");
  EXPECT_EQ(event_of(usual_flow(), {.product_version = "9.9"}), expected);
}

TEST(OcsfEvent, NamesTheConnectionAsOtherToolsDo) {
  Flow back = usual_flow();
  std::swap(*back.mutable_src_addr(), *back.mutable_dst_addr());
  const uint32_t port = back.src_port();
  back.set_src_port(back.dst_port());
  back.set_dst_port(port);
  const json there = event_of(usual_flow(), {})["connection_info"], answer = event_of(back, {})["connection_info"];
  EXPECT_EQ(there["uid"], there["community_uid"]);
  EXPECT_EQ(there["uid"], answer["uid"]);
  Flow half = usual_flow();
  half.clear_dst_addr();
  EXPECT_EQ(event_of(half, {})["connection_info"].count("uid"), 0u);
  const json without = event_of(usual_flow(), {.community_id = false})["connection_info"];
  EXPECT_EQ(without.count("uid") + without.count("community_uid"), 0u);
}

/// What a flow says more than a usual one, and what its event says then.
struct Row {
  const char* what;
  std::function<void(Flow&)> set;
  const char* at;    // a JSON pointer
  const char* says;  // JSON; empty: nothing is there
};

void expect_rows(std::initializer_list<Row> rows) {
  for (const Row& row : rows) {
    SCOPED_TRACE(std::string(row.what) + " " + row.at);
    Flow flow = usual_flow();
    row.set(flow);
    const json event = event_of(flow);
    const json::json_pointer at(row.at);
    if (*row.says == '\0') {
      EXPECT_FALSE(event.contains(at)) << event.dump(1);
    } else {
      ASSERT_TRUE(event.contains(at)) << event.dump(1);
      EXPECT_EQ(event[at], json::parse(row.says));
    }
  }
}

TEST(OcsfEvent, TimeIsTheFlowsEndOnlyWhereThatIsPlausible) {
  const auto source = [](flowpb::TimeSource s) { return [s](Flow& f) { f.set_time_source(s); }; };
  const char* const end = "1714764451500";
  const char* const received = "1714764460123";
  expect_rows({
      {"uptime", source(flowpb::TIME_UPTIME), "/time", end},
      {"seconds", source(flowpb::TIME_SECONDS), "/time", end},
      {"milliseconds", source(flowpb::TIME_MILLISECONDS), "/time", end},
      {"microseconds", source(flowpb::TIME_MICROSECONDS), "/time", end},
      {"nanoseconds", source(flowpb::TIME_NANOSECONDS), "/time", end},
      {"delta", source(flowpb::TIME_DELTA), "/time", end},
      {"sampled", source(flowpb::TIME_SAMPLED), "/time", end},
      {"nobody judged it", source(flowpb::TIME_UNKNOWN), "/time", received},
      {"export time", source(flowpb::TIME_EXPORT), "/time", received},
      {"received", source(flowpb::TIME_RECEIVED), "/time", received},
      {"no end", [](Flow& f) { f.clear_time_flow_end_ns(); }, "/time", received},
      {"no end", [](Flow& f) { f.clear_time_flow_end_ns(); }, "/end_time", ""},
      {"no end", [](Flow& f) { f.clear_time_flow_end_ns(); }, "/duration", ""},
      {"no end", [](Flow& f) { f.clear_time_flow_end_ns(); }, "/metadata/original_time", "\"1714764460123456789\""},
      {"with an end", [](Flow&) {}, "/metadata/original_time", ""},
      {"no start", [](Flow& f) { f.clear_time_flow_start_ns(); }, "/start_time", ""},
      {"end before start", [](Flow& f) { f.set_time_flow_start_ns(f.time_flow_end_ns() + 1); }, "/duration", ""},
      {"never received", [](Flow& f) { f.clear_time_received_ns(), f.clear_time_source(); }, "/time", end},
      {"never received", [](Flow& f) { f.clear_time_received_ns(); }, "/metadata/logged_time", ""},
      {"only a start", [](Flow& f) { f.clear_time_received_ns(), f.clear_time_source(), f.clear_time_flow_end_ns(); }, "/time", "1714764441000"},
  });
}

TEST(OcsfEvent, HasATimeOfAFlowThatTellsNone) {
  Flow flow = usual_flow();
  const EventContext stored = {.processed_ms = 1'714'764'470'000, .stored_ms = 1'714'764'465'000};
  EXPECT_EQ(event_of(flow, {}, stored)["time"], 1'714'764'451'500) << "what a flow tells goes first";
  flow.clear_time_received_ns();
  flow.clear_time_source();
  flow.clear_time_flow_start_ns();
  flow.clear_time_flow_end_ns();
  const json event = event_of(flow, {}, stored);
  EXPECT_EQ(event["time"], 1'714'764'465'000);
  for (const char* const other : {"/start_time", "/end_time", "/duration", "/metadata/logged_time", "/metadata/original_time"}) {
    EXPECT_FALSE(event.contains(json::json_pointer(other))) << other;
  }
  const json made = event_of(flow, {}, {.processed_ms = 1'714'764'470'000});
  EXPECT_EQ(made["time"], 1'714'764'470'000);
  if (!test::has_ocsf_schema()) GTEST_SKIP() << "no schema";
  const test::Judge judge;
  EXPECT_EQ(judge.faults_of(event), std::vector<std::string>()) << event.dump(1);
  EXPECT_EQ(judge.faults_of(made), std::vector<std::string>()) << made.dump(1);
}

TEST(OcsfEvent, SaysWhoTalkedToWhom) {
  expect_rows({
      {"IPv6", [](Flow& f) { f.set_src_addr(wire("2001:db8::7")); }, "/src_endpoint/ip", "\"2001:db8::7\""},
      {"MAC", [](Flow& f) { f.set_src_mac(0x00005e005301); }, "/src_endpoint/mac", "\"00:00:5e:00:53:01\""},
      {"MAC", [](Flow& f) { f.set_dst_mac(0x00005e005302); }, "/dst_endpoint/mac", "\"00:00:5e:00:53:02\""},
      {"interfaces", [](Flow& f) { f.set_in_if(7); }, "/src_endpoint/interface_uid", "\"7\""},
      {"interfaces", [](Flow& f) { f.set_out_if(4294967295); }, "/dst_endpoint/interface_uid", "\"4294967295\""},
      {"names", [](Flow& f) { f.set_in_if_name("xe-0/0/\"1"); }, "/src_endpoint/interface_name", R"("xe-0/0/\"1")"},
      {"names", [](Flow& f) { f.set_out_if_name("ae1"); }, "/dst_endpoint/interface_name", "\"ae1\""},
      {"AS", [](Flow& f) { f.set_src_as(4200000000); }, "/src_endpoint/autonomous_system", R"({"number":4200000000})"},
      {"no AS", [](Flow&) {}, "/dst_endpoint/autonomous_system", ""},
      {"VLAN", [](Flow& f) { f.set_src_vlan(100); }, "/src_endpoint/vlan_uid", "\"100\""},
      {"VLAN", [](Flow& f) { f.set_dst_vlan(200); }, "/dst_endpoint/vlan_uid", "\"200\""},
      {"the only VLAN", [](Flow& f) { f.set_vlan_id(5); }, "/src_endpoint/vlan_uid", "\"5\""},
      {"the only VLAN", [](Flow& f) { f.set_vlan_id(5); }, "/unmapped/vlan_id", ""},
      {"beside another", [](Flow& f) { f.set_vlan_id(5), f.set_src_vlan(6); }, "/unmapped/vlan_id", "5"},
      {"prefix", [](Flow& f) { f.set_src_net(23); }, "/src_endpoint/subnet_uid", "\"192.0.2.0/23\""},
      {"prefix", [](Flow& f) { f.set_src_net(23); }, "/unmapped/src_net", "23"},
      {"a host", [](Flow& f) { f.set_dst_net(32); }, "/dst_endpoint/subnet_uid", "\"198.51.100.7/32\""},
      {"no prefix of IPv4", [](Flow& f) { f.set_dst_net(33); }, "/dst_endpoint/subnet_uid", ""},
      {"odd prefix", [](Flow& f) { f.set_src_addr(wire("2001:db8:ffff::1")), f.set_src_net(33); },
       "/src_endpoint/subnet_uid", "\"2001:db8:8000::/33\""},
      {"ICMP has no ports", [](Flow& f) { f.set_proto(1); }, "/src_endpoint/port", ""},
      {"ICMP has no ports", [](Flow& f) { f.set_proto(1); }, "/unmapped/dst_port", "443"},
      {"SCTP has", [](Flow& f) { f.set_proto(132); }, "/dst_endpoint/port", "443"},
      {"no protocol told", [](Flow& f) { f.clear_proto(); }, "/dst_endpoint/port", "443"},
      {"port 0", [](Flow& f) { f.clear_src_port(); }, "/src_endpoint/port", ""},
      {"no port", [](Flow& f) { f.set_src_port(70'000); }, "/src_endpoint/port", ""},
      {"no port", [](Flow& f) { f.set_src_port(70'000); }, "/unmapped/src_port", "70000"},
      {"no address", [](Flow& f) { f.set_src_addr("12345"); }, "/src_endpoint/ip", ""},
      {"no address", [](Flow& f) { f.set_src_addr("12345"); }, "/unmapped/src_addr", "\"3132333435\""},
  });
}

TEST(OcsfEvent, HasAnEndpointWhateverIsMissing) {
  const auto bare = [](Flow& f) { f.clear_src_addr(), f.clear_dst_addr(); };
  const auto with = [bare](auto set) { return [bare, set](Flow& f) { bare(f), set(f); }; };
  expect_rows({
      {"only an interface", with([](Flow& f) { f.set_out_if(3); }), "/dst_endpoint",
       R"({"interface_uid":"3","port":443})"},
      {"only an interface", with([](Flow& f) { f.set_out_if(3), f.clear_src_port(); }), "/src_endpoint", ""},
      {"only a MAC", with([](Flow& f) { f.set_src_mac(1); }), "/src_endpoint",
       R"({"uid":"00:00:00:00:00:01","port":51514,"mac":"00:00:00:00:00:01"})"},
      {"MAC where the other has an address", [](Flow& f) { f.clear_dst_addr(), f.set_dst_mac(2); },
       "/dst_endpoint/uid", "\"00:00:00:00:00:02\""},
      {"only a port", bare, "/src_endpoint", R"({"name":"unknown","port":51514})"},
      {"nothing", with([](Flow& f) { f.clear_src_port(), f.clear_dst_port(); }), "/src_endpoint", R"({"name":"unknown"})"},
      {"nothing", with([](Flow& f) { f.clear_src_port(), f.clear_dst_port(); }), "/dst_endpoint", ""},
  });
}

TEST(OcsfEvent, SaysOverWhat) {
  const auto proto = [](uint32_t number, const char* name) {
    return [=](Flow& f) { f.set_proto(number), f.set_protocol_name(name); };
  };
  expect_rows({
      {"as IANA has it", proto(58, "IPv6-ICMP"), "/connection_info/protocol_name", "\"ipv6-icmp\""},
      {"without a name", proto(89, ""), "/connection_info/protocol_name", "\"ospfigp\""},
      {"another's name", proto(58, "ICMPv6"), "/connection_info/protocol_name", "\"icmpv6\""},
      {"unassigned", proto(253, ""), "/connection_info/protocol_name", ""},
      {"unassigned", proto(253, ""), "/connection_info/protocol_num", "253"},
      {"hop-by-hop", proto(0, "HOPOPT"), "/connection_info/protocol_name", "\"hopopt\""},
      {"not told", proto(0, ""), "/connection_info/protocol_num", "0"},
      {"not told", proto(0, ""), "/connection_info/protocol_name", ""},
      {"no IP", [](Flow& f) { f.clear_proto(), f.clear_src_addr(), f.clear_dst_addr(); },
       "/connection_info/protocol_num", ""},
      {"EtherType", [](Flow& f) { f.set_etype(0x86dd); }, "/connection_info/protocol_ver_id", "6"},
      {"by address", [](Flow& f) { f.clear_etype(); }, "/connection_info/protocol_ver_id", "4"},
      {"neither", [](Flow& f) { f.clear_etype(), f.clear_src_addr(), f.clear_dst_addr(); },
       "/connection_info/protocol_ver_id", "0"},
      {"MPLS", [](Flow& f) { f.set_etype(0x8847); }, "/unmapped/etype", "34887"},
      {"flags", [](Flow& f) { f.set_tcp_flags(27); }, "/connection_info/tcp_flags", "27"},
      {"to itself", [](Flow& f) { f.set_dst_addr(f.src_addr()); }, "/connection_info/direction_id", "4"},
      {"to itself", [](Flow& f) { f.set_dst_addr(f.src_addr()); }, "/connection_info/boundary_id", "1"},
  });
}

TEST(OcsfEvent, CountsOutFromSourceToDestination) {
  const auto counters = [](uint64_t bytes, uint64_t out, uint64_t in) {
    return [=](Flow& f) { f.set_bytes(bytes), f.set_bytes_out(out), f.set_bytes_in(in); };
  };
  expect_rows({
      {"one direction", counters(66, 0, 0), "/traffic/bytes_out", "66"},
      {"one direction", counters(66, 0, 0), "/traffic/bytes_in", ""},
      {"both", counters(80, 80, 40), "/traffic/bytes", "120"},
      {"both", counters(80, 80, 40), "/traffic/bytes_in", "40"},
      {"only back", counters(0, 0, 40), "/traffic/bytes", "40"},
      {"only back", counters(0, 0, 40), "/traffic/bytes_out", ""},
      {"none", counters(0, 0, 0), "/traffic", R"({"packets":100,"packets_out":100})"},
      {"nothing at all", [](Flow& f) { f.clear_bytes(), f.clear_packets(); }, "/traffic", ""},
      {"beyond 63 bits", counters(UINT64_MAX, 0, 0), "/traffic/bytes", "9223372036854775807"},
      {"a sum beyond 63 bits", counters(INT64_MAX, 0, 1), "/traffic/bytes", "9223372036854775807"},
      {"both", counters(80, 80, 40), "/is_src_dst_assignment_known", "true"},
  });
}

TEST(OcsfEvent, SaysTotalsBesideWhatIsNew) {
  const auto with = [](flowpb::FlowType type, std::initializer_list<std::tuple<uint32_t, uint32_t, std::string>> elements) {
    return [type, elements = std::vector(elements)](Flow& f) {
      f.set_type(type);
      for (const auto& [enterprise, id, value] : elements) {
        auto* const e = f.add_unmapped();
        e->set_enterprise(enterprise), e->set_id(id), e->set_value(value);
      }
    };
  };
  const std::string two("\x00\x00\x01\x02", 4), large(8, '\xff'), no_number(9, '\x01');
  expect_rows({
      {"none", [](Flow&) {}, "/cumulative_traffic", ""},
      {"octets", with(flowpb::IPFIX, {{0, 85, two}}), "/cumulative_traffic", R"({"bytes":258,"bytes_out":258})"},
      {"octets", with(flowpb::IPFIX, {{0, 85, two}}), "/traffic/bytes", "123456"},
      {"octets", with(flowpb::IPFIX, {{0, 85, two}}), "/unmapped/elements/0/id", "85"},
      {"all", with(flowpb::NETFLOW_V9, {{0, 85, two}, {0, 86, "\x07"}, {29305, 85, "\x02"}, {29305, 86, "\x01"}}), "/cumulative_traffic",
       R"({"bytes":260,"bytes_out":258,"bytes_in":2,"packets":8,"packets_out":7,"packets_in":1})"},
      {"back alone", with(flowpb::IPFIX, {{29305, 85, two}}), "/cumulative_traffic", R"({"bytes":258,"bytes_in":258})"},
      {"beyond 63 bits", with(flowpb::IPFIX, {{0, 85, large}}), "/cumulative_traffic/bytes", "9223372036854775807"},
      {"no number", with(flowpb::IPFIX, {{0, 85, no_number}}), "/cumulative_traffic", ""},
      {"nothing", with(flowpb::IPFIX, {{0, 85, ""}, {0, 86, std::string(4, '\0')}}), "/cumulative_traffic", ""},
      {"of a vendor", with(flowpb::IPFIX, {{9, 85, two}}), "/cumulative_traffic", ""},
      {"of sFlow", with(flowpb::SFLOW_5, {{0, 85, two}}), "/cumulative_traffic", ""},
  });
}

TEST(OcsfEvent, SaysWhatBecameOfTheTraffic) {
  struct Case {
    const char* what;
    std::function<void(Flow&)> set;
    const char* says;  // activity, status, action and disposition
  };
  const auto firewall = [](uint32_t event) { return [event](Flow& f) { f.set_firewall_event(event); }; };
  const auto nat = [](uint32_t event) { return [event](Flow& f) { f.set_nat_event(event); }; };
  const auto forwarding = [](uint32_t status) { return [status](Flow& f) { f.set_forwarding_status(status); }; };
  const Case cases[] = {
      {"nothing told", [](Flow&) {}, "Traffic - - -"},
      {"forwarded", forwarding(64), "Traffic Success - -"},
      {"dropped by an ACL", forwarding(129), "Refuse Failure Denied Blocked"},
      {"consumed", forwarding(192), "Traffic - - -"},
      {"flow created", firewall(1), "Open - Allowed Allowed"},
      {"flow deleted", firewall(2), "Close - Allowed Allowed"},
      {"flow denied", firewall(3), "Refuse Failure Denied Blocked"},
      {"flow alert", firewall(4), "Traffic - Observed Alert"},
      {"flow update", firewall(5), "Traffic - Allowed Allowed"},
      {"NAT44 session", nat(4), "Open - Modified Allowed"},
      {"NAT44 session ends", nat(5), "Close - Modified Allowed"},
      {"port block", nat(16), "Open - Modified Allowed"},
      {"no ports left", nat(12), "Fail Failure Denied Blocked"},
      {"threshold", nat(18), "NAT Threshold Reached - Observed Logged"},
      {"a firewall's word goes first", [](Flow& f) { f.set_firewall_event(1), f.set_nat_event(12); },
       "Open - Allowed Allowed"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    Flow flow = usual_flow();
    c.set(flow);
    const json event = event_of(flow);
    std::string said = event["activity_name"];
    for (const char* const key : {"status", "action", "disposition"}) said += " " + event.value(key, "-");
    EXPECT_EQ(said, c.says);
    const auto& profiles = event["metadata"]["profiles"];
    EXPECT_EQ(std::find(profiles.begin(), profiles.end(), "security_control") != profiles.end(),
              event.contains("action_id"));
    EXPECT_EQ(event["type_uid"], 400100 + event["activity_id"].get<int>());
  }
}

/// A packet of an agent's, with what is beside it in its sample.
std::string discard_of(const Flow& packet, flowpb::SflowDropReason reason) {
  flowpb::SflowDiscard discard;
  *discard.mutable_packet() = packet;
  discard.set_reason(reason);
  discard.set_drops(3);
  discard.set_sample_sequence(4);
  discard.set_agent_uptime_ms(5);
  return discard.SerializeAsString();
}

TEST(OcsfEvent, SaysWhyAPacketWasDiscarded) {
  Flow packet = usual_flow();
  packet.set_type(flowpb::SFLOW_5);
  packet.set_forwarding_status(129);
  const auto event_with = [&](uint32_t reason) {
    EventContext context;
    context.discard_reason = reason;
    const json event = event_of(packet, {}, context);
    if (test::has_ocsf_schema()) {
      static const test::Judge judge;
      EXPECT_EQ(judge.faults_of(event), std::vector<std::string>());
    }
    EXPECT_EQ(event["activity_name"], "Refuse");
    EXPECT_EQ(event["disposition"], "Blocked");
    return event;
  };
  const json acl = event_with(flowpb::DROP_ACL);
  EXPECT_EQ(acl["status_code"], "258");
  EXPECT_EQ(acl["status_detail"], "DROP_ACL");
  EXPECT_EQ(event_with(0)["status_detail"], "DROP_NET_UNREACHABLE") << "0 is a reason";
  const json unknown = event_with(UINT32_MAX);
  EXPECT_EQ(unknown["status_code"], "4294967295");
  EXPECT_FALSE(unknown.contains("status_detail"));
  EXPECT_FALSE(event_of(packet).contains("status_code")) << "what is no discard of sFlow's has no such reason";
}

TEST(SflowDiscards, AreReadOrRefusedWhereverTheyAreCut) {
  const Flow packet = usual_flow();
  const std::string whole = discard_of(packet, flowpb::DROP_ACL);
  const std::string inside = packet.SerializeAsString();
  SflowDiscardView view;
  ASSERT_TRUE(parse_sflow_discard(test::octets_of(whole), view));
  EXPECT_EQ(view.reason, 258u);
  EXPECT_EQ(std::string(view.packet.begin(), view.packet.end()), inside);
  ASSERT_TRUE(parse_sflow_discard(test::octets_of(discard_of(packet, flowpb::DROP_NET_UNREACHABLE)), view));
  EXPECT_EQ(view.reason, 0u);
  for (size_t octets = 0; octets < whole.size(); ++octets) {
    const std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(octets));  // for a sanitizer to watch
    flowpb::SflowDiscard by_protobuf;
    const bool is_message = by_protobuf.ParseFromArray(cut.data(), static_cast<int>(octets));
    EXPECT_EQ(parse_sflow_discard(cut, view), is_message && by_protobuf.has_packet()) << octets;
  }
  EXPECT_FALSE(parse_sflow_discard(test::octets_of("\x0b"), view)) << "a group";
}

TEST(OcsfEvent, SaysWhereItWasSeen) {
  expect_rows({
      {"a switch", [](Flow& f) { f.set_type(flowpb::SFLOW_5); }, "/device/type_id", "10"},
      {"a firewall", [](Flow& f) { f.set_firewall_event(1); }, "/device/type_id", "9"},
      {"the source", [](Flow& f) { f.set_src_addr(f.sampler_address()); }, "/observation_point_id", "1"},
      {"the destination", [](Flow& f) { f.set_dst_addr(f.sampler_address()); }, "/observation_point_id", "2"},
      {"nobody", [](Flow& f) { f.clear_sampler_address(); }, "/device", ""},
      {"nobody", [](Flow& f) { f.clear_sampler_address(); }, "/metadata/reporter", ""},
      {"sFlow", [](Flow& f) { f.set_type(flowpb::SFLOW_5); }, "/metadata/log_format", "\"sFlow v5\""},
      {"another type", [](Flow& f) { f.set_type(static_cast<flowpb::FlowType>(77)); }, "/unmapped/flow_type", "77"},
  });
}

TEST(OcsfEvent, KeepsTheRestUnderItsOwnNames) {
  expect_rows({
      {"rate", [](Flow& f) { f.set_sampling_rate(1000); }, "/unmapped/sampling_rate", "1000"},
      {"next hop", [](Flow& f) { f.set_next_hop(wire("2001:db8::1")); }, "/unmapped/next_hop", "\"2001:db8::1\""},
      {"no next hop", [](Flow& f) { f.set_next_hop(wire("0.0.0.0")); }, "/unmapped/next_hop", ""},
      {"path", [](Flow& f) { f.add_as_path(64500), f.add_as_path(0); }, "/unmapped/as_path", "[64500,0]"},
      {"layers", [](Flow& f) { f.add_layer_stack(flowpb::Ethernet), f.add_layer_stack(flowpb::VXLAN); },
       "/unmapped/layer_stack", R"(["Ethernet","VXLAN"])"},
      {"segments", [](Flow& f) { f.add_srv6_segments(wire("2001:db8::1")); }, "/unmapped/srv6_segments",
       R"(["2001:db8::1"])"},
      {"application", [](Flow& f) { f.set_application_name("ssh"); }, "/app_name", "\"ssh\""},
      {"application", [](Flow& f) { f.set_application_id("\x01\xff"); }, "/unmapped/application_id", "\"01ff\""},
      {"labels", [](Flow& f) { f.add_labels("a"), f.add_labels("b\n"); }, "/metadata/labels", R"(["a","b\n"])"},
      {"no text", [](Flow& f) { f.set_site("\xc3\xa9"); }, "/unmapped/site", "\"\u00e9\""},
      {"large", [](Flow& f) { f.set_sampler_id(UINT64_MAX); }, "/unmapped/sampler_id", "9223372036854775807"},
      {"an element",
       [](Flow& f) {
         auto* e = f.add_unmapped();
         e->set_id(34);
         e->set_value(std::string("\0\x05", 2));
       },
       "/unmapped/elements", R"([{"enterprise":0,"id":34,"name":"samplingInterval","value":"0005","decoded":5}])"},
  });
}

/// A field that were forgotten here would be lost in every event.
TEST(OcsfEvent, ShowsEveryFieldOfAFlow) {
  const google::protobuf::Descriptor* const descriptor = Flow::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const google::protobuf::FieldDescriptor* const field = descriptor->field(i);
    SCOPED_TRACE(field->name());
    Flow with;
    const auto* reflection = with.GetReflection();
    using F = google::protobuf::FieldDescriptor;
    switch (field->cpp_type()) {
      case F::CPPTYPE_UINT32:
        field->is_repeated() ? reflection->AddUInt32(&with, field, 7) : reflection->SetUInt32(&with, field, 7);
        break;
      case F::CPPTYPE_UINT64: reflection->SetUInt64(&with, field, 7'000'000); break;
      case F::CPPTYPE_ENUM:
        field->is_repeated() ? reflection->AddEnumValue(&with, field, 4) : reflection->SetEnumValue(&with, field, 4);
        break;
      case F::CPPTYPE_STRING:
        field->is_repeated() ? reflection->AddString(&with, field, "abcd") : reflection->SetString(&with, field, "abcd");
        break;
      default: reflection->AddMessage(&with, field); break;
    }
    EXPECT_NE(event_text(with), event_text(Flow()));
  }
}

TEST(OcsfDocument, NamesEveryFieldOfAFlow) {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  std::ifstream file(std::string(root != nullptr ? root : ".") + "/docs/OCSF.md");
  ASSERT_TRUE(file.good());
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  for (int i = 0; i < Flow::descriptor()->field_count(); ++i) {
    EXPECT_NE(text.find("`" + Flow::descriptor()->field(i)->name() + "`"), std::string::npos)
        << Flow::descriptor()->field(i)->name();
  }
}

TEST(OcsfEvent, SaysWhatItIsToldBesideTheFlow) {
  const json event = event_of(usual_flow(),
                              {.product_name = "Dam \"3\"", .product_vendor = "Us", .cloud_provider = "AWS",
                               .timezone_offset_minutes = -330, .observables = true},
                              {.processed_ms = 1'714'764'470'000, .message_id = "uuid.1.2.3", .index = 4});
  EXPECT_EQ(event["metadata"]["product"]["name"], "Dam \"3\"");
  EXPECT_EQ(event["metadata"]["product"]["vendor_name"], "Us");
  EXPECT_EQ(event["metadata"]["product"]["version"], std::string(version()) + "+" + std::string(commit()));
  EXPECT_EQ(event["cloud"]["provider"], "AWS");
  EXPECT_EQ(event["timezone_offset"], -330);
  EXPECT_EQ(event["metadata"]["processed_time"], 1'714'764'470'000);
  EXPECT_EQ(event["metadata"]["uid"], "uuid.1.2.3.4");
  EXPECT_EQ(event["observables"].size(), 3u);
  EXPECT_EQ(event["observables"][1]["value"], "198.51.100.7");
}

TEST(OcsfEvent, SaysWhatIsKnownOfItsAddresses) {
  const enrich::AddressFacts source = {.country = "NL", .city = "Den \"Haag\"", .as_name = "Example", .threat = "botnet, small", .as_number = 64500};
  const enrich::AddressFacts destination = {.country = "US", .cloud = "examplecloud", .as_number = 64501};
  EventContext context;
  context.decisions.src = &source;
  context.decisions.dst = &destination;
  Flow flow = usual_flow();
  flow.set_dst_as(64502);  // the exporter knows better, and so it is not whom the database names
  const json event = event_of(flow, {.data_sets = {{"GeoLite2-City", "2026-01-01T00:00:00Z"}}}, context);
  EXPECT_EQ(event["src_endpoint"]["location"], json::parse(R"({"country": "NL", "city": "Den \"Haag\""})"));
  EXPECT_EQ(event["src_endpoint"]["autonomous_system"], json::parse(R"({"number": 64500, "name": "Example"})"));
  EXPECT_EQ(event["dst_endpoint"]["location"], json::parse(R"({"country": "US"})"));
  EXPECT_EQ(event["dst_endpoint"]["autonomous_system"], json::parse(R"({"number": 64502})"));
  EXPECT_EQ(event["enrichments"], json::parse(R"([{"name": "dst_endpoint.ip", "value": "198.51.100.7", "type": "cloud", "provider": "examplecloud",
                                                   "data": {"provider": "examplecloud"}}])"));
  EXPECT_EQ(event["osint"], json::parse(R"([{"type_id": 1, "type": "IP Address", "value": "192.0.2.10", "name": "botnet, small"}])"));
  EXPECT_EQ(event["metadata"]["transformation_info_list"],
            json::parse(R"([{"name": "GeoLite2-City", "uid": "2026-01-01T00:00:00Z"}])"));
  if (test::has_ocsf_schema()) {
    EXPECT_EQ(test::Judge().faults_of(event), std::vector<std::string>());
  }
}

/// Everything that has an address, but the ends.
std::shared_ptr<const enrich::Enrichment> known_of_all() {
  std::vector<enrich::DataSet> sets(1);
  sets[0].type = "Test";
  sets[0].entries.resize(2);
  sets[0].entries[1].country = "NL";
  sets[0].entries[1].city = "Delft";
  sets[0].entries[1].as_number = 64500;
  sets[0].entries[1].as_name = "Example";
  sets[0].entries[1].cloud = "examplecloud";
  sets[0].entries[1].threat = "scanner";
  for (const char* const network : {"203.0.113.0", "2001:db8:1::"}) {
    const bool is_v4 = std::string_view(network).find(':') == std::string_view::npos;
    sets[0].prefixes.push_back({*rules::parse_address(network), static_cast<uint8_t>(is_v4 ? 120 : 48), 1});
  }
  auto made = enrich::Enrichment::make(std::move(sets));
  EXPECT_TRUE(made) << made.error().message;
  return made ? *made : nullptr;
}

TEST(OcsfEvent, SaysWhatIsKnownOfAddressesThatAreNoEnds) {
  const auto known = known_of_all();
  Flow flow = usual_flow();
  flow.set_post_nat_src_addr(wire("203.0.113.1"));
  flow.set_post_nat_dst_addr(wire("198.51.100.1"));  // nothing is known of it
  flow.set_inner_src_addr(wire("2001:db8:1::1"));
  flow.set_inner_dst_addr(wire("203.0.113.2"));
  flow.set_next_hop(wire("203.0.113.3"));
  flow.set_bgp_next_hop(wire("0.0.0.0"));
  flow.set_sampler_address(wire("203.0.113.4"));  // the exporter's, which is none of the flow's
  flow.add_srv6_segments(wire("2001:db8:1::2"));
  flow.add_srv6_segments(wire("2001:db8:2::2"));
  EventContext context;
  std::string message = flow.SerializeAsString();
  FlowView view;
  ASSERT_TRUE(parse_flow(test::octets_of(message), view));
  context.decisions.look_up(view, known.get());
  const json event = event_of(flow, {}, context);
  std::multiset<std::pair<std::string, std::string>> places, clouds;
  for (const json& each : event["enrichments"]) {
    (each["type"] == "cloud" ? clouds : places).emplace(each["name"], each["value"]);
    if (each["type"] == "address") {
      EXPECT_EQ(each["data"], json::parse(R"({"country":"NL","city":"Delft","as_number":64500,"as_name":"Example"})"));
    }
  }
  const std::multiset<std::pair<std::string, std::string>> expected = {
      {"unmapped.post_nat_src_addr", "203.0.113.1"}, {"unmapped.inner_src_addr", "2001:db8:1::1"}, {"unmapped.inner_dst_addr", "203.0.113.2"},
      {"unmapped.next_hop", "203.0.113.3"},          {"unmapped.srv6_segments", "2001:db8:1::2"}};
  EXPECT_EQ(places, expected);
  EXPECT_EQ(clouds, expected);
  EXPECT_EQ(event["osint"].size(), expected.size());
  EXPECT_EQ(event["osint"][0]["name"], "scanner");
  if (test::has_ocsf_schema()) {
    EXPECT_EQ(test::Judge().faults_of(event), std::vector<std::string>());
  }
  std::vector<char> room(kEventOctetsMax);
  bool is_cut = false;
  const size_t octets = write_remainder(view, context.decisions, 0, room, is_cut);
  const json remainder = json::parse(std::string_view(room.data(), octets));
  EXPECT_EQ(remainder["enrichments"].size(), 2 * expected.size());
  EXPECT_EQ(remainder["osint"].size(), expected.size());
}

/// Enrichment of files that a test writes.
std::shared_ptr<const enrich::Enrichment> known_from(const std::string& applications, const std::string& vendors) {
  test::TemporaryFolder folder;
  enrich::EnrichConfig config;
  config.applications = folder / "applications.csv";
  config.mac_vendors = {folder / "oui.csv"};
  std::ofstream(config.applications) << "name,protocol,ports,prefix\n" << applications;
  std::ofstream(config.mac_vendors[0]) << "Registry,Assignment,Organization Name,Organization Address\n" << vendors;
  auto loaded = enrich::Enrichment::load(config);
  EXPECT_TRUE(loaded) << loaded.error().message;
  return loaded ? *loaded : nullptr;
}

TEST(OcsfEvent, NamesTheApplicationByWhoeverKnowsItBest) {
  const auto known = known_from("https,tcp,443,\n", "");
  const auto rules = rules::RuleSet::parse(
      "version: 1\nrules:\n  - {id: a, then: {set: {app_name: \"bytes > 1 ? 'shop' : ''\"}}}\n", "r", "", event_targets());
  ASSERT_TRUE(rules) << rules.error().message;
  const auto name_of = [&](Flow flow, bool with_rules, const enrich::ExporterNames* exporter) {
    const std::string message = flow.SerializeAsString();
    FlowView view;
    EXPECT_TRUE(parse_flow(test::octets_of(message), view));
    if (exporter != nullptr) give_names(view, *exporter);
    rules::Scratch scratch;
    rules::Outcome outcome;
    EventContext context;
    if (with_rules) {
      (*rules)->program().run(view, scratch, outcome);
      context.decisions.outcome = &outcome;
      context.decisions.program = &(*rules)->program();
    }
    context.decisions.look_up(view, known.get());
    std::vector<char> out(kEventOctetsMax);
    const size_t octets = OcsfWriter({}).write(view, context, out);
    return json::parse(std::string(out.data(), octets)).value("app_name", "");
  };
  Flow flow = usual_flow();
  flow.set_application_id("\x0d\x01");
  enrich::ExporterNames exporter;
  exporter.add_application("\x0d\x01", "payroll");
  enrich::ExporterNames other;
  EXPECT_EQ(name_of(flow, false, nullptr), "https") << "its port's";
  EXPECT_EQ(name_of(flow, true, nullptr), "shop") << "a rule's goes before it";
  flow.set_application_name("tls");
  EXPECT_EQ(name_of(flow, true, &other), "tls") << "a classification's before that";
  EXPECT_EQ(name_of(flow, true, &exporter), "payroll") << "and its exporter's own before all";
  flow.clear_application_name();
  flow.set_bytes(1);
  EXPECT_EQ(name_of(flow, true, nullptr), "https") << "an empty name is none";
  flow.set_proto(300);
  EXPECT_EQ(name_of(flow, false, nullptr), "");
}

TEST(OcsfEvent, SaysWhoMadeTheInterfaces) {
  const auto known = known_from("https,tcp,443,\n", "MA-L,00000C,\"Cisco \"\"Systems\"\", Inc\",x\n");
  EventContext context;
  context.decisions.known = known.get();
  Flow flow = usual_flow();
  flow.set_src_mac(0x00000c010203);
  flow.set_dst_mac(0x02000c010203);
  std::vector<std::pair<std::string, std::string>> data_sets;
  for (const auto& source : known->sources()) data_sets.emplace_back(source.type, source.version);
  const json event = event_of(flow, {.data_sets = data_sets}, context);
  EXPECT_EQ(event["src_endpoint"]["hw_info"], json::parse(R"({"vendor_name": "Cisco \"Systems\", Inc"})"));
  EXPECT_FALSE(event["dst_endpoint"].contains("hw_info")) << "a made-up address";
  EXPECT_EQ(event["metadata"]["transformation_info_list"][0]["name"], "applications");
  EXPECT_EQ(event["metadata"]["transformation_info_list"][1]["name"], "mac_vendors");
  if (test::has_ocsf_schema()) {
    EXPECT_EQ(test::Judge().faults_of(event), std::vector<std::string>());
  }
}

TEST(OcsfEvent, SaysWhatItsExporterIsCalled) {
  enrich::ExporterNames exporter;
  exporter.set_name("edge \"1\"");
  EventContext context;
  context.decisions.exporter = &exporter;
  const json event = event_of(usual_flow(), {}, context);
  EXPECT_EQ(event["device"]["name"], "edge \"1\"");
  if (test::has_ocsf_schema()) {
    EXPECT_EQ(test::Judge().faults_of(event), std::vector<std::string>());
  }
}

TEST(OcsfEvent, SaysNothingOfAddressesThatNothingIsKnownOf) {
  const enrich::AddressFacts nothing;
  EventContext context;
  context.decisions.src = context.decisions.dst = &nothing;
  EXPECT_EQ(event_of(usual_flow(), {}, context), event_of(usual_flow()));
}

TEST(OcsfEvent, IsWholeOrNotThereAtAll) {
  Flow flow = usual_flow();
  flow.add_labels(std::string(100, '\x01'));
  flow.add_unmapped()->set_value("abc");
  const std::string whole = event_text(flow, {.observables = true}, {.message_id = "m"});
  const std::string message = flow.SerializeAsString();
  FlowView view;
  ASSERT_TRUE(parse_flow(test::octets_of(message), view));
  const OcsfWriter writer({.observables = true});
  for (size_t room = 0; room <= whole.size() + 64; ++room) {
    std::vector<char> out(room);  // of exactly that size, for a sanitizer to watch
    const size_t octets = writer.write(view, {.message_id = "m"}, out);
    ASSERT_TRUE(octets == 0 || std::string(out.data(), octets) == whole) << room;
    if (room >= whole.size() + 64) {
      EXPECT_EQ(octets, whole.size());
    }
  }
}

TEST(OcsfEvent, NamesEnumeratorsAsTheSchemaDoes) {
  const auto expect_names = [](const google::protobuf::EnumDescriptor* type, auto name_of) {
    for (int i = 0; i < type->value_count(); ++i) {
      EXPECT_EQ(name_of(static_cast<uint64_t>(type->value(i)->number())), type->value(i)->name());
    }
    for (const uint64_t unknown : {uint64_t{15}, uint64_t{98}, uint64_t{1000}, uint64_t{1020}, uint64_t{1} << 32}) {
      EXPECT_EQ(name_of(unknown), "");
    }
  };
  expect_names(flowpb::FlowType_descriptor(), flow_type_name);
  expect_names(flowpb::LayerStack_descriptor(), layer_name);
  expect_names(flowpb::SamplingSource_descriptor(), sampling_source_name);
  expect_names(flowpb::TimeSource_descriptor(), time_source_name);
  for (int i = 0; i < flowpb::SflowDropReason_descriptor()->value_count(); ++i) {
    const auto* const reason = flowpb::SflowDropReason_descriptor()->value(i);
    EXPECT_EQ(sflow_drop_reason_name(static_cast<uint64_t>(reason->number())), reason->name());
  }
  for (const uint64_t unknown : {uint64_t{16}, uint64_t{255}, uint64_t{304}, uint64_t{1} << 32}) EXPECT_EQ(sflow_drop_reason_name(unknown), "");
}

}  // namespace
}  // namespace weir::transform
