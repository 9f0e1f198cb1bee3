// sflow_packet.cc — The packet that a sample tells of: its header, or what the agent parsed itself.
#include "base/copy_short.h"
#include "decode/sflow_filler.h"

namespace weir::decode {

using packet::SampledHeader;
using packet::SampledIp;
using packet::SampledLink;

// So that marks stay in registers.
#define SFLOW_INLINE inline __attribute__((always_inline))

namespace {

enum HeaderProtocol : uint32_t {
  kEthernet = 1,
  kPpp = 7,
  kIpv4 = 11,
  kIpv6 = 12,
  kMpls = 13,
  kPos = 14,
};

constexpr uint16_t kEtherTypeIpv4 = 0x0800;
constexpr uint16_t kEtherTypeIpv6 = 0x86dd;

/// What a PPP frame holds (RFC 1661 §2), with or without HDLC's address and control octets (RFC
/// 1662 §3.1); false where it is nothing that is walked.
bool open_ppp(std::span<const uint8_t>& frame, SampledLink& link) noexcept {
  constexpr uint16_t kHdlc = 0xff03;
  if (frame.size() >= 2 && load_be16(frame.data()) == kHdlc) frame = frame.subspan(2);
  if (frame.size() < 2) return false;
  switch (load_be16(frame.data())) {
    case 0x0021: link = SampledLink::ipv4; break;
    case 0x0057: link = SampledLink::ipv6; break;
    case 0x0281: link = SampledLink::mpls; break;
    default: return false;
  }
  frame = frame.subspan(2);
  return true;
}

}  // namespace

SFLOW_INLINE void SflowFiller::layers(const SampledHeader& h, Marks& m) noexcept {
  if (h.has_macs) {
    r_.src_mac = h.src_mac;
    r_.dst_mac = h.dst_mac;
    m.present.set(Field::src_mac);
    m.present.set(Field::dst_mac);
  }
  if (h.has_vlan) set(m, r_.vlan_id, h.vlan_id, Field::vlan_id, block::kSecond);
  if (h.ether_type != 0) set(m, r_.etype, h.ether_type, Field::etype);
  if (h.layers != 0) layer_lists(h);
  if (h.mpls_labels != 0) {
    set_numbers(r_.mpls_label, h.mpls_label.data(), h.mpls_labels, Field::mpls_label);
    set_numbers(r_.mpls_ttl, h.mpls_ttl.data(), h.mpls_labels, Field::mpls_ttl);
  }
}

/// Both lists have as many items: they are placed at once.
void SflowFiller::layer_lists(const SampledHeader& h) noexcept {
  context_.arena.align4();
  const size_t octets = h.layers * sizeof(uint32_t);
  uint8_t* const p = place(r_.layer_stack, 2 * octets, h.layers, Field::layer_stack);
  if (p == nullptr) return;
  r_.layer_size = {static_cast<uint16_t>(r_.layer_stack.offset + octets), h.layers};
  r_.present.set(Field::layer_size);
  const auto copy = [octets](uint8_t* to, const std::array<uint32_t, kLayersMax>& from) {
    copy_short(to, reinterpret_cast<const uint8_t*>(from.data()), octets);
  };
  copy(p, h.layer_stack);
  copy(p + octets, h.layer_size);
}

SFLOW_INLINE void SflowFiller::outer(const SampledIp& ip, Marks& m) noexcept {
  set_address(m, r_.src_addr, ip.src, Field::src_addr, address::k_src_addr);
  set_address(m, r_.dst_addr, ip.dst, Field::dst_addr, address::k_dst_addr);
  set(m, r_.etype, ip.ether_type, Field::etype);
  set(m, r_.proto, ip.proto, Field::proto);
  set(m, r_.ip_tos, ip.tos, Field::ip_tos, block::kBasic);
  set(m, r_.ip_ttl, ip.ttl, Field::ip_ttl, block::kHeaders);
  if (ip.ether_type == kEtherTypeIpv6) {
    set(m, r_.ipv6_flow_label, ip.flow_label, Field::ipv6_flow_label, block::kHeaders);
  }
  if (ip.has_fragment) {
    set(m, r_.ip_flags, ip.ip_flags, Field::ip_flags, block::kHeaders);
    set(m, r_.fragment_id, ip.fragment_id, Field::fragment_id, block::kHeaders);
    set(m, r_.fragment_offset, ip.fragment_offset, Field::fragment_offset, block::kHeaders);
  }
  if (ip.has_ports) {
    set(m, r_.src_port, ip.src_port, Field::src_port, block::kBasic);
    set(m, r_.dst_port, ip.dst_port, Field::dst_port, block::kBasic);
  }
  if (ip.has_tcp_flags) set(m, r_.tcp_flags, ip.tcp_flags, Field::tcp_flags, block::kBasic);
  if (ip.has_icmp) {
    set(m, r_.icmp_type, ip.icmp_type, Field::icmp_type, block::kSecond);
    set(m, r_.icmp_code, ip.icmp_code, Field::icmp_code, block::kSecond);
  }
  if (ip.has_routing) routing(ip);
}

void SflowFiller::routing(const SampledIp& ip) noexcept {
  set(r_.ipv6_routing_header_seg_left, ip.segments_left, Field::ipv6_routing_header_seg_left,
      block::kRare);
  size_t count = ip.routing_addresses.size() / sizeof(IpAddress);
  if (count > kSegmentsMax) {
    quirk(Quirk::arena_overflow);
    count = kSegmentsMax;
  }
  if (count == 0) return;
  const size_t octets = count * sizeof(IpAddress);
  uint8_t* p =
      place(r_.ipv6_routing_header_addresses, octets, count, Field::ipv6_routing_header_addresses);
  if (p == nullptr) return;
  std::memcpy(p, ip.routing_addresses.data(), octets);
  if (ip.is_srv6) {
    r_.srv6_segments = r_.ipv6_routing_header_addresses;
    r_.present.set(Field::srv6_segments);
  }
}

SFLOW_INLINE void SflowFiller::inner(const SampledIp& ip, Marks& m) noexcept {
  set_address(m, r_.inner_src_addr, ip.src, Field::inner_src_addr, address::k_inner_src_addr);
  set_address(m, r_.inner_dst_addr, ip.dst, Field::inner_dst_addr, address::k_inner_dst_addr);
  set(m, r_.inner_proto, ip.proto, Field::inner_proto, block::kNat);
  if (!ip.has_ports) return;
  set(m, r_.inner_src_port, ip.src_port, Field::inner_src_port, block::kNat);
  set(m, r_.inner_dst_port, ip.dst_port, Field::inner_dst_port, block::kNat);
}

void SflowFiller::raw_header(Octets body) noexcept {
  // Protocol, length of the frame, octets taken off its end (such as the frame check sequence), and
  // so many octets of header.
  static constexpr size_t kHeadOctets = 16;
  if (body.size() < kHeadOctets) return quirk(Quirk::truncated_record);
  const uint32_t protocol = load_be32(body.data());
  const uint32_t octets = load_be32(body.data() + 12);
  set_bytes(load_be32(body.data() + 4));
  Octets frame = body.subspan(kHeadOctets);
  if (octets > frame.size()) {
    quirk(Quirk::truncated_record);
  } else {
    frame = frame.first(octets);
  }
  SampledLink link = SampledLink::ethernet;
  bool is_walked = true;
  switch (protocol) {
    case kEthernet: break;
    case kIpv4: link = SampledLink::ipv4; break;
    case kIpv6: link = SampledLink::ipv6; break;
    case kMpls: link = SampledLink::mpls; break;
    case kPpp:
    case kPos: is_walked = open_ppp(frame, link); break;
    default: is_walked = false; break;
  }
  if (!is_walked) {
    quirk(Quirk::unknown_flow_record);
    return keep(kRawHeader, body);
  }
  SampledHeader header;
  packet::parse_sampled_header(frame, link, header);
  Marks marks;
  layers(header, marks);
  if (header.ip_headers >= 1) outer(header.outer, marks);
  if (header.ip_headers >= 2) inner(header.inner, marks);
  r_.blocks |= marks.blocks;
  r_.addresses |= marks.addresses;
  // PERF: word by word. Both at once would wait for the words that were just stored one by one.
  for (size_t i = 0; i < marks.present.words.size(); ++i) {
    uint64_t& word = r_.present.words[i];
    word = __atomic_load_n(&word, __ATOMIC_RELAXED) | marks.present.words[i];
  }
}

/// sampled_ipv4, sampled_ipv6: what the agent parsed itself. A raw header knows better.
void SflowFiller::sampled_ip(Octets body, uint32_t type) noexcept {
  const bool is_v4 = type == kSampledIpv4;
  XdrReader in(body);
  const uint32_t length = in.u32();
  const uint32_t protocol = in.u32();
  const uint32_t address_octets = is_v4 ? 4 : 16;
  const Octets src = in.fixed(address_octets);
  const Octets dst = in.fixed(address_octets);
  const uint32_t src_port = in.u32();
  const uint32_t dst_port = in.u32();
  const uint32_t tcp_flags = in.u32();
  const uint32_t tos = in.u32();
  if (!in.ok()) return check(in);
  set_bytes(length);
  if (r_.present.has(Field::src_addr)) {
    // Its header was walked; or there are both, one of which the columns have no room for.
    if (!r_.present.has(Field::layer_stack)) keep(type, body);
    return;
  }
  const auto load = [&](Octets o) {
    return is_v4 ? IpAddress::from_v4(o.data()) : IpAddress::from_v6(o.data());
  };
  set_address(r_.src_addr, load(src), Field::src_addr, address::k_src_addr);
  set_address(r_.dst_addr, load(dst), Field::dst_addr, address::k_dst_addr);
  set(r_.etype, is_v4 ? kEtherTypeIpv4 : kEtherTypeIpv6, Field::etype);
  set(r_.proto, protocol & 0xff, Field::proto);
  set(r_.ip_tos, tos & 0xff, Field::ip_tos, block::kBasic);
  // Agents differ in what they write as an ICMP packet's ports; it is not told as ports.
  if (is_icmp(r_.proto)) {
    if ((src_port | dst_port) != 0) keep(type, body);
    return;
  }
  set(r_.src_port, src_port & 0xffff, Field::src_port, block::kBasic);
  set(r_.dst_port, dst_port & 0xffff, Field::dst_port, block::kBasic);
  set(r_.tcp_flags, tcp_flags & 0xfff, Field::tcp_flags, block::kBasic);
}

void SflowFiller::sampled_ethernet(Octets body) noexcept {
  XdrReader in(body);
  const uint32_t length = in.u32();
  const Octets src = in.fixed(6);
  const Octets dst = in.fixed(6);
  const uint32_t type = in.u32();
  if (!in.ok()) return check(in);
  set_bytes(length);
  if (!r_.present.has(Field::src_mac)) set_macs(src.data(), dst.data());
  if (!r_.present.has(Field::etype)) set(r_.etype, type & 0xffff, Field::etype);
}

/// A host's own socket (sflow_host_ip): its transactions are asked for by the remote end. Which end
/// is the host's has no column, so the record is kept too.
void SflowFiller::socket(Octets body, uint32_t type) noexcept {
  const bool is_v4 = type == kSocketIpv4;
  XdrReader in(body);
  const uint32_t protocol = in.u32();
  const uint32_t address_octets = is_v4 ? 4 : 16;
  const Octets local = in.fixed(address_octets);
  const Octets remote = in.fixed(address_octets);
  const uint32_t local_port = in.u32();
  const uint32_t remote_port = in.u32();
  keep(type, body);
  if (!in.ok()) return check(in);
  if (r_.present.has(Field::src_addr)) return;
  const auto load = [&](Octets o) {
    return is_v4 ? IpAddress::from_v4(o.data()) : IpAddress::from_v6(o.data());
  };
  set_address(r_.src_addr, load(remote), Field::src_addr, address::k_src_addr);
  set_address(r_.dst_addr, load(local), Field::dst_addr, address::k_dst_addr);
  set(r_.etype, is_v4 ? kEtherTypeIpv4 : kEtherTypeIpv6, Field::etype);
  set(r_.proto, protocol & 0xff, Field::proto);
  set(r_.src_port, remote_port & 0xffff, Field::src_port, block::kBasic);
  set(r_.dst_port, local_port & 0xffff, Field::dst_port, block::kBasic);
}

}  // namespace weir::decode
