// What exporters are in the habit of doing and collectors of getting wrong, where no other file of this
// room has it: docs/PROTOCOLS.md lists all of it with its tests.
#include <gtest/gtest.h>

#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;

const Value kBytes{{1, 4}, u32(10)};

TEST(Habits, TwoLineCardsFlapBetweenTwoDefinitions) {
  // One address, source id, port and template id: whoever spoke last holds.
  Bench b;
  for (uint32_t i = 0; i < 10; ++i) {
    const uint16_t element = i % 2 == 0 ? 1 : 2;
    b.send(v9_with({{{element, 4}, u32(100 + i)}}));
    ASSERT_EQ(b.records(), i + 1);
    EXPECT_EQ(i % 2 == 0 ? b.record(i).bytes : b.record(i).packets, 100 + i);
  }
  EXPECT_EQ(b.event(TemplateEvent::redefined), 9u);
  EXPECT_EQ(b.quirk(Quirk::template_conflict), 0u);
  EXPECT_EQ(b.exporter().templates, 1u);
}

TEST(Habits, TemplatesComeToOneListenerAndDataToAnother) {
  DecoderConfig config = Bench::default_config();
  config.listeners.resize(2);
  Bench b(config);
  const lab::Template t = template_of(256, {kBytes});
  b.send(NetflowV9Builder{}.unix_secs(kNowSecs).templates({t}).build(), {.listener = 0});
  b.send(NetflowV9Builder{}.unix_secs(kNowSecs).data(256, {record_of({kBytes})}).build(),
         {.listener = 1});
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.record(0).bytes, 10u);
}

TEST(Habits, ASecondMessageInADatagramIsNotRead) {
  // A datagram has one message, whose length is in its header (RFC 7011 §3.1).
  Octets two = ipfix_with({kBytes});
  append(two, ipfix_with({kBytes}));
  Bench b;
  EXPECT_TRUE(b.send(two));
  EXPECT_EQ(b.records(), 1u);
  EXPECT_EQ(b.quirk(Quirk::trailing_octets), 1u);
}

TEST(Habits, EveryEventOfAFirewallIsKeptWithItsDirections) {
  // ASA: created, torn down, denied, alert, updated; counters by direction or none at all.
  for (const uint32_t event : {1u, 2u, 3u, 4u, 5u}) {
    for (const uint32_t octets : {0u, 1000u}) {
      SCOPED_TRACE(event);
      Bench b;
      b.send(v9_with({{{8, 4}, ipv4("192.0.2.1")},
                      {{12, 4}, ipv4("198.51.100.1")},
                      {{4, 1}, u8(6)},
                      {{7, 2}, u16(1024)},
                      {{11, 2}, u16(443)},
                      {{233, 1}, u8(static_cast<uint8_t>(event))},
                      {{33'002, 2}, u16(1001)},
                      {{231, 4}, u32(octets)},
                      {{232, 4}, u32(2 * octets)}}));
      ASSERT_EQ(b.records(), 1u);
      const FlowRecord& r = b.record(0);
      EXPECT_EQ(r.firewall_event, event);
      EXPECT_EQ(r.bytes, octets);
      EXPECT_EQ(r.bytes_out, octets);
      EXPECT_EQ(r.bytes_in, 2 * octets);
      EXPECT_TRUE(r.present.has(Field::bytes_in));
      EXPECT_EQ(r.dst_port, 443u);
    }
  }
}

TEST(Habits, EqualCountersInAndOutAreNotAddedUp) {
  // FortiGate writes the same into 1 and 23.
  Bench b;
  b.send(v9_with({{{1, 4}, u32(10)}, {{2, 4}, u32(1)}, {{23, 4}, u32(10)}, {{24, 4}, u32(1)}}));
  EXPECT_EQ(b.record(0).bytes, 10u);
  EXPECT_EQ(b.record(0).packets, 1u);
  EXPECT_EQ(b.record(0).bytes_in, 0u);
}

TEST(Habits, AFlowSeenWhereItEntersAndWhereItLeavesIsToldTwice) {
  // Whoever adds up tells them apart by their direction; 255 (Junos) is unknown, as is none.
  for (const uint8_t direction : {uint8_t{0}, uint8_t{1}, uint8_t{255}}) {
    Bench b;
    b.send(v9_with({kBytes, {{61, 1}, u8(direction)}}));
    EXPECT_EQ(b.record(0).flow_direction, direction);
    EXPECT_TRUE(b.record(0).present.has(Field::flow_direction));
  }
  Bench b;
  b.send(v9_with({kBytes}));
  EXPECT_FALSE(b.record(0).present.has(Field::flow_direction));
}

TEST(Habits, WhatWasDroppedSaysSoInOneOctetOrInFour) {
  for (const Value& status : {Value{{89, 1}, u8(0x81)}, Value{{89, 4}, u32(0x81)}}) {
    Bench b;
    // Junos: no interface and no next hop either.
    b.send(v9_with({kBytes, status, {{14, 4}, u32(0)}, {{15, 4}, u32(0)}}));
    EXPECT_EQ(b.record(0).forwarding_status, 0x81u);
    EXPECT_TRUE(b.record(0).present.has(Field::out_if));
    EXPECT_EQ(b.record(0).out_if, 0u);
  }
}

TEST(Habits, FlowsOfTheLinkLayerHaveNoProtocolAndNoPorts) {
  Bench b;
  b.send(ipfix_with({{{256, 2}, u16(0x0806)},
                     {{56, 6}, join({u16(0x0200), u32(1)})},
                     {{80, 6}, join({u16(0xffff), u32(0xffff'ffff)})},
                     {{243, 2}, u16(100)},
                     {{244, 1}, u8(3)},
                     {{254, 2}, u16(200)},
                     {{352, 8}, u64(64)}}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.etype, 0x0806u);
  EXPECT_EQ(r.src_mac, 0x0200'0000'0001u);
  EXPECT_EQ(r.dst_mac, 0xffff'ffff'ffffu);
  EXPECT_EQ(r.vlan_id, 100u);
  EXPECT_EQ(r.dst_vlan, 200u);
  EXPECT_EQ(r.bytes, 64u);
  for (const Field f : {Field::src_addr, Field::proto, Field::src_port, Field::icmp_type}) {
    EXPECT_FALSE(r.present.has(f));
  }
  EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{0, 244, "\x03"}}));
}

TEST(Habits, IcmpIsReadFromTheSourcePortToo) {
  struct Case {
    const char* name;
    uint8_t proto;
    uint16_t src_port, dst_port;
    uint32_t type, code;
  };
  const Case cases[] = {
      {"the destination's first", 1, 0x0801, 0x0303, 3, 3},
      {"the source's where the other is 0", 1, 0x0800, 0, 8, 0},
      {"of ICMPv6", 58, 0x8700, 0, 135, 0},
      {"an echo's identifier is none", 1, 17'549, 0, 0, 0},
      {"nor is one with an assigned type", 1, 0x08ff, 0, 0, 0},
      {"the type alone (IOS-XR)", 58, 0, 135, 135, 0},
      {"type and code of an error", 58, 0, 0x0401, 4, 1},
      {"an echo's reply", 1, 0, 0, 0, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    b.send(v9_with({{{4, 1}, u8(c.proto)}, {{7, 2}, u16(c.src_port)}, {{11, 2}, u16(c.dst_port)}}));
    EXPECT_EQ(b.record(0).icmp_type, c.type);
    EXPECT_EQ(b.record(0).icmp_code, c.code);
    EXPECT_EQ(b.record(0).src_port, 0u);
    EXPECT_EQ(b.record(0).dst_port, 0u);
  }
}

TEST(Habits, WhoIsBehindATranslatorIsKept) {
  // Elements 130, 131, 403 and 404: the exporter's own address and the one it had before.
  const std::vector<Value> own = {{{130, 4}, ipv4("10.0.0.1")},
                                  {{131, 16}, ipv6("2001:db8::1")},
                                  {{403, 4}, ipv4("10.0.0.2")},
                                  {{404, 16}, ipv6("2001:db8::2")}};
  Bench b;
  b.send(ipfix_with(own));
  std::vector<Unmapped> kept;
  for (const Value& v : own) {
    kept.push_back({0, v.field.id, std::string(v.octets.begin(), v.octets.end())});
  }
  EXPECT_EQ(b.kept(0).unmapped(), kept);
}

}  // namespace
}  // namespace weir::decode
