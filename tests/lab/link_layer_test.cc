#include "lab/link_layer.h"

#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include "lab/frame_builder.h"
#include "lab/message_builder.h"

namespace weir::lab {
namespace {

const UdpEnds kEnds = {"192.0.2.1", "192.0.2.2", 1000, 2055};

Octets packet() { return udp_packet(kEnds, text("payload")); }
Octets snap() { return join({u24(0xaaaa03), u24(0), u16(0x0800), packet()}); }
Octets wifi(uint16_t control, const Octets& more, const Octets& rest) {
  return join({u16(control), zeros(22), more, rest});
}

struct Case {
  const char* name;
  int dlt;
  Octets frame;
};

std::vector<Case> cases() {
  const Octets ip = packet();
  const Octets typed = join({u16(0x0800), ip});
  const Octets frame = udp_frame(kEnds, text("payload"));
  const auto at_front = [](const Octets& front, const Octets& rest) { return join({front, rest}); };
  return {
      {"Ethernet", DLT_EN10MB, frame},
      {"SLL", DLT_LINUX_SLL, linux_sll(0x0800, ip)},
      {"BSD loopback, little endian", DLT_NULL, at_front(u32(0x02000000), ip)},
      {"OpenBSD loopback", DLT_LOOP, at_front(u32(2), ip)},
      {"raw", DLT_RAW, ip},
      {"IPv4", DLT_IPV4, ip},
      {"SLIP", DLT_SLIP, at_front(zeros(16), ip)},
      {"SLIP of BSD/OS", DLT_SLIP_BSDOS, at_front(zeros(24), ip)},
      {"PPP of BSD/OS", DLT_PPP_BSDOS, at_front(zeros(24), ip)},
      {"PPP", DLT_PPP, at_front(u16(0x0021), ip)},
      {"PPP, compressed protocol", DLT_PPP, at_front(u8(0x21), ip)},
      {"PPP in HDLC", DLT_PPP_SERIAL, at_front(u32(0xff030021), ip)},
      {"Cisco HDLC as PPP", DLT_PPP_SERIAL, at_front(u32(0x0f000800), ip)},
      {"pppd", DLT_PPP_PPPD, at_front(u32(0x01030021), ip)},
      {"PPP with direction", DLT_PPP_WITH_DIR, join({u8(1), u32(0xff030021), ip})},
      {"PPPoE", DLT_PPP_ETHER, join({zeros(6), u16(0x0021), ip})},
      {"Cisco HDLC", DLT_C_HDLC, at_front(u16(0x0f00), typed)},
      {"Cisco HDLC with direction", DLT_C_HDLC_WITH_DIR, at_front(u24(0x010f00), typed)},
      {"Frame Relay, NLPID", DLT_FRELAY, join({u16(0x0401), u8(3), u8(0xcc), ip})},
      {"Frame Relay, padded", DLT_FRELAY, join({u16(0x0401), u8(3), u8(0), u8(0xcc), ip})},
      {"Frame Relay, SNAP", DLT_FRELAY, join({u16(0x0401), u8(3), u8(0x80), u24(0), typed})},
      {"Frame Relay, four octets", DLT_FRELAY, join({u32(0x04020201), u8(3), u8(0xcc), ip})},
      {"Frame Relay of Cisco", DLT_FRELAY, at_front(u16(0x0401), typed)},
      {"Frame Relay with direction", DLT_FRELAY_WITH_DIR,
       join({u8(1), u16(0x0401), u8(3), u8(0xcc), ip})},
      {"FDDI", DLT_FDDI, at_front(zeros(13), snap())},
      {"token ring", DLT_IEEE802, at_front(zeros(14), snap())},
      {"token ring, routed", DLT_IEEE802,
       join({zeros(8), u8(0x80), zeros(5), u16(0x0400), zeros(2), snap()})},
      {"ATM", DLT_ATM_RFC1483, snap()},
      {"LLC's own number for IP", DLT_ATM_RFC1483, at_front(u24(0x060603), ip)},
      {"SunATM", DLT_SUNATM, at_front(u32(0x02000020), snap())},
      {"Fibre Channel", DLT_IP_OVER_FC, at_front(zeros(16), snap())},
      {"FireWire", DLT_APPLE_IP_OVER_IEEE1394, at_front(zeros(16), typed)},
      {"IPoIB", DLT_IPOIB, join({zeros(40), u16(0x0800), u16(0), ip})},
      {"802.11", DLT_IEEE802_11, wifi(0x0801, {}, snap())},
      {"802.11, QoS", DLT_IEEE802_11, wifi(0x8801, zeros(2), snap())},
      {"802.11, four addresses", DLT_IEEE802_11, wifi(0x0803, zeros(6), snap())},
      {"802.11, QoS and HT control", DLT_IEEE802_11, wifi(0x8881, zeros(6), snap())},
      {"802.11, A-MSDU", DLT_IEEE802_11, wifi(0x8801, join({u16(0x8000), zeros(14)}), snap())},
      {"radiotap", DLT_IEEE802_11_RADIO,
       join({u32(0x00000900), zeros(5), wifi(0x0801, {}, snap())})},
      {"Prism", DLT_PRISM_HEADER, at_front(zeros(144), wifi(0x0801, {}, snap()))},
      {"AVS", DLT_IEEE802_11_RADIO_AVS,
       join({u32(0x80211001), u32(64), zeros(56), wifi(0x0801, {}, snap())})},
      {"PPI around Ethernet", DLT_PPI, join({u32(0x00000800), u32(0x01000000), frame})},
      {"PKTAP around raw IP", DLT_PKTAP,
       join({u32(0x10000000), u32(0x01000000), u32(0x0c000000), zeros(4), ip})},
      {"IPsec's ENC", DLT_ENC, at_front(zeros(12), ip)},
      {"pf's log", DLT_PFLOG, join({u8(61), zeros(63), ip})},
      {"Solaris' IPNET", DLT_IPNET, at_front(zeros(24), ip)},
      {"Netfilter's log", DLT_NFLOG,
       join({u32(0x02000000), u16(0x0600), u16(0x0100), zeros(4),
             Octets{static_cast<uint8_t>(ip.size() + 4), 0}, u16(0x0900), ip})},
      {"netANALYZER", DLT_NETANALYZER, at_front(zeros(4), frame)},
      {"netANALYZER, transparent", DLT_NETANALYZER_TRANSPARENT, at_front(zeros(12), frame)},
      {"802.3br", DLT_ETHERNET_MPACKET, at_front(zeros(8), frame)},
      {"Broadcom's tag", DLT_DSA_TAG_BRCM, at_front(zeros(16), typed)},
      {"DSA", DLT_DSA_TAG_DSA, at_front(zeros(16), typed)},
      {"EDSA", DLT_DSA_TAG_EDSA, at_front(zeros(20), typed)},
      {"Broadcom's tag in front", DLT_DSA_TAG_BRCM_PREPEND, at_front(zeros(4), frame)},
      {"Juniper's Ethernet", DLT_JUNIPER_ETHER, at_front(u32(0x4d474301), frame)},
      {"Juniper's Ethernet, extended", DLT_JUNIPER_ETHER,
       join({u32(0x4d474381), u16(3), zeros(3), frame})},
      {"a VLAN behind SNAP", DLT_FDDI,
       join({zeros(13), u24(0xaaaa03), u24(0), u16(0x8100), u16(7), typed})},
  };
}

packet::FrameView walk(int dlt, std::span<const uint8_t> frame) {
  const LinkPayload payload = unwrap_link(dlt, frame);
  return packet::parse_frame(payload.octets, payload.link);
}

TEST(LinkLayer, LeadsToThePacketWhateverIsAroundIt) {
  for (const Case& c : cases()) {
    EXPECT_TRUE(is_supported_link(c.dlt)) << c.name;
    const packet::FrameView view = walk(c.dlt, c.frame);
    EXPECT_EQ(view.verdict, packet::FrameVerdict::udp) << c.name;
    EXPECT_EQ(view.src.to_string(), "192.0.2.1") << c.name;
    EXPECT_EQ(std::string(view.payload.begin(), view.payload.end()), "payload") << c.name;
  }
}

TEST(LinkLayer, SaysNothingOfAFrameThatIsCut) {
  for (const Case& c : cases()) {
    for (size_t size = 0; size < c.frame.size(); ++size) {
      // In a buffer of its own, so that the sanitizer sees a read behind the end.
      const Octets cut(c.frame.begin(), c.frame.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_NE(walk(c.dlt, cut).verdict, packet::FrameVerdict::udp) << c.name << " " << size;
    }
  }
}

TEST(LinkLayer, WhatCarriesNoIpIsNoPacket) {
  EXPECT_NE(walk(DLT_PPP, join({u16(0xc021), packet()})).verdict, packet::FrameVerdict::udp);
  EXPECT_NE(walk(DLT_IEEE802_11, wifi(0x0841, {}, snap())).verdict, packet::FrameVerdict::udp)
      << "encrypted";
  EXPECT_NE(walk(DLT_IEEE802_11, wifi(0x8001, {}, snap())).verdict, packet::FrameVerdict::udp)
      << "a beacon";
  EXPECT_NE(walk(DLT_JUNIPER_ETHER, join({u32(0x4d474303), packet()})).verdict,
            packet::FrameVerdict::udp);
  EXPECT_FALSE(is_supported_link(DLT_USB_LINUX));
  EXPECT_EQ(walk(DLT_USB_LINUX, packet()).payload.size(), 0u);
}

TEST(LinkLayer, WrappersAroundWrappersEnd) {
  Octets frame = packet();
  for (int i = 0; i < 20; ++i) frame = join({u32(0x00000800), u32(0xc0000000), frame});
  EXPECT_NE(walk(DLT_PPI, frame).verdict, packet::FrameVerdict::udp);
}

}  // namespace
}  // namespace weir::lab
