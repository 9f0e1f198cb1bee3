// Lists in records (RFC 6313): what they hold fills the columns that are empty, the rest is kept.
#include "decode/structured_data.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "decode_support.h"
#include "lab/list_builder.h"

namespace weir::decode {
namespace {

using namespace lab;

constexpr uint16_t kInner = 400;
constexpr uint16_t kOther = 401;

Value list(uint16_t id, const Octets& content) {
  return {{id, lab::kVariableLength}, variable_long_form(content)};
}

/// One record of `values` and, before it, the templates that its lists refer to.
Octets with_templates(const std::vector<lab::Template>& inner, const std::vector<Value>& values) {
  std::vector<lab::Template> all = inner;
  all.push_back(template_of(256, values));
  return IpfixBuilder{}.export_time(kNowSecs).templates(all).data(256, {record_of(values)}).build();
}

const Value kBytes{{1, 4}, u32(1500)};

std::vector<std::string> addresses(const KeptRecord& kept, ArenaRef ref) {
  std::vector<std::string> all;
  for (uint32_t i = 0; i < ref.count; ++i) {
    all.push_back(IpAddress::from_v6(kept.arena.data() + ref.offset + 16 * i).to_string());
  }
  return all;
}

std::vector<std::string> strings(const KeptRecord& kept, ArenaRef ref) {
  std::vector<std::string> all;
  for (size_t at = ref.offset; at < ref.offset + size_t{ref.count};) {
    uint16_t length;
    std::memcpy(&length, kept.arena.data() + at, 2);
    all.emplace_back(kept.arena.begin() + static_cast<std::ptrdiff_t>(at + 2),
                     kept.arena.begin() + static_cast<std::ptrdiff_t>(at + 2 + length));
    at += 2 + length;
  }
  return all;
}

std::string raw(const Octets& octets) { return {octets.begin(), octets.end()}; }

TEST(BasicList, OfElementsWithColumnsFillsThoseThatAreEmpty) {
  Bench b;
  b.send(ipfix_with({kBytes,
                     list(291, basic_list({27, 16}, {ipv6("2001:db8::1"), ipv6("2001:db8::2")})),
                     list(291, basic_list({1, 4}, {u32(9)})),
                     list(291, basic_list({95, 4}, {u32(0x0d000001), u32(0x0d000002)}))}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.src_addr.to_string(), "2001:db8::1");
  EXPECT_EQ(r.etype, 0x86ddu);
  EXPECT_EQ(r.addresses, address::bit(address::k_src_addr));
  EXPECT_EQ(r.bytes, 1500u) << "the template's own";
  EXPECT_EQ(b.kept(0).text(r.application_id), std::string("\x0d\0\0\x01", 4));
  const std::vector<Unmapped> rest = {{0, 27, raw(ipv6("2001:db8::2"))},
                                      {0, 1, raw(u32(9))},
                                      {0, 95, std::string("\x0d\0\0\x02", 4)}};
  EXPECT_EQ(b.kept(0).unmapped(), rest);
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 0u);
}

TEST(BasicList, OfElementsWithoutColumnsComesApart) {
  Bench b;
  b.send(
      ipfix_with({kBytes, list(291, basic_list({14, 1, 6871}, {u8(2), u8(18)})),
                  list(291, basic_list({20, lab::kVariableLength, 6871},
                                       {variable(text("a")), variable_long_form(text("bcd"))}))}));
  const std::vector<Unmapped> expected = {
      {6871, 14, "\x02"}, {6871, 14, "\x12"}, {6871, 20, "a"}, {6871, 20, "bcd"}};
  EXPECT_EQ(b.kept(0).unmapped(), expected);
}

TEST(BasicList, OfAsNumbersIsThePath) {
  Bench b;
  b.send(ipfix_with(
      {{{17, 4}, u32(64'500)}, list(291, basic_list({17, 4}, {u32(64'496), u32(4'200'000'000)}))}));
  EXPECT_EQ(b.kept(0).numbers(b.record(0).as_path), (std::vector<uint32_t>{64'496, 4'200'000'000}));
  EXPECT_EQ(b.record(0).dst_as, 64'500u);
}

TEST(BasicList, ThatSaysWhatWasNotThereFillsNothing) {
  const Octets none = basic_list({27, 16}, {ipv6("2001:db8::1")}, ListSemantic::none_of);
  Bench b;
  b.send(ipfix_with({kBytes, list(291, none)}));
  EXPECT_FALSE(b.record(0).present.has(Field::src_addr));
  EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{0, 291, raw(none)}}));
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 1u);
}

TEST(BasicList, ThatIsMalformedStaysWhole) {
  const std::vector<Octets> malformed = {
      u8(3),
      join({u8(3), u16(27), u8(0)}),
      join({u8(3), u16(14 | 0x8000), u16(1), u16(0)}),         // half an enterprise number
      basic_list({27, 0}, {u8(1)}),                            // values of no octets
      basic_list({27, 16}, {ipv6("2001:db8::1"), zeros(15)}),  // one and a part
      basic_list({96, lab::kVariableLength}, {join({u8(5), zeros(4)})}),
      basic_list({96, lab::kVariableLength}, {join({u8(255), u8(0)})}),
  };
  for (const Octets& m : malformed) {
    SCOPED_TRACE(m.size());
    Bench b;
    b.send(ipfix_with({kBytes, list(291, m)}));
    ASSERT_EQ(b.records(), 1u);
    EXPECT_EQ(b.record(0).bytes, 1500u);
    EXPECT_EQ(b.record(0).addresses, 0);
    EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{0, 291, raw(m)}}));
    EXPECT_EQ(b.quirk(Quirk::opaque_list), 1u);
  }
}

TEST(BasicList, OfNoValuesSaysNothing) {
  Bench b;
  b.send(ipfix_with({kBytes, list(291, basic_list({27, 16}, {}))}));
  EXPECT_TRUE(b.kept(0).unmapped().empty());
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 0u);
}

/// A list of lists, `depth` deep, around one value of element 9000.
Octets nested(uint32_t depth) {
  Octets o = basic_list({9000, 1}, {u8(7)});
  for (uint32_t i = 1; i < depth; ++i) {
    o = basic_list({291, lab::kVariableLength}, {variable(o)});
  }
  return o;
}

TEST(Lists, AreFollowedToABoundedDepth) {
  Bench b;
  b.send(ipfix_with({kBytes, list(291, nested(kListDepthMax))}));
  EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{0, 9000, "\x07"}}));
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 0u);

  Bench deeper;
  deeper.send(ipfix_with({kBytes, list(291, nested(kListDepthMax + 1))}));
  EXPECT_EQ(deeper.kept(0).unmapped(), (std::vector<Unmapped>{{0, 291, raw(nested(1))}}));
  EXPECT_EQ(deeper.quirk(Quirk::opaque_list), 1u);
}

TEST(Lists, OfMoreValuesThanARecordMayHaveStayWhole) {
  const auto numbers = [](uint32_t n) { return basic_list({1, 1}, std::vector<Octets>(n, u8(1))); };
  Bench b;
  b.send(ipfix_with({{{2, 4}, u32(1)}, list(291, numbers(kListValuesMax))}));
  EXPECT_EQ(b.record(0).bytes, 1u);
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 0u);
  Bench more;
  more.send(ipfix_with({{{2, 4}, u32(1)}, list(291, numbers(kListValuesMax + 1))}));
  EXPECT_FALSE(more.record(0).present.has(Field::bytes));
  EXPECT_EQ(more.record(0).packets, 1u);
  EXPECT_EQ(more.quirk(Quirk::opaque_list), 1u);
  EXPECT_EQ(more.quirk(Quirk::arena_overflow), 1u) << "larger than an element that is kept";
  // The bound is the record's, not each list's.
  Bench several;
  several.send(ipfix_with({list(291, numbers(kListValuesMax / 2)),
                           list(291, numbers(kListValuesMax / 2)), list(291, numbers(1))}));
  EXPECT_EQ(several.quirk(Quirk::opaque_list), 1u);
}

TEST(SubTemplateList, FillsColumnsFromItsFirstRecord) {
  const lab::Template inner{.id = kInner,
                            .fields = {{8, 4}, {12, 4}, {7, 2}, {9000, lab::kVariableLength}}};
  const auto record = [](const char* src, uint16_t port, const char* name) {
    return Record{ipv4(src), ipv4("198.51.100.1"), u16(port), variable(text(name))};
  };
  Bench b;
  b.send(with_templates(
      {inner}, {kBytes, list(292, sub_template_list(kInner, {record("192.0.2.1", 80, "a"),
                                                             record("192.0.2.2", 81, "b")}))}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.bytes, 1500u);
  EXPECT_EQ(r.src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(r.dst_addr.to_string(), "198.51.100.1");
  EXPECT_EQ(r.src_port, 80u);
  EXPECT_EQ(r.etype, 0x0800u);
  const std::vector<Unmapped> rest = {{0, 9000, "a"},
                                      {0, 8, raw(ipv4("192.0.2.2"))},
                                      {0, 12, raw(ipv4("198.51.100.1"))},
                                      {0, 7, raw(u16(81))},
                                      {0, 9000, "b"}};
  EXPECT_EQ(b.kept(0).unmapped(), rest);
}

TEST(SubTemplateList, OfATemplateThatIsUnknownStaysWhole) {
  const Octets octets = sub_template_list(kInner, {{u32(1)}});
  Bench b;
  b.send(with_templates({}, {kBytes, list(292, octets)}));
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.record(0).bytes, 1500u);
  EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{0, 292, raw(octets)}}));
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 1u);
}

TEST(SubTemplateList, OfATemplateWhoseRecordsHaveNoOctetsStaysWhole) {
  Bench b;
  b.send(with_templates({{.id = kInner, .fields = {{1, 0}}}},
                        {kBytes, list(292, sub_template_list(kInner, {{u8(1)}}))}));
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 1u);
}

TEST(SubTemplateList, OfTooManyFieldsStaysWhole) {
  lab::Template wide{.id = kInner, .fields = {}};
  for (uint32_t i = 0; i <= kListTemplateFieldsMax; ++i) wide.fields.push_back({9000, 1});
  Bench b;
  b.send(with_templates(
      {wide}, {kBytes, list(292, sub_template_list(kInner, {Record(zeros(wide.fields.size()))}))}));
  ASSERT_EQ(b.records(), 1u);
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 1u);
}

TEST(SubTemplateMultiList, AddsWhatTheFlowsOwnTemplateHasNot) {
  // As YAF: the flow, then lists of what looking into its packets told.
  const lab::Template macs{.id = kInner, .fields = {{56, 6}, {80, 6}}};
  const lab::Template tcp{.id = kOther, .fields = {{184, 4}, {14, 1, 6871}, {184, 4, 29305}}};
  Bench b;
  b.send(with_templates(
      {macs, tcp},
      {kBytes,
       {{8, 4}, ipv4("192.0.2.1")},
       list(293, sub_template_multi_list({{kInner, {{mac(0x020000000001), mac(0x020000000002)}}},
                                          {kOther, {{u32(1), u8(2), u32(3)}}}}))}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.src_mac, 0x020000000001u);
  EXPECT_EQ(r.dst_mac, 0x020000000002u);
  EXPECT_TRUE(r.present.has(Field::src_mac));
  const std::vector<Unmapped> rest = {
      {0, 184, raw(u32(1))}, {6871, 14, "\x02"}, {29305, 184, raw(u32(3))}};
  EXPECT_EQ(b.kept(0).unmapped(), rest);
}

TEST(SubTemplateMultiList, OfYafsTcpFlagsSaysTheFlowsFlags) {
  const lab::Template tcp{.id = kInner, .fields = {{14, 1, 6871}, {15, 1, 6871}}};
  const Value flags = list(293, sub_template_multi_list({{kInner, {{u8(0x02), u8(0x18)}}}}));
  Bench b;
  b.send(with_templates({tcp}, {kBytes, flags}));
  EXPECT_EQ(b.record(0).tcp_flags, 0x1au);
  EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{6871, 14, "\x02"}, {6871, 15, "\x18"}}));
  Bench own;
  own.send(with_templates({tcp}, {{{6, 2}, u16(0x11)}, flags}));
  EXPECT_EQ(own.record(0).tcp_flags, 0x11u);
}

TEST(SubTemplateMultiList, KeepsTheEntriesOfUnknownTemplatesWhole) {
  const lab::Template macs{.id = kInner, .fields = {{56, 6}}};
  Bench b;
  b.send(with_templates(
      {macs}, {list(293, sub_template_multi_list(
                             {{kOther, {{u32(7)}}}, {kInner, {{mac(0x020000000001)}}}}))}));
  EXPECT_EQ(b.record(0).src_mac, 0x020000000001u);
  const Octets alone = sub_template_multi_list({{kOther, {{u32(7)}}}});
  EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{0, 293, raw(alone)}}));
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 1u);
}

TEST(SubTemplateMultiList, WhoseEntriesDoNotFitStaysWhole) {
  const lab::Template macs{.id = kInner, .fields = {{56, 6}}};
  for (const uint16_t length : std::initializer_list<uint16_t>{0, 3, 11, 500}) {
    SCOPED_TRACE(length);
    const Octets octets =
        sub_template_multi_list({{.template_id = kInner, .records = {{mac(1)}}, .length = length}});
    Bench b;
    b.send(with_templates({macs}, {kBytes, list(293, octets)}));
    EXPECT_FALSE(b.record(0).present.has(Field::src_mac));
    EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{0, 293, raw(octets)}}));
    EXPECT_EQ(b.quirk(Quirk::opaque_list), 1u);
  }
}

TEST(Lists, OfCountersOfTheOtherDirectionSplitTheDirections) {
  const lab::Template back{.id = kInner, .fields = {{1, 8, 29305}, {2, 8, 29305}}};
  Bench b;
  b.send(with_templates(
      {back},
      {kBytes, {{2, 4}, u32(3)}, list(292, sub_template_list(kInner, {{u64(40), u64(1)}}))}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.bytes_in, 40u);
  EXPECT_EQ(r.packets_in, 1u);
  EXPECT_EQ(r.bytes_out, 1500u);
  EXPECT_EQ(r.packets_out, 3u);
}

TEST(Lists, MayHoldMplsLabelsMacsTextAndIcmp) {
  const auto label = [](uint32_t value, uint32_t bottom) { return u24(value << 4 | bottom); };
  const lab::Template inner{
      .id = kInner,
      .fields = {{70, 3}, {71, 3}, {72, 3}, {96, 8}, {4, 1}, {32, 2}, {195, 1}, {58, 2}, {80, 8}}};
  Bench b;
  b.send(with_templates(
      {inner},
      {kBytes, list(292, sub_template_list(kInner, {{label(16, 0), label(17, 1), label(18, 0),
                                                     text("dns", 8), u8(1), u16(0x0801), u8(46),
                                                     u16(100), join({u16(0), mac(5)})}}))}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(b.kept(0).numbers(r.mpls_label), (std::vector<uint32_t>{16, 17}));
  EXPECT_EQ(b.kept(0).text(r.application_name), "dns");
  EXPECT_EQ(r.proto, 1u);
  EXPECT_EQ(r.icmp_type, 8u);
  EXPECT_EQ(r.icmp_code, 1u);
  EXPECT_EQ(r.ip_tos, 0xb8u);
  EXPECT_EQ(r.src_vlan, 100u);
  EXPECT_EQ(r.vlan_id, 100u);
  EXPECT_EQ(r.dst_mac, 5u);
  EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{0, 72, raw(label(18, 0))}}))
      << "below the bottom of the stack";
}

TEST(Communities, ComeFromElementsAndLists) {
  Bench b;
  b.send(ipfix_with({{{483, 4}, u32(0xfde8'0001)},
                     {{483, 4}, u32(0xfde8'0002)},
                     list(484, basic_list({483, 4}, {u32(0xfde8'0003)})),
                     list(485, basic_list({483, 4}, {u32(0xffff'ff01), u32(5)}))}));
  EXPECT_EQ(b.kept(0).numbers(b.record(0).bgp_communities),
            (std::vector<uint32_t>{0xfde8'0001, 0xfde8'0002, 0xfde8'0003, 0xffff'ff01, 5}));
  EXPECT_TRUE(b.record(0).present.has(Field::bgp_communities));
  EXPECT_TRUE(b.kept(0).unmapped().empty());
}

TEST(Communities, ExtendedAndLargeOnesKeepTheirOctets) {
  const Octets extended = u64(0x0002'fde8'0000'0064);
  const Octets large = join({u32(64'496), u32(1), u32(2)});
  Bench b;
  b.send(ipfix_with({{{486, 8}, extended},
                     list(487, basic_list({486, 8}, {u64(1)})),
                     list(488, basic_list({486, lab::kVariableLength}, {variable(u64(2))})),
                     {{489, 12}, large},
                     list(490, basic_list({489, 12}, {large})),
                     list(491, basic_list({489, 12}, {}))}));
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(
      strings(b.kept(0), r.bgp_extended_communities),
      (std::vector<std::string>{raw(extended), raw(u64(1)), raw(u64(2)), raw(large), raw(large)}));
  EXPECT_TRUE(b.kept(0).unmapped().empty());
}

TEST(Communities, OfAnotherWidthAreKeptAsTheyCame) {
  const Octets wrong = basic_list({486, 4}, {u32(1)});
  Bench b;
  b.send(ipfix_with({{{486, 4}, u32(7)}, list(487, wrong), {{483, 9}, zeros(9)}}));
  EXPECT_EQ(b.record(0).bgp_extended_communities.count, 0u);
  EXPECT_EQ(b.record(0).bgp_communities.count, 0u);
  EXPECT_EQ(b.kept(0).unmapped(),
            (std::vector<Unmapped>{
                {0, 486, raw(u32(7))}, {0, 487, raw(wrong)}, {0, 483, std::string(9, '\0')}}));
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 3u);
}

TEST(Communities, BeyondTheBoundAreCounted) {
  Bench b;
  b.send(ipfix_with(
      {list(484, basic_list({483, 4}, std::vector<Octets>(kCommunitiesMax + 2, u32(1))))}));
  EXPECT_EQ(b.record(0).bgp_communities.count, kCommunitiesMax);
  EXPECT_EQ(b.quirk(Quirk::arena_overflow), 2u);
}

TEST(AsPath, TheDestinationsIsTheColumns) {
  const Octets source = basic_list({16, 4}, {u32(1), u32(2)});
  Bench b;
  b.send(ipfix_with({list(511, source), list(512, basic_list({17, 4}, {u32(3), u32(4)}))}));
  EXPECT_EQ(b.kept(0).numbers(b.record(0).as_path), (std::vector<uint32_t>{3, 4}));
  EXPECT_EQ(b.kept(0).unmapped(), (std::vector<Unmapped>{{0, 511, raw(source)}}));
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 0u);
  Bench alone;
  alone.send(ipfix_with({list(511, source)}));
  EXPECT_EQ(alone.kept(0).numbers(alone.record(0).as_path), (std::vector<uint32_t>{1, 2}));
}

TEST(AsPath, OfSegmentsIsOneBehindTheOther) {
  const auto segment = [](std::vector<Octets> numbers) {
    return variable(basic_list({17, 4}, numbers, ListSemantic::ordered));
  };
  Bench b;
  b.send(ipfix_with({list(512, basic_list({291, lab::kVariableLength},
                                          {segment({u32(1), u32(2)}), segment({u32(3)})}))}));
  EXPECT_EQ(b.kept(0).numbers(b.record(0).as_path), (std::vector<uint32_t>{1, 2, 3}));
}

TEST(AsPath, IsNotInventedFromTheEnds) {
  Bench b;
  b.send(ipfix_with({{{16, 4}, u32(1)}, {{128, 4}, u32(2)}, {{17, 4}, u32(3)}}));
  EXPECT_EQ(b.record(0).as_path.count, 0u);
  EXPECT_FALSE(b.record(0).present.has(Field::as_path));
}

TEST(SegmentRouting, ListsComeInAllTheirForms) {
  const std::vector<std::string> two = {"2001:db8::1", "2001:db8::2"};
  const Octets both = join({ipv6("2001:db8::1"), ipv6("2001:db8::2")});
  const struct {
    const char* name;
    std::vector<Value> values;
  } cases[] = {
      {"segments", {{{494, 16}, ipv6("2001:db8::1")}, {{494, 16}, ipv6("2001:db8::2")}}},
      {"basicList", {list(496, basic_list({494, 16}, {ipv6("2001:db8::1"), ipv6("2001:db8::2")}))}},
      {"a section", {list(497, both)}},
      {"a section of fixed length", {{{497, 32}, both}}},
      {"repeated sections", {{{497, 16}, ipv6("2001:db8::1")}, {{497, 16}, ipv6("2001:db8::2")}}},
      {"a whole header",
       {{{499, 40}, join({u8(41), u8(4), u8(4), u8(1), u8(1), u8(0), u16(0), both})}}},
      {"basicLists of segments",
       {list(291, basic_list({494, 16}, {ipv6("2001:db8::1"), ipv6("2001:db8::2")}))}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    b.send(ipfix_with(c.values));
    ASSERT_EQ(b.records(), 1u);
    EXPECT_EQ(addresses(b.kept(0), b.record(0).srv6_segments), two);
    EXPECT_TRUE(b.record(0).present.has(Field::srv6_segments));
    EXPECT_TRUE(b.kept(0).unmapped().empty());
    EXPECT_EQ(b.quirk(Quirk::opaque_list), 0u);
  }
}

TEST(SegmentRouting, SegmentsLeftIsAColumnAndTheRestIsKept) {
  Bench b;
  b.send(ipfix_with({{{492, 1}, u8(8)},
                     {{493, 2}, u16(77)},
                     {{495, 16}, ipv6("2001:db8::2")},
                     {{498, 1}, u8(2)},
                     {{500, 1}, u8(1)},
                     {{501, 1}, u8(32)},
                     {{502, 2}, u16(19)}}));
  EXPECT_EQ(b.record(0).ipv6_routing_header_seg_left, 2u);
  EXPECT_EQ(b.record(0).srv6_segments.count, 0u);
  std::vector<uint16_t> ids;
  for (const Unmapped& u : b.kept(0).unmapped()) ids.push_back(u.id);
  EXPECT_EQ(ids, (std::vector<uint16_t>{492, 493, 495, 500, 501, 502}));
}

TEST(SegmentRouting, WhatIsNoListIsKept) {
  const Octets other_type = join({u8(41), u8(2), u8(3), u8(1), u8(0), u8(0), u16(0), zeros(16)});
  Bench b;
  b.send(ipfix_with({{{497, 15}, zeros(15)}, {{499, 24}, other_type}, {{499, 4}, zeros(4)}}));
  EXPECT_EQ(b.record(0).srv6_segments.count, 0u);
  EXPECT_EQ(b.kept(0).unmapped().size(), 3u);
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 3u);
}

TEST(SegmentRouting, MoreSegmentsThanThereIsRoomForAreCounted) {
  Bench b;
  b.send(ipfix_with({list(497, filled((kSegmentsMax + 1) * 16, 1))}));
  EXPECT_EQ(b.record(0).srv6_segments.count, kSegmentsMax);
  EXPECT_EQ(b.quirk(Quirk::arena_overflow), 1u);
}

TEST(Lists, AtAnyTruncationAndOfAnyOctetHarmNobody) {
  const lab::Template inner{.id = kInner, .fields = {{56, 6}, {96, lab::kVariableLength}}};
  const Octets message = with_templates(
      {inner}, {kBytes,
                list(291, nested(3)),
                list(484, basic_list({483, 4}, {u32(1)})),
                list(488, basic_list({486, lab::kVariableLength}, {variable(u64(2))})),
                list(512, basic_list({17, 4}, {u32(3)})),
                list(497, zeros(32)),
                {{499, 24}, join({u8(41), u8(2), u8(4), u8(1), u8(0), u8(0), u16(0), zeros(16)})},
                list(292, sub_template_list(kInner, {{mac(1), variable(text("x"))}})),
                list(293, sub_template_multi_list({{kInner, {{mac(1), variable(text("x"))}}}}))});
  expect_truncations_tolerated(message);
  for (size_t at = 0; at < message.size(); ++at) {
    for (const uint8_t change : std::initializer_list<uint8_t>{0x01, 0x80, 0xff}) {
      Octets changed = message;
      changed[at] ^= change;
      Bench b;
      b.send(changed);
      EXPECT_LE(b.records(), 80u);
    }
  }
}

TEST(Lists, OfRecordsOfManyBurstsDoNotMeet) {
  // Each record's lists are its own, also where the arena fills up on the way.
  std::vector<Record> records;
  for (uint32_t i = 0; i < 40; ++i) {
    std::vector<Octets> path(30, u32(i));
    records.push_back(
        {u32(i), variable_long_form(basic_list({17, 4}, path)),
         variable_long_form(basic_list({9000, 100}, {filled(100, static_cast<uint8_t>(i))}))});
  }
  Bench b;
  b.send(IpfixBuilder{}
             .export_time(kNowSecs)
             .templates(
                 {{.id = 256,
                   .fields = {{1, 4}, {512, lab::kVariableLength}, {291, lab::kVariableLength}}}})
             .data(256, records)
             .build());
  ASSERT_EQ(b.records(), 40u);
  for (uint32_t i = 0; i < 40; ++i) {
    EXPECT_EQ(b.record(i).bytes, i);
    EXPECT_EQ(b.kept(i).numbers(b.record(i).as_path), std::vector<uint32_t>(30, i));
    EXPECT_EQ(b.kept(i).unmapped(),
              (std::vector<Unmapped>{{0, 9000, std::string(100, static_cast<char>(i))}}));
  }
  EXPECT_EQ(b.quirk(Quirk::arena_overflow), 0u);
}

}  // namespace
}  // namespace weir::decode
