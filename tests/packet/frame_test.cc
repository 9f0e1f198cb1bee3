// Frames of every accepted shape, every truncation of each, and every way to be wrong.
#include "packet/frame.h"

#include <gtest/gtest.h>

#include <string>

#include "lab/frame_builder.h"

namespace weir::packet {
namespace {

using namespace weir::lab;  // NOLINT: the pictures below are made of its words
using Check = ChecksumPolicy::Check;

constexpr ChecksumPolicy kVerifyAll{Check::verify, Check::verify};

const Octets kPayload = {'e', 'x', 'p', 'o', 'r', 't', '!'};  // odd on purpose: checksums pad

const UdpEnds kV4 = {"192.0.2.1", "198.51.100.2", 40000, 2055};
const UdpEnds kV6 = {"2001:db8::1", "2001:db8::2", 40000, 4739};

Octets udp4() { return udp_segment(kV4, kPayload); }
Octets udp6() { return udp_segment(kV6, kPayload); }
Octets ip4(Ipv4Header h = {}) {
  h.src = kV4.src;
  h.dst = kV4.dst;
  return ipv4_packet(h, udp4());
}
Octets ip6(uint8_t next_header, const Octets& rest) {
  return ipv6_packet({.src = kV6.src, .dst = kV6.dst, .next_header = next_header}, rest);
}
Octets null_header(std::initializer_list<uint8_t> four) { return Octets(four); }

Octets payload_of(const FrameView& view) { return {view.payload.begin(), view.payload.end()}; }

// ---- What is accepted --------------------------------------------------------------------------

struct Accepted {
  const char* name;
  LinkType link;
  Octets frame;
  std::vector<uint16_t> vlan_ids{};
};

std::vector<Accepted> accepted_frames() {
  const Octets four_options = {7, 4, 4, 0, 1, 1, 1, 0};
  return {
      {"ethernet_ipv4", LinkType::ethernet, ethernet(kEtherTypeIpv4, ip4())},
      {"ethernet_ipv6", LinkType::ethernet, ethernet(kEtherTypeIpv6, ip6(kProtoUdp, udp6()))},
      {"ethernet_ipv4_options", LinkType::ethernet,
       ethernet(kEtherTypeIpv4, ip4({.options = four_options}))},
      {"ethernet_ipv4_longest_header", LinkType::ethernet,
       ethernet(kEtherTypeIpv4, ip4({.options = filled(40, 1)}))},
      {"ethernet_ipv4_dont_fragment", LinkType::ethernet,
       ethernet(kEtherTypeIpv4, ip4({.flags_and_offset = 0x4000}))},
      {"vlan_8021q",
       LinkType::ethernet,
       ethernet(kTpid8021q, vlan(0x6064, kEtherTypeIpv4, ip4())),
       {100}},
      {"vlan_8021q_ipv6",
       LinkType::ethernet,
       ethernet(kTpid8021q, vlan(5, kEtherTypeIpv6, ip6(kProtoUdp, udp6()))),
       {5}},
      {"vlan_8021ad_qinq",
       LinkType::ethernet,
       ethernet(kTpid8021ad, vlan(200, kTpid8021q, vlan(100, kEtherTypeIpv4, ip4()))),
       {200, 100}},
      {"vlan_0x9100_qinq",
       LinkType::ethernet,
       ethernet(kTpidOldQinq, vlan(4094, kTpid8021q, vlan(0, kEtherTypeIpv4, ip4()))),
       {4094, 0}},
      {"vlan_most",
       LinkType::ethernet,
       ethernet(kTpid8021q,
                vlan(1, kTpid8021q,
                     vlan(2, kTpid8021q, vlan(3, kTpid8021q, vlan(4, kEtherTypeIpv4, ip4()))))),
       {1, 2, 3, 4}},
      {"ipv6_every_extension_header", LinkType::ethernet,
       ethernet(kEtherTypeIpv6,
                ip6(kProtoHopByHop,
                    ipv6_extension(
                        kProtoDestinationOptions, {5, 2, 0, 0},
                        ipv6_extension(
                            kProtoRouting, filled(20, 1),
                            ipv6_extension(
                                kProtoFragment, {0, 0},
                                ipv6_fragment({.next_header = kProtoAuthentication, .id = 7},
                                              ipv6_authentication(
                                                  kProtoDestinationOptions, zeros(22),
                                                  ipv6_extension(kProtoUdp, {}, udp6()))))))))},
      {"ipv6_atomic_fragment", LinkType::ethernet,
       ethernet(kEtherTypeIpv6, ip6(kProtoFragment, ipv6_fragment({.id = 99}, udp6())))},
      {"raw_ipv4", LinkType::raw_ip, ip4()},
      {"raw_ipv6", LinkType::raw_ip, ip6(kProtoUdp, udp6())},
      {"linux_sll_ipv4", LinkType::linux_sll, linux_sll(kEtherTypeIpv4, ip4())},
      {"linux_sll_ipv6", LinkType::linux_sll, linux_sll(kEtherTypeIpv6, ip6(kProtoUdp, udp6()))},
      {"linux_sll_vlan",
       LinkType::linux_sll,
       linux_sll(kTpid8021q, vlan(7, kEtherTypeIpv4, ip4())),
       {7}},
      {"linux_sll2_ipv4", LinkType::linux_sll2, linux_sll2(kEtherTypeIpv4, ip4())},
      {"linux_sll2_ipv6", LinkType::linux_sll2, linux_sll2(kEtherTypeIpv6, ip6(kProtoUdp, udp6()))},
      {"null_little_endian", LinkType::null_loopback, join({null_header({2, 0, 0, 0}), ip4()})},
      {"loop_big_endian", LinkType::null_loopback, join({null_header({0, 0, 0, 2}), ip4()})},
      {"null_ipv6_freebsd", LinkType::null_loopback,
       join({null_header({28, 0, 0, 0}), ip6(kProtoUdp, udp6())})},
      {"null_ipv6_macos", LinkType::null_loopback,
       join({null_header({0, 0, 0, 30}), ip6(kProtoUdp, udp6())})},
  };
}

void expect_the_datagram(const FrameView& view, const Accepted& a) {
  ASSERT_EQ(view.verdict, FrameVerdict::udp);
  const UdpEnds& ends = view.src.is_v4() ? kV4 : kV6;
  EXPECT_EQ(view.src, ends.src.value);
  EXPECT_EQ(view.dst, ends.dst.value);
  EXPECT_EQ(view.src_port, ends.src_port);
  EXPECT_EQ(view.dst_port, ends.dst_port);
  EXPECT_EQ(payload_of(view), kPayload);
  EXPECT_EQ(std::vector<uint16_t>(view.vlan_ids.begin(), view.vlan_ids.begin() + view.vlan_tags),
            a.vlan_ids);
}

TEST(Frame, FindsTheUdpPayload) {
  for (const Accepted& a : accepted_frames()) {
    SCOPED_TRACE(a.name);
    expect_the_datagram(parse_frame(a.frame, a.link), a);
    if (std::string(a.name) !=
        "ipv6_every_extension_header") {  // its routing header has segments left
      expect_the_datagram(parse_frame(a.frame, a.link, kVerifyAll), a);
    }
  }
}

TEST(Frame, IgnoresATrailer) {
  for (const Accepted& a : accepted_frames()) {
    SCOPED_TRACE(a.name);
    const Octets with_trailer = join({a.frame, filled(20, 0xdb)});
    expect_the_datagram(parse_frame(with_trailer, a.link), a);
  }
}

TEST(Frame, IsNeverAcceptedCutShort) {
  for (const Accepted& a : accepted_frames()) {
    SCOPED_TRACE(a.name);
    for (size_t length = 0; length < a.frame.size(); ++length) {
      // A copy of exactly that size, so that a sanitizer sees a read beyond it.
      const Octets cut(a.frame.begin(), a.frame.begin() + static_cast<ptrdiff_t>(length));
      const FrameView view = parse_frame(cut, a.link);
      EXPECT_TRUE(view.verdict == FrameVerdict::truncated_ethernet ||
                  view.verdict == FrameVerdict::truncated_vlan ||
                  view.verdict == FrameVerdict::truncated_ip)
          << "cut to " << length << ": " << name_of(view.verdict);
      EXPECT_TRUE(view.payload.empty());
    }
  }
}

TEST(Frame, KnowsTheStations) {
  const FrameView view = parse_frame(udp_frame(kV4, kPayload), LinkType::ethernet);
  EXPECT_EQ(view.src_mac, (std::array<uint8_t, 6>{0x02, 0, 0, 0, 0, 0x01}));
  EXPECT_EQ(view.dst_mac, (std::array<uint8_t, 6>{0x02, 0, 0, 0, 0, 0x02}));
  const FrameView cooked = parse_frame(linux_sll2(kEtherTypeIpv4, ip4()), LinkType::linux_sll2);
  EXPECT_EQ(cooked.src_mac, view.src_mac);
}

TEST(Frame, AcceptsAnEmptyDatagram) {
  const FrameView view = parse_frame(udp_frame(kV4, {}), LinkType::ethernet, kVerifyAll);
  EXPECT_EQ(view.verdict, FrameVerdict::udp);
  EXPECT_TRUE(view.payload.empty());
}

TEST(Frame, AcceptsTheLongestDatagram) {
  const Octets longest = filled(65535 - 20 - 8, 0xa5);
  const Octets frame = udp_frame(kV4, longest);
  EXPECT_EQ(payload_of(parse_frame(frame, LinkType::ethernet, kVerifyAll)), longest);
}

TEST(Frame, TakesTheShorterOfUdpAndIpLength) {
  // UDP may say less than IP has room for; the rest is not part of the datagram.
  const Octets segment = udp_segment(kV4, kPayload, {.length = 8 + 3});
  const Octets frame =
      ethernet(kEtherTypeIpv4, ipv4_packet({.src = kV4.src, .dst = kV4.dst}, segment));
  const FrameView view = parse_frame(frame, LinkType::ethernet);
  ASSERT_EQ(view.verdict, FrameVerdict::udp);
  EXPECT_EQ(payload_of(view), (Octets{'e', 'x', 'p'}));
}

// ---- What is not for us, and what is wrong -----------------------------------------------------

struct Refused {
  const char* name;
  FrameVerdict verdict;
  LinkType link;
  Octets frame;
};

Octets eth4(const Ipv4Header& header, const Octets& rest) {
  Ipv4Header h = header;
  h.src = kV4.src;
  h.dst = kV4.dst;
  return ethernet(kEtherTypeIpv4, ipv4_packet(h, rest));
}
Octets eth6(uint8_t next_header, const Octets& rest) {
  return ethernet(kEtherTypeIpv6, ip6(next_header, rest));
}
Octets many_extension_headers(size_t count) {
  Octets rest = udp6();
  for (size_t i = 0; i < count; ++i) {
    rest = ipv6_extension(i == 0 ? kProtoUdp : kProtoDestinationOptions, {}, rest);
  }
  return rest;
}

std::vector<Refused> refused_frames() {
  const auto eth = LinkType::ethernet;
  const auto raw = LinkType::raw_ip;
  const UdpEnds mapped = {"::ffff:192.0.2.1", "2001:db8::2", 1, 2};
  Octets mapped_packet = ip6(kProtoUdp, udp6());
  std::copy(mapped.src.value.octets.begin(), mapped.src.value.octets.end(),
            mapped_packet.begin() + 8);
  return {
      // not ours
      {"arp", FrameVerdict::not_ip, eth, ethernet(kEtherTypeArp, zeros(28))},
      {"llc", FrameVerdict::not_ip, eth, ethernet(38, zeros(38))},
      {"vlan_arp", FrameVerdict::not_ip, eth,
       ethernet(kTpid8021q, vlan(1, kEtherTypeArp, zeros(28)))},
      {"sll_arp", FrameVerdict::not_ip, LinkType::linux_sll, linux_sll(kEtherTypeArp, zeros(28))},
      {"null_appletalk", FrameVerdict::not_ip, LinkType::null_loopback,
       join({null_header({16, 0, 0, 0}), ip4()})},
      {"tcp", FrameVerdict::not_udp, eth, eth4({.proto = kProtoTcp}, zeros(20))},
      {"tcp_fragment", FrameVerdict::not_udp, eth,
       eth4({.proto = kProtoTcp, .flags_and_offset = 0x2000}, zeros(24))},
      {"tcp6", FrameVerdict::not_udp, eth, eth6(kProtoTcp, zeros(20))},
      {"tcp6_fragment", FrameVerdict::not_udp, eth,
       eth6(kProtoFragment, ipv6_fragment({.next_header = kProtoTcp, .more = 1}, zeros(24)))},
      {"no_next_header", FrameVerdict::not_udp, eth, eth6(kProtoNoNextHeader, {})},
      {"esp", FrameVerdict::not_udp, eth, eth6(50, zeros(24))},
      // fragments
      {"ipv4_first_fragment", FrameVerdict::fragment, eth,
       eth4({.flags_and_offset = 0x2000}, udp4())},
      {"ipv4_middle_fragment", FrameVerdict::fragment, eth,
       eth4({.flags_and_offset = 0x2000 | 185}, zeros(24))},
      {"ipv4_last_fragment", FrameVerdict::fragment, eth,
       eth4({.flags_and_offset = 185}, zeros(3))},
      {"ipv6_first_fragment", FrameVerdict::fragment, eth,
       eth6(kProtoFragment, ipv6_fragment({.more = 1, .id = 1}, udp6()))},
      {"ipv6_last_fragment", FrameVerdict::fragment, eth,
       eth6(kProtoFragment, ipv6_fragment({.offset_octets = 1448, .id = 1}, zeros(3)))},
      {"ipv6_fragment_of_more_headers", FrameVerdict::fragment, eth,
       eth6(kProtoHopByHop,
            ipv6_extension(
                kProtoFragment, {},
                ipv6_fragment({.next_header = kProtoDestinationOptions, .more = 1}, zeros(24))))},
      // link layer
      {"empty", FrameVerdict::truncated_ethernet, eth, {}},
      {"thirteen_octets", FrameVerdict::truncated_ethernet, eth, zeros(13)},
      {"short_sll", FrameVerdict::truncated_ethernet, LinkType::linux_sll, zeros(15)},
      {"short_sll2", FrameVerdict::truncated_ethernet, LinkType::linux_sll2, zeros(19)},
      {"short_null", FrameVerdict::truncated_ethernet, LinkType::null_loopback, zeros(3)},
      {"tag_cut", FrameVerdict::truncated_vlan, eth, ethernet(kTpid8021q, zeros(3))},
      {"five_tags", FrameVerdict::too_many_vlan_tags, eth,
       ethernet(kTpid8021q, vlan(1, kTpid8021q,
                                 vlan(2, kTpid8021q,
                                      vlan(3, kTpid8021q,
                                           vlan(4, kTpid8021q, vlan(5, kEtherTypeIpv4, ip4()))))))},
      // IPv4
      {"raw_empty", FrameVerdict::truncated_ip, raw, {}},
      {"ipv4_nineteen_octets", FrameVerdict::truncated_ip, eth,
       ethernet(kEtherTypeIpv4, filled(19, 0x45))},
      {"ipv4_version_5", FrameVerdict::bad_ip_version, eth,
       eth4({.version_and_ihl = 0x55}, udp4())},
      {"ipv4_under_ipv6_type", FrameVerdict::bad_ip_version, eth,
       ethernet(kEtherTypeIpv6, ipv4_packet({.src = kV4.src, .dst = kV4.dst}, zeros(40)))},
      {"raw_version_0", FrameVerdict::bad_ip_version, raw, zeros(60)},
      {"ipv4_ihl_4", FrameVerdict::bad_ip_header_length, eth,
       eth4({.version_and_ihl = 0x44}, udp4())},
      {"ipv4_ihl_0", FrameVerdict::bad_ip_header_length, eth,
       eth4({.version_and_ihl = 0x40}, udp4())},
      {"ipv4_ihl_beyond_total", FrameVerdict::bad_ip_length, eth,
       eth4({.version_and_ihl = 0x4f, .total_length = 59}, zeros(60))},
      {"ipv4_total_0", FrameVerdict::bad_ip_length, eth, eth4({.total_length = 0}, udp4())},
      {"ipv4_total_19", FrameVerdict::bad_ip_length, eth, eth4({.total_length = 19}, udp4())},
      {"ipv4_total_beyond_frame", FrameVerdict::truncated_ip, eth,
       eth4({.total_length = 20 + 8 + 7 + 1}, udp4())},
      // IPv6
      {"ipv6_thirty_nine_octets", FrameVerdict::truncated_ip, eth,
       ethernet(kEtherTypeIpv6, filled(39, 0x60))},
      {"ipv6_version_4", FrameVerdict::bad_ip_version, eth,
       ethernet(kEtherTypeIpv6,
                ipv6_packet({.src = kV6.src, .dst = kV6.dst, .version = 4}, udp6()))},
      {"ipv6_length_beyond_frame", FrameVerdict::truncated_ip, eth,
       ethernet(kEtherTypeIpv6,
                ipv6_packet({.src = kV6.src, .dst = kV6.dst, .payload_length = 16}, udp6()))},
      {"ipv6_mapped_source", FrameVerdict::bad_ip_address, raw, mapped_packet},
      {"ipv6_seventeen_extension_headers", FrameVerdict::too_many_extension_headers, eth,
       eth6(kProtoDestinationOptions, many_extension_headers(kExtensionHeadersMax + 1))},
      {"ipv6_extension_of_seven_octets", FrameVerdict::truncated_extension_header, eth,
       eth6(kProtoHopByHop, {kProtoUdp, 0, 0, 0, 0, 0, 0})},
      {"ipv6_extension_beyond_packet", FrameVerdict::truncated_extension_header, eth,
       eth6(kProtoHopByHop, join({{kProtoUdp, 1}, zeros(13)}))},
      {"ipv6_longest_extension_beyond_packet", FrameVerdict::truncated_extension_header, eth,
       eth6(kProtoRouting, join({{kProtoUdp, 255}, zeros(62)}))},
      {"ipv6_authentication_beyond_packet", FrameVerdict::truncated_extension_header, eth,
       eth6(kProtoAuthentication, join({{kProtoUdp, 5}, zeros(25)}))},
      {"ipv6_fragment_header_cut", FrameVerdict::truncated_extension_header, eth,
       eth6(kProtoFragment, zeros(7))},
      {"ipv6_jumbogram", FrameVerdict::truncated_extension_header, eth,
       ethernet(
           kEtherTypeIpv6,
           ipv6_packet(
               {.src = kV6.src, .dst = kV6.dst, .next_header = kProtoHopByHop, .payload_length = 0},
               ipv6_extension(kProtoUdp, {0xc2, 4, 0, 1, 0, 0}, udp6())))},
      // UDP
      {"udp_cut", FrameVerdict::truncated_udp, eth, eth4({}, zeros(7))},
      {"udp6_cut", FrameVerdict::truncated_udp, eth, eth6(kProtoUdp, zeros(7))},
      {"udp_in_trailer", FrameVerdict::truncated_udp, eth, eth4({.total_length = 27}, udp4())},
      {"udp_length_0", FrameVerdict::bad_udp_length, eth,
       eth4({}, udp_segment(kV4, kPayload, {.length = 0}))},
      {"udp_length_7", FrameVerdict::bad_udp_length, eth,
       eth4({}, udp_segment(kV4, kPayload, {.length = 7}))},
      {"udp_length_over", FrameVerdict::bad_udp_length, eth,
       eth4({}, udp_segment(kV4, kPayload, {.length = 8 + 7 + 1}))},
      {"udp_length_into_trailer", FrameVerdict::bad_udp_length, eth,
       eth4({.total_length = 20 + 8 + 6}, udp4())},
      {"udp6_length_over", FrameVerdict::bad_udp_length, eth,
       eth6(kProtoUdp, udp_segment(kV6, kPayload, {.length = 65535}))},
  };
}

TEST(Frame, NamesWhatItDoesNotTake) {
  for (const Refused& r : refused_frames()) {
    SCOPED_TRACE(r.name);
    const FrameView view = parse_frame(r.frame, r.link);
    EXPECT_EQ(name_of(view.verdict), name_of(r.verdict));
    EXPECT_EQ(view.payload.empty(), r.verdict != FrameVerdict::fragment);
  }
}

TEST(Frame, SurvivesEveryTruncationOfWhatItDoesNotTake) {
  for (const Refused& r : refused_frames()) {
    SCOPED_TRACE(r.name);
    for (size_t length = 0; length < r.frame.size(); ++length) {
      const Octets cut(r.frame.begin(), r.frame.begin() + static_cast<ptrdiff_t>(length));
      EXPECT_NE(parse_frame(cut, r.link).verdict, FrameVerdict::udp) << "cut to " << length;
    }
  }
}

TEST(Frame, TellsWhoSentAFragmentAndWhereItBelongs) {
  const Octets piece = filled(24, 0xa5);
  const struct {
    const char* name;
    Octets packet;
    FragmentPlace place;
  } cases[] = {
      {"first", fragment_packet(kV4, {.id = 0xbeef}, piece), {0xbeef, 0, kProtoUdp, false}},
      {"middle", fragment_packet(kV4, {.id = 1, .offset_octets = 1480}, piece),
       {1, 1480, kProtoUdp, false}},
      {"last_of_all", fragment_packet(kV4, {.id = 1, .offset_octets = 65528, .is_last = true}, piece),
       {1, 65528, kProtoUdp, true}},
      {"first_v6", fragment_packet(kV6, {.id = 0xdeadbeef}, piece), {0xdeadbeef, 0, kProtoUdp, false}},
      {"last_v6", fragment_packet(kV6, {.id = 2, .offset_octets = 65528, .is_last = true}, piece),
       {2, 65528, kProtoUdp, true}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const FrameView view = parse_frame(c.packet, LinkType::raw_ip);
    EXPECT_EQ(view.verdict, FrameVerdict::fragment);
    const UdpEnds& ends = view.src.is_v4() ? kV4 : kV6;
    EXPECT_EQ(view.src, ends.src.value);
    EXPECT_EQ(view.dst, ends.dst.value);
    EXPECT_EQ(view.src_port, 0);
    EXPECT_EQ(payload_of(view), piece);
    EXPECT_EQ(view.fragment.id, c.place.id);
    EXPECT_EQ(view.fragment.offset_octets, c.place.offset_octets);
    EXPECT_EQ(view.fragment.next_header, c.place.next_header);
    EXPECT_EQ(view.fragment.is_last, c.place.is_last);
  }
}

TEST(Frame, LeavesFragmentsThatAreStillUnderWayToOthers) {
  // Segments are left in a routing header before the fragment header: its destination is another's.
  const auto behind_routing = [](uint8_t segments_left) {
    return ip6(kProtoRouting,
               ipv6_extension(kProtoFragment, join({{4, segments_left, 0, 0, 0, 0}, ipv6("2001:db8::9")}),
                              ipv6_fragment({.more = 1, .id = 3}, udp6())));
  };
  EXPECT_EQ(parse_frame(behind_routing(1), LinkType::raw_ip).verdict, FrameVerdict::not_udp);
  EXPECT_EQ(parse_frame(behind_routing(0), LinkType::raw_ip).verdict, FrameVerdict::fragment);
}

TEST(Frame, TheIpPacketOfAFrameIsWithoutWhatLiesBeforeAndBehindIt) {
  for (const UdpEnds& ends : {kV4, kV6}) {
    const Octets packet = udp_packet(ends, kPayload);
    const uint16_t type = ends.src.value.is_v4() ? lab::kEtherTypeIpv4 : lab::kEtherTypeIpv6;
    const Octets longer = join({packet, filled(6, 0x77)});
    const struct {
      LinkType link;
      Octets frame;
    } rows[] = {
        {LinkType::raw_ip, longer},
        {LinkType::ethernet, ethernet(type, longer)},
        {LinkType::ethernet, ethernet(lab::kTpid8021ad, vlan(7, lab::kTpid8021q, vlan(8, type, longer)))},
        {LinkType::linux_sll, linux_sll(type, longer)},
        {LinkType::linux_sll2, linux_sll2(type, longer)},
        {LinkType::null_loopback, join({{2, 0, 0, 0}, longer})},
        {LinkType::ether_type, join({u16(type), longer})},
    };
    for (const auto& row : rows) {
      const FrameView view = parse_frame(row.frame, row.link);
      ASSERT_EQ(view.verdict, FrameVerdict::udp);
      const auto found = ip_packet_of(row.frame, row.link, view.vlan_tags);
      EXPECT_EQ(Octets(found.begin(), found.end()), packet) << static_cast<int>(row.link);
    }
  }
}

// ---- Checksums ---------------------------------------------------------------------------------

TEST(FrameChecksums, AreNotLookedAtUnlessAsked) {
  const Octets wrong = eth4({.checksum = 0xdead}, udp_segment(kV4, kPayload, {.checksum = 0xdead}));
  EXPECT_EQ(parse_frame(wrong, LinkType::ethernet).verdict, FrameVerdict::udp);
  EXPECT_EQ(parse_frame(wrong, LinkType::ethernet, {.udp = Check::verify}).verdict,
            FrameVerdict::bad_udp_checksum);
  EXPECT_EQ(parse_frame(wrong, LinkType::ethernet, {.ip_header = Check::verify}).verdict,
            FrameVerdict::bad_ip_checksum);
}

TEST(FrameChecksums, OfUdpMayBeAbsentUnderIpv4Only) {
  const Octets none4 = eth4({}, udp_segment(kV4, kPayload, {.checksum = 0}));
  EXPECT_EQ(parse_frame(none4, LinkType::ethernet, kVerifyAll).verdict, FrameVerdict::udp);
  const Octets none6 = eth6(kProtoUdp, udp_segment(kV6, kPayload, {.checksum = 0}));
  EXPECT_EQ(parse_frame(none6, LinkType::ethernet, kVerifyAll).verdict,
            FrameVerdict::bad_udp_checksum);
}

TEST(FrameChecksums, SeeEverySingleBit) {
  for (const UdpEnds& ends : {kV4, kV6}) {
    const Octets frame = udp_frame(ends, kPayload);
    // The IP version and lengths have verdicts of their own, the TTL and traffic class of IPv6 no
    // checksum: the addresses and all behind them is what a checksum alone guards.
    const size_t begin = 14 + (ends.src.value.is_v4() ? 12 : 8);
    for (size_t bit = begin * 8; bit < frame.size() * 8; ++bit) {
      Octets flipped = frame;
      flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ 1 << bit % 8);
      EXPECT_NE(parse_frame(flipped, LinkType::ethernet, kVerifyAll).verdict, FrameVerdict::udp)
          << "bit " << bit;
    }
  }
}

TEST(FrameChecksums, OfUdpAreNotJudgedWhileSegmentsAreLeft) {
  // RFC 8200 §8.1: the sum is over the final destination, which only the routing header knows.
  const Octets source_routed = eth6(
      kProtoRouting, ipv6_extension(kProtoUdp, join({{4, 1, 0, 0, 0, 0}, ipv6("2001:db8::9")}),
                                    udp_segment({kV6.src, "2001:db8::9", 40000, 4739}, kPayload)));
  EXPECT_EQ(parse_frame(source_routed, LinkType::ethernet, kVerifyAll).verdict, FrameVerdict::udp);
}

}  // namespace
}  // namespace weir::packet
