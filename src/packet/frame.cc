#include "packet/frame.h"

#include "base/byte_order.h"
#include "packet/checksum.h"

namespace weir::packet {
namespace {

using Span = std::span<const uint8_t>;
using Check = ChecksumPolicy::Check;

constexpr size_t kEthernetOctets = 14;
constexpr size_t kVlanTagOctets = 4;
constexpr size_t kSllOctets = 16;
constexpr size_t kSll2Octets = 20;
constexpr size_t kNullOctets = 4;
constexpr size_t kIpv4OctetsMin = 20;
constexpr size_t kIpv6Octets = 40;
constexpr size_t kExtensionOctetsMin = 8;
constexpr size_t kUdpOctets = 8;

constexpr uint16_t kEtherTypeIpv4 = 0x0800;
constexpr uint16_t kEtherTypeIpv6 = 0x86dd;

constexpr uint8_t kHopByHop = 0;
constexpr uint8_t kUdp = 17;
constexpr uint8_t kRouting = 43;
constexpr uint8_t kFragment = 44;
constexpr uint8_t kAuthentication = 51;
constexpr uint8_t kDestinationOptions = 60;

bool is_vlan(uint16_t ether_type) noexcept {
  return ether_type == 0x8100 || ether_type == 0x88a8 || ether_type == 0x9100;
}

bool is_extension(uint8_t next_header) noexcept {
  return next_header == kHopByHop || next_header == kRouting || next_header == kFragment ||
         next_header == kAuthentication || next_header == kDestinationOptions;
}

/// What the IP headers leave to the UDP checksum.
enum class Pseudo : uint8_t { complete, destination_unknown };
/// What becomes of a packet that still has segments to go to.
enum class UnderWay : uint8_t { taken, left_to_others };

/// `ip_payload` ends where the IP header says.
FrameVerdict walk_udp(FrameView& view, Span ip_payload, ChecksumPolicy checksums,
                      Pseudo pseudo) noexcept {
  if (ip_payload.size() < kUdpOctets) return FrameVerdict::truncated_udp;
  const uint8_t* udp = ip_payload.data();
  const size_t length = load_be16(udp + 4);
  if (length < kUdpOctets || length > ip_payload.size()) return FrameVerdict::bad_udp_length;
  if (checksums.udp == Check::verify && pseudo == Pseudo::complete) {
    if (load_be16(udp + 6) == 0) {
      if (!view.src.is_v4()) return FrameVerdict::bad_udp_checksum;
    } else if (ChecksumSum{}
                   .add_pseudo_header(view.src, view.dst, kUdp, static_cast<uint32_t>(length))
                   .add(ip_payload.first(length))
                   .complement() != 0) {
      return FrameVerdict::bad_udp_checksum;
    }
  }
  view.src_port = load_be16(udp);
  view.dst_port = load_be16(udp + 2);
  view.payload = ip_payload.subspan(kUdpOctets, length - kUdpOctets);
  return FrameVerdict::udp;
}

FrameVerdict walk_ipv4(FrameView& view, Span packet, ChecksumPolicy checksums) noexcept {
  if (packet.size() < kIpv4OctetsMin) return FrameVerdict::truncated_ip;
  const uint8_t* ip = packet.data();
  if (ip[0] >> 4 != 4) return FrameVerdict::bad_ip_version;
  const size_t header = size_t{4} * (ip[0] & 0x0f);
  if (header < kIpv4OctetsMin) return FrameVerdict::bad_ip_header_length;
  const size_t total = load_be16(ip + 2);
  if (total < header) return FrameVerdict::bad_ip_length;
  if (total > packet.size()) return FrameVerdict::truncated_ip;
  if (checksums.ip_header == Check::verify &&
      ChecksumSum{}.add(packet.first(header)).complement() != 0) {
    return FrameVerdict::bad_ip_checksum;
  }
  view.src = IpAddress::from_v4(ip + 12);
  view.dst = IpAddress::from_v4(ip + 16);
  if (ip[9] != kUdp) return FrameVerdict::not_udp;
  // All but "don't fragment" and the reserved bit: more fragments, or an offset.
  if (const uint16_t place = load_be16(ip + 6); (place & 0x3fff) != 0) {
    view.payload = packet.subspan(header, total - header);
    view.fragment = {.id = load_be16(ip + 4),
                     .offset_octets = static_cast<uint16_t>((place & 0x1fff) * 8),
                     .next_header = kUdp,
                     .is_last = (place & 0x2000) == 0};
    return FrameVerdict::fragment;
  }
  return walk_udp(view, packet.subspan(header, total - header), checksums, Pseudo::complete);
}

/// `rest` begins with a header of the kind `next`, behind the IPv6 header.
FrameVerdict walk_extensions(FrameView& view, uint8_t next, Span rest, ChecksumPolicy checksums,
                             UnderWay under_way) noexcept {
  Pseudo pseudo = Pseudo::complete;
  for (size_t walked = 0; is_extension(next); ++walked) {
    if (walked == kExtensionHeadersMax) return FrameVerdict::too_many_extension_headers;
    if (rest.size() < kExtensionOctetsMin) return FrameVerdict::truncated_extension_header;
    const uint8_t* extension = rest.data();
    size_t octets = (size_t{extension[1]} + 1) * 8;
    if (next == kFragment) {
      octets = 8;  // its second octet is reserved
      // Offset in the upper 13 bits, "more" in the lowest; two reserved bits between.
      if (const uint16_t place = load_be16(extension + 2); (place & 0xfff9) != 0) {
        const bool perhaps_udp = extension[0] == kUdp || is_extension(extension[0]);
        if (!perhaps_udp || pseudo == Pseudo::destination_unknown) return FrameVerdict::not_udp;
        view.payload = rest.subspan(octets);
        view.fragment = {.id = load_be32(extension + 4),
                         .offset_octets = static_cast<uint16_t>(place & 0xfff8),
                         .next_header = extension[0],
                         .is_last = (place & 1) == 0};
        return FrameVerdict::fragment;
      }
    } else if (next == kAuthentication) {
      octets = (size_t{extension[1]} + 2) * 4;
    } else if (next == kRouting && extension[3] != 0) {
      // Segments are left: the checksum is over the last of them, which is not `dst` yet.
      pseudo = Pseudo::destination_unknown;
    }
    if (octets > rest.size()) return FrameVerdict::truncated_extension_header;
    next = extension[0];
    rest = rest.subspan(octets);
  }
  if (next != kUdp) return FrameVerdict::not_udp;
  if (under_way == UnderWay::left_to_others && pseudo == Pseudo::destination_unknown) {
    return FrameVerdict::not_udp;
  }
  return walk_udp(view, rest, checksums, pseudo);
}

FrameVerdict walk_ipv6(FrameView& view, Span packet, ChecksumPolicy checksums) noexcept {
  if (packet.size() < kIpv6Octets) return FrameVerdict::truncated_ip;
  const uint8_t* ip = packet.data();
  if (ip[0] >> 4 != 6) return FrameVerdict::bad_ip_version;
  const size_t length = load_be16(ip + 4);
  if (length > packet.size() - kIpv6Octets) return FrameVerdict::truncated_ip;
  view.src = IpAddress::from_v6(ip + 8);
  view.dst = IpAddress::from_v6(ip + 24);
  if (view.src.is_v4()) return FrameVerdict::bad_ip_address;
  return walk_extensions(view, ip[6], packet.subspan(kIpv6Octets, length), checksums,
                         UnderWay::taken);
}

FrameVerdict walk_ether_type(FrameView& view, uint16_t ether_type, Span rest,
                             ChecksumPolicy checksums) noexcept {
  while (is_vlan(ether_type)) {
    if (view.vlan_tags == kVlanTagsMax) return FrameVerdict::too_many_vlan_tags;
    if (rest.size() < kVlanTagOctets) return FrameVerdict::truncated_vlan;
    view.vlan_ids[view.vlan_tags++] = load_be16(rest.data()) & 0x0fff;
    ether_type = load_be16(rest.data() + 2);
    rest = rest.subspan(kVlanTagOctets);
  }
  if (ether_type == kEtherTypeIpv4) return walk_ipv4(view, rest, checksums);
  if (ether_type == kEtherTypeIpv6) return walk_ipv6(view, rest, checksums);
  return FrameVerdict::not_ip;
}

FrameVerdict walk_raw_ip(FrameView& view, Span packet, ChecksumPolicy checksums) noexcept {
  if (packet.empty()) return FrameVerdict::truncated_ip;
  if (packet[0] >> 4 == 4) return walk_ipv4(view, packet, checksums);
  if (packet[0] >> 4 == 6) return walk_ipv6(view, packet, checksums);
  return FrameVerdict::bad_ip_version;
}

/// The family is in the byte order of the machine that captured, and IPv6's number is its own.
bool is_ip_family(const uint8_t* four_octets) noexcept {
  const uint32_t big = load_be32(four_octets);
  const uint32_t family = big > 0xffff ? __builtin_bswap32(big) : big;
  return family == 2 || family == 10 || family == 24 || family == 28 || family == 30;
}

void copy_mac(std::array<uint8_t, 6>& to, const uint8_t* from) noexcept {
  std::memcpy(to.data(), from, to.size());
}

FrameVerdict walk_link(FrameView& view, Span frame, LinkType link,
                       ChecksumPolicy checksums) noexcept {
  const uint8_t* p = frame.data();
  switch (link) {
    case LinkType::ethernet:
      if (frame.size() < kEthernetOctets) return FrameVerdict::truncated_ethernet;
      copy_mac(view.dst_mac, p);
      copy_mac(view.src_mac, p + 6);
      return walk_ether_type(view, load_be16(p + 12), frame.subspan(kEthernetOctets), checksums);
    case LinkType::linux_sll:
      if (frame.size() < kSllOctets) return FrameVerdict::truncated_ethernet;
      if (load_be16(p + 4) == 6) copy_mac(view.src_mac, p + 6);
      return walk_ether_type(view, load_be16(p + 14), frame.subspan(kSllOctets), checksums);
    case LinkType::linux_sll2:
      if (frame.size() < kSll2Octets) return FrameVerdict::truncated_ethernet;
      if (p[11] == 6) copy_mac(view.src_mac, p + 12);
      return walk_ether_type(view, load_be16(p), frame.subspan(kSll2Octets), checksums);
    case LinkType::null_loopback:
      if (frame.size() < kNullOctets) return FrameVerdict::truncated_ethernet;
      if (!is_ip_family(p)) return FrameVerdict::not_ip;
      return walk_raw_ip(view, frame.subspan(kNullOctets), checksums);
    case LinkType::raw_ip: return walk_raw_ip(view, frame, checksums);
    case LinkType::ether_type:
      if (frame.size() < 2) return FrameVerdict::truncated_ethernet;
      return walk_ether_type(view, load_be16(p), frame.subspan(2), checksums);
  }
  return FrameVerdict::not_ip;
}

}  // namespace

FrameView parse_frame(Span frame, LinkType link, ChecksumPolicy checksums) noexcept {
  FrameView view;
  view.verdict = walk_link(view, frame, link, checksums);
  return view;
}

void parse_reassembled(FrameView& view) noexcept {
  const Span whole = view.payload;
  const uint8_t next = view.fragment.next_header;
  view.payload = {};
  constexpr ChecksumPolicy kVerify = {.udp = Check::verify};
  // IPv4 has no extension headers: what is cut there is UDP.
  view.verdict = view.src.is_v4() ? walk_udp(view, whole, kVerify, Pseudo::complete)
                                  : walk_extensions(view, next, whole, kVerify,
                                                    UnderWay::left_to_others);
  if (view.verdict != FrameVerdict::udp) view.payload = {};
}

Span ip_packet_of(Span frame, LinkType link, uint8_t vlan_tags) noexcept {
  size_t before = size_t{vlan_tags} * kVlanTagOctets;
  switch (link) {
    case LinkType::ethernet: before += kEthernetOctets; break;
    case LinkType::linux_sll: before += kSllOctets; break;
    case LinkType::linux_sll2: before += kSll2Octets; break;
    case LinkType::null_loopback: before += kNullOctets; break;
    case LinkType::ether_type: before += 2; break;
    case LinkType::raw_ip: break;
  }
  const Span ip = frame.subspan(before);
  const size_t octets =
      ip[0] >> 4 == 4 ? load_be16(ip.data() + 2) : kIpv6Octets + load_be16(ip.data() + 4);
  return ip.first(octets);
}

}  // namespace weir::packet
