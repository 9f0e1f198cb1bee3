#include "lab/frame_builder.h"

#include <cassert>
#include <cstdlib>

#include "packet/checksum.h"

namespace weir::lab {
namespace {

// Locally administered, as 802 foresees for made-up stations.
const Octets kDstMac = {0x02, 0, 0, 0, 0, 0x02};
const Octets kSrcMac = {0x02, 0, 0, 0, 0, 0x01};

/// `content` behind its two leading octets, grown to the next multiple of `unit`.
Octets grown(const Octets& content, size_t unit) {
  Octets out = content;
  while ((2 + out.size()) % unit != 0) out.push_back(0);
  return out;
}

}  // namespace

Address::Address(const char* text) {
  const std::optional<IpAddress> a = IpAddress::parse(text);
  if (!a) std::abort();  // a bug of the caller's
  value = *a;
}

Octets udp_segment(const UdpEnds& ends, const Octets& payload, const UdpLies& lies) {
  const uint16_t length = lies.length.value_or(static_cast<uint16_t>(8 + payload.size()));
  Octets out = join({u16(ends.src_port), u16(ends.dst_port), u16(length), u16(0), payload});
  uint16_t checksum = packet::ChecksumSum{}
                          .add_pseudo_header(ends.src.value, ends.dst.value, kProtoUdp, length)
                          .add(out)
                          .complement();
  if (checksum == 0) checksum = 0xffff;  // 0 would say "none" (RFC 768)
  store_be16(out.data() + 6, lies.checksum.value_or(checksum));
  return out;
}

Octets ipv4_packet(const Ipv4Header& h, const Octets& rest) {
  assert(h.options.size() % 4 == 0);
  const size_t header_octets = 20 + h.options.size();
  Octets header = join({u8(h.version_and_ihl ? *h.version_and_ihl : 0x40 | header_octets / 4),
                        u8(0), u16(h.total_length ? *h.total_length : header_octets + rest.size()),
                        u16(h.id), u16(h.flags_and_offset), u8(h.ttl), u8(h.proto), u16(0),
                        address(h.src.value), address(h.dst.value), h.options});
  const uint16_t checksum = packet::ChecksumSum{}.add(header).complement();
  store_be16(header.data() + 10, h.checksum.value_or(checksum));
  return join({header, rest});
}

Octets ipv6_packet(const Ipv6Header& h, const Octets& rest) {
  return join({u8(h.version.value_or(6) << 4), zeros(3),
               u16(h.payload_length ? *h.payload_length : rest.size()), u8(h.next_header),
               u8(h.hop_limit), address(h.src.value), address(h.dst.value), rest});
}

Octets ipv6_extension(uint8_t next_header, const Octets& content, const Octets& rest) {
  const Octets body = grown(content, 8);
  return join({u8(next_header), u8((2 + body.size()) / 8 - 1), body, rest});
}

Octets ipv6_authentication(uint8_t next_header, const Octets& content, const Octets& rest) {
  const Octets body = grown(content, 4);
  return join({u8(next_header), u8((2 + body.size()) / 4 - 2), body, rest});
}

Octets ipv6_fragment(const Ipv6Fragment& f, const Octets& rest) {
  return join({u8(f.next_header), u8(0), u16(f.offset_octets | f.more), u32(f.id), rest});
}

Octets fragment_packet(const UdpEnds& ends, const Piece& piece, const Octets& octets) {
  assert(piece.offset_octets % 8 == 0 && piece.offset_octets < 65536);
  const bool more = !piece.is_last;
  if (ends.src.value.is_v4()) {
    const auto place = static_cast<uint16_t>((more ? 0x2000 : 0) | piece.offset_octets / 8);
    return ipv4_packet({.src = ends.src,
                        .dst = ends.dst,
                        .id = static_cast<uint16_t>(piece.id),
                        .flags_and_offset = place},
                       octets);
  }
  return ipv6_packet({.src = ends.src, .dst = ends.dst, .next_header = kProtoFragment},
                     ipv6_fragment({.offset_octets = static_cast<uint16_t>(piece.offset_octets),
                                    .more = static_cast<uint8_t>(more),
                                    .id = piece.id},
                                   octets));
}

std::vector<Octets> fragment_packets(const UdpEnds& ends, uint32_t id, const Octets& segment,
                                     size_t octets_each) {
  std::vector<Octets> packets;
  for (size_t at = 0; at < segment.size(); at += octets_each) {
    const size_t size = std::min(octets_each, segment.size() - at);
    const auto begin = segment.begin() + static_cast<std::ptrdiff_t>(at);
    packets.push_back(fragment_packet(
        ends, {.id = id, .offset_octets = at, .is_last = at + size == segment.size()},
        Octets(begin, begin + static_cast<std::ptrdiff_t>(size))));
  }
  return packets;
}

Octets vlan(uint16_t tci, uint16_t ether_type, const Octets& rest) {
  return join({u16(tci), u16(ether_type), rest});
}

Octets ethernet(uint16_t ether_type, const Octets& rest) {
  return join({kDstMac, kSrcMac, u16(ether_type), rest});
}

// Packet type "to us", ARPHRD_ETHER, six octets of address in a field of eight.
Octets linux_sll(uint16_t ether_type, const Octets& rest) {
  return join({u16(0), u16(1), u16(6), kSrcMac, zeros(2), u16(ether_type), rest});
}

Octets linux_sll2(uint16_t ether_type, const Octets& rest) {
  return join({u16(ether_type), u16(0), u32(1), u16(1), u8(0), u8(6), kSrcMac, zeros(2), rest});
}

Octets udp_packet(const UdpEnds& ends, const Octets& payload) {
  assert(ends.src.value.is_v4() == ends.dst.value.is_v4());
  const Octets segment = udp_segment(ends, payload);
  return ends.src.value.is_v4() ? ipv4_packet({.src = ends.src, .dst = ends.dst}, segment)
                                : ipv6_packet({.src = ends.src, .dst = ends.dst}, segment);
}

Octets udp_frame(const UdpEnds& ends, const Octets& payload) {
  return ethernet(ends.src.value.is_v4() ? kEtherTypeIpv4 : kEtherTypeIpv6,
                  udp_packet(ends, payload));
}

}  // namespace weir::lab
