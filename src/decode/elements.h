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
TimeUse time_use_of(uint32_t enterprise, uint16_t id) noexcept;

}  // namespace weir::decode
