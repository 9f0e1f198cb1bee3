// elements.h — Which column of FlowRecord an information element may fill, and how.
//
// Spec:     docs/FLOW_MESSAGE.md, "From the wire to the field"; IANA's IPFIX registry, whose
//           elements below 128 NetFlow v9's field types share. Cisco's NSEL types where v9 says so.
#pragma once

#include <cstdint>
#include <span>

#include "flow/flow_record.h"

namespace weir::decode {

inline constexpr uint32_t kReverseEnterprise =
    29305;  // RFC 5103: the element of the other direction
inline constexpr uint16_t kPaddingOctets = 210;
inline constexpr uint16_t kIpVersion = 60;

/// ntop, whose nProbe writes its elements into NetFlow v9 as types behind kNtopTypesV9.
inline constexpr uint32_t kNtop = 35632;
inline constexpr uint16_t kNtopTypesV9 = 57472;
inline constexpr uint16_t kNtopTypes = 1000;
constexpr bool is_ntop_v9(uint16_t id) noexcept {
  return id >= kNtopTypesV9 && id < kNtopTypesV9 + kNtopTypes;
}

/// Elements that hold other elements, or the octets of packets: told by structured_data.h.
namespace element {
inline constexpr uint16_t kLayer2PacketSectionOffset = 102;
inline constexpr uint16_t kLayer2PacketSection = 104;
inline constexpr uint16_t kBasicList = 291;
inline constexpr uint16_t kSubTemplateList = 292;
inline constexpr uint16_t kSubTemplateMultiList = 293;
inline constexpr uint16_t kIpHeaderPacketSection = 313;
inline constexpr uint16_t kDataLinkFrameSection = 315;
inline constexpr uint16_t kMplsLabelStackSection = 316;
inline constexpr uint16_t kMplsPayloadPacketSection = 317;
inline constexpr uint16_t kDataLinkFrameType = 408;
inline constexpr uint16_t kSectionOffset = 409;
inline constexpr uint16_t kBgpCommunity = 483;
inline constexpr uint16_t kBgpSourceCommunityList = 484;
inline constexpr uint16_t kBgpDestinationCommunityList = 485;
inline constexpr uint16_t kBgpExtendedCommunity = 486;
inline constexpr uint16_t kBgpSourceExtendedCommunityList = 487;
inline constexpr uint16_t kBgpDestinationExtendedCommunityList = 488;
inline constexpr uint16_t kBgpLargeCommunity = 489;
inline constexpr uint16_t kBgpSourceLargeCommunityList = 490;
inline constexpr uint16_t kBgpDestinationLargeCommunityList = 491;
inline constexpr uint16_t kSrhSegmentIpv6 = 494;
inline constexpr uint16_t kSrhSegmentIpv6BasicList = 496;
inline constexpr uint16_t kSrhSegmentIpv6ListSection = 497;
inline constexpr uint16_t kSrhIpv6Section = 499;
inline constexpr uint16_t kBgpSourceAsPathList = 511;
inline constexpr uint16_t kBgpDestinationAsPathList = 512;
}  // namespace element

/// One field of a template as it came. A length of kVariableLength says so itself (RFC 7011 §7).
struct FieldSpec {
  uint32_t enterprise;
  uint16_t id;
  uint16_t length;
  friend bool operator==(const FieldSpec&, const FieldSpec&) = default;
};
inline constexpr uint16_t kVariableLength = 65535;

enum class ElementClass : uint8_t {
  number,     // into the column
  merge,      // a number; where a better element won the column, taken if the column is zero
  dscp,       // << 2
  type_code,  // icmp_type * 256 + icmp_code
  mac,
  address_v4,
  address_v6,
  octets,      // plain, into the arena
  text,        // trailing NULs and spaces cut
  mpls_label,  // the rank is the place in the stack
  mpls_ttl,
  mpls_ip_v4,
  mpls_ip_v6,
};

/// Of several elements for one column the least rank wins.
struct ElementUse {
  Field field;
  uint8_t rank;
  ElementClass kind;
};

/// How the flow's times are written. The order is the order of preference.
enum class TimeKind : uint8_t {
  nanoseconds,
  microseconds,
  milliseconds,
  uptime,
  delta,
  seconds,
  count_
};

enum class TimeRole : uint8_t {
  none,
  start,
  end,
  observed,
  duration_ms,
  duration_us,
  system_init_ms
};

struct TimeUse {
  TimeRole role = TimeRole::none;
  TimeKind kind = TimeKind::seconds;
};

/// The columns that an element may fill: none, one or two.
std::span<const ElementUse> uses_of(uint32_t enterprise, uint16_t id, bool netflow_v9) noexcept;
/// Whether octets of that width can be what the element means. Variable lengths are looked at again
/// in each record.
bool width_fits(ElementClass c, uint16_t width) noexcept;
TimeUse time_use_of(uint32_t enterprise, uint16_t id) noexcept;

/// In which order a record's structured elements are told, so that who comes first wins a column;
/// 0: the element is none.
uint8_t structure_order(uint32_t enterprise, uint16_t id) noexcept;

}  // namespace weir::decode
