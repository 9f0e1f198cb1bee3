// sFlow version 5: samples into records, hostile lengths, the ledger of samples.
#include "decode/sflow_v5.h"

#include <gtest/gtest.h>

#include <numeric>

#include "decode_support.h"
#include "lab/sflow_builder.h"
#include "packet/sampled_header.h"

namespace weir::decode {
namespace {

using namespace lab;

// The lab's and the decoder's words meet.
using sflow::extended_gateway;
using sflow::extended_router;
using sflow::extended_switch;
using sflow::raw_header;

constexpr uint8_t kAck = 0x10;
constexpr uint32_t kFrameOctets = 1518;

Octets tcp(uint16_t src_port, uint16_t dst_port, uint8_t flags) {
  return join({u16(src_port), u16(dst_port), u32(1), u32(2), u8(5 << 4), u8(flags), u16(100),
               u16(0), u16(0)});
}
Octets tcp_frame() {
  return ethernet(kTpid8021q, vlan(0x2000 | 77, kEtherTypeIpv4,
                                   ipv4_packet({.src = "192.0.2.1",
                                                .dst = "198.51.100.2",
                                                .proto = kProtoTcp,
                                                .id = 0x1234,
                                                .flags_and_offset = 0x4000,
                                                .ttl = 61},
                                               tcp(443, 50'123, kAck))));
}
SflowFlowSample tcp_sample() {
  return {.sequence = 9,
          .source_class = 0,
          .source_index = 12,
          .sampling_rate = 1000,
          .input = {0, 3},
          .output = {0, 7},
          .records = {raw_header(tcp_frame(), kFrameOctets)}};
}
FlowRecord only(const SflowFlowSample& s) {
  Bench b;
  EXPECT_TRUE(b.send(SflowBuilder{}.flow(s).build()));
  EXPECT_EQ(b.records(), 1u);
  return b.records() == 0 ? FlowRecord{} : b.record(0);
}
FlowRecord only(const sflow::FlowRecord& r) { return only({.sampling_rate = 1, .records = {r}}); }

TEST(SflowV5, ARawHeaderBecomesTheFiveTuple) {
  Bench b;
  ASSERT_TRUE(b.send(
      SflowBuilder{}.agent("192.0.2.9").sub_agent(4).sequence(77).flow(tcp_sample()).build()));
  ASSERT_EQ(b.records(), 1u);
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(r.dst_addr.to_string(), "198.51.100.2");
  EXPECT_EQ(r.src_port, 443u);
  EXPECT_EQ(r.dst_port, 50'123u);
  EXPECT_EQ(r.proto, 6u);
  EXPECT_EQ(r.tcp_flags, kAck);
  EXPECT_EQ(r.vlan_id, 77u);
  EXPECT_EQ(r.ip_ttl, 61u);
  EXPECT_EQ(r.ip_flags, 2u);
  EXPECT_EQ(r.fragment_id, 0x1234u);
  EXPECT_EQ(r.etype, 0x0800u);
  EXPECT_EQ(r.sampling_rate, 1000u);
  EXPECT_EQ(r.sampling_source, static_cast<uint32_t>(SamplingSource::record));
  EXPECT_EQ(r.bytes, kFrameOctets);
  EXPECT_EQ(r.packets, 1u);
  EXPECT_EQ(r.in_if, 3u);
  EXPECT_EQ(r.out_if, 7u);
  EXPECT_EQ(r.source_id, 12u);
  EXPECT_EQ(r.time_flow_start_ns, kNow);
  EXPECT_EQ(r.time_flow_end_ns, kNow);
  EXPECT_EQ(r.time_source, static_cast<uint32_t>(TimeSource::sampled));
  EXPECT_NE(r.src_mac, 0u);
  EXPECT_NE(r.src_mac, r.dst_mac);
  EXPECT_EQ(b.kept(0).numbers(r.layer_stack), (std::vector<uint32_t>{0, 6, 1, 3}));
  EXPECT_EQ(b.kept(0).numbers(r.layer_size), (std::vector<uint32_t>{14, 4, 20, 20}));
  EXPECT_TRUE(r.present.has(Field::src_port));
  EXPECT_FALSE(r.present.has(Field::src_as));

  const ExportHeader& h = b.kept(0).header;
  EXPECT_EQ(h.type, FlowType::sflow_5);
  EXPECT_EQ(h.sequence_num, 77u);
  EXPECT_EQ(h.sub_agent_id, 4u);
  EXPECT_EQ(h.sampler_address.to_string(), "192.0.2.9");
  EXPECT_EQ(h.exporter_address.to_string(), "192.0.2.7");
  EXPECT_EQ(b.exporter().address.to_string(), "192.0.2.7");
  EXPECT_EQ(b.decoder->counters().datagrams_by_protocol[Protocol::sflow_5].value(), 1u);
  EXPECT_EQ(b.decoder->counters().records_by_protocol[Protocol::sflow_5].value(), 1u);
}

TEST(SflowV5, TheExpandedFormSaysTheSame) {
  SflowFlowSample s = tcp_sample();
  s.output.value = 0x8000'0001;
  Bench b;
  ASSERT_TRUE(b.send(SflowBuilder{}.agent("2001:db8::9").expanded_flow(s).build()));
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.record(0).src_port, 443u);
  EXPECT_EQ(b.record(0).sampling_rate, 1000u);
  EXPECT_EQ(b.record(0).in_if, 3u);
  EXPECT_EQ(b.record(0).out_if, 0x8000'0001u) << "its own word: nothing is masked";
  EXPECT_EQ(b.record(0).source_id, 12u);
  EXPECT_EQ(b.kept(0).header.sampler_address.to_string(), "2001:db8::9");
}

TEST(SflowV5, InterfacesLoseTheirFormatAndKeepItsMeaning) {
  struct Case {
    SflowInterface output;
    uint32_t out_if;
    uint32_t forwarding_status;
  };
  const Case cases[] = {
      {{0, 5}, 5, 0},     {{0, 0x3fff'ffff}, 0, 0}, {{1, 258}, 0, 129}, {{1, 256}, 0, 128},
      {{1, 257}, 0, 137}, {{1, 0}, 0, 131},         {{2, 3}, 0, 64},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.output.value);
    SflowFlowSample s = tcp_sample();
    s.input = {0, 0x3fff'ffff};
    s.output = c.output;
    Bench b;
    b.send(SflowBuilder{}.flow(s).expanded_flow(s).build());
    ASSERT_EQ(b.records(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(b.record(i).in_if, 0u);
      EXPECT_EQ(b.record(i).out_if, c.out_if);
      EXPECT_EQ(b.record(i).forwarding_status, c.forwarding_status);
    }
  }
}

TEST(SflowV5, ARateOfZeroIsTheListeners) {
  DecoderConfig config = Bench::default_config();
  config.listeners[0].sampling_rate_default = 512;
  SflowFlowSample s = tcp_sample();
  s.sampling_rate = 0;
  Bench b(config);
  b.send(SflowBuilder{}.flow(s).build());
  EXPECT_EQ(b.record(0).sampling_rate, 512u);
  EXPECT_EQ(b.record(0).sampling_source, static_cast<uint32_t>(SamplingSource::default_));
  EXPECT_EQ(only(s).sampling_rate, 0u);
}

TEST(SflowV5, TunnelsTellTheOutermostAndTheInnermost) {
  const Octets inner =
      ethernet(kEtherTypeIpv6, udp_packet({"2001:db8::1", "2001:db8::2", 5353, 53}, zeros(8)));
  const Octets frame =
      ethernet(kEtherTypeIpv4, udp_packet({"192.0.2.1", "192.0.2.2", 40'000, 4789},
                                          join({u32(0x0800'0000), u32(42 << 8), inner})));
  const FlowRecord r = only(raw_header(frame));
  EXPECT_EQ(r.src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(r.dst_port, 4789u);
  EXPECT_EQ(r.proto, 17u);
  EXPECT_EQ(r.etype, 0x0800u);
  EXPECT_EQ(r.inner_src_addr.to_string(), "2001:db8::1");
  EXPECT_EQ(r.inner_dst_addr.to_string(), "2001:db8::2");
  EXPECT_EQ(r.inner_proto, 17u);
  EXPECT_EQ(r.inner_src_port, 5353u);
  EXPECT_EQ(r.inner_dst_port, 53u);
  EXPECT_NE(r.blocks & block::kNat, 0);
}

TEST(SflowV5, OtherHeaderProtocols) {
  const Octets v4 = udp_packet({"192.0.2.1", "192.0.2.2", 1000, 53}, zeros(8));
  const Octets v6 = udp_packet({"2001:db8::1", "2001:db8::2", 1000, 53}, zeros(8));
  EXPECT_EQ(only(raw_header(v4, 0, sflow::kHeaderIpv4)).dst_addr.to_string(), "192.0.2.2");
  EXPECT_EQ(only(raw_header(v6, 0, sflow::kHeaderIpv6)).dst_addr.to_string(), "2001:db8::2");
  EXPECT_EQ(only(raw_header(v6, 0, sflow::kHeaderIpv6)).etype, 0x86ddu);

  Bench b;
  b.send(
      SflowBuilder{}
          .flow({.records = {raw_header(join({u32(16 << 12 | 0x1ff), v4}), 0, sflow::kHeaderMpls)}})
          .flow({.records = {raw_header(v4, 99, 5)}})
          .build());
  ASSERT_EQ(b.records(), 2u);
  EXPECT_EQ(b.kept(0).numbers(b.record(0).mpls_label), std::vector<uint32_t>{16});
  EXPECT_EQ(b.kept(0).numbers(b.record(0).mpls_ttl), std::vector<uint32_t>{255});
  EXPECT_EQ(b.record(0).dst_port, 53u);
  EXPECT_EQ(b.record(1).addresses, 0) << "frame relay is not walked";
  EXPECT_EQ(b.record(1).bytes, 99u);
  EXPECT_EQ(b.quirk(Quirk::unknown_flow_record), 1u);
}

TEST(SflowV5, LabelsThatHaveNoRoomAreCounted) {
  const auto stack = [](uint32_t labels) {
    Octets frame;
    for (uint32_t i = 1; i <= labels; ++i)
      append(frame, u32(i << 12 | (i == labels ? 0x1ff : 0xff)));
    append(frame, udp_packet({"192.0.2.1", "192.0.2.2", 1000, 53}, zeros(8)));
    return SflowFlowSample{.records = {raw_header(frame, 0, sflow::kHeaderMpls)}};
  };
  Bench b;
  b.send(SflowBuilder{}.flow(stack(10)).build());
  EXPECT_EQ(b.quirk(Quirk::arena_overflow), 0u);
  b.send(SflowBuilder{}.flow(stack(11)).build());
  EXPECT_EQ(b.quirk(Quirk::arena_overflow), 1u);
  EXPECT_EQ(b.kept(1).numbers(b.record(1).mpls_label).size(), 10u);
  EXPECT_EQ(b.record(1).dst_port, 53u);
}

TEST(SflowV5, SampledIpStandsInForAHeader) {
  const sflow::FlowRecord v4{3, join({u32(1400), u32(6), ipv4("192.0.2.1"), ipv4("192.0.2.2"),
                                      sflow::words({80, 4000, 0x12, 0xb8})})};
  const sflow::FlowRecord v6{4, join({u32(900), u32(17), ipv6("2001:db8::1"), ipv6("2001:db8::2"),
                                      sflow::words({53, 4001, 0, 4})})};
  FlowRecord r = only(v4);
  EXPECT_EQ(r.src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(r.bytes, 1400u);
  EXPECT_EQ(r.src_port, 80u);
  EXPECT_EQ(r.dst_port, 4000u);
  EXPECT_EQ(r.tcp_flags, 0x12u);
  EXPECT_EQ(r.ip_tos, 0xb8u);
  EXPECT_EQ(r.etype, 0x0800u);
  r = only(v6);
  EXPECT_EQ(r.dst_addr.to_string(), "2001:db8::2");
  EXPECT_EQ(r.bytes, 900u);
  EXPECT_EQ(r.etype, 0x86ddu);

  r = only(SflowFlowSample{.records = {v4, raw_header(tcp_frame(), kFrameOctets)}});
  EXPECT_EQ(r.src_port, 443u) << "the header knows better, wherever it stands";
  EXPECT_EQ(r.bytes, kFrameOctets);

  const sflow::FlowRecord icmp{3, join({u32(84), u32(1), ipv4("192.0.2.1"), ipv4("192.0.2.2"),
                                        sflow::words({8, 2048, 0, 0})})};
  EXPECT_EQ(only(icmp).dst_port, 0u);
}

TEST(SflowV5, SampledEthernetNamesTheStations) {
  const FlowRecord r = only({2, join({u32(64), mac(0x0200'5e00'0001), zeros(2),
                                      mac(0x0200'5e00'0002), zeros(2), u32(0x0806)})});
  EXPECT_EQ(r.src_mac, 0x0200'5e00'0001u);
  EXPECT_EQ(r.dst_mac, 0x0200'5e00'0002u);
  EXPECT_EQ(r.etype, 0x0806u);
  EXPECT_EQ(r.bytes, 64u);
  EXPECT_EQ(r.addresses, 0);
}

TEST(SflowV5, WhatTheDeviceKnew) {
  SflowFlowSample s = tcp_sample();
  s.records = {extended_switch(10, 20),
               extended_router("203.0.113.1", 24, 16),
               extended_gateway({.next_hop = "203.0.113.2",
                                 .as = 64'500,
                                 .src_as = 4'200'000'001,
                                 .src_peer_as = 64'502,
                                 .segments = {{64'510, 64'511}, {4'200'000'000}},
                                 .communities = {0xfde8'0064, 0xffff'ff01}}),
               {1004, join({u32(106), sflow::string("alice"), u32(106), sflow::string("bob")})},
               {1005, join({u32(1), sflow::string("/index"), sflow::string("www.example.org")})},
               {1007, join({sflow::address("198.51.100.1"), sflow::address("198.51.100.3")})},
               {1020, sflow::words({1024, 2048})},
               raw_header(tcp_frame(), kFrameOctets)};
  Bench b;
  ASSERT_TRUE(b.send(SflowBuilder{}.flow(s).build()));
  ASSERT_EQ(b.records(), 1u);
  const KeptRecord& k = b.kept(0);
  const FlowRecord& r = k.record;
  EXPECT_EQ(r.src_vlan, 10u);
  EXPECT_EQ(r.dst_vlan, 20u);
  EXPECT_EQ(r.vlan_id, 77u) << "the frame's tag";
  EXPECT_EQ(r.next_hop.to_string(), "203.0.113.1");
  EXPECT_EQ(r.src_net, 24u);
  EXPECT_EQ(r.dst_net, 16u);
  EXPECT_EQ(r.bgp_next_hop.to_string(), "203.0.113.2");
  EXPECT_EQ(r.src_as, 4'200'000'001u);
  EXPECT_EQ(r.dst_as, 4'200'000'000u) << "the last of the path, not the router's own";
  EXPECT_EQ(r.next_hop_as, 64'510u);
  EXPECT_EQ(k.numbers(r.as_path), (std::vector<uint32_t>{64'510, 64'511, 4'200'000'000}));
  EXPECT_EQ(k.numbers(r.bgp_communities), (std::vector<uint32_t>{0xfde8'0064, 0xffff'ff01}));
  EXPECT_EQ(k.text(r.user_name), "alice");
  EXPECT_EQ(k.text(r.server_name), "www.example.org");
  EXPECT_EQ(r.post_nat_src_addr.to_string(), "198.51.100.1");
  EXPECT_EQ(r.post_nat_dst_addr.to_string(), "198.51.100.3");
  EXPECT_EQ(r.post_nat_src_port, 1024u);
  EXPECT_EQ(r.post_nat_dst_port, 2048u);
  EXPECT_EQ(r.src_port, 443u);
}

TEST(SflowV5, AnEmptyPathInventsNoDestination) {
  const FlowRecord r = only(extended_gateway({.as = 64'500, .src_as = 64'501}));
  EXPECT_EQ(r.src_as, 64'501u);
  EXPECT_EQ(r.dst_as, 0u);
  EXPECT_FALSE(r.present.has(Field::dst_as));
  EXPECT_EQ(r.as_path.count, 0);
}

TEST(SflowV5, ALongPathKeepsItsLastAs) {
  std::vector<uint32_t> path(200);
  std::iota(path.begin(), path.end(), 1u);
  Bench b;
  b.send(SflowBuilder{}
             .flow({.records = {extended_gateway({.segments = {path}, .communities = path})}})
             .build());
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.record(0).dst_as, 200u);
  EXPECT_EQ(b.record(0).as_path.count, kAsPathMax);
  EXPECT_EQ(b.record(0).bgp_communities.count, kCommunitiesMax);
  EXPECT_EQ(b.quirk(Quirk::arena_overflow), 3u) << "nor has all of it room as it came";
}

TEST(SflowV5, SamplesOfOtherTypesAreWalkedAndCounted) {
  Bench b;
  ASSERT_TRUE(b.send(SflowBuilder{}
                         .counters({})
                         .flow(tcp_sample())
                         .expanded_counters({})
                         .discard({})
                         .sample(4413 << 12 | 1, zeros(12))
                         .flow(tcp_sample())
                         .build()));
  EXPECT_EQ(b.records(), 2u);
  EXPECT_EQ(b.sink.counters.size(), 2u);
  EXPECT_EQ(b.sink.discards.size(), 1u);
  EXPECT_EQ(b.outcome(SetOutcome::decoded), 5u);
  EXPECT_EQ(b.outcome(SetOutcome::skipped_unknown_format), 1u);
  const DecoderCounters& c = b.decoder->counters();
  EXPECT_EQ(c.set_outcome_octets[SetOutcome::skipped_unknown_format].value(), 20u);
  EXPECT_EQ(b.exporter().sets_lost, 1u);
  EXPECT_EQ(b.exporter().records, 2u) << "counters and discards are no flows";
  EXPECT_EQ(b.exporter().counter_records, 2u);
  EXPECT_EQ(b.exporter().discard_records, 1u);
}

TEST(SflowV5, SamplesWhoseLengthIsNoMultipleOfFourArePadded) {
  Bench b;
  b.send(SflowBuilder{}
             .sample(9, zeros(8), 5)  // three octets of padding
             .flow(tcp_sample())
             .build());
  EXPECT_EQ(b.records(), 1u);
  EXPECT_EQ(b.outcome(SetOutcome::skipped_unknown_format), 1u);
}

struct HostileCase {
  const char* name;
  Octets datagram;
  size_t records;
};

TEST(SflowV5, HostileLengthsAndCountsAreBounded) {
  constexpr uint32_t kHuge = 0xffff'ffff;
  const auto with = [](const sflow::FlowRecord& r) {
    return SflowBuilder{}.flow({.records = {r}}).flow(tcp_sample()).build();
  };
  const Octets gateway = join({sflow::address("192.0.2.1"), sflow::words({1, 2, 3})});
  const HostileCase cases[] = {
      {"count of samples", SflowBuilder{}.flow(tcp_sample()).count(kHuge).build(), 1},
      {"count of records", SflowBuilder{}.flow({.record_count = kHuge}).flow(tcp_sample()).build(),
       2},
      {"length of a sample",
       SflowBuilder{}.flow(tcp_sample()).sample(1, zeros(40), kHuge).flow(tcp_sample()).build(), 1},
      {"length that wraps when rounded up", SflowBuilder{}.sample(1, zeros(40), kHuge - 2).build(),
       0},
      {"length of a record", with({1, zeros(16), kHuge}), 2},
      {"length of a header", with({1, join({sflow::words({1, 100, 0, kHuge}), tcp_frame()})}), 2},
      {"segments of a path", with({1003, join({gateway, u32(kHuge)})}), 2},
      {"length of a path", with({1003, join({gateway, sflow::words({1, 2, kHuge, 7})})}), 2},
      {"communities", with({1003, join({gateway, sflow::words({0, kHuge, 7})})}), 2},
      {"a string", with({1004, sflow::words({106, kHuge, 7})}), 2},
      {"an address of an unknown type", with({1002, sflow::words({9, 1, 2, 3})}), 2},
      {"samples of no octets", SflowBuilder{}.sample(1, {}).flow(tcp_sample()).build(), 1},
      {"a flow sample too short", SflowBuilder{}.sample(3, zeros(40)).build(), 0},
  };
  for (const HostileCase& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    EXPECT_TRUE(b.send(c.datagram));
    EXPECT_EQ(b.records(), c.records);
    if (c.records != 0) {
      EXPECT_EQ(b.record(c.records - 1).src_port, 443u) << "its sibling is kept";
    }
  }
}

TEST(SflowV5, SamplesBeyondTheLimitAreCounted) {
  SflowBuilder m;
  for (uint32_t i = 0; i < kSflowSamplesDefault + 5; ++i) m.flow({.sampling_rate = 1});
  Bench b;
  b.send(m.build());
  EXPECT_EQ(b.records(), kSflowSamplesDefault);
  EXPECT_EQ(b.outcome(SetOutcome::skipped_sample_limit), 5u);
}

TEST(SflowV5, TheLimitOfSamplesIsTheListeners) {
  DecoderConfig config = Bench::default_config();
  config.listeners.resize(2);
  config.listeners[1].samples_per_datagram_max = 2;
  Bench b(config);
  SflowBuilder m;
  m.flow(tcp_sample()).counters({}).flow(tcp_sample()).discard({}).sample(99, zeros(4));
  b.send(m.build(), {.listener = 1});
  EXPECT_EQ(b.records(), 1u);
  EXPECT_EQ(b.sink.counters.size(), 1u);
  EXPECT_EQ(b.sink.discards.size(), 0u);
  EXPECT_EQ(b.outcome(SetOutcome::skipped_sample_limit), 3u);
  b.send(m.build(), {.listener = 0});
  EXPECT_EQ(b.records(), 3u);
  EXPECT_EQ(b.outcome(SetOutcome::skipped_sample_limit), 3u);
}

TEST(SflowV5, RecordsBeyondTheLimitAreCounted) {
  SflowFlowSample s{.sampling_rate = 1};
  s.records.assign(kSflowRecordsMax, extended_switch(1, 2));
  s.records.push_back(raw_header(tcp_frame()));
  Bench b;
  b.send(SflowBuilder{}.flow(s).build());
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.record(0).addresses, 0);
  EXPECT_EQ(b.quirk(Quirk::count_mismatch), 1u);
}

TEST(SflowV5, ManySamplesFillManyBursts) {
  std::vector<uint32_t> path(kAsPathMax);
  std::iota(path.begin(), path.end(), 100u);
  SflowBuilder m;
  for (uint32_t i = 0; i < 100; ++i) {
    SflowFlowSample s = tcp_sample();
    s.source_index = i;
    s.records.push_back(extended_gateway({.segments = {path}, .communities = path}));
    m.flow(s);
  }
  Bench b;
  b.send(m.build());
  ASSERT_EQ(b.records(), 100u);
  for (uint32_t i = 0; i < 100; ++i) {
    EXPECT_EQ(b.record(i).source_id, i);
    EXPECT_EQ(b.kept(i).numbers(b.record(i).as_path), path);
    EXPECT_EQ(b.kept(i).numbers(b.record(i).layer_stack), (std::vector<uint32_t>{0, 6, 1, 3}));
  }
  EXPECT_EQ(b.quirk(Quirk::arena_overflow), 0u);
}

TEST(SflowV5, EveryTruncationIsTolerated) {
  SflowFlowSample s = tcp_sample();
  s.records.push_back(extended_gateway({.segments = {{1, 2}}, .communities = {3}}));
  s.records.push_back(extended_router("2001:db8::1", 64, 48));
  expect_truncations_tolerated(SflowBuilder{}.flow(s).counters({}).expanded_flow(s).build());
}

TEST(SflowV5, AgentsThatAreNotKnown) {
  Bench b;
  EXPECT_TRUE(b.send(SflowBuilder{}.agent_octets(u32(0)).flow(tcp_sample()).build()));
  EXPECT_EQ(b.kept(0).header.sampler_address.to_string(), "192.0.2.7") << "the datagram's source";
  EXPECT_FALSE(b.send(SflowBuilder{}.agent_octets(join({u32(3), zeros(4)})).build()));
  EXPECT_EQ(b.error(DatagramError::bad_agent_address), 1u);
}

TEST(SflowV5, SequencesAreEachAgentsAndSubAgents) {
  Bench b;
  uint64_t at = kNow;
  const auto send = [&](std::string_view agent, uint32_t sub_agent, uint32_t sequence) {
    b.send(SflowBuilder{}.agent(agent).sub_agent(sub_agent).sequence(sequence).build(),
           {.at_ns = at += 1'000'000});
  };
  for (uint32_t i = 0; i < 5; ++i) {
    send("192.0.2.9", 0, 10 + i);
    send("192.0.2.9", 1, 5000 + i);
    send("192.0.2.10", 0, 70'000 + i);
    send("2001:db8::10", 0, 9 + i);
  }
  EXPECT_EQ(b.exporter().sequence_lost, 0u);
  EXPECT_EQ(b.exporter().domains, 4u);
  send("192.0.2.10", 0, 70'000 + 8);
  EXPECT_EQ(b.exporter().sequence_lost, 3u);
}

TEST(SflowV5, MoreAgentsThanDomainsAreDecodedAllTheSame) {
  DecoderConfig config = Bench::default_config();
  config.limits.domains_per_exporter_max = 2;
  Bench b(config);
  for (uint32_t sub_agent = 0; sub_agent < 5; ++sub_agent) {
    EXPECT_TRUE(b.send(SflowBuilder{}.sub_agent(sub_agent).flow(tcp_sample()).build()));
  }
  EXPECT_EQ(b.records(), 5u);
  EXPECT_EQ(b.exporter().domains, 2u);
  EXPECT_EQ(b.quirk(Quirk::sequence_untracked), 3u);
}

TEST(SflowV5, IsNotNetflowV5) {
  Bench b;
  b.send(SflowBuilder{}.flow(tcp_sample()).build());
  b.send(NetflowV5Builder{}.unix_time(kNowSecs).record({}).build());
  EXPECT_EQ(b.decoder->counters().datagrams_by_protocol[Protocol::sflow_5].value(), 1u);
  EXPECT_EQ(b.decoder->counters().datagrams_by_protocol[Protocol::netflow_v5].value(), 1u);
  EXPECT_EQ(b.exporter().protocols, 1u << static_cast<unsigned>(Protocol::sflow_5) |
                                        1u << static_cast<unsigned>(Protocol::netflow_v5));
}

}  // namespace
}  // namespace weir::decode
