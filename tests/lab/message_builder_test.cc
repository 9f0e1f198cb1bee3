// What the builders write, octet by octet: every other test of the decoder leans on it.
#include "lab/message_builder.h"

#include <gtest/gtest.h>

namespace weir::lab {
namespace {

TEST(Values, AreInNetworkOrder) {
  EXPECT_EQ(u16(0x1234), (Octets{0x12, 0x34}));
  EXPECT_EQ(u24(0x123456), (Octets{0x12, 0x34, 0x56}));
  EXPECT_EQ(be(0x01020304, 3), (Octets{2, 3, 4}));
  EXPECT_EQ(be(0x0102, 10), (Octets{0, 0, 0, 0, 0, 0, 0, 0, 1, 2}));
  EXPECT_EQ(be(7, 0), Octets{});
  EXPECT_EQ(ipv4("192.0.2.1"), (Octets{192, 0, 2, 1}));
  EXPECT_EQ(ipv6("2001:db8::1"),
            (Octets{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(address(IpAddress::from_v4(0xC0000201)), ipv4("192.0.2.1"));
  EXPECT_EQ(text("ab", 4), (Octets{'a', 'b', 0, 0}));
  EXPECT_EQ(text("abcd", 2, ' '), (Octets{'a', 'b'}));
}

TEST(Values, VariableLengthTakesOneOrThreeLengthOctets) {
  EXPECT_EQ(variable(text("ab")), (Octets{2, 'a', 'b'}));
  EXPECT_EQ(variable_long_form(text("ab")), (Octets{255, 0, 2, 'a', 'b'}));
  EXPECT_EQ(variable(zeros(254)).size(), 255u);
  const Octets longer = variable(zeros(255));
  EXPECT_EQ(longer.size(), 258u);
  EXPECT_EQ(Octets(longer.begin(), longer.begin() + 3), (Octets{255, 0, 255}));
}

TEST(NetflowV5Builder, WritesHeaderAndRecords) {
  const Octets expected = join({u16(5),
                                u16(1),
                                u32(3'600'000),
                                u32(1'700'000'000),
                                u32(123),
                                u32(42),
                                u8(1),
                                u8(2),
                                u16(0x4064),
                                ipv4("192.0.2.1"),
                                ipv4("198.51.100.2"),
                                ipv4("203.0.113.3"),
                                u16(10),
                                u16(20),
                                u32(5),
                                u32(600),
                                u32(1000),
                                u32(2000),
                                u16(1234),
                                u16(443),
                                u8(0),
                                u8(0x1b),
                                u8(6),
                                u8(0x10),
                                u16(64500),
                                u16(64501),
                                u8(24),
                                u8(16),
                                u16(0)});
  const Octets built = NetflowV5Builder{}
                           .uptime_ms(3'600'000)
                           .unix_time(1'700'000'000, 123)
                           .sequence(42)
                           .engine(1, 2)
                           .sampling(0x4064)
                           .record({.src_addr = "192.0.2.1",
                                    .dst_addr = "198.51.100.2",
                                    .next_hop = 0xCB007103,
                                    .in_if = 10,
                                    .out_if = 20,
                                    .packets = 5,
                                    .octets = 600,
                                    .first_ms = 1000,
                                    .last_ms = 2000,
                                    .src_port = 1234,
                                    .dst_port = 443,
                                    .tcp_flags = 0x1b,
                                    .proto = 6,
                                    .tos = 0x10,
                                    .src_as = 64500,
                                    .dst_as = 64501,
                                    .src_mask = 24,
                                    .dst_mask = 16})
                           .build();
  EXPECT_EQ(built, expected);
  EXPECT_EQ(built.size(), kNetflowV5HeaderOctets + kNetflowV5RecordOctets);
}

TEST(NetflowV5Builder, SaysTheCountItIsTold) {
  const Octets built = NetflowV5Builder{}.version(6).count(31).record({}).raw({0xff}).build();
  EXPECT_EQ(Octets(built.begin(), built.begin() + 4), join({u16(6), u16(31)}));
  EXPECT_EQ(built.size(), 24u + 48 + 1);
  EXPECT_EQ(built.back(), 0xff);
}

TEST(NetflowV9Builder, WritesTemplatesOptionsAndData) {
  const Octets built =
      NetflowV9Builder{}
          .uptime_ms(1)
          .unix_secs(2)
          .sequence(3)
          .source_id(4)
          .templates({{.id = 256, .fields = {{8, 4}, {1, 4}}}})
          .options_templates({{.id = 257, .scopes = {{1, 4}}, .fields = {{34, 4}, {35, 1}}}},
                             kPadToFour)
          .data(256, {{ipv4("192.0.2.1"), u32(1500)}, {ipv4("192.0.2.2"), u32(40)}})
          .data(257, {{u32(0), u32(100), u8(2)}}, kPadToFour)
          .build();
  EXPECT_EQ(built, join({u16(9),
                         u16(5),
                         u32(1),
                         u32(2),
                         u32(3),
                         u32(4),
                         u16(0),
                         u16(16),
                         u16(256),
                         u16(2),
                         u16(8),
                         u16(4),
                         u16(1),
                         u16(4),
                         u16(1),
                         u16(24),
                         u16(257),
                         u16(4),
                         u16(8),
                         u16(1),
                         u16(4),
                         u16(34),
                         u16(4),
                         u16(35),
                         u16(1),
                         zeros(2),
                         u16(256),
                         u16(20),
                         ipv4("192.0.2.1"),
                         u32(1500),
                         ipv4("192.0.2.2"),
                         u32(40),
                         u16(257),
                         u16(16),
                         u32(0),
                         u32(100),
                         u8(2),
                         zeros(3)}));
}

TEST(NetflowV9Builder, WritesWhatIsWrongAsTold) {
  const Octets built = NetflowV9Builder{}
                           .count(999)
                           .set(0, template_octets({.id = 3, .fields = {}, .field_count = 7}), 2)
                           .data(256, {Record(Octets{1, 2, 3})}, padding(2, 0xee))
                           .raw({0xaa})
                           .build();
  EXPECT_EQ(built, join({u16(9),
                         u16(999),
                         zeros(16),
                         u16(0),
                         u16(2),
                         u16(3),
                         u16(7),
                         u16(256),
                         u16(9),
                         {1, 2, 3, 0xee, 0xee},
                         {0xaa}}));
}

TEST(IpfixBuilder, WritesEnterpriseFieldsAndVariableLengths) {
  const IpfixBuilder builder =
      IpfixBuilder{}
          .export_time(1'700'000'000)
          .sequence(9)
          .domain(12)
          .templates({{.id = 300, .fields = {{8, 4}, {82, kVariableLength}, {55, 2, 35632}}}})
          .options_templates({{.id = 301, .scopes = {{149, 4}}, .fields = {{160, 8}}}})
          .data(300, {{ipv4("192.0.2.1"), variable(text("eth0")), u16(7)}});
  const Octets built = builder.build();
  EXPECT_EQ(built, join({u16(10),
                         u16(built.size()),
                         u32(1'700'000'000),
                         u32(9),
                         u32(12),
                         u16(2),
                         u16(24),
                         u16(300),
                         u16(3),
                         u16(8),
                         u16(4),
                         u16(82),
                         u16(65535),
                         u16(0x8000 | 55),
                         u16(2),
                         u32(35632),
                         u16(3),
                         u16(18),
                         u16(301),
                         u16(2),
                         u16(1),
                         u16(149),
                         u16(4),
                         u16(160),
                         u16(8),
                         u16(300),
                         u16(15),
                         ipv4("192.0.2.1"),
                         u8(4),
                         text("eth0"),
                         u16(7)}));
  EXPECT_EQ(builder.size(), built.size());
}

TEST(IpfixBuilder, LiesAboutItsLengthWhenTold) {
  const Octets built = IpfixBuilder{}.length(15).build();
  EXPECT_EQ(built, join({u16(10), u16(15), zeros(12)}));
}

}  // namespace
}  // namespace weir::lab
