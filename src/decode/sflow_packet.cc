// sflow_packet.cc — The packet that a sample tells of: its header, or what the agent parsed itself.
#include "decode/header_columns.h"
#include "decode/plain_packet.h"
#include "decode/sflow_filler.h"

namespace weir::decode {

using packet::SampledHeader;
using packet::SampledLink;

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
  if (link == SampledLink::ethernet && fill_from_plain_packet(frame, r_, context_.arena)) return;
  SampledHeader header;
  packet::parse_sampled_header(frame, link, header);
  fill_empty_from_header(header, r_, context_.arena, context_.quirks);
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
