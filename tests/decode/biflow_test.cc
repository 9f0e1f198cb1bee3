// Flows of two directions (RFC 5103), and events of translation and firewalls that count nothing.
#include <gtest/gtest.h>

#include "capture_support.h"

namespace weir::decode {
namespace {

using namespace lab;

constexpr uint32_t kReverse = 29305;

TEST(Biflow, ReverseCountersAreTheOtherDirections) {
  const struct {
    const char* name;
    uint16_t bytes;
    uint16_t packets;
  } cases[] = {{"delta", 1, 2}, {"total", 85, 86}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    b.send(ipfix_with({{{c.bytes, 8}, u64(1000)},
                       {{c.packets, 8}, u64(10)},
                       {{c.bytes, 8, kReverse}, u64(2000)},
                       {{c.packets, 4, kReverse}, u32(20)}}));
    const FlowRecord& r = b.record(0);
    EXPECT_EQ(r.bytes, 1000u);
    EXPECT_EQ(r.packets, 10u);
    EXPECT_EQ(r.bytes_out, 1000u);
    EXPECT_EQ(r.packets_out, 10u);
    EXPECT_EQ(r.bytes_in, 2000u);
    EXPECT_EQ(r.packets_in, 20u);
    EXPECT_EQ(r.arena_parts, 0u);
  }
}

TEST(Biflow, OtherReverseElementsAreKeptUnderTheirEnterprise) {
  Bench b;
  b.send(ipfix_with({{{6, 1}, u8(0x12)},
                     {{6, 1, kReverse}, u8(0x18)},
                     {{8, 4}, ipv4("192.0.2.1")},
                     {{8, 4, kReverse}, ipv4("192.0.2.2")},
                     {{291, 3, kReverse}, zeros(3)}}));
  EXPECT_EQ(b.record(0).tcp_flags, 0x12u);
  EXPECT_EQ(b.record(0).src_addr.to_string(), "192.0.2.1");
  const std::vector<Unmapped> kept = {
      {kReverse, 6, "\x18"},
      {kReverse, 8, std::string("\xc0\x00\x02\x02", 4)},
      {kReverse, 291, std::string(3, '\0')},
  };
  EXPECT_EQ(b.kept(0).unmapped(), kept);
}

TEST(Biflow, InitiatorAndResponderAreNoReverseElements) {
  // NSEL's, which are IANA's.
  Bench b;
  b.send(
      v9_with({{{231, 4}, u32(10)}, {{232, 4}, u32(20)}, {{298, 4}, u32(1)}, {{299, 4}, u32(2)}}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.bytes, 10u);
  EXPECT_EQ(r.bytes_out, 10u);
  EXPECT_EQ(r.bytes_in, 20u);
  EXPECT_EQ(r.packets_out, 1u);
  EXPECT_EQ(r.packets_in, 2u);
}

TEST(Events, OfTranslationAreKeptWithoutCounters) {
  const struct {
    const char* name;
    std::vector<Value> values;
    const char* post_nat;
  } cases[] = {
      {"NAT44 create",
       {{{8, 4}, ipv4("192.0.2.1")},
        {{225, 4}, ipv4("203.0.113.1")},
        {{7, 2}, u16(1000)},
        {{227, 2}, u16(2000)},
        {{230, 1}, u8(4)}},
       "203.0.113.1"},
      {"NAT64 delete",
       {{{27, 16}, ipv6("2001:db8::1")},
        {{225, 4}, ipv4("203.0.113.2")},
        {{227, 2}, u16(2000)},
        {{230, 1}, u8(7)}},
       "203.0.113.2"},
      {"NPTv6",
       {{{27, 16}, ipv6("2001:db8::1")}, {{281, 16}, ipv6("2001:db8:1::1")}, {{230, 1}, u8(1)}},
       "2001:db8:1::1"},
  };
  for (const auto& c : cases) {
    for (const bool v9 : {true, false}) {
      SCOPED_TRACE(c.name);
      std::vector<Value> values = c.values;
      values.push_back({{1, 4}, u32(0)});
      Bench b;
      b.send(v9 ? v9_with(values) : ipfix_with(values));
      ASSERT_EQ(b.records(), 1u);
      EXPECT_EQ(b.record(0).nat_event, c.values.back().octets[0]);
      EXPECT_EQ(b.record(0).post_nat_src_addr.to_string(), c.post_nat);
      EXPECT_EQ(b.record(0).bytes, 0u);
      EXPECT_TRUE(b.record(0).present.has(Field::bytes));
    }
  }
}

TEST(Events, OfPortBlocksAreKept) {
  Bench b;
  b.send(ipfix_with({{{8, 4}, ipv4("192.0.2.1")},
                     {{225, 4}, ipv4("203.0.113.1")},
                     {{230, 1}, u8(16)},
                     {{361, 2}, u16(1024)},
                     {{362, 2}, u16(2047)},
                     {{363, 2}, u16(1)},
                     {{364, 2}, u16(1024)}}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.nat_event, 16u);
  EXPECT_EQ(r.port_range_start, 1024u);
  EXPECT_EQ(r.port_range_end, 2047u);
  EXPECT_EQ(r.port_range_step, 1u);
  EXPECT_EQ(r.port_range_num, 1024u);
  EXPECT_EQ(r.arena_parts, 0u);
}

TEST(Events, OfFirewallsAreKeptWithoutCounters) {
  for (uint8_t event = 0; event <= 5; ++event) {
    Bench b;
    b.send(ipfix_with({{{8, 4}, ipv4("192.0.2.1")}, {{233, 1}, u8(event)}}));
    ASSERT_EQ(b.records(), 1u);
    EXPECT_EQ(b.record(0).firewall_event, event);
    EXPECT_TRUE(b.record(0).present.has(Field::firewall_event));
  }
}

}  // namespace
}  // namespace weir::decode
