// sflow_extended.cc — What the device knew of a sampled packet beside its header.
#include "decode/sflow_filler.h"

namespace weir::decode {
namespace {

constexpr uint32_t kVlanIdMax = 4095;
constexpr uint32_t kPrefixMax = 128;
constexpr uint32_t kUnknown = 0xffff'ffff;  // agents say so of VLANs and priorities

}  // namespace

void SflowFiller::fill(const SflowParts& parts) noexcept {
  for (uint32_t left = parts.found(); left != 0; left &= left - 1) {
    const auto kind = static_cast<SflowKind>(std::countr_zero(left));
    const Octets body = parts.body(kind);
    switch (kind) {
      case SflowKind::raw_header: raw_header(body); break;
      case SflowKind::ipv4: sampled_ip(body, kSampledIpv4); break;
      case SflowKind::ipv6: sampled_ip(body, kSampledIpv6); break;
      case SflowKind::ethernet: sampled_ethernet(body); break;
      case SflowKind::vlan: extended_switch(body); break;
      case SflowKind::router: extended_router(body); break;
      case SflowKind::gateway: extended_gateway(body); break;
      case SflowKind::user: extended_user(body); break;
      case SflowKind::url: extended_url(body); break;
      case SflowKind::mpls: extended_mpls(body); break;
      case SflowKind::nat: extended_nat(body); break;
      case SflowKind::nat_port: extended_nat_port(body); break;
      case SflowKind::vlan_tunnel: extended_vlan_tunnel(body); break;
      case SflowKind::socket_v4: socket(body, kSocketIpv4); break;
      case SflowKind::socket_v6: socket(body, kSocketIpv6); break;
      case SflowKind::count_: break;
    }
  }
}

void SflowFiller::set_text(ArenaRef& ref, Octets text, Field field) noexcept {
  while (!text.empty() && text.back() == 0) text = text.first(text.size() - 1);
  if (text.size() > kStringOctetsMax) {
    quirk(Quirk::arena_overflow);
    text = text.first(kStringOctetsMax);
  }
  if (text.empty()) return;
  if (uint8_t* p = place(ref, text.size(), text.size(), field); p != nullptr) {
    std::memcpy(p, text.data(), text.size());
  }
}

void SflowFiller::write_all_kept() noexcept {
  static constexpr size_t kHeaderOctets = 8;
  size_t octets = 0;
  size_t fitting = 0;
  for (size_t i = 0; i < kept_count_; ++i) {
    const size_t size = kHeaderOctets + kept_[i].octets;
    if (size > kUnmappedOctetsMax - octets) {
      quirk(Quirk::arena_overflow);
      continue;
    }
    octets += size;
    kept_[fitting++] = kept_[i];
  }
  if (fitting == 0) return;
  uint8_t* p = place(r_.unmapped, octets, octets, Field::unmapped);
  if (p == nullptr) return;
  for (const SflowPart& part : std::span(kept_).first(fitting)) {
    const uint32_t enterprise = part.type >> kSflowFormatBits;
    const auto format = static_cast<uint16_t>(part.type & kSflowFormatMask);
    const auto size = static_cast<uint16_t>(part.octets);
    std::memcpy(p, &enterprise, sizeof enterprise);
    std::memcpy(p + 4, &format, sizeof format);
    std::memcpy(p + 6, &size, sizeof size);
    if (size != 0) std::memcpy(p + kHeaderOctets, part.data, size);
    p += kHeaderOctets + size;
  }
}

/// Priorities have no column: a record that tells any is kept.
void SflowFiller::extended_switch(Octets body) noexcept {
  if (body.size() < 4 * sizeof(uint32_t)) return quirk(Quirk::truncated_record);
  const uint32_t src_vlan = load_be32(body.data());
  const uint32_t src_priority = load_be32(body.data() + 4);
  const uint32_t dst_vlan = load_be32(body.data() + 8);
  const uint32_t dst_priority = load_be32(body.data() + 12);
  if (src_vlan <= kVlanIdMax) set(r_.src_vlan, src_vlan, Field::src_vlan, block::kHeaders);
  if (dst_vlan <= kVlanIdMax) set(r_.dst_vlan, dst_vlan, Field::dst_vlan, block::kHeaders);
  const auto is_told = [](uint32_t v) { return v != 0 && v != kUnknown; };
  const auto is_odd = [](uint32_t v) { return v > kVlanIdMax && v != kUnknown; };
  if (is_told(src_priority) || is_told(dst_priority) || is_odd(src_vlan) || is_odd(dst_vlan)) {
    keep(kExtendedSwitch, body);
  }
}

void SflowFiller::extended_router(Octets body) noexcept {
  XdrReader in(body);
  const XdrReader::Address next_hop = in.address();
  const uint32_t src_mask = in.u32();
  const uint32_t dst_mask = in.u32();
  if (!in.ok()) return check(in);
  set_address(r_.next_hop, next_hop, Field::next_hop, address::k_next_hop);
  if (src_mask <= kPrefixMax) set(r_.src_net, src_mask, Field::src_net, block::kSecond);
  if (dst_mask <= kPrefixMax) set(r_.dst_net, dst_mask, Field::dst_net, block::kSecond);
}

/// The router's own AS, the peer, local preference and which segments are sets have no column, so
/// the record is kept too. One that is cut off keeps what came before: the path so far is not a path,
/// though, and its last AS is not the destination's.
void SflowFiller::extended_gateway(Octets body) noexcept {
  XdrReader in(body);
  const XdrReader::Address next_hop = in.address();
  const uint32_t own_as = in.u32();
  const uint32_t src_as = in.u32();
  const uint32_t src_peer_as = in.u32();
  if (!in.ok()) return check(in);
  set_address(r_.bgp_next_hop, next_hop, Field::bgp_next_hop, address::k_bgp_next_hop);
  set(r_.src_as, src_as, Field::src_as, block::kBasic);

  static constexpr uint32_t kSequence = 2;
  std::array<uint32_t, kAsPathMax> path;
  size_t path_length = 0;
  uint32_t first = 0;
  uint32_t last = 0;
  uint64_t seen = 0;
  bool is_plain = (own_as | src_peer_as) == 0;
  // Segments: sets and sequences, told one behind the other.
  for (uint32_t segments = in.u32(); segments != 0 && in.ok(); --segments) {
    is_plain &= in.u32() == kSequence;
    for (uint32_t n = in.u32(); n != 0 && in.ok(); --n) {
      const uint32_t as = in.u32();
      if (!in.ok()) break;
      if (seen++ == 0) first = as;
      last = as;
      if (path_length < kAsPathMax) path[path_length++] = as;
    }
  }
  if (!in.ok()) {
    keep(kExtendedGateway, body);
    return check(in);
  }
  if (seen > kAsPathMax) quirk(Quirk::arena_overflow);
  if (seen != 0) {
    set(r_.dst_as, last, Field::dst_as, block::kBasic);
    set(r_.next_hop_as, first, Field::next_hop_as, block::kContext);
  }
  set_numbers(r_.as_path, path.data(), path_length, Field::as_path);

  std::array<uint32_t, kCommunitiesMax> communities;
  size_t count = 0;
  const uint32_t promised = in.u32();
  for (uint32_t left = promised; left != 0 && in.ok(); --left) {
    const uint32_t community = in.u32();
    if (in.ok() && count < kCommunitiesMax) communities[count++] = community;
  }
  const bool is_whole = in.ok();
  if (is_whole) {
    if (promised > kCommunitiesMax) quirk(Quirk::arena_overflow);
    set_numbers(r_.bgp_communities, communities.data(), count, Field::bgp_communities);
  }
  const uint32_t local_preference = in.u32();
  check(in);
  if (!in.ok() || !is_plain || local_preference != 0) keep(kExtendedGateway, body);
}

/// The source's user; the destination's where the source has none, and kept where both have one.
void SflowFiller::extended_user(Octets body) noexcept {
  XdrReader in(body);
  in.u32();  // character set
  const Octets src = in.variable();
  in.u32();
  const Octets dst = in.variable();
  check(in);
  set_text(r_.user_name, src.empty() ? dst : src, Field::user_name);
  if (!in.ok() || (!src.empty() && !dst.empty())) keep(kExtendedUser, body);
}

void SflowFiller::extended_url(Octets body) noexcept {
  XdrReader in(body);
  in.u32();  // which side the server is
  in.variable();
  const Octets host = in.variable();
  keep(kExtendedUrl, body);
  if (!in.ok()) return check(in);
  set_text(r_.server_name, host, Field::server_name);
}

/// The label stack that the packet came with, where its header does not show one; the stack that it
/// left with has no column.
void SflowFiller::extended_mpls(Octets body) noexcept {
  XdrReader in(body);
  const XdrReader::Address next_hop = in.address();
  std::array<uint32_t, kMplsLabelsMax> labels;
  std::array<uint32_t, kMplsLabelsMax> ttls;
  size_t count = 0;
  const uint32_t promised = in.u32();
  for (uint32_t left = promised; left != 0 && in.ok(); --left) {
    const uint32_t entry = in.u32();  // RFC 3032 §2.1: label, class, bottom of stack, TTL
    if (!in.ok() || count == kMplsLabelsMax) continue;
    labels[count] = entry >> 12;
    ttls[count++] = entry & 0xff;
  }
  keep(kExtendedMpls, body);
  if (!in.ok()) return check(in);
  if (!r_.present.has(Field::next_hop)) {
    set_address(r_.next_hop, next_hop, Field::next_hop, address::k_next_hop);
  }
  if (r_.present.has(Field::mpls_label)) return;
  if (promised > kMplsLabelsMax) quirk(Quirk::arena_overflow);
  set_numbers(r_.mpls_label, labels.data(), count, Field::mpls_label);
  set_numbers(r_.mpls_ttl, ttls.data(), count, Field::mpls_ttl);
}

void SflowFiller::extended_nat(Octets body) noexcept {
  XdrReader in(body);
  const XdrReader::Address src = in.address();
  const XdrReader::Address dst = in.address();
  if (!in.ok()) return check(in);
  set_address(r_.post_nat_src_addr, src, Field::post_nat_src_addr, address::k_post_nat_src_addr);
  set_address(r_.post_nat_dst_addr, dst, Field::post_nat_dst_addr, address::k_post_nat_dst_addr);
}

void SflowFiller::extended_nat_port(Octets body) noexcept {
  XdrReader in(body);
  const uint32_t src = in.u32();
  const uint32_t dst = in.u32();
  if (!in.ok()) return check(in);
  set(r_.post_nat_src_port, src & 0xffff, Field::post_nat_src_port, block::kContext);
  set(r_.post_nat_dst_port, dst & 0xffff, Field::post_nat_dst_port, block::kNat);
}

/// Tags that the device took off before the header was sampled, outermost first: TPID and TCI.
void SflowFiller::extended_vlan_tunnel(Octets body) noexcept {
  XdrReader in(body);
  const uint32_t tags = in.u32();
  const uint32_t outermost = in.u32();
  keep(kExtendedVlanTunnel, body);
  if (tags == 0) return;
  if (!in.ok()) return check(in);
  set(r_.vlan_id, outermost & kVlanIdMax, Field::vlan_id, block::kSecond);
}

}  // namespace weir::decode
