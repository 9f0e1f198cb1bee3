// Sections of packets in records of NetFlow v9 and IPFIX, read as sFlow's headers are.
#include <gtest/gtest.h>

#include "decode_support.h"
#include "lab/frame_builder.h"

namespace weir::decode {
namespace {

using namespace lab;

const UdpEnds kEnds{"192.0.2.1", "198.51.100.2", 5000, 53};

Octets tagged_frame() {
  return ethernet(kTpid8021q, vlan(100, kEtherTypeIpv4,
                                   ipv4_packet({.src = kEnds.src, .dst = kEnds.dst, .ttl = 9},
                                               udp_segment(kEnds, zeros(8)))));
}

/// IPv6 in IPv4 (protocol 41).
Octets tunnel_packet() {
  const UdpEnds inside{"2001:db8::1", "2001:db8::2", 1000, 2000};
  return ipv4_packet({.src = kEnds.src, .dst = kEnds.dst, .proto = 41},
                     udp_packet(inside, zeros(4)));
}

Value section(uint16_t id, const Octets& octets) {
  return {{id, static_cast<uint16_t>(octets.size())}, octets};
}

TEST(Sections, AFrameFillsTheColumns) {
  for (const uint16_t id : std::initializer_list<uint16_t>{315, 104}) {
    for (const bool v9 : {true, false}) {
      SCOPED_TRACE(id);
      const std::vector<Value> values = {{{10, 4}, u32(7)}, section(id, tagged_frame())};
      Bench b;
      b.send(v9 ? v9_with(values) : ipfix_with(values));
      ASSERT_EQ(b.records(), 1u);
      const FlowRecord& r = b.record(0);
      EXPECT_EQ(r.src_addr.to_string(), "192.0.2.1");
      EXPECT_EQ(r.dst_addr.to_string(), "198.51.100.2");
      EXPECT_EQ(r.addresses, address::bit(address::k_src_addr) | address::bit(address::k_dst_addr));
      EXPECT_EQ(r.proto, 17u);
      EXPECT_EQ(r.src_port, 5000u);
      EXPECT_EQ(r.dst_port, 53u);
      EXPECT_EQ(r.ip_ttl, 9u);
      EXPECT_EQ(r.vlan_id, 100u);
      EXPECT_EQ(r.etype, 0x0800u);
      EXPECT_EQ(r.in_if, 7u);
      EXPECT_EQ(r.packets, 1u);
      EXPECT_EQ(r.bytes, 0u);
      EXPECT_TRUE(r.present.has(Field::src_mac));
      EXPECT_EQ(b.kept(0).numbers(r.layer_stack), (std::vector<uint32_t>{0, 6, 1, 4}));
      EXPECT_TRUE(b.kept(0).unmapped().empty());
    }
  }
}

TEST(Sections, TheFramesSizeIsItsBytes) {
  Bench b;
  b.send(ipfix_with({{{312, 2}, u16(1514)}, section(315, tagged_frame())}));
  EXPECT_EQ(b.record(0).bytes, 1514u);
  EXPECT_EQ(b.record(0).packets, 1u);
}

TEST(Sections, WhatTheTemplateFillsItselfWins) {
  Bench b;
  b.send(ipfix_with({section(315, tagged_frame()),
                     {{1, 4}, u32(1500)},
                     {{2, 4}, u32(3)},
                     {{8, 4}, ipv4("203.0.113.1")},
                     {{12, 4}, ipv4("203.0.113.2")},
                     {{7, 2}, u16(1)},
                     {{192, 1}, u8(200)},
                     {{58, 2}, u16(5)}}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.bytes, 1500u);
  EXPECT_EQ(r.packets, 3u);
  EXPECT_EQ(r.src_addr.to_string(), "203.0.113.1");
  EXPECT_EQ(r.dst_addr.to_string(), "203.0.113.2");
  EXPECT_EQ(r.src_port, 1u);
  EXPECT_EQ(r.dst_port, 53u) << "the template has none";
  EXPECT_EQ(r.ip_ttl, 200u);
  EXPECT_EQ(r.vlan_id, 5u);
}

TEST(Sections, AddressesThatAreAllZeroAreNone) {
  Bench b;
  b.send(ipfix_with({{{27, 16}, zeros(16)}, {{28, 16}, zeros(16)}, section(315, tagged_frame())}));
  EXPECT_EQ(b.record(0).src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(b.record(0).etype, 0x0800u);
}

TEST(Sections, APacketInsideAnotherFillsTheInnerColumns) {
  Bench b;
  b.send(ipfix_with({section(313, tunnel_packet())}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(r.proto, 41u);
  EXPECT_EQ(r.inner_src_addr.to_string(), "2001:db8::1");
  EXPECT_EQ(r.inner_dst_addr.to_string(), "2001:db8::2");
  EXPECT_EQ(r.inner_proto, 17u);
  EXPECT_EQ(r.inner_src_port, 1000u);
  EXPECT_EQ(r.inner_dst_port, 2000u);
}

TEST(Sections, OfIpPacketsAreOfEitherFamily) {
  for (const uint16_t id : std::initializer_list<uint16_t>{313, 317}) {
    Bench b;
    b.send(ipfix_with({section(id, udp_packet(kEnds, zeros(4)))}));
    b.send(ipfix_with({section(id, udp_packet({"2001:db8::1", "2001:db8::2", 1, 2}, zeros(4)))}));
    EXPECT_EQ(b.record(0).src_addr.to_string(), "192.0.2.1");
    EXPECT_EQ(b.record(1).src_addr.to_string(), "2001:db8::1");
    EXPECT_EQ(b.record(1).etype, 0x86ddu);
  }
}

TEST(Sections, AStackOfLabelsIsToldWhereNoElementIs) {
  const Octets stack = join({u32(16 << 12 | 63), u32(17 << 12 | 0x100 | 62)});
  Bench b;
  b.send(ipfix_with({{{1, 4}, u32(1)}, section(316, stack)}));
  EXPECT_EQ(b.kept(0).numbers(b.record(0).mpls_label), (std::vector<uint32_t>{16, 17}));
  EXPECT_EQ(b.kept(0).numbers(b.record(0).mpls_ttl), (std::vector<uint32_t>{63, 62}));
  EXPECT_EQ(b.record(0).layer_stack.count, 0u);
  EXPECT_FALSE(b.record(0).present.has(Field::packets)) << "labels of a flow are no packet";
  b.send(ipfix_with({{{70, 3}, u24(99 << 4 | 1)}, section(316, stack)}));
  EXPECT_EQ(b.kept(1).numbers(b.record(1).mpls_label), (std::vector<uint32_t>{99}));
}

TEST(Sections, ThatAreNoFramesBeginStayAsTheyCame) {
  const struct {
    const char* name;
    std::vector<Value> values;
  } cases[] = {
      {"behind an offset", {{{409, 2}, u16(14)}, section(315, tagged_frame())}},
      {"deprecated, behind an offset", {{{102, 2}, u16(14)}, section(104, tagged_frame())}},
      {"802.11", {{{408, 2}, u16(2)}, section(315, tagged_frame())}},
      {"too short", {{{1, 4}, u32(1)}, section(315, zeros(13))}},
      {"no IP", {{{1, 4}, u32(1)}, section(313, zeros(20))}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    b.send(ipfix_with(c.values));
    EXPECT_EQ(b.record(0).addresses, 0);
    EXPECT_FALSE(b.record(0).present.has(Field::packets));
    const Octets& octets = c.values.back().octets;
    ASSERT_FALSE(b.kept(0).unmapped().empty());
    EXPECT_EQ(b.kept(0).unmapped().back().octets, std::string(octets.begin(), octets.end()));
  }
  Bench b;
  b.send(ipfix_with({{{408, 2}, u16(1)}, {{409, 2}, u16(0)}, section(315, tagged_frame())}));
  EXPECT_EQ(b.record(0).src_port, 5000u) << "Ethernet, from its begin";
  Bench behind;
  behind.send(ipfix_with({section(315, tagged_frame()), {{408, 2}, u16(2)}}));
  EXPECT_EQ(behind.record(0).addresses, 0) << "802.11, said behind the section";
}

// Looking through the fields for each section took half a second a datagram, and 700 of them are more than
// the time that this program is given.
TEST(Sections, ThousandsOfATemplateCostNoMoreThanTheirOctets) {
  constexpr uint32_t kSections = 10'000;
  constexpr uint64_t kRecords = 6;
  constexpr uint64_t kDatagrams = 700;
  auto made = Decoder::create(Bench::default_config());
  ASSERT_TRUE(made.has_value());
  const lab::Template many{.id = 256, .fields = std::vector<FieldSpecifier>(kSections, {315, 1})};
  const Octets define = IpfixBuilder{}.export_time(kNowSecs).templates({many}).build();
  const Octets data =
      IpfixBuilder{}.export_time(kNowSecs).set(256, zeros(kRecords * kSections)).build();
  CountingSink sink;
  Datagram d{.source = IpAddress::from_v4(0xC0000207), .received_ns = kNow};
  d.payload = define;
  (*made)->decode(d, sink);
  d.payload = data;
  for (uint64_t i = 0; i < kDatagrams; ++i) (*made)->decode(d, sink);
  EXPECT_EQ(sink.records, kDatagrams * kRecords);
}

TEST(Sections, OfIcmpHaveATypeAndNoPorts) {
  const Octets echo =
      ipv4_packet({.src = kEnds.src, .dst = kEnds.dst, .proto = 1}, join({u8(8), u8(0), zeros(6)}));
  Bench b;
  b.send(ipfix_with({section(313, echo)}));
  EXPECT_EQ(b.record(0).proto, 1u);
  EXPECT_EQ(b.record(0).icmp_type, 8u);
  EXPECT_TRUE(b.record(0).present.has(Field::icmp_code));
  EXPECT_EQ(b.record(0).dst_port, 0u);
}

TEST(Sections, OfVariableLengthMayBeCutOffAnywhere) {
  const Octets frame = ethernet(kEtherTypeIpv4, tunnel_packet());
  for (size_t n = 0; n <= frame.size(); ++n) {
    SCOPED_TRACE(n);
    const Octets cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(n));
    Bench b;
    b.send(ipfix_with({{{1, 4}, u32(5)}, {{315, lab::kVariableLength}, variable(cut)}}));
    ASSERT_EQ(b.records(), 1u);
    EXPECT_EQ(b.record(0).bytes, 5u);
    EXPECT_EQ(b.record(0).present.has(Field::src_addr), n >= 34);
    EXPECT_EQ(b.record(0).present.has(Field::inner_src_addr), n >= 74);
  }
  expect_truncations_tolerated(
      ipfix_with({{{1, 4}, u32(5)}, {{315, lab::kVariableLength}, variable(frame)}}));
}

}  // namespace
}  // namespace weir::decode
