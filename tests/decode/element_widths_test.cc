// Elements that come more than once, in more or fewer octets than they need, or in none.
#include <gtest/gtest.h>

#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;

TEST(ElementWidths, PaddingOfAnyLengthIsNothing) {
  for (const uint16_t octets : std::initializer_list<uint16_t>{1, 2, 3, 7, 64, 300}) {
    SCOPED_TRACE(octets);
    Bench b;
    b.send(ipfix_with({{{210, octets}, filled(octets, 0xff)},
                       {{1, 4}, u32(1500)},
                       {{210, octets}, filled(octets, 0xff)},
                       {{2, 4}, u32(3)}}));
    ASSERT_EQ(b.records(), 1u);
    EXPECT_EQ(b.record(0).bytes, 1500u);
    EXPECT_EQ(b.record(0).packets, 3u);
    EXPECT_EQ(b.record(0).arena_parts, 0u);
    EXPECT_EQ(b.quirk(Quirk::repeated_element), 0u);
  }
}

TEST(ElementWidths, FieldsOfNoOctetsSayNothing) {
  for (const uint16_t id :
       std::initializer_list<uint16_t>{1, 4, 8, 27, 56, 95, 152, 225, 291, 315, 483, 9000}) {
    for (const bool v9 : {true, false}) {
      SCOPED_TRACE(id);
      const std::vector<Value> values = {{{2, 4}, u32(7)}, {{id, 0}, {}}, {{10, 4}, u32(8)}};
      Bench b;
      b.send(v9 ? v9_with(values) : ipfix_with(values));
      ASSERT_EQ(b.records(), 1u);
      EXPECT_EQ(b.record(0).packets, 7u);
      EXPECT_EQ(b.record(0).in_if, 8u);
      EXPECT_EQ(b.record(0).addresses, 0);
      EXPECT_EQ(b.record(0).arena_parts, 0u);
      EXPECT_EQ(b.quirk(Quirk::zero_length_field), 1u);
    }
  }
}

TEST(ElementWidths, AVariableFieldOfNoOctetsSaysNothing) {
  Bench b;
  b.send(ipfix_with({{{2, 4}, u32(7)},
                     {{96, lab::kVariableLength}, u8(0)},
                     {{291, lab::kVariableLength}, u8(0)},
                     {{315, lab::kVariableLength}, variable_long_form({})},
                     {{10, 4}, u32(8)}}));
  EXPECT_EQ(b.record(0).in_if, 8u);
  EXPECT_EQ(b.record(0).application_name.count, 0u);
  EXPECT_TRUE(b.kept(0).unmapped().empty());
}

TEST(ElementWidths, UptimesOfEightOctets) {
  // NX-OS.
  Bench b;
  b.send(v9_with({{{22, 8}, u64(kUptimeMs - 5000)}, {{21, 8}, u64(kUptimeMs - 1000)}}));
  EXPECT_EQ(b.record(0).time_flow_start_ns, kNow - 5'000'000'000);
  EXPECT_EQ(b.record(0).time_flow_end_ns, kNow - 1'000'000'000);
}

TEST(ElementWidths, ApplicationIdsOfAnyEngine) {
  const std::vector<Octets> ids = {
      u32(0x0d000050),                           // NBAR: an octet and a selector of three
      join({u8(20), u32(12'356), u32(40'568)}),  // FortiGate: an enterprise's selector
      u8(1),
      join({u8(3), u16(443)}),
  };
  for (const Octets& id : ids) {
    Bench b;
    b.send(v9_with({{{95, static_cast<uint16_t>(id.size())}, id}}));
    EXPECT_EQ(b.kept(0).text(b.record(0).application_id), std::string(id.begin(), id.end()));
  }
}

TEST(ElementWidths, TextIsKeptWhateverItIs) {
  const Octets latin1 = {0xe9, 't', 0xe9, 0, ' ', 0};
  Bench b;
  b.send(v9_with({{{371, 6}, latin1}, {{96, 4}, text("    ")}}));
  EXPECT_EQ(b.kept(0).text(b.record(0).user_name), "\xe9t\xe9");
  EXPECT_EQ(b.record(0).application_name.count, 0u);
}

TEST(ElementWidths, AddressesOfTheOtherFamilysWidthAreKeptAsTheyCame) {
  for (const uint16_t id : std::initializer_list<uint16_t>{8, 12, 15, 18, 225, 226, 47}) {
    Bench b;
    b.send(ipfix_with({{{2, 4}, u32(7)}, {{id, 16}, ipv6("2001:db8::1")}}));
    EXPECT_EQ(b.record(0).addresses, 0) << id;
    ASSERT_EQ(b.kept(0).unmapped().size(), 1u) << id;
    EXPECT_EQ(b.kept(0).unmapped()[0].id, id);
  }
}

TEST(ElementWidths, CountersOfMoreThanEightOctetsAreKeptAsTheyCame) {
  Bench b;
  b.send(ipfix_with({{{1, 9}, filled(9, 1)}, {{2, 4}, u32(7)}}));
  EXPECT_FALSE(b.record(0).present.has(Field::bytes));
  EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{0, 1, std::string(9, '\x01')}}));
}

TEST(ElementWidths, RecordsOfOneOctetAreRecords) {
  std::vector<Record> records(200, Record{u8(6)});
  Bench b;
  b.send(IpfixBuilder{}
             .export_time(kNowSecs)
             .templates({{.id = 256, .fields = {{4, 1}}}})
             .data(256, records)
             .build());
  ASSERT_EQ(b.records(), 200u);
  EXPECT_EQ(b.record(199).proto, 6u);
}

TEST(ElementWidths, NumbersAndAddressesMayBeOfVariableLength) {
  const auto with = [](const std::vector<Value>& values) {
    std::vector<Value> all;
    for (const Value& v : values) {
      all.push_back({{v.field.id, lab::kVariableLength, v.field.enterprise}, variable(v.octets)});
    }
    return all;
  };
  const std::vector<Value> values = {
      {{1}, u24(1500)}, {{2}, u64(3)},       {{8}, ipv4("192.0.2.1")}, {{28}, ipv6("2001:db8::1")},
      {{4}, u8(1)},     {{32}, u16(0x0801)}, {{56}, mac(5)},           {{1, 0, 29305}, u16(40)}};
  Bench b;
  b.send(ipfix_with(with(values)));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.bytes, 1500u);
  EXPECT_EQ(r.packets, 3u);
  EXPECT_EQ(r.bytes_in, 40u);
  EXPECT_EQ(r.bytes_out, 1500u);
  EXPECT_EQ(r.src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(r.dst_addr.to_string(), "2001:db8::1");
  EXPECT_EQ(r.etype, 0x0800u);
  EXPECT_EQ(r.proto, 1u);
  EXPECT_EQ(r.icmp_type, 8u);
  EXPECT_EQ(r.src_mac, 5u);
  EXPECT_TRUE(b.kept(0).unmapped().empty());

  // Of a width that they cannot have they are kept; one of a fixed width comes first.
  Bench odd;
  odd.send(ipfix_with({{{1, lab::kVariableLength}, variable(zeros(9))},
                       {{8, lab::kVariableLength}, variable(zeros(3))},
                       {{2, lab::kVariableLength}, variable(u16(7))},
                       {{2, 4}, u32(9)}}));
  EXPECT_FALSE(odd.record(0).present.has(Field::bytes));
  EXPECT_EQ(odd.record(0).packets, 9u);
  EXPECT_EQ(odd.kept(0).unmapped().size(), 3u);
  expect_truncations_tolerated(ipfix_with(with(values)));
}

}  // namespace
}  // namespace weir::decode
