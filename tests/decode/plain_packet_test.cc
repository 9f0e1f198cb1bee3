// The short way for common sampled packets says to the octet what the ordinary way says.
#include "decode/plain_packet.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "decode/header_columns.h"
#include "lab/frame_builder.h"

namespace weir::decode {
namespace {

using namespace lab;

const UdpEnds kV4{"192.0.2.1", "198.51.100.2", 5000, 53};
const UdpEnds kV6{"2001:db8::1", "2001:db8::2", 40000, 443};

Octets tcp_segment(uint16_t offset_and_flags = 0x5012) {
  return join({u16(443), u16(50000), u32(1), u32(2), u16(offset_and_flags), u16(64), u32(0)});
}
Octets tcp4(const Octets& segment = tcp_segment()) {
  return ipv4_packet({.src = kV4.src, .dst = kV4.dst, .proto = kProtoTcp, .id = 77, .ttl = 9}, segment);
}
Octets udp4() { return ipv4_packet({.src = kV4.src, .dst = kV4.dst}, udp_segment(kV4, zeros(6))); }
Octets to_port(uint16_t port) {
  return ipv4_packet({.src = kV4.src, .dst = kV4.dst},
                     udp_segment({kV4.src, kV4.dst, 1000, port}, u32(0x0800'0000)));
}
Octets tcp6() {
  return ipv6_packet({.src = kV6.src, .dst = kV6.dst, .next_header = kProtoTcp}, tcp_segment());
}
Octets v4_frame(const Octets& packet) { return ethernet(kEtherTypeIpv4, packet); }
Octets tagged(uint16_t tpid, uint16_t type, const Octets& packet) {
  return ethernet(tpid, vlan(0x7064, type, packet));
}

/// A record and an arena that somebody else has used already, and what was said of a packet in them.
struct Told {
  FlowRecord record{};
  std::unique_ptr<Arena> arena = std::make_unique<Arena>();
  explicit Told(uint32_t arena_used) {
    if (uint8_t* p = arena->take(arena_used); p != nullptr) std::memset(p, 0xee, arena_used);
  }
  friend bool operator==(const Told& a, const Told& b) {
    return std::memcmp(&a.record, &b.record, sizeof a.record) == 0 && a.arena->used() == b.arena->used() &&
           std::memcmp(a.arena->data(), b.arena->data(), a.arena->used()) == 0;
  }
};

Told the_ordinary_way(const Octets& frame, uint32_t arena_used) {
  Told told(arena_used);
  told.arena->set_packets(frame.data());
  packet::SampledHeader header;
  packet::parse_sampled_header(frame, packet::SampledLink::ethernet, header);
  DecoderCounters counters;
  QuirkBook quirks(counters.quirks);
  fill_empty_from_header(header, told.record, *told.arena, quirks);
  return told;
}

/// Whether the short way took it; then both said the same. Octets in a buffer of their own, so that reading
/// beyond them is found out.
bool is_plain(const Octets& frame, uint32_t arena_used = 5) {
  const auto exact = std::make_unique<uint8_t[]>(frame.size());
  std::copy(frame.begin(), frame.end(), exact.get());
  Told told(arena_used);
  told.arena->set_packets(exact.get());
  const bool taken = fill_from_plain_packet({exact.get(), frame.size()}, told.record, *told.arena);
  EXPECT_TRUE(told == (taken ? the_ordinary_way(frame, arena_used) : Told(arena_used)));
  return taken;
}

TEST(PlainPacket, TakesWhatIsCommon) {
  struct Case {
    const char* name;
    Octets frame;
  };
  for (const Case& c : std::vector<Case>{
           {"TCP over IPv4", v4_frame(tcp4())},
           {"UDP over IPv4", v4_frame(udp4())},
           {"TCP over IPv6", ethernet(kEtherTypeIpv6, tcp6())},
           {"UDP over IPv6", ethernet(kEtherTypeIpv6, udp_packet(kV6, zeros(3)))},
           {"tagged IPv4", tagged(kTpid8021q, kEtherTypeIpv4, tcp4())},
           {"tagged IPv6", tagged(kTpid8021q, kEtherTypeIpv6, tcp6())},
           {"filled up by Ethernet", join({v4_frame(udp4()), zeros(18)})},
           {"a segment that the NIC was to cut", v4_frame(ipv4_packet({.src = kV4.src, .dst = kV4.dst,
                                                                       .proto = kProtoTcp,
                                                                       .total_length = 0},
                                                                      tcp_segment()))},
           {"the first fragment", v4_frame(ipv4_packet({.src = kV4.src, .dst = kV4.dst,
                                                        .flags_and_offset = 0x2000},
                                                       udp_segment(kV4, zeros(6))))},
           {"TCP's options, and all flags", v4_frame(tcp4(tcp_segment(0xffff)))},
       }) {
    SCOPED_TRACE(c.name);
    EXPECT_TRUE(is_plain(c.frame));
  }
}

TEST(PlainPacket, LeavesTheRest) {
  struct Case {
    const char* name;
    Octets frame;
  };
  for (const Case& c : std::vector<Case>{
           {"nothing", {}},
           {"two tags", ethernet(kTpid8021q, vlan(1, kTpid8021q, vlan(2, kEtherTypeIpv4, udp4())))},
           {"a service tag", tagged(kTpid8021ad, kEtherTypeIpv4, udp4())},
           {"ARP", ethernet(kEtherTypeArp, zeros(28))},
           {"IPv4 options", v4_frame(ipv4_packet({.src = kV4.src, .dst = kV4.dst, .options = zeros(4)},
                                                 udp_segment(kV4, zeros(6))))},
           {"a later fragment", v4_frame(ipv4_packet({.src = kV4.src, .dst = kV4.dst,
                                                      .flags_and_offset = 0x2001},
                                                     udp_segment(kV4, zeros(6))))},
           {"ICMP", v4_frame(ipv4_packet({.src = kV4.src, .dst = kV4.dst, .proto = 1}, zeros(16)))},
           {"IPv6 in IPv4", v4_frame(ipv4_packet({.src = kV4.src, .dst = kV4.dst, .proto = 41}, tcp6()))},
           {"VXLAN", v4_frame(to_port(4789))},
           {"Geneve", v4_frame(to_port(6081))},
           {"GTP-U", v4_frame(to_port(2152))},
           {"an IPv6 extension",
            ethernet(kEtherTypeIpv6,
                     ipv6_packet({.src = kV6.src, .dst = kV6.dst, .next_header = kProtoHopByHop},
                                 ipv6_extension(kProtoTcp, zeros(6), tcp_segment())))},
           {"TCP without its flags", v4_frame(tcp4(u32(0x01bb'c350)))},
           {"half a UDP header", v4_frame(ipv4_packet({.src = kV4.src, .dst = kV4.dst}, u32(1)))},
       }) {
    SCOPED_TRACE(c.name);
    EXPECT_FALSE(is_plain(c.frame));
  }
}

TEST(PlainPacket, SaysTheSameOfPacketsThatAreChangedOrCut) {
  const std::vector<Octets> frames = {
      v4_frame(tcp4()),
      join({v4_frame(udp4()), zeros(18)}),
      ethernet(kEtherTypeIpv6, join({tcp6(), zeros(4)})),
      ethernet(kEtherTypeIpv6, udp_packet(kV6, zeros(12))),
      tagged(kTpid8021q, kEtherTypeIpv4, udp4()),
      tagged(kTpid8021q, kEtherTypeIpv6, tcp6()),
  };
  size_t taken = 0;
  size_t left = 0;
  const auto count = [&](bool plain) { ++(plain ? taken : left); };
  for (const Octets& frame : frames) {
    for (size_t octets = 0; octets < frame.size(); ++octets) {
      count(is_plain({frame.begin(), frame.begin() + static_cast<ptrdiff_t>(octets)}));
    }
    for (size_t at = 12; at < frame.size(); ++at) {  // MAC addresses are looked at by nobody
      Octets changed = frame;
      for (unsigned value = 0; value < 256; ++value) {
        changed[at] = static_cast<uint8_t>(value);
        count(is_plain(changed));
        if (HasFailure()) FAIL() << "octet " << at << " is " << value;
      }
    }
  }
  EXPECT_GT(taken, 10'000u);
  EXPECT_GT(left, 1'000u);
}

TEST(PlainPacket, LeavesWhatTheArenaHasNoRoomFor) {
  size_t taken = 0;
  for (uint32_t left = 0; left < 64; ++left) {
    taken += is_plain(v4_frame(tcp4()), static_cast<uint32_t>(kArenaOctets) - left) ? 1 : 0;
  }
  EXPECT_GT(taken, 0u);
  EXPECT_LT(taken, 64u - 24);
}

}  // namespace
}  // namespace weir::decode
