// Which element fills which column, in which widths, and who wins where several could.
#include <gtest/gtest.h>

#include <functional>

#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;

using Getter = std::function<uint64_t(const FlowRecord&)>;

struct ColumnCase {
  uint16_t id;
  const char* name;
  Getter get;
  Field field;
};

#define COLUMN(id, member)                                                               \
  ColumnCase {                                                                           \
    id, #member, [](const FlowRecord& r) -> uint64_t { return r.member; }, Field::member \
  }

std::vector<ColumnCase> number_columns() {
  return {
      COLUMN(1, bytes),
      COLUMN(2, packets),
      COLUMN(4, proto),
      COLUMN(5, ip_tos),
      COLUMN(6, tcp_flags),
      COLUMN(7, src_port),
      COLUMN(9, src_net),
      COLUMN(10, in_if),
      COLUMN(11, dst_port),
      COLUMN(13, dst_net),
      COLUMN(14, out_if),
      COLUMN(16, src_as),
      COLUMN(17, dst_as),
      COLUMN(23, bytes),
      COLUMN(24, packets),
      COLUMN(29, src_net),
      COLUMN(30, dst_net),
      COLUMN(31, ipv6_flow_label),
      COLUMN(34, sampling_rate),
      COLUMN(48, sampler_id),
      COLUMN(52, ip_ttl),
      COLUMN(54, fragment_id),
      COLUMN(58, src_vlan),
      COLUMN(58, vlan_id),
      COLUMN(59, dst_vlan),
      COLUMN(61, flow_direction),
      COLUMN(85, bytes),
      COLUMN(86, packets),
      COLUMN(88, fragment_offset),
      COLUMN(89, forwarding_status),
      COLUMN(128, next_hop_as),
      COLUMN(136, flow_end_reason),
      COLUMN(138, observation_point_id),
      COLUMN(176, icmp_type),
      COLUMN(177, icmp_code),
      COLUMN(178, icmp_type),
      COLUMN(179, icmp_code),
      COLUMN(180, src_port),
      COLUMN(181, dst_port),
      COLUMN(182, src_port),
      COLUMN(183, dst_port),
      COLUMN(192, ip_ttl),
      COLUMN(197, ip_flags),
      COLUMN(227, post_nat_src_port),
      COLUMN(228, post_nat_dst_port),
      COLUMN(230, nat_event),
      COLUMN(231, bytes),
      COLUMN(232, bytes_in),
      COLUMN(233, firewall_event),
      COLUMN(234, ingress_vrf_id),
      COLUMN(235, egress_vrf_id),
      COLUMN(243, src_vlan),
      COLUMN(243, vlan_id),
      COLUMN(252, in_if),
      COLUMN(253, out_if),
      COLUMN(254, dst_vlan),
      COLUMN(256, etype),
      COLUMN(298, packets),
      COLUMN(299, packets_in),
      COLUMN(302, sampler_id),
      COLUMN(352, bytes),
      COLUMN(361, port_range_start),
      COLUMN(362, port_range_end),
      COLUMN(363, port_range_step),
      COLUMN(364, port_range_num),
  };
}

TEST(Columns, TakeTheirElementsInAnyWidth) {
  for (const ColumnCase& c : number_columns()) {
    for (size_t width = 1; width <= 8; ++width) {
      for (const bool v9 : {true, false}) {
        SCOPED_TRACE(std::to_string(c.id) + " " + c.name + " in " + std::to_string(width));
        // A value that needs all octets there are, as far as the column has room.
        const uint64_t value = width == 1 ? 0x83 : 0x8375;
        const std::vector<Value> values = {
            {{c.id, static_cast<uint16_t>(width)}, be(value, width)}};
        Bench b;
        b.send(v9 ? v9_with(values) : ipfix_with(values));
        ASSERT_EQ(b.records(), 1u);
        EXPECT_EQ(c.get(b.record(0)), value);
        EXPECT_TRUE(b.record(0).present.has(c.field));
        EXPECT_EQ(b.record(0).arena_parts, 0u);
        EXPECT_EQ(b.quirk(Quirk::odd_width), 0u);
      }
    }
  }
}

TEST(Columns, KeepLargeNumbers) {
  Bench b;
  b.send(v9_with({{{1, 8}, u64(0xfedc'ba98'7654'3210)},
                  {{2, 5}, be(0xab'cdef'0123, 5)},
                  {{10, 4}, u32(0xffff'ffff)},
                  {{14, 8}, u64(0x8000'0001)},
                  {{16, 4}, u32(4'200'000'000)},
                  {{17, 8}, u64(0x1'0000'0000)}}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.bytes, 0xfedc'ba98'7654'3210);
  EXPECT_EQ(r.packets, 0xab'cdef'0123u);
  EXPECT_EQ(r.in_if, 0xffff'ffffu);
  EXPECT_EQ(r.out_if, 0x8000'0001u);
  EXPECT_EQ(r.src_as, 4'200'000'000u);
  EXPECT_EQ(r.dst_as, 0xffff'ffffu) << "what does not fit is not cut to something else";
}

TEST(Columns, DscpIsTheUpperPartOfTos) {
  Bench b;
  b.send(v9_with({{{195, 1}, u8(46)}}));
  EXPECT_EQ(b.record(0).ip_tos, 0xb8u);
}

TEST(Columns, MacAddressesOfSixOrEightOctets) {
  const uint64_t mac48 = 0x0200'5e10'0001;
  Bench b;
  b.send(v9_with({{{56, 6}, mac(mac48)}, {{80, 8}, join({u16(0), mac(mac48)})}}));
  b.send(v9_with({{{81, 8}, join({mac(mac48), u16(0)})}, {{57, 6}, mac(7)}}),
         {.source = IpAddress::from_v4(0xC0000208)});
  EXPECT_EQ(b.record(0).src_mac, mac48);
  EXPECT_EQ(b.record(0).dst_mac, mac48);
  EXPECT_EQ(b.record(1).src_mac, mac48);
  EXPECT_EQ(b.record(1).dst_mac, 7u);
}

TEST(Columns, Addresses) {
  struct Case {
    uint16_t v4;
    uint16_t v6;
    std::function<const IpAddress&(const FlowRecord&)> get;
    address::Index index;
  };
  const Case cases[] = {{8, 27, [](const FlowRecord& r) -> auto& {return r.src_addr;
}
, address::k_src_addr
}  // namespace
, {12, 28, [](const FlowRecord& r) -> auto& {return r.dst_addr;
}  // namespace weir::decode
, address::k_dst_addr
}
, {15, 62, [](const FlowRecord& r) -> auto& {return r.next_hop;
}
, address::k_next_hop
}
, {18, 63, [](const FlowRecord& r) -> auto& {return r.bgp_next_hop;
}
, address::k_bgp_next_hop
}
, {225, 281, [](const FlowRecord& r) -> auto& {return r.post_nat_src_addr;
}
, address::k_post_nat_src_addr
}
, {226, 282, [](const FlowRecord& r) -> auto& {return r.post_nat_dst_addr;
}
, address::k_post_nat_dst_addr
}
,
}
;
for (const Case& c : cases) {
  SCOPED_TRACE(c.v4);
  const Value v4{{c.v4, 4}, ipv4("192.0.2.9")};
  const Value v6{{c.v6, 16}, ipv6("2001:db8::9")};
  struct Variant {
    std::vector<Value> values;
    const char* expected;
  };
  const Variant variants[] = {
      {{v4}, "192.0.2.9"},
      {{v6}, "2001:db8::9"},
      {{{{c.v4, 4}, zeros(4)}, v6}, "2001:db8::9"},
      {{v6, {{c.v4, 4}, zeros(4)}}, "2001:db8::9"},
      {{v4, {{c.v6, 16}, zeros(16)}}, "192.0.2.9"},
      {{{{c.v4, 4}, zeros(4)}}, "0.0.0.0"},
  };
  for (const Variant& v : variants) {
    Bench b;
    b.send(v9_with(v.values));
    EXPECT_EQ(c.get(b.record(0)).to_string(), v.expected);
    EXPECT_EQ(b.record(0).addresses, address::bit(c.index));
    EXPECT_EQ(b.record(0).arena_parts, 0u);
  }
  // Both say something: the first is the record's, the other is the inner one or kept as it came.
  Bench b;
  b.send(v9_with({v4, v6}));
  EXPECT_EQ(c.get(b.record(0)).to_string(), "192.0.2.9");
  if (c.v4 == 8 || c.v4 == 12) {
    const FlowRecord& r = b.record(0);
    EXPECT_EQ((c.v4 == 8 ? r.inner_src_addr : r.inner_dst_addr).to_string(), "2001:db8::9");
  } else {
    ASSERT_EQ(b.kept(0).unmapped().size(), 1u);
    EXPECT_EQ(b.kept(0).unmapped()[0].id, c.v6);
  }
}
}

TEST(Columns, TheFamilyOfAFlowIsOne) {
  // A default route's address is all zeros without the flow being the other family's.
  Bench b;
  b.send(v9_with({{{8, 4}, zeros(4)},
                  {{12, 4}, ipv4("192.0.2.1")},
                  {{27, 16}, zeros(16)},
                  {{28, 16}, zeros(16)}}));
  EXPECT_EQ(b.record(0).src_addr.to_string(), "0.0.0.0");
  EXPECT_EQ(b.record(0).etype, 0x0800u);
  b.send(v9_with({{{8, 4}, zeros(4)},
                  {{12, 4}, zeros(4)},
                  {{27, 16}, ipv6("2001:db8::1")},
                  {{28, 16}, zeros(16)}}));
  EXPECT_EQ(b.record(1).src_addr.to_string(), "2001:db8::1");
  EXPECT_EQ(b.record(1).dst_addr.to_string(), "::");
  EXPECT_EQ(b.record(1).etype, 0x86ddu);
}

TEST(Columns, TheFamilyIsTheOneThatTheRecordSays) {
  struct Case {
    const char* name;
    Value said;
    std::string_view src, inner_src;
    uint32_t etype;
  };
  const Case cases[] = {
      {"IP version 6", {{60, 1}, u8(6)}, "2001:db8::1", "192.0.2.1", 0x86dd},
      {"IP version 4", {{60, 1}, u8(4)}, "192.0.2.1", "2001:db8::1", 0x0800},
      {"EtherType of IPv6", {{256, 2}, u16(0x86dd)}, "2001:db8::1", "192.0.2.1", 0x86dd},
      {"neither", {{60, 1}, u8(0)}, "192.0.2.1", "2001:db8::1", 0x0800},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    b.send(ipfix_with({{{8, 4}, ipv4("192.0.2.1")},
                       {{12, 4}, ipv4("192.0.2.2")},
                       {{27, 16}, ipv6("2001:db8::1")},
                       {{28, 16}, ipv6("2001:db8::2")},
                       c.said}));
    EXPECT_EQ(b.record(0).src_addr.to_string(), c.src);
    EXPECT_EQ(b.record(0).inner_src_addr.to_string(), c.inner_src);
    EXPECT_EQ(b.record(0).etype, c.etype);
  }
  Bench b;
  b.send(ipfix_with({{{8, 4}, zeros(4)}, {{27, 16}, zeros(16)}, {{60, 1}, u8(6)}}));
  EXPECT_EQ(b.record(0).src_addr.to_string(), "::") << "of DHCPv6, say";
  EXPECT_EQ(b.record(0).etype, 0x86ddu);
}

TEST(Columns, APacketInsideAnotherFillsTheInnerColumns) {
  // As IOS-XR exports SRv6: addresses, protocol and ports of the outer packet, then of the inner
  // one.
  Bench b;
  b.send(ipfix_with({{{27, 16}, ipv6("2001:db8::1")},
                     {{28, 16}, ipv6("2001:db8::2")},
                     {{7, 2}, u16(0)},
                     {{11, 2}, u16(0)},
                     {{4, 1}, u8(4)},
                     {{8, 4}, ipv4("192.0.2.1")},
                     {{12, 4}, ipv4("192.0.2.2")},
                     {{7, 2}, u16(443)},
                     {{11, 2}, u16(50'000)},
                     {{4, 1}, u8(6)}}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.src_addr.to_string(), "2001:db8::1");
  EXPECT_EQ(r.dst_addr.to_string(), "2001:db8::2");
  EXPECT_EQ(r.proto, 4u);
  EXPECT_EQ(r.src_port, 0u);
  EXPECT_EQ(r.etype, 0x86ddu);
  EXPECT_EQ(r.inner_src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(r.inner_dst_addr.to_string(), "192.0.2.2");
  EXPECT_EQ(r.inner_proto, 6u);
  EXPECT_EQ(r.inner_src_port, 443u);
  EXPECT_EQ(r.inner_dst_port, 50'000u);
  EXPECT_EQ(r.arena_parts, 0u);
}

TEST(Columns, APacketInsideAnotherOfItsFamilyFillsTheInnerColumns) {
  // As IOS-XR exports IPv6 on SRv6: addresses, ports and protocol of the outer packet, then of the inner.
  const std::vector<Value> values = {{{27, 16}, ipv6("2001:db8::1")},
                                     {{28, 16}, ipv6("2001:db8::2")},
                                     {{7, 2}, u16(0)},
                                     {{11, 2}, u16(0)},
                                     {{4, 1}, u8(41)},
                                     {{27, 16}, ipv6("2001:db8::3")},
                                     {{28, 16}, ipv6("2001:db8::4")},
                                     {{7, 2}, u16(443)},
                                     {{11, 2}, u16(50'000)},
                                     {{4, 1}, u8(6)},
                                     {{5, 1}, u8(7)}};
  for (const bool v9 : {true, false}) {
    Bench b;
    b.send(v9 ? v9_with(values) : ipfix_with(values));
    const FlowRecord& r = b.record(0);
    EXPECT_EQ(r.src_addr.to_string(), "2001:db8::1");
    EXPECT_EQ(r.dst_addr.to_string(), "2001:db8::2");
    EXPECT_EQ(r.proto, 41u);
    EXPECT_EQ(r.src_port, 0u);
    EXPECT_EQ(r.inner_src_addr.to_string(), "2001:db8::3");
    EXPECT_EQ(r.inner_dst_addr.to_string(), "2001:db8::4");
    EXPECT_EQ(r.inner_proto, 6u);
    EXPECT_EQ(r.inner_src_port, 443u);
    EXPECT_EQ(r.inner_dst_port, 50'000u);
    EXPECT_EQ(r.arena_parts, 0u);
  }
  // One address twice says nothing of a second packet.
  Bench b;
  b.send(ipfix_with({{{8, 4}, ipv4("192.0.2.1")},
                     {{12, 4}, ipv4("192.0.2.2")},
                     {{8, 4}, ipv4("192.0.2.3")},
                     {{4, 1}, u8(6)},
                     {{4, 1}, u8(17)}}));
  EXPECT_FALSE(b.record(0).present.has(Field::inner_src_addr));
  EXPECT_EQ(b.kept(0).unmapped().size(), 2u);
}

struct EtypeCase {
  const char* name;
  std::vector<Value> values;
  uint32_t etype;
};

TEST(Columns, EtypeComesFromItsElementOrTheFamily) {
  const EtypeCase cases[] = {
      {"IPv4", {{{8, 4}, ipv4("192.0.2.1")}}, 0x0800},
      {"IPv6", {{{28, 16}, ipv6("2001:db8::1")}}, 0x86dd},
      {"element 256", {{{8, 4}, zeros(4)}, {{256, 2}, u16(0x8847)}}, 0x8847},
      {"ipVersion", {{{1, 4}, u32(1)}, {{60, 1}, u8(6)}}, 0x86dd},
      {"neither", {{{1, 4}, u32(1)}}, 0},
  };
  for (const EtypeCase& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    b.send(v9_with(c.values));
    EXPECT_EQ(b.record(0).etype, c.etype);
    EXPECT_EQ(b.record(0).arena_parts, 0u);
  }
}

struct WinnerCase {
  std::vector<uint16_t> by_preference;
  Getter get;
};

TEST(Columns, TheFirstOfTheListWinsAndTheRestIsKept) {
  const auto bytes = [](const FlowRecord& r) { return r.bytes; };
  const auto packets = [](const FlowRecord& r) { return r.packets; };
  const WinnerCase cases[] = {
      {{1, 85, 231, 23, 352}, bytes},
      {{2, 86, 298, 24}, packets},
      {{5, 195}, [](const FlowRecord& r) { return r.ip_tos; }},
      {{192, 52}, [](const FlowRecord& r) { return r.ip_ttl; }},
      {{58, 243}, [](const FlowRecord& r) { return r.vlan_id; }},
      {{59, 254}, [](const FlowRecord& r) { return r.dst_vlan; }},
      {{10, 252}, [](const FlowRecord& r) { return r.in_if; }},
      {{14, 253}, [](const FlowRecord& r) { return r.out_if; }},
      {{48, 302}, [](const FlowRecord& r) { return r.sampler_id; }},
  };
  for (const WinnerCase& c : cases) {
    for (size_t first = 0; first < c.by_preference.size(); ++first) {
      SCOPED_TRACE(c.by_preference[first]);
      // The least preferred first in the record: the order there says nothing.
      std::vector<Value> values;
      for (size_t i = c.by_preference.size(); i-- > first;) {
        values.push_back({{c.by_preference[i], 4}, u32(100 + i)});
      }
      Bench b;
      b.send(v9_with(values));
      const bool dscp = c.by_preference[first] == 195;
      EXPECT_EQ(c.get(b.record(0)), dscp ? (100 + first) << 2 & 0xff : 100 + first);
      EXPECT_EQ(b.kept(0).unmapped().size(), c.by_preference.size() - first - 1);
    }
  }
}

TEST(Columns, DirectionsAreToldApartWhereTheExporterDoes) {
  struct Case {
    const char* name;
    std::vector<Value> values;
    uint64_t bytes, bytes_in, bytes_out, packets, packets_in, packets_out;
  };
  const Case cases[] = {
      {"one direction", {{{1, 4}, u32(10)}, {{2, 4}, u32(1)}}, 10, 0, 0, 1, 0, 0},
      {"initiator and responder",
       {{{231, 4}, u32(10)}, {{232, 4}, u32(20)}, {{298, 4}, u32(1)}, {{299, 4}, u32(2)}},
       10,
       20,
       10,
       1,
       2,
       1},
      {"reverse elements of RFC 5103",
       {{{1, 8}, u64(10)}, {{1, 8, 29305}, u64(20)}, {{2, 8}, u64(1)}, {{2, 8, 29305}, u64(2)}},
       10,
       20,
       10,
       1,
       2,
       1},
      {"nProbe's OUT counters are the other direction's",
       {{{1, 4}, u32(10)},
        {{23, 4}, u32(20)},
        {{2, 4}, u32(1)},
        {{24, 4}, u32(2)},
        {{118, 4, 35632}, u32(0)}},
       10,
       20,
       10,
       1,
       2,
       1},
      {"other exporters' are the same packets after policy",
       {{{1, 4}, u32(10)}, {{23, 4}, u32(9)}},
       10,
       0,
       0,
       0,
       0,
       0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    b.send(ipfix_with(c.values));
    const FlowRecord& r = b.record(0);
    EXPECT_EQ(r.bytes, c.bytes);
    EXPECT_EQ(r.bytes_in, c.bytes_in);
    EXPECT_EQ(r.bytes_out, c.bytes_out);
    EXPECT_EQ(r.packets, c.packets);
    EXPECT_EQ(r.packets_in, c.packets_in);
    EXPECT_EQ(r.packets_out, c.packets_out);
  }
}

struct IcmpCase {
  const char* name;
  std::vector<Value> values;
  uint32_t type, code;
};

TEST(Columns, IcmpTypeAndCodeAreFoundWhereverTheyAre) {
  const Value icmp{{4, 1}, u8(1)};
  const Value icmp6{{4, 1}, u8(58)};
  const Value port{{11, 2}, u16(0x0305)};
  const IcmpCase cases[] = {
      {"176 and 177", {icmp, {{176, 1}, u8(8)}, {{177, 1}, u8(2)}}, 8, 2},
      {"178 and 179", {icmp6, {{178, 1}, u8(129)}, {{179, 1}, u8(1)}}, 129, 1},
      {"both, one zero",
       {icmp6, {{176, 1}, u8(0)}, {{177, 1}, u8(0)}, {{178, 1}, u8(129)}, {{179, 1}, u8(1)}},
       129,
       1},
      {"32", {icmp, {{32, 2}, u16(0x0801)}}, 8, 1},
      {"139", {icmp6, {{139, 2}, u16(0x8101)}}, 129, 1},
      {"32 in four octets", {icmp, {{32, 4}, u32(0x0801)}}, 8, 1},
      {"32 and 139, one zero", {icmp6, {{32, 2}, u16(0)}, {{139, 2}, u16(0x8101)}}, 129, 1},
      {"the port", {icmp, port}, 3, 5},
      {"32 before the port", {icmp, port, {{32, 2}, u16(0x0801)}}, 8, 1},
      {"32 is zero, the port is not", {icmp, port, {{32, 2}, u16(0)}}, 3, 5},
      {"139 is zero, the port has the type alone",
       {icmp6, {{139, 2}, u16(0)}, {{11, 2}, u16(135)}},
       135,
       0},
      {"an echo's reply, with its identifier",
       {icmp, {{176, 1}, u8(0)}, {{177, 1}, u8(0)}, {{11, 2}, u16(0x1234)}},
       0,
       0},
  };
  for (const IcmpCase& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    b.send(v9_with(c.values));
    EXPECT_EQ(b.record(0).icmp_type, c.type);
    EXPECT_EQ(b.record(0).icmp_code, c.code);
    EXPECT_EQ(b.record(0).dst_port, 0u);
    EXPECT_EQ(b.record(0).arena_parts, 0u);
  }
}

TEST(Columns, PortsOfOtherProtocolsStay) {
  Bench b;
  b.send(v9_with({{{4, 1}, u8(17)}, {{11, 2}, u16(0x0305)}}));
  EXPECT_EQ(b.record(0).dst_port, 0x0305u);
  EXPECT_EQ(b.record(0).icmp_type, 0u);
}

TEST(Columns, TheMplsStackIsTopFirst) {
  const auto label = [](uint32_t value, uint32_t bottom) { return u24(value << 4 | bottom); };
  struct Case {
    const char* name;
    std::vector<Value> values;
    std::vector<uint32_t> labels;
  };
  const Case cases[] = {
      {"to the bottom", {{{70, 3}, label(16, 0)}, {{71, 3}, label(1'048'575, 1)}}, {16, 1'048'575}},
      {"the rest is not used", {{{70, 3}, label(16, 1)}, {{71, 3}, label(99, 0)}}, {16}},
      {"bottom never said",
       {{{70, 3}, label(16, 0)}, {{71, 3}, label(17, 0)}, {{72, 3}, u24(0)}},
       {16, 17}},
      {"out of order", {{{71, 3}, label(17, 1)}, {{70, 3}, label(16, 0)}}, {16, 17}},
      {"explicit null at the bottom", {{{70, 3}, label(0, 1)}}, {0}},
      {"none", {{{70, 3}, u24(0)}, {{71, 3}, u24(0)}}, {}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    b.send(v9_with(c.values));
    EXPECT_EQ(b.kept(0).numbers(b.record(0).mpls_label), c.labels);
    EXPECT_EQ(b.record(0).arena_parts, c.labels.empty() ? 0u : arena_part::kNumberLists);
  }
}

TEST(Columns, TextLosesItsPaddingOnly) {
  Bench b;
  b.send(v9_with({{{96, 16}, lab::text("a b", 16)},
                  {{371, 8}, lab::text("me", 8, ' ')},
                  {{95, 4}, u32(0x0d00'0100)}}));
  EXPECT_EQ(b.kept(0).text(b.record(0).application_name), "a b");
  EXPECT_EQ(b.kept(0).text(b.record(0).user_name), "me");
  EXPECT_EQ(b.kept(0).text(b.record(0).application_id), std::string("\x0d\0\x01\0", 4));
  EXPECT_TRUE(b.record(0).present.has(Field::application_name));
}

TEST(Columns, ElementsWithoutAColumnAreKeptAsTheyCame) {
  Bench b;
  b.send(ipfix_with({{{1, 4}, u32(5)},
                     {{33'000 & 0x7fff, 3, 9}, u24(0x010203)},
                     {{210, 2}, u16(0)},
                     {{203, 4}, u32(0x04050607)}}));
  const std::vector<Unmapped> expected = {{9, 33'000 & 0x7fff, "\x01\x02\x03"},
                                          {0, 203, "\x04\x05\x06\x07"}};
  EXPECT_EQ(b.kept(0).unmapped(), expected);
  EXPECT_TRUE(b.record(0).present.has(Field::unmapped));
}

TEST(Columns, OddWidthsAreKeptAsTheyCame) {
  const std::vector<Value> odd = {
      {{8, 16}, zeros(16)},    // an IPv4 address in 16 octets
      {{15, 2}, u16(0xc000)},  // H3C's next hop
      {{27, 4}, ipv4("192.0.2.1")}, {{1, 16}, zeros(16)}, {{56, 5}, zeros(5)}, {{70, 2}, zeros(2)},
  };
  for (const Value& v : odd) {
    SCOPED_TRACE(v.field.id);
    Bench b;
    b.send(v9_with({{{2, 4}, u32(7)}, v}));
    EXPECT_EQ(b.quirk(Quirk::odd_width), 1u);
    EXPECT_EQ(b.record(0).packets, 7u);
    EXPECT_EQ(b.record(0).addresses, 0);
    EXPECT_EQ(b.kept(0).unmapped().size(), 1u);
  }
}

TEST(Columns, TheFirstOfARepeatedElementIsTaken) {
  Bench b;
  b.send(v9_with({{{1, 4}, u32(5)},
                  {{1, 4}, u32(6)},
                  {{8, 4}, ipv4("192.0.2.1")},
                  {{8, 4}, ipv4("192.0.2.2")}}));
  EXPECT_EQ(b.record(0).bytes, 5u);
  EXPECT_EQ(b.record(0).src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(b.quirk(Quirk::repeated_element), 2u);
  EXPECT_EQ(b.kept(0).unmapped().size(), 2u);
}

TEST(Columns, AnElementRepeatedBeyondReasonTakesNoColumnAway) {
  std::vector<Value> values = {{{9, 1}, u8(24)}};
  for (int i = 0; i < 170; ++i) values.push_back({{29, 1}, u8(0)});  // another rank of src_net
  values.push_back({{8, 4}, u32(0xC0000201)});
  values.push_back({{12, 4}, u32(0xC0000202)});
  values.push_back({{1, 4}, u32(1500)});
  values.push_back({{2, 4}, u32(3)});
  Bench b;
  b.send(v9_with(values));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.bytes, 1500u);
  EXPECT_EQ(r.packets, 3u);
  EXPECT_EQ(r.src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(r.dst_addr.to_string(), "192.0.2.2");
  EXPECT_GT(r.unmapped.count, 0u);  // what found no room is kept as it came
}

TEST(Columns, NselOfAsaIsKept) {
  Bench b;
  // No 1 and 2, an event, a user of Cisco's own type, no counters at all.
  b.send(v9_with({{{8, 4}, ipv4("192.0.2.1")},
                  {{12, 4}, ipv4("198.51.100.1")},
                  {{233, 1}, u8(3)},
                  {{40'001, 4}, ipv4("203.0.113.1")},
                  {{40'003, 2}, u16(4000)},
                  {{40'000, 20}, lab::text("CORP\\me", 20)},
                  {{33'002, 2}, u16(1001)}}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.bytes, 0u);
  EXPECT_FALSE(r.present.has(Field::bytes));
  EXPECT_EQ(r.firewall_event, 3u);
  EXPECT_EQ(r.post_nat_src_addr.to_string(), "203.0.113.1");
  EXPECT_EQ(r.post_nat_src_port, 4000u);
  EXPECT_EQ(b.kept(0).text(r.user_name), "CORP\\me");
  EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{0, 33'002, "\x03\xe9"}}));
}

TEST(Columns, AnOverfullRecordLosesElementsAndSaysSo) {
  std::vector<Value> values = {{{1, 4}, u32(9)}};
  for (uint16_t i = 0; i < 12; ++i) {
    values.push_back({{static_cast<uint16_t>(9000 + i), 100}, filled(100, 0x5a)});
  }
  Bench b;
  b.send(v9_with(values));
  EXPECT_EQ(b.record(0).bytes, 9u);
  EXPECT_EQ(b.kept(0).unmapped().size(), 9u) << "108 octets each in 1,024";
  EXPECT_EQ(b.quirk(Quirk::arena_overflow), 3u);
}

TEST(Columns, ManyRecordsWithMuchInTheArenaComeInSmallBursts) {
  const std::vector<Value> values = {{{1, 2}, u16(0)}, {{9000, 900}, filled(900, 0x5a)}};
  std::vector<Record> records;
  for (uint16_t i = 0; i < 60; ++i)
    records.push_back({u16(i), filled(900, static_cast<uint8_t>(i))});
  Bench b;
  b.send(NetflowV9Builder{}.templates({template_of(256, values)}).data(256, records).build());
  ASSERT_EQ(b.records(), 60u);
  for (uint16_t i = 0; i < 60; ++i) {
    EXPECT_EQ(b.record(i).bytes, i);
    ASSERT_EQ(b.kept(i).unmapped().size(), 1u);
    EXPECT_EQ(b.kept(i).unmapped()[0].octets, std::string(900, static_cast<char>(i)));
  }
  EXPECT_EQ(b.quirk(Quirk::arena_overflow), 0u);
}

TEST(Columns, VlansFillTwoColumns) {
  Bench b;
  b.send(v9_with({{{58, 2}, u16(100)}, {{59, 2}, u16(200)}}));
  EXPECT_EQ(b.record(0).src_vlan, 100u);
  EXPECT_EQ(b.record(0).vlan_id, 100u);
  EXPECT_EQ(b.record(0).dst_vlan, 200u);
  EXPECT_EQ(b.record(0).arena_parts, 0u);
}

}  // namespace
}  // namespace weir::decode
