#include "decode/elements.h"

#include <array>
#include <cstddef>

namespace weir::decode {
namespace {

struct Row {
  uint16_t id;
  ElementUse use;
};

using C = ElementClass;
using F = Field;

// By id; an element that fills two columns has two rows.
constexpr Row kIana[] = {
    {1, {F::bytes, 0, C::number}},
    {2, {F::packets, 0, C::number}},
    {4, {F::proto, 0, C::number}},
    {5, {F::ip_tos, 0, C::number}},
    {6, {F::tcp_flags, 0, C::number}},
    {7, {F::src_port, 0, C::number}},
    {8, {F::src_addr, 0, C::address_v4}},
    {9, {F::src_net, 0, C::merge}},
    {10, {F::in_if, 0, C::number}},
    {11, {F::dst_port, 0, C::number}},
    {12, {F::dst_addr, 0, C::address_v4}},
    {13, {F::dst_net, 0, C::merge}},
    {14, {F::out_if, 0, C::number}},
    {15, {F::next_hop, 0, C::address_v4}},
    {16, {F::src_as, 0, C::number}},
    {17, {F::dst_as, 0, C::number}},
    {18, {F::bgp_next_hop, 0, C::address_v4}},
    {23, {F::bytes, 3, C::number}},
    {24, {F::packets, 3, C::number}},
    {27, {F::src_addr, 0, C::address_v6}},
    {28, {F::dst_addr, 0, C::address_v6}},
    {29, {F::src_net, 1, C::merge}},
    {30, {F::dst_net, 1, C::merge}},
    {31, {F::ipv6_flow_label, 0, C::number}},
    {32, {F::icmp_type, 2, C::type_code}},
    {34, {F::sampling_rate, 0, C::number}},
    {47, {F::mpls_ip, 0, C::mpls_ip_v4}},
    {48, {F::sampler_id, 0, C::number}},
    {52, {F::ip_ttl, 1, C::number}},
    {54, {F::fragment_id, 0, C::number}},
    {56, {F::src_mac, 0, C::mac}},
    {57, {F::dst_mac, 1, C::mac}},
    {58, {F::src_vlan, 0, C::number}},
    {58, {F::vlan_id, 0, C::number}},
    {59, {F::dst_vlan, 0, C::number}},
    {61, {F::flow_direction, 0, C::number}},
    {62, {F::next_hop, 0, C::address_v6}},
    {63, {F::bgp_next_hop, 0, C::address_v6}},
    {70, {F::mpls_label, 0, C::mpls_label}},
    {71, {F::mpls_label, 1, C::mpls_label}},
    {72, {F::mpls_label, 2, C::mpls_label}},
    {73, {F::mpls_label, 3, C::mpls_label}},
    {74, {F::mpls_label, 4, C::mpls_label}},
    {75, {F::mpls_label, 5, C::mpls_label}},
    {76, {F::mpls_label, 6, C::mpls_label}},
    {77, {F::mpls_label, 7, C::mpls_label}},
    {78, {F::mpls_label, 8, C::mpls_label}},
    {79, {F::mpls_label, 9, C::mpls_label}},
    {80, {F::dst_mac, 0, C::mac}},
    {81, {F::src_mac, 1, C::mac}},
    {85, {F::bytes, 1, C::number}},
    {86, {F::packets, 1, C::number}},
    {88, {F::fragment_offset, 0, C::number}},
    {89, {F::forwarding_status, 0, C::number}},
    {95, {F::application_id, 0, C::octets}},
    {96, {F::application_name, 0, C::text}},
    {128, {F::next_hop_as, 0, C::number}},
    {136, {F::flow_end_reason, 0, C::number}},
    {138, {F::observation_point_id, 0, C::number}},
    {139, {F::icmp_type, 3, C::type_code}},
    {140, {F::mpls_ip, 1, C::mpls_ip_v6}},
    {176, {F::icmp_type, 0, C::merge}},
    {177, {F::icmp_code, 0, C::merge}},
    {178, {F::icmp_type, 1, C::merge}},
    {179, {F::icmp_code, 1, C::merge}},
    {180, {F::src_port, 1, C::merge}},
    {181, {F::dst_port, 1, C::merge}},
    {182, {F::src_port, 2, C::merge}},
    {183, {F::dst_port, 2, C::merge}},
    {192, {F::ip_ttl, 0, C::number}},
    {195, {F::ip_tos, 1, C::dscp}},
    {197, {F::ip_flags, 0, C::number}},
    {200, {F::mpls_ttl, 0, C::mpls_ttl}},
    {225, {F::post_nat_src_addr, 0, C::address_v4}},
    {226, {F::post_nat_dst_addr, 0, C::address_v4}},
    {227, {F::post_nat_src_port, 0, C::number}},
    {228, {F::post_nat_dst_port, 0, C::number}},
    {230, {F::nat_event, 0, C::number}},
    {231, {F::bytes, 2, C::number}},
    {232, {F::bytes_in, 0, C::number}},
    {233, {F::firewall_event, 0, C::number}},
    {234, {F::ingress_vrf_id, 0, C::number}},
    {235, {F::egress_vrf_id, 0, C::number}},
    {243, {F::src_vlan, 1, C::number}},
    {243, {F::vlan_id, 1, C::number}},
    {252, {F::in_if, 1, C::number}},
    {253, {F::out_if, 1, C::number}},
    {254, {F::dst_vlan, 1, C::number}},
    {256, {F::etype, 0, C::number}},
    {281, {F::post_nat_src_addr, 0, C::address_v6}},
    {282, {F::post_nat_dst_addr, 0, C::address_v6}},
    {298, {F::packets, 2, C::number}},
    {299, {F::packets_in, 0, C::number}},
    {301, {F::sampler_id, 2, C::number}},
    {302, {F::sampler_id, 1, C::number}},
    {312, {F::bytes, 6, C::number}},  // of a packet report (RFC 5476): the frame
    {352, {F::bytes, 4, C::number}},
    {353, {F::bytes, 5, C::number}},
    {361, {F::port_range_start, 0, C::number}},
    {362, {F::port_range_end, 0, C::number}},
    {363, {F::port_range_step, 0, C::number}},
    {364, {F::port_range_num, 0, C::number}},
    {371, {F::user_name, 0, C::text}},
    {430, {F::packets, 4, C::number}},
    {431, {F::packets, 5, C::number}},
    {460, {F::server_name, 0, C::text}},
    {498, {F::ipv6_routing_header_seg_left, 0, C::number}},
};

// RFC 5103: the other direction's counters.
constexpr Row kReverse[] = {
    {1, {F::bytes_in, 1, C::number}},
    {2, {F::packets_in, 1, C::number}},
    {85, {F::bytes_in, 2, C::number}},
    {86, {F::packets_in, 2, C::number}},
};

// Cisco NSEL, v9 only, before these had numbers of IANA.
constexpr Row kNsel[] = {
    {40000, {F::user_name, 1, C::text}},
    {40001, {F::post_nat_src_addr, 1, C::address_v4}},
    {40002, {F::post_nat_dst_addr, 1, C::address_v4}},
    {40003, {F::post_nat_src_port, 1, C::number}},
    {40004, {F::post_nat_dst_port, 1, C::number}},
    {40005, {F::firewall_event, 1, C::number}},
};

// CERT, whose YAF looks into packets.
constexpr uint32_t kCert = 6871;
constexpr Row kCertRows[] = {{294, {F::server_name, 1, C::text}}};
// Ixia (Keysight) numbers the other direction itself.
constexpr uint32_t kIxia = 3054;
constexpr Row kIxiaRows[] = {
    {176, {F::bytes_in, 1, C::number}},
    {177, {F::packets_in, 1, C::number}},
    {183, {F::server_name, 1, C::text}},
};
// nProbe; in NetFlow v9 it adds kNtopTypesV9.
constexpr Row kNtopRows[] = {{188, {F::server_name, 1, C::text}}};

constexpr size_t kIanaRows = sizeof kIana / sizeof kIana[0];
constexpr size_t kIanaIds = 512;

constexpr auto kUses = [] {
  std::array<ElementUse, kIanaRows> uses{};
  for (size_t i = 0; i < kIanaRows; ++i) uses[i] = kIana[i].use;
  return uses;
}();

struct Extent {
  uint8_t first = 0;
  uint8_t count = 0;
};

constexpr auto kExtents = [] {
  std::array<Extent, kIanaIds> extents{};
  for (size_t i = 0; i < kIanaRows; ++i) {
    Extent& e = extents[kIana[i].id];
    if (e.count == 0) e.first = static_cast<uint8_t>(i);
    ++e.count;
  }
  return extents;
}();
static_assert(kIanaRows <= 255);

template <size_t N>
std::span<const ElementUse> search(const Row (&rows)[N], uint16_t id) noexcept {
  for (const Row& row : rows) {
    if (row.id == id) return {&row.use, 1};
  }
  return {};
}

}  // namespace

std::span<const ElementUse> uses_of(uint32_t enterprise, uint16_t id, bool netflow_v9) noexcept {
  if (enterprise == 0) {
    if (id < kIanaIds) return {&kUses[kExtents[id].first], kExtents[id].count};
    if (!netflow_v9) return {};
    return is_ntop_v9(id) ? search(kNtopRows, static_cast<uint16_t>(id - kNtopTypesV9))
                          : search(kNsel, id);
  }
  if (enterprise == kReverseEnterprise) return search(kReverse, id);
  if (enterprise == kCert) return search(kCertRows, id);
  if (enterprise == kIxia) return search(kIxiaRows, id);
  if (enterprise == kNtop) return search(kNtopRows, id);
  return {};
}

bool width_fits(ElementClass c, uint16_t width) noexcept {
  switch (c) {
    case ElementClass::number:
    case ElementClass::merge:
    case ElementClass::dscp: return width >= 1 && width <= 8;
    case ElementClass::type_code: return width == 2 || width == 4;
    case ElementClass::mac: return width == 6 || width == 8;
    case ElementClass::address_v4:
    case ElementClass::mpls_ip_v4: return width == 4;
    case ElementClass::address_v6:
    case ElementClass::mpls_ip_v6: return width == 16;
    case ElementClass::octets:
    case ElementClass::text: return width >= 1;
    case ElementClass::mpls_label: return width == 3 || width == 4;
    case ElementClass::mpls_ttl: return width >= 1 && width <= 4;
  }
  return false;
}

TimeUse time_use_of(uint32_t enterprise, uint16_t id) noexcept {
  if (enterprise != 0) return {};
  switch (id) {
    case 22: return {TimeRole::start, TimeKind::uptime};
    case 21: return {TimeRole::end, TimeKind::uptime};
    case 150: return {TimeRole::start, TimeKind::seconds};
    case 151: return {TimeRole::end, TimeKind::seconds};
    case 152: return {TimeRole::start, TimeKind::milliseconds};
    case 153: return {TimeRole::end, TimeKind::milliseconds};
    case 154: return {TimeRole::start, TimeKind::microseconds};
    case 155: return {TimeRole::end, TimeKind::microseconds};
    case 156: return {TimeRole::start, TimeKind::nanoseconds};
    case 157: return {TimeRole::end, TimeKind::nanoseconds};
    case 158: return {TimeRole::start, TimeKind::delta};
    case 159: return {TimeRole::end, TimeKind::delta};
    case 160: return {TimeRole::system_init_ms, TimeKind::milliseconds};
    case 161: return {TimeRole::duration_ms, TimeKind::milliseconds};
    case 162: return {TimeRole::duration_us, TimeKind::microseconds};
    case 322: return {TimeRole::observed, TimeKind::seconds};
    case 323: return {TimeRole::observed, TimeKind::milliseconds};
    case 324: return {TimeRole::observed, TimeKind::microseconds};
    case 325: return {TimeRole::observed, TimeKind::nanoseconds};
    default: return {};
  }
}

uint8_t structure_order(uint32_t enterprise, uint16_t id) noexcept {
  if (enterprise != 0) return 0;
  using namespace element;
  switch (id) {
    // What names the flow's own properties.
    case kBgpCommunity:
    case kBgpSourceCommunityList:
    case kBgpDestinationCommunityList:
    case kBgpExtendedCommunity:
    case kBgpSourceExtendedCommunityList:
    case kBgpDestinationExtendedCommunityList:
    case kBgpLargeCommunity:
    case kBgpSourceLargeCommunityList:
    case kBgpDestinationLargeCommunityList:
    case kSrhSegmentIpv6:
    case kSrhSegmentIpv6BasicList:
    case kSrhSegmentIpv6ListSection: return 1;
    case kSrhIpv6Section: return 2;
    case kBgpDestinationAsPathList: return 3;
    case kBgpSourceAsPathList: return 4;
    // What may hold anything.
    case kBasicList:
    case kSubTemplateList:
    case kSubTemplateMultiList: return 5;
    // A packet of the flow.
    case kMplsLabelStackSection: return 6;
    case kDataLinkFrameSection: return 7;
    case kLayer2PacketSection: return 8;
    case kIpHeaderPacketSection: return 9;
    case kMplsPayloadPacketSection: return 10;
    default: return 0;
  }
}

}  // namespace weir::decode
