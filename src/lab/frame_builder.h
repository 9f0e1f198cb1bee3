// frame_builder.h — Frames, built layer by layer for tests and for the captures of `weir generate`.
//
// A frame reads from the outside to the inside; each layer works out its lengths and checksums from
// what it wraps, unless it is told to say something else:
//
//     const Octets frame = ethernet(kTpid8021q, vlan(100, kEtherTypeIpv4,
//         ipv4_packet({.src = "192.0.2.1", .dst = "192.0.2.2"}, udp_segment(ends, payload))));
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ip_address.h"
#include "lab/message_builder.h"

namespace weir::lab {

inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeArp = 0x0806;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr uint16_t kTpid8021q = 0x8100;
inline constexpr uint16_t kTpid8021ad = 0x88a8;
inline constexpr uint16_t kTpidOldQinq = 0x9100;

inline constexpr uint8_t kProtoHopByHop = 0;
inline constexpr uint8_t kProtoTcp = 6;
inline constexpr uint8_t kProtoUdp = 17;
inline constexpr uint8_t kProtoRouting = 43;
inline constexpr uint8_t kProtoFragment = 44;
inline constexpr uint8_t kProtoAuthentication = 51;
inline constexpr uint8_t kProtoNoNextHeader = 59;
inline constexpr uint8_t kProtoDestinationOptions = 60;

/// An address literal, or an address.
struct Address {
  IpAddress value;
  Address() = default;
  Address(const IpAddress& a) : value(a) {}  // NOLINT: by intent
  Address(const char* text);                 // NOLINT: by intent
};

struct UdpEnds {
  Address src{};
  Address dst{};
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
};

/// What a header says where it should say something else than the truth.
struct UdpLies {
  std::optional<uint16_t> length{};
  std::optional<uint16_t> checksum{};
};

Octets udp_segment(const UdpEnds& ends, const Octets& payload, const UdpLies& lies = {});

struct Ipv4Header {
  Address src{};
  Address dst{};
  uint8_t proto = kProtoUdp;
  uint16_t id = 0;
  uint16_t flags_and_offset = 0;  // 0x2000 more fragments, 0x4000 don't fragment, offset / 8
  uint8_t ttl = 64;
  Octets options{};  // a multiple of 4 octets
  std::optional<uint8_t> version_and_ihl{};
  std::optional<uint16_t> total_length{};
  std::optional<uint16_t> checksum{};
};

Octets ipv4_packet(const Ipv4Header& header, const Octets& rest);

struct Ipv6Header {
  Address src{};
  Address dst{};
  uint8_t next_header = kProtoUdp;
  uint8_t hop_limit = 64;
  std::optional<uint8_t> version{};
  std::optional<uint16_t> payload_length{};
};

Octets ipv6_packet(const Ipv6Header& header, const Octets& rest);

/// Hop-by-hop, routing and destination options: `content` follows the two octets of next header and
/// length, and is padded with zeros to what the length can say.
Octets ipv6_extension(uint8_t next_header, const Octets& content, const Octets& rest);
/// Its length counts 4-octet words less two.
Octets ipv6_authentication(uint8_t next_header, const Octets& content, const Octets& rest);
struct Ipv6Fragment {
  uint8_t next_header = kProtoUdp;
  uint16_t offset_octets = 0;  // a multiple of 8
  uint8_t more = 0;            // 0 or 1
  uint32_t id = 0;
};
Octets ipv6_fragment(const Ipv6Fragment& fragment, const Octets& rest);

/// Behind the TPID: priority and id, then the next EtherType.
Octets vlan(uint16_t tci, uint16_t ether_type, const Octets& rest);
Octets ethernet(uint16_t ether_type, const Octets& rest);
Octets linux_sll(uint16_t ether_type, const Octets& rest);
Octets linux_sll2(uint16_t ether_type, const Octets& rest);

/// A piece of an IP datagram: octets from `offset_octets` (a multiple of 8) on.
struct Piece {
  uint32_t id = 1;
  size_t offset_octets = 0;
  bool is_last = false;
};
Octets fragment_packet(const UdpEnds& ends, const Piece& piece, const Octets& octets);
/// A UDP segment in pieces of `octets_each` (a multiple of 8), in order.
std::vector<Octets> fragment_packets(const UdpEnds& ends, uint32_t id, const Octets& segment,
                                     size_t octets_each);

/// Both addresses of one family; right lengths and checksums.
Octets udp_packet(const UdpEnds& ends, const Octets& payload);
Octets udp_frame(const UdpEnds& ends, const Octets& payload);  // the same on Ethernet

}  // namespace weir::lab
