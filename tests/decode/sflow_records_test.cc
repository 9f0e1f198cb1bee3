// sFlow version 5: flow records that fill columns beside others, and those that travel as they came.
#include <gtest/gtest.h>

#include <numeric>

#include "decode_support.h"
#include "lab/sflow_builder.h"

namespace weir::decode {
namespace {

using namespace lab;
using sflow::extended_gateway;
using sflow::extended_switch;
using sflow::raw_header;
using sflow::words;

constexpr uint32_t kGateway = 1003;
constexpr uint32_t kBroadcom = 4413;

std::string text_of(const Octets& octets) { return {octets.begin(), octets.end()}; }
std::vector<Unmapped> kept(std::initializer_list<sflow::FlowRecord> records) {
  std::vector<Unmapped> all;
  for (const auto& r : records) {
    all.push_back({r.type >> 12, static_cast<uint16_t>(r.type & 0xfff), text_of(r.body)});
  }
  return all;
}

Octets udp_frame() {
  return ethernet(kEtherTypeIpv4, udp_packet({"192.0.2.1", "198.51.100.2", 1000, 53}, zeros(8)));
}

/// A sample of one packet with these records beside its header.
struct Decoded {
  explicit Decoded(std::vector<sflow::FlowRecord> records, bool with_header = true) {
    if (with_header) records.push_back(raw_header(udp_frame()));
    EXPECT_TRUE(bench.send(
        SflowBuilder{}.flow({.sampling_rate = 1, .records = std::move(records)}).build()));
    EXPECT_EQ(bench.records(), 1u);
  }
  const FlowRecord& record() const { return bench.record(0); }
  const KeptRecord& all() const { return bench.kept(0); }
  Bench bench;
};

TEST(SflowRecords, WhatHasNoColumnTravelsAsItCame) {
  const sflow::FlowRecord records[] = {
      {1008, join({sflow::string("lsp-1"), words({7, 3})})},            // MPLS tunnel
      {1009, join({sflow::string("vpls"), words({100, 200, 5})})},      // MPLS VC
      {1010, join({sflow::string("ftn"), u32(0xff)})},                  // MPLS FTN
      {1011, u32(24)},                                                  // MPLS LDP FEC
      {1021, join({u32(100), zeros(8), zeros(8), u32(0x0800)})},        // L2 tunnel egress
      {1023, join({words({90, 47}), zeros(8), words({0, 0, 0, 0})})},   // IPv4 tunnel egress
      {1026, join({words({90, 41}), zeros(32), words({0, 0, 0, 0})})},  // IPv6 tunnel ingress
      {1027, u32(14)},                                                  // decapsulate egress
      {1029, u32(5000)},                                                // VNI egress
      {1030, u32(5001)},                                                // VNI ingress
      {1036, u32(6)},                                                   // egress queue
      {1037, join({u32(12), sflow::string("deny-all"), u32(1)})},       // ACL
      {1038, sflow::string("ip_rcv_core")},                             // function
      {1039, u32(800)},                                                 // transit delay
      {1040, u32(4096)},                                                // queue depth
      {2102, join({u32(6), zeros(8), words({80, 81})})},                // proxy's socket
      {kBroadcom << 12 | 1, u32(3)},
  };
  for (const auto& record : records) {
    SCOPED_TRACE(record.type);
    const Decoded d({record});
    EXPECT_EQ(d.all().unmapped(), kept({record}));
    EXPECT_EQ(d.record().dst_port, 53u) << "its header is read all the same";
    EXPECT_EQ(d.bench.decoder->counters().quirks.total(), 0u) << "which is nothing odd";
  }
}

TEST(SflowRecords, UnknownFormatsTravelAndAreCounted) {
  const sflow::FlowRecord theirs{kBroadcom << 12 | 7, filled(12, 1)};
  const sflow::FlowRecord nobodys{777, {}};
  const Decoded d({theirs, nobodys});
  EXPECT_EQ(d.all().unmapped(), kept({theirs, nobodys}));
  EXPECT_EQ(d.record().dst_port, 53u);
  EXPECT_EQ(d.bench.quirk(Quirk::unknown_flow_record), 2u);
}

TEST(SflowRecords, ARepeatedRecordTravelsBesideTheFirst) {
  const Decoded d({extended_switch(1, 2), extended_switch(3, 4)});
  EXPECT_EQ(d.record().src_vlan, 1u);
  EXPECT_EQ(d.all().unmapped(), kept({extended_switch(3, 4)}));
}

TEST(SflowRecords, WhatIsKeptIsBounded) {
  const sflow::FlowRecord large{1038, filled(600, 'x')};
  const sflow::FlowRecord small{1036, u32(1)};
  const Decoded d({large, large, small});
  EXPECT_EQ(d.all().unmapped(), kept({large, small}));
  EXPECT_EQ(d.bench.quirk(Quirk::arena_overflow), 1u);

  const sflow::FlowRecord largest{1038, filled(kUnmappedOctetsMax - 8, 'x')};
  EXPECT_EQ(Decoded({largest}).all().unmapped(), kept({largest}));
  const sflow::FlowRecord too_large{1038, filled(kUnmappedOctetsMax, 'x')};
  const Decoded none({too_large});
  EXPECT_EQ(none.record().unmapped.count, 0);
  EXPECT_FALSE(none.record().present.has(Field::unmapped));
}

TEST(SflowRecords, AGatewayKeepsWhatHasNoColumn) {
  const auto gateway = extended_gateway({.as = 64'500, .src_as = 64'501, .segments = {{64'510}}});
  const Decoded d({gateway});
  EXPECT_EQ(d.record().dst_as, 64'510u);
  EXPECT_EQ(d.all().unmapped(), kept({gateway})) << "own AS and local preference";
}

TEST(SflowRecords, AnAsSetIsPartOfThePath) {
  constexpr uint32_t kSet = 1;
  constexpr uint32_t kSequence = 2;
  const sflow::FlowRecord gateway{
      kGateway, join({sflow::address("203.0.113.2"), words({0, 64'501, 0}), u32(2), u32(kSequence),
                      sflow::list({64'510, 64'511}), u32(kSet), sflow::list({64'520, 64'521}),
                      u32(0), u32(0)})};
  const Decoded d({gateway});
  EXPECT_EQ(d.all().numbers(d.record().as_path),
            (std::vector<uint32_t>{64'510, 64'511, 64'520, 64'521}));
  EXPECT_EQ(d.record().dst_as, 64'521u);
  EXPECT_EQ(d.record().next_hop_as, 64'510u);
  EXPECT_EQ(d.all().unmapped(), kept({gateway})) << "which of them are a set";
}

TEST(SflowRecords, AGatewayThatAllHasColumnsOfIsNotToldTwice) {
  const sflow::FlowRecord gateway{
      kGateway, join({sflow::address("203.0.113.2"), words({0, 64'501, 0, 0, 0, 0})})};
  const Decoded d({gateway});
  EXPECT_EQ(d.record().src_as, 64'501u);
  EXPECT_EQ(d.record().unmapped.count, 0);
}

TEST(SflowRecords, PrioritiesKeepTheSwitchRecord) {
  constexpr uint32_t kUnknown = 0xffff'ffff;
  EXPECT_EQ(Decoded({extended_switch(10, 20)}).record().unmapped.count, 0);
  const sflow::FlowRecord unknown{1001, words({kUnknown, kUnknown, 20, kUnknown})};
  const Decoded u({unknown});
  EXPECT_FALSE(u.record().present.has(Field::src_vlan));
  EXPECT_EQ(u.record().dst_vlan, 20u);
  EXPECT_EQ(u.record().unmapped.count, 0);
  const sflow::FlowRecord with_priority{1001, words({10, 5, 20, 0})};
  const Decoded p({with_priority});
  EXPECT_EQ(p.record().src_vlan, 10u);
  EXPECT_EQ(p.all().unmapped(), kept({with_priority}));
}

TEST(SflowRecords, AnMplsStackThatTheHeaderDoesNotShow) {
  const sflow::FlowRecord mpls{
      1006,
      join({sflow::address("203.0.113.9"),
            sflow::list({100u << 12 | 64, 200u << 12 | 1u << 8 | 63}), sflow::list({300u << 12})})};
  const Decoded d({mpls});
  EXPECT_EQ(d.all().numbers(d.record().mpls_label), (std::vector<uint32_t>{100, 200}));
  EXPECT_EQ(d.all().numbers(d.record().mpls_ttl), (std::vector<uint32_t>{64, 63}));
  EXPECT_EQ(d.record().next_hop.to_string(), "203.0.113.9");
  EXPECT_EQ(d.all().unmapped(), kept({mpls})) << "the stack that it leaves with";
}

TEST(SflowRecords, StrippedTagsAreTheOutermost) {
  const sflow::FlowRecord tunnel{1012, sflow::list({0x88a8'0000u | 2u << 13 | 300, 0x8100'0064})};
  const Decoded d({tunnel});
  EXPECT_EQ(d.record().vlan_id, 300u);
  EXPECT_EQ(d.all().unmapped(), kept({tunnel}));
}

TEST(SflowRecords, BothUsersAndAUrl) {
  const sflow::FlowRecord both{
      1004, join({u32(106), sflow::string("alice"), u32(106), sflow::string("bob")})};
  const sflow::FlowRecord only_dst{
      1004, join({u32(106), sflow::string(""), u32(106), sflow::string("bob")})};
  const sflow::FlowRecord url{
      1005, join({u32(1), sflow::string("/index"), sflow::string("www.example.org")})};
  EXPECT_EQ(Decoded({both}).all().unmapped(), kept({both}));
  const Decoded d({only_dst, url});
  EXPECT_EQ(d.all().text(d.record().user_name), "bob");
  EXPECT_EQ(d.all().text(d.record().server_name), "www.example.org");
  EXPECT_EQ(d.all().unmapped(), kept({url}));
}

TEST(SflowRecords, AHostsSocketStandsInForAPacket) {
  const sflow::FlowRecord v4{
      2100, join({u32(6), ipv4("192.0.2.10"), ipv4("198.51.100.20"), words({443, 50'000})})};
  const sflow::FlowRecord v6{
      2101, join({u32(17), ipv6("2001:db8::10"), ipv6("2001:db8::20"), words({53, 50'001})})};
  const Decoded d({v4}, false);
  EXPECT_EQ(d.record().src_addr.to_string(), "198.51.100.20") << "the remote end asks";
  EXPECT_EQ(d.record().dst_addr.to_string(), "192.0.2.10");
  EXPECT_EQ(d.record().src_port, 50'000u);
  EXPECT_EQ(d.record().dst_port, 443u);
  EXPECT_EQ(d.record().proto, 6u);
  EXPECT_EQ(d.record().etype, 0x0800u);
  EXPECT_EQ(d.all().unmapped(), kept({v4})) << "which end is the host's";
  EXPECT_EQ(Decoded({v6}, false).record().dst_addr.to_string(), "2001:db8::10");
  EXPECT_EQ(Decoded({v4}).record().dst_port, 53u) << "a header knows better";
}

TEST(SflowRecords, AHeaderThatIsNotWalkedTravels) {
  constexpr uint32_t kFrameRelay = 5;
  const auto header = raw_header(filled(20, 7), 99, kFrameRelay);
  const Decoded d({header}, false);
  EXPECT_EQ(d.record().bytes, 99u);
  EXPECT_EQ(d.all().unmapped(), kept({header}));
}

TEST(SflowRecords, PppIsOpened) {
  constexpr uint32_t kPpp = 7;
  constexpr uint32_t kPos = 14;
  const Octets v4 = udp_packet({"192.0.2.1", "192.0.2.2", 1000, 53}, zeros(8));
  const Octets v6 = udp_packet({"2001:db8::1", "2001:db8::2", 1000, 53}, zeros(8));
  const Octets labelled = join({u32(16 << 12 | 0x1ff), v4});
  const auto decode = [](uint32_t protocol, const Octets& frame) {
    return Decoded({raw_header(frame, 0, protocol)}, false).record();
  };
  EXPECT_EQ(decode(kPpp, join({u16(0x0021), v4})).dst_addr.to_string(), "192.0.2.2");
  EXPECT_EQ(decode(kPos, join({u16(0xff03), u16(0x0057), v6})).dst_addr.to_string(), "2001:db8::2");
  EXPECT_EQ(decode(kPos, join({u16(0x0281), labelled})).mpls_label.count, 1);
  EXPECT_EQ(decode(kPpp, join({u16(0xc021), v4})).addresses, 0) << "PPP's own control protocol";
  EXPECT_EQ(decode(kPpp, u8(0)).addresses, 0);
}

TEST(SflowRecords, AnOutputThatIsNoInterfaceIsKept) {
  constexpr uint32_t kSeveral = 2;
  constexpr uint32_t kDiscarded = 1;
  Bench b;
  b.send(SflowBuilder{}
             .flow({.output = {kSeveral, 7}})
             .expanded_flow({.output = {kDiscarded, 263}})
             .flow({.output = {0, 7}})
             .build());
  ASSERT_EQ(b.records(), 3u);
  EXPECT_EQ(b.kept(0).unmapped(),
            (std::vector<Unmapped>{{0, 0, text_of(u32(kSeveral << 30 | 7))}}));
  EXPECT_EQ(b.kept(1).unmapped(),
            (std::vector<Unmapped>{{0, 0, text_of(words({kDiscarded, 263}))}}));
  EXPECT_EQ(b.record(1).forwarding_status, 128u);
  EXPECT_EQ(b.record(2).unmapped.count, 0);
}

TEST(SflowRecords, TwoSampledAddressesOfAPacketAreBothTold) {
  const sflow::FlowRecord v4{3, join({u32(1400), u32(6), ipv4("192.0.2.1"), ipv4("192.0.2.2"),
                                      words({80, 4000, 0x12, 0})})};
  const sflow::FlowRecord v6{4, join({u32(900), u32(17), ipv6("2001:db8::1"), ipv6("2001:db8::2"),
                                      words({53, 4001, 0, 4})})};
  const Decoded d({v6, v4}, false);
  EXPECT_EQ(d.record().src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(d.all().unmapped(), kept({v6}));
  EXPECT_EQ(Decoded({v4}).record().unmapped.count, 0) << "the header says the same";
}

TEST(SflowRecords, EveryTruncationOfEveryRecordIsTolerated) {
  std::vector<uint32_t> many(20);
  std::iota(many.begin(), many.end(), 1u);
  const std::vector<sflow::FlowRecord> records = {
      {1006, join({sflow::address("2001:db8::9"), sflow::list(many), sflow::list({1})})},
      {1012, sflow::list({0x8100'0064})},
      {2100, join({u32(6), zeros(8), words({443, 50'000})})},
      {2101, join({u32(17), zeros(32), words({53, 50'001})})},
      {1005, join({u32(1), sflow::string("/i"), sflow::string("example.org")})},
      {1020, words({1, 2})},
      extended_gateway({.segments = {{1, 2}, {3}}, .communities = {4}}),
      raw_header(udp_frame()),
  };
  expect_truncations_tolerated(SflowBuilder{}.flow({.records = records}).build());
  // And each record cut short inside a sample that is whole.
  for (const auto& record : records) {
    for (size_t n = 0; n < record.body.size(); ++n) {
      SCOPED_TRACE(n);
      const auto end = record.body.begin() + static_cast<std::ptrdiff_t>(n);
      Bench b;
      EXPECT_TRUE(b.send(
          SflowBuilder{}.flow({.records = {{record.type, {record.body.begin(), end}}}}).build()));
      EXPECT_EQ(b.records(), 1u);
    }
  }
}

TEST(SflowRecords, CountsOfAllOnesAreBounded) {
  constexpr uint32_t kHuge = 0xffff'ffff;
  const sflow::FlowRecord records[] = {
      {1006, join({sflow::address("192.0.2.1"), words({kHuge, 1})})},
      {1006, join({sflow::address("192.0.2.1"), words({0, kHuge})})},
      {1012, words({kHuge, 0x8100'0064})},
      {1005, words({1, kHuge})},
      {1004, words({1, kHuge, 5})},
  };
  for (const auto& record : records) {
    SCOPED_TRACE(record.type);
    EXPECT_EQ(Decoded({record}).record().dst_port, 53u) << "its sibling is kept";
  }
}

}  // namespace
}  // namespace weir::decode
