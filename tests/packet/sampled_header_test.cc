// Sampled headers: each layer and tunnel, every truncation, and headers that contradict themselves.
#include "packet/sampled_header.h"

#include <gtest/gtest.h>

#include <memory>

#include "lab/frame_builder.h"

namespace weir::packet {
namespace {

using namespace weir::lab;  // NOLINT: the pictures below are made of its words

constexpr uint8_t kProtoIpv4 = 4;
constexpr uint8_t kProtoIpv6 = 41;
constexpr uint8_t kProtoGre = 47;
constexpr uint16_t kEtherTypeMpls = 0x8847;
constexpr uint16_t kEtherTypeBridging = 0x6558;

const UdpEnds kOuter4 = {"192.0.2.1", "192.0.2.2", 40'000, 9};
const UdpEnds kInner4 = {"198.51.100.1", "198.51.100.2", 1111, 53};
const UdpEnds kInner6 = {"2001:db8::1", "2001:db8::2", 2222, 53};

UdpEnds to_port(uint16_t port) {
  UdpEnds ends = kOuter4;
  ends.dst_port = port;
  return ends;
}
Octets inner4() { return udp_packet(kInner4, zeros(12)); }
Octets inner6() { return udp_packet(kInner6, zeros(12)); }
Octets outer4(uint8_t proto, const Octets& rest) {
  return ethernet(kEtherTypeIpv4,
                  ipv4_packet({.src = kOuter4.src, .dst = kOuter4.dst, .proto = proto}, rest));
}
Octets outer6(uint8_t next, const Octets& rest) {
  return ethernet(
      kEtherTypeIpv6,
      ipv6_packet({.src = "2001:db8:1::1", .dst = "2001:db8:1::2", .next_header = next}, rest));
}
Octets label(uint32_t value, uint32_t bottom) { return u32(value << 12 | bottom << 8 | 64); }

/// In a buffer of its own size, so that a sanitizer sees what is read beyond it.
struct Parsed {
  Parsed(const Octets& octets, SampledLink link)
      : copy(new uint8_t[octets.size()]), size(octets.size()) {
    std::copy(octets.begin(), octets.end(), copy.get());
    parse_sampled_header({copy.get(), size}, link, h);
  }
  std::vector<Layer> layers() const {
    std::vector<Layer> v;
    for (size_t i = 0; i < h.layers; ++i) v.push_back(static_cast<Layer>(h.layer_stack[i]));
    return v;
  }
  std::vector<uint32_t> sizes() const {
    return {h.layer_size.begin(), h.layer_size.begin() + h.layers};
  }
  std::unique_ptr<uint8_t[]> copy;
  size_t size;
  SampledHeader h;
};
Parsed parse(const Octets& octets, SampledLink link = SampledLink::ethernet) {
  return {octets, link};
}

struct Case {
  const char* name;
  Octets octets;
  std::vector<Layer> layers;
  const char* outer_dst;  // null: no IP header
  const char* inner_dst;  // null: no tunnel
};

std::vector<Case> cases() {
  using L = Layer;
  const Octets vxlan = join({u32(0x0800'0000), u32(7 << 8)});
  const Octets gtp = join({u8(0x30), u8(255), u16(0), u32(1)});
  const Octets gtp_extended = join({u8(0x34), u8(255), u16(0), u32(1), u16(0), u8(0), u8(0x85),
                                    u8(1), u16(9), u8(0x85), u8(2), zeros(6), u8(0)});
  const Octets srh =
      join({u8(4), u8(1), u8(1), u8(0), u16(0), ipv6("2001:db8::51"), ipv6("2001:db8::52")});
  return {
      {"plain", udp_frame(kOuter4, zeros(4)), {L::ethernet, L::ipv4, L::udp}, "192.0.2.2", nullptr},
      {"IPv6",
       udp_frame(kInner6, zeros(4)),
       {L::ethernet, L::ipv6, L::udp},
       "2001:db8::2",
       nullptr},
      {"QinQ",
       ethernet(kTpid8021ad,
                vlan(100, kTpid8021q, vlan(200, kEtherTypeIpv4, udp_packet(kOuter4, zeros(4))))),
       {L::ethernet, L::dot1q, L::dot1q, L::ipv4, L::udp},
       "192.0.2.2",
       nullptr},
      {"MPLS",
       ethernet(kEtherTypeMpls, join({label(16, 0), label(17, 1), inner4()})),
       {L::ethernet, L::mpls, L::ipv4, L::udp},
       "198.51.100.2",
       nullptr},
      {"pseudowire",
       ethernet(kEtherTypeMpls, join({label(16, 1), u32(0), ethernet(kEtherTypeIpv6, inner6())})),
       {L::ethernet, L::mpls, L::ethernet, L::ipv6, L::udp},
       "2001:db8::2",
       nullptr},
      {"PPPoE",
       ethernet(0x8864, join({u8(0x11), u8(0), u16(1), u16(2), u16(0x0021), inner4()})),
       {L::ethernet, L::pppoe, L::ipv4, L::udp},
       "198.51.100.2",
       nullptr},
      {"IPv4 options",
       ethernet(kEtherTypeIpv4,
                ipv4_packet({.src = kOuter4.src, .dst = kOuter4.dst, .options = zeros(8)},
                            udp_segment(kOuter4, zeros(4)))),
       {L::ethernet, L::ipv4, L::udp},
       "192.0.2.2",
       nullptr},
      {"extension headers",
       outer6(kProtoHopByHop,
              ipv6_extension(kProtoDestinationOptions, zeros(6),
                             ipv6_extension(kProtoAuthentication, zeros(6),
                                            ipv6_authentication(kProtoUdp, zeros(10),
                                                                udp_segment(kInner6, {}))))),
       {L::ethernet, L::ipv6, L::udp},
       "2001:db8:1::2",
       nullptr},
      {"IPv6 fragment, the first",
       outer6(kProtoFragment, ipv6_fragment({.more = 1, .id = 77}, udp_segment(kInner6, zeros(4)))),
       {L::ethernet, L::ipv6, L::ipv6_fragment, L::udp},
       "2001:db8:1::2",
       nullptr},
      {"GRE",
       outer4(kProtoGre, join({u16(0), u16(kEtherTypeIpv6), inner6()})),
       {L::ethernet, L::ipv4, L::gre, L::ipv6, L::udp},
       "192.0.2.2",
       "2001:db8::2"},
      {"GRE with checksum, key and sequence, bridging",
       outer4(kProtoGre, join({u16(0xb000), u16(kEtherTypeBridging), zeros(12),
                               ethernet(kEtherTypeIpv4, inner4())})),
       {L::ethernet, L::ipv4, L::gre, L::ethernet, L::ipv4, L::udp},
       "192.0.2.2",
       "198.51.100.2"},
      {"IP in IP",
       outer4(kProtoIpv4, inner4()),
       {L::ethernet, L::ipv4, L::ipip, L::ipv4, L::udp},
       "192.0.2.2",
       "198.51.100.2"},
      {"6in4",
       outer4(kProtoIpv6, inner6()),
       {L::ethernet, L::ipv4, L::ipip, L::ipv6, L::udp},
       "192.0.2.2",
       "2001:db8::2"},
      {"VXLAN",
       udp_frame(to_port(4789), join({vxlan, ethernet(kEtherTypeIpv4, inner4())})),
       {L::ethernet, L::ipv4, L::udp, L::vxlan, L::ethernet, L::ipv4, L::udp},
       "192.0.2.2",
       "198.51.100.2"},
      {"Geneve with options",
       udp_frame(to_port(6081), join({u8(2), u8(0), u16(kEtherTypeBridging), u32(1), zeros(8),
                                      ethernet(kEtherTypeIpv6, inner6())})),
       {L::ethernet, L::ipv4, L::udp, L::geneve, L::ethernet, L::ipv6, L::udp},
       "192.0.2.2",
       "2001:db8::2"},
      {"GTP-U",
       udp_frame(to_port(2152), join({gtp, inner4()})),
       {L::ethernet, L::ipv4, L::udp, L::gtpu, L::ipv4, L::udp},
       "192.0.2.2",
       "198.51.100.2"},
      {"GTP-U with extension headers",
       udp_frame(to_port(2152), join({gtp_extended, inner6()})),
       {L::ethernet, L::ipv4, L::udp, L::gtpu, L::ipv6, L::udp},
       "192.0.2.2",
       "2001:db8::2"},
      {"SRv6",
       outer6(kProtoRouting, ipv6_extension(kProtoIpv4, srh, inner4())),
       {L::ethernet, L::ipv6, L::srv6, L::ipip, L::ipv4, L::udp},
       "2001:db8:1::2",
       "198.51.100.2"},
      {"ARP", ethernet(kEtherTypeArp, zeros(28)), {L::ethernet}, nullptr, nullptr},
  };
}

TEST(SampledHeader, WalksEveryLayerAndTunnel) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const Parsed p = parse(c.octets);
    EXPECT_EQ(p.layers(), c.layers);
    EXPECT_TRUE(p.h.has_macs);
    EXPECT_EQ(p.h.ip_headers, (c.outer_dst != nullptr) + (c.inner_dst != nullptr));
    if (c.outer_dst != nullptr) {
      EXPECT_EQ(p.h.outer.dst.to_string(), c.outer_dst);
    }
    if (c.inner_dst != nullptr) {
      EXPECT_EQ(p.h.inner.dst.to_string(), c.inner_dst);
      EXPECT_EQ(p.h.inner.dst_port, 53) << "the innermost's ports";
      EXPECT_NE(p.h.outer.dst_port, 53);
    }
  }
}

TEST(SampledHeader, EveryTruncationTellsAPartOfTheWhole) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const std::vector<Layer> all = parse(c.octets).layers();
    for (size_t n = 0; n < c.octets.size(); ++n) {
      const Parsed p = parse({c.octets.begin(), c.octets.begin() + static_cast<std::ptrdiff_t>(n)});
      const std::vector<Layer> some = p.layers();
      ASSERT_LE(some.size(), all.size()) << n;
      EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin())) << n;
    }
  }
}

TEST(SampledHeader, TheOutermostTagAndTheLayersSizes) {
  const Parsed p = parse(
      ethernet(kTpid8021ad, vlan(0x6000 | 100, kTpid8021q, vlan(200, kEtherTypeIpv4, inner4()))));
  EXPECT_TRUE(p.h.has_vlan);
  EXPECT_EQ(p.h.vlan_id, 100);
  EXPECT_EQ(p.h.ether_type, kEtherTypeIpv4);
  EXPECT_EQ(p.sizes(), (std::vector<uint32_t>{14, 4, 4, 20, 8}));
  EXPECT_FALSE(parse(ethernet(kEtherTypeIpv4, inner4())).h.has_vlan);
}

TEST(SampledHeader, TheFieldsOfIpv4) {
  const Parsed p = parse(ipv4_packet({.src = "192.0.2.1",
                                      .dst = "192.0.2.2",
                                      .proto = kProtoTcp,
                                      .id = 77,
                                      .flags_and_offset = 0x2000,
                                      .ttl = 9},
                                     join({u16(1), u16(2), zeros(8), u16(0x51c2), zeros(6)})),
                         SampledLink::ipv4);
  EXPECT_EQ(p.h.outer.ttl, 9);
  EXPECT_EQ(p.h.outer.fragment_id, 77u);
  EXPECT_EQ(p.h.outer.ip_flags, 1);
  EXPECT_EQ(p.h.outer.src_port, 1);
  EXPECT_EQ(p.h.outer.tcp_flags, 0x1c2);
  EXPECT_FALSE(p.h.has_macs);
}

TEST(SampledHeader, ALaterFragmentHasNoPorts) {
  const Parsed v4 = parse(
      ipv4_packet({.src = "192.0.2.1", .dst = "192.0.2.2", .flags_and_offset = 185}, zeros(40)),
      SampledLink::ipv4);
  EXPECT_EQ(v4.h.outer.fragment_offset, 185);
  EXPECT_FALSE(v4.h.outer.has_ports);
  const Parsed v6 = parse(
      outer6(kProtoFragment, ipv6_fragment({.offset_octets = 1480, .id = 0x12345678}, zeros(40))));
  EXPECT_EQ(v6.h.outer.fragment_offset, 185);
  EXPECT_EQ(v6.h.outer.fragment_id, 0x12345678u);
  EXPECT_EQ(v6.h.outer.proto, kProtoUdp);
  EXPECT_FALSE(v6.h.outer.has_ports);
}

TEST(SampledHeader, IcmpHasTypeAndCodeAndNoPorts) {
  const Parsed v4 = parse(outer4(1, join({u8(3), u8(1), zeros(6)})));
  EXPECT_TRUE(v4.h.outer.has_icmp);
  EXPECT_FALSE(v4.h.outer.has_ports);
  EXPECT_EQ(v4.h.outer.icmp_type, 3);
  EXPECT_EQ(v4.h.outer.icmp_code, 1);
  EXPECT_EQ(parse(outer6(58, join({u8(135), u8(0), zeros(6)}))).h.outer.icmp_type, 135);
}

TEST(SampledHeader, TheLabelStack) {
  Octets labels;
  for (uint32_t i = 0; i < 14; ++i) append(labels, label(1000 + i, i == 13));
  const Parsed p = parse(join({labels, inner4()}), SampledLink::mpls);
  EXPECT_EQ(p.h.mpls_labels, kSampledMplsLabelsMax);
  EXPECT_EQ(p.h.mpls_label[0], 1000u) << "top of the stack first";
  EXPECT_EQ(p.h.mpls_ttl[0], 64u);
  EXPECT_EQ(p.h.outer.dst_port, 53);
  EXPECT_EQ(p.sizes()[0], 56u);
}

TEST(SampledHeader, TheSegmentsOfARoutingHeader) {
  const Octets srh = join({u8(4), u8(1), u8(1), u8(0), u16(0), ipv6("2001:db8::51"),
                           ipv6("2001:db8::52"), zeros(8)});  // a TLV behind the list
  const Parsed p = parse(outer6(kProtoRouting, ipv6_extension(kProtoIpv6, srh, inner6())));
  EXPECT_TRUE(p.h.outer.is_srv6);
  EXPECT_EQ(p.h.outer.segments_left, 1);
  ASSERT_EQ(p.h.outer.routing_addresses.size(), 32u);
  EXPECT_EQ(IpAddress::from_v6(p.h.outer.routing_addresses.data() + 16).to_string(),
            "2001:db8::52");
  EXPECT_EQ(p.h.inner.dst_port, 53);
}

TEST(SampledHeader, PaddingBehindThePacketIsNotPartOfIt) {
  Octets frame = outer4(kProtoTcp, u16(80));
  append(frame, filled(24, 0xdb));
  EXPECT_FALSE(parse(frame).h.outer.has_ports);
}

TEST(SampledHeader, TunnelsInTunnelsEnd) {
  Octets packet = inner4();
  for (int i = 0; i < 40; ++i) {
    packet = ipv4_packet({.src = "192.0.2.1", .dst = "192.0.2.2", .proto = kProtoIpv4}, packet);
  }
  const Parsed p = parse(packet, SampledLink::ipv4);
  EXPECT_EQ(p.h.ip_headers, kSampledIpHeadersMax);
  EXPECT_LE(p.h.layers, kSampledLayersMax);

  Octets tags = inner4();
  for (int i = 0; i < 100; ++i) tags = vlan(1, i == 0 ? kEtherTypeIpv4 : kTpid8021q, tags);
  EXPECT_EQ(parse(ethernet(kTpid8021q, tags)).h.layers, kSampledLayersMax);
}

TEST(SampledHeader, HeadersThatContradictThemselvesEndTheWalk) {
  const Ipv4Header short_header{.src = "192.0.2.1", .dst = "192.0.2.2", .version_and_ihl = 0x44};
  EXPECT_EQ(parse(ipv4_packet(short_header, {}), SampledLink::ipv4).h.ip_headers, 0);
  const Ipv4Header version{.src = "192.0.2.1", .dst = "192.0.2.2", .version_and_ihl = 0x65};
  EXPECT_EQ(parse(ipv4_packet(version, {}), SampledLink::ipv4).h.ip_headers, 0);
  const auto plain_udp = std::vector<Layer>{Layer::ethernet, Layer::ipv4, Layer::udp};
  EXPECT_EQ(parse(udp_frame(to_port(4789), zeros(40))).layers(), plain_udp) << "no VXLAN flag";
  EXPECT_EQ(parse(udp_frame(to_port(2152), filled(40, 0xff))).layers(), plain_udp);
  EXPECT_EQ(parse(udp_frame(to_port(2152), join({u8(0x34), u8(255), zeros(9), u8(0x85), zeros(8)})))
                .layers(),
            plain_udp)
      << "an extension header of no octets";
  EXPECT_EQ(parse(udp_frame(to_port(6081), filled(40, 0xff))).layers(), plain_udp);
}

}  // namespace
}  // namespace weir::packet
