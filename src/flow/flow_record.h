// flow_record.h — One flow as every stage sees it, whatever protocol it came by.
//
// Spec:     docs/FLOW_MESSAGE.md (fields, units, what fills them).
// Bounds:   512 bytes a record; what varies in length lies in the datagram's 16 KiB arena.
//
// Integer fields lie together in blocks of eight, in the order the encoder writes them, so that a
// block is one load. `blocks` says which blocks of 32-bit fields may hold something other than zero.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/ip_address.h"
#include "base/named_enum.h"

namespace weir {

/// The numbers are flowpb.FlowType's.
enum class FlowType : uint32_t {
  unknown = 0,
  sflow_5 = 1,
  netflow_v5 = 2,
  netflow_v9 = 3,
  ipfix = 4,
  netflow_v1 = 1001,
  netflow_v7 = 1007,
  sflow_2 = 1012,
  sflow_4 = 1014,
};

/// Where a record's sampling rate came from. The numbers are flowpb.SamplingSource's.
enum class SamplingSource : uint32_t {
  unknown = 0,
  override_ = 1,
  record = 2,
  sampler = 3,
  interface_ = 4,
  domain = 5,
  exporter = 6,
  header = 7,
  default_ = 8,
};

/// Where a record's times came from. The numbers are flowpb.TimeSource's.
enum class TimeSource : uint32_t {
  unknown = 0,
  uptime = 1,
  seconds = 2,
  milliseconds = 3,
  microseconds = 4,
  nanoseconds = 5,
  delta = 6,
  export_time = 7,
  received = 8,
  sampled = 9,
};

inline constexpr size_t kArenaOctets = 16 * 1024;  // per datagram
inline constexpr size_t kStageArenaOctets = 16 * 1024;  // behind it, for what stages add to a burst's records
inline constexpr size_t kAsPathMax = 64;
inline constexpr size_t kCommunitiesMax = 64;
inline constexpr size_t kMplsLabelsMax = 10;
inline constexpr size_t kSegmentsMax = 16;
inline constexpr size_t kLabelsMax = 8;
inline constexpr size_t kLayersMax = 32;
inline constexpr size_t kStringOctetsMax = 256;
inline constexpr size_t kUnmappedOctetsMax = 1024;  // all unmapped elements of one record

/// `count` items at `offset` of the datagram's arena. Numbers are stored as host-order uint32_t,
/// addresses as IpAddress, strings and octets plainly (count = octets). Absent: count 0.
struct ArenaRef {
  uint16_t offset = 0;
  uint16_t count = 0;
  friend bool operator==(const ArenaRef&, const ArenaRef&) = default;
};

/// What TCP or UDP carried in a packet that was sampled, as far as it was told: octets of the datagram that the record
/// came in (RecordBurst::packets). Meaningful where arena_parts has kPayload.
struct PayloadRef {
  uint32_t offset;
  uint16_t octets;
  uint8_t proto;
  uint8_t is_inner;  // its ports are inner_src_port and inner_dst_port
  friend bool operator==(const PayloadRef&, const PayloadRef&) = default;
};

/// The blocks of 32-bit integers, by their bit in FlowRecord::blocks.
namespace block {
inline constexpr uint8_t kBasic = 1 << 0;    // ports, interfaces, AS numbers, ToS, TCP flags
inline constexpr uint8_t kSecond = 1 << 1;   // prefix lengths, ICMP, provenance, direction, VLAN
inline constexpr uint8_t kHeaders = 1 << 2;  // layer 2 and IP header fields
inline constexpr uint8_t kContext = 1 << 3;  // VRF, NAT and firewall events, observation point
inline constexpr uint8_t kNat = 1 << 4;      // port blocks and inner ports
inline constexpr uint8_t kRare = 1 << 5;     // the two that stand alone in cache line 2
inline constexpr size_t kCount = 6;
}  // namespace block

/// The kinds of refs into the arena, by their bit in FlowRecord::arena_parts.
namespace arena_part {
inline constexpr uint8_t kStrings = 1 << 0;
inline constexpr uint8_t kNumberLists = 1 << 1;
inline constexpr uint8_t kAddressLists = 1 << 2;
inline constexpr uint8_t kStringLists = 1 << 3;
inline constexpr uint8_t kUnmapped = 1 << 4;
/// No ref, and never encoded: `payload` says something.
inline constexpr uint8_t kPayload = 1 << 5;
}  // namespace arena_part

// X(member, field number of flowpb.FlowMessage), in the order of the members; eight a block.
// clang-format off
#define WEIR_BLOCK_COUNTERS(X)                                                  \
  X(bytes, 9) X(packets, 10) X(bytes_in, 113) X(bytes_out, 114)                 \
  X(packets_in, 115) X(packets_out, 116) X(sampling_rate, 3) X(sampler_id, 1008)
// clang-format off
#define WEIR_BLOCK_BASIC(X)                                                     \
  X(src_port, 21) X(dst_port, 22) X(in_if, 18) X(out_if, 19)                    \
  X(src_as, 14) X(dst_as, 15) X(ip_tos, 23) X(tcp_flags, 26)
#define WEIR_BLOCK_SECOND(X)                                                    \
  X(src_net, 16) X(dst_net, 17) X(icmp_type, 31) X(icmp_code, 32)               \
  X(sampling_source, 1003) X(time_source, 1004) X(flow_direction, 1001) X(vlan_id, 29)
#define WEIR_BLOCK_HEADERS(X)                                                   \
  X(src_vlan, 33) X(dst_vlan, 34) X(ip_ttl, 25) X(forwarding_status, 24)        \
  X(ip_flags, 38) X(ipv6_flow_label, 37) X(fragment_id, 35) X(fragment_offset, 36)
#define WEIR_BLOCK_CONTEXT(X)                                                   \
  X(next_hop_as, 13) X(observation_point_id, 71) X(flow_end_reason, 1002)       \
  X(ingress_vrf_id, 1009) X(egress_vrf_id, 1010) X(nat_event, 1017)             \
  X(firewall_event, 1018) X(post_nat_src_port, 1015)
#define WEIR_BLOCK_NAT(X)                                                       \
  X(post_nat_dst_port, 1016) X(port_range_start, 1027) X(port_range_end, 1028)  \
  X(port_range_step, 1029) X(port_range_num, 1030) X(inner_proto, 1024)         \
  X(inner_src_port, 1025) X(inner_dst_port, 1026)
#define WEIR_BLOCK_RARE(X) X(source_id, 1021) X(ipv6_routing_header_seg_left, 106)

// X(member, field number): addresses, 16 octets each, in the order of the members.
#define WEIR_ADDRESSES(X)                                                       \
  X(src_addr, 6) X(dst_addr, 7) X(next_hop, 12) X(bgp_next_hop, 100)            \
  X(post_nat_src_addr, 1013) X(post_nat_dst_addr, 1014)                         \
  X(inner_src_addr, 1022) X(inner_dst_addr, 1023)

// X(member, field number): octets and strings of one value in the arena.
#define WEIR_STRINGS(X)                                                         \
  X(application_id, 1011) X(application_name, 1012) X(user_name, 1019)          \
  X(server_name, 1032) X(in_if_name, 1039) X(out_if_name, 1040)                 \
  X(ingress_vrf_name, 1041) X(egress_vrf_name, 1042)

// X(member, field number): lists of uint32 in the arena.
#define WEIR_NUMBER_LISTS(X)                                                    \
  X(bgp_communities, 101) X(as_path, 102) X(mpls_ttl, 80) X(mpls_label, 81)     \
  X(layer_stack, 103) X(layer_size, 104)

// X(member, field number): lists of IpAddress in the arena.
#define WEIR_ADDRESS_LISTS(X)                                                   \
  X(mpls_ip, 82) X(ipv6_routing_header_addresses, 105) X(srv6_segments, 1031)

// X(member, field number): lists of octet strings: each a host-order uint16_t length, then octets;
// the ref's count is the octets in all.
#define WEIR_STRING_LISTS(X) X(labels, 1033) X(rule_ids, 1034) X(bgp_extended_communities, 1043)
// clang-format on

/// Every field of a record, for the presence set and for whoever names fields.
#define WEIR_FIELD_NAME_(member, number) member,
// clang-format off
#define WEIR_ALL_FIELDS(X)                                                                    \
  WEIR_BLOCK_COUNTERS(X) WEIR_BLOCK_BASIC(X) WEIR_BLOCK_SECOND(X) WEIR_BLOCK_HEADERS(X)       \
  WEIR_BLOCK_CONTEXT(X) WEIR_BLOCK_NAT(X) WEIR_BLOCK_RARE(X) WEIR_ADDRESSES(X) WEIR_STRINGS(X) \
  WEIR_NUMBER_LISTS(X) WEIR_ADDRESS_LISTS(X) WEIR_STRING_LISTS(X)                             \
  X(time_flow_start_ns, 111) X(time_flow_end_ns, 112) X(src_mac, 27) X(dst_mac, 28)           \
  X(etype, 30) X(proto, 20) X(unmapped, 1038)
// clang-format on

enum class Field : uint8_t { WEIR_ALL_FIELDS(WEIR_FIELD_NAME_) count_ };

/// Which fields the exporter sent: *zero* and *not exported* differ.
struct Presence {
  std::array<uint64_t, 2> words{};

  constexpr void set(Field f) noexcept {
    const auto i = static_cast<unsigned>(f);
    words[i / 64] |= uint64_t{1} << (i % 64);
  }
  constexpr bool has(Field f) const noexcept {
    const auto i = static_cast<unsigned>(f);
    return (words[i / 64] >> (i % 64) & 1) != 0;
  }
  friend constexpr bool operator==(const Presence&, const Presence&) = default;
};
static_assert(static_cast<size_t>(Field::count_) <= 128);

struct alignas(64) FlowRecord {
#define WEIR_MEMBER64_(member, number)       uint64_t member;
#define WEIR_MEMBER32_(member, number)       uint32_t member;
#define WEIR_MEMBER_ADDRESS_(member, number) IpAddress member;
#define WEIR_MEMBER_REF_(member, number)     ArenaRef member;
  WEIR_BLOCK_COUNTERS(WEIR_MEMBER64_)  // cache line 0
  WEIR_BLOCK_BASIC(WEIR_MEMBER32_)     // cache line 1
  WEIR_BLOCK_SECOND(WEIR_MEMBER32_)

  uint64_t time_flow_start_ns;  // cache line 2; since the epoch
  uint64_t time_flow_end_ns;
  uint64_t src_mac;  // low 48 bits
  uint64_t dst_mac;
  uint32_t etype;
  uint16_t proto;     // IP protocol number
  uint8_t blocks;     // bits of weir::block; a block whose bit is clear is all zero
  uint8_t addresses;  // bit i: the i-th of WEIR_ADDRESSES is present (encoded even if all zero)
  Presence present;
  WEIR_BLOCK_RARE(WEIR_MEMBER32_)

  WEIR_ADDRESSES(WEIR_MEMBER_ADDRESS_)  // cache lines 3 and 4; an IPv4 address in mapped form

  WEIR_BLOCK_HEADERS(WEIR_MEMBER32_)  // cache line 5
  WEIR_BLOCK_CONTEXT(WEIR_MEMBER32_)
  WEIR_BLOCK_NAT(WEIR_MEMBER32_)  // cache line 6, then 21 refs

  WEIR_STRINGS(WEIR_MEMBER_REF_)
  WEIR_NUMBER_LISTS(WEIR_MEMBER_REF_)
  WEIR_ADDRESS_LISTS(WEIR_MEMBER_REF_)
  WEIR_STRING_LISTS(WEIR_MEMBER_REF_)
  /// Elements without a column: each a host-order uint32_t enterprise, uint16_t id, uint16_t length,
  /// then octets; the ref's count is the octets in all.
  ArenaRef unmapped;
  uint32_t arena_parts;  // bits of weir::arena_part; refs of a kind whose bit is clear are all empty
  PayloadRef payload;    // for stages; not part of what is exported
#undef WEIR_MEMBER64_
#undef WEIR_MEMBER32_
#undef WEIR_MEMBER_ADDRESS_
#undef WEIR_MEMBER_REF_
};

/// Bits of FlowRecord::addresses.
namespace address {
enum Index : uint8_t {
#define WEIR_ADDRESS_INDEX_(member, number) k_##member,
  WEIR_ADDRESSES(WEIR_ADDRESS_INDEX_)
#undef WEIR_ADDRESS_INDEX_
};
constexpr uint8_t bit(Index i) noexcept { return static_cast<uint8_t>(1u << i); }
}  // namespace address

/// The kind of the ref that lies at `offset` of a record.
constexpr uint32_t arena_part_at(size_t offset) noexcept {
  if (offset < offsetof(FlowRecord, bgp_communities)) return arena_part::kStrings;
  if (offset < offsetof(FlowRecord, mpls_ip)) return arena_part::kNumberLists;
  if (offset < offsetof(FlowRecord, labels)) return arena_part::kAddressLists;
  if (offset < offsetof(FlowRecord, unmapped)) return arena_part::kStringLists;
  return arena_part::kUnmapped;
}
inline uint32_t arena_part_of(const FlowRecord& record, const ArenaRef& ref) noexcept {
  return arena_part_at(static_cast<size_t>(reinterpret_cast<const uint8_t*>(&ref) -
                                           reinterpret_cast<const uint8_t*>(&record)));
}

static_assert(std::is_trivially_copyable_v<FlowRecord>);
static_assert(offsetof(FlowRecord, src_port) == 64 && offsetof(FlowRecord, src_net) == 96);
static_assert(offsetof(FlowRecord, time_flow_start_ns) == 128);
static_assert(offsetof(FlowRecord, src_addr) == 192);
static_assert(offsetof(FlowRecord, src_vlan) == 320 && offsetof(FlowRecord, next_hop_as) == 352);
static_assert(offsetof(FlowRecord, post_nat_dst_port) == 384);
static_assert(offsetof(FlowRecord, application_id) == 416);
static_assert(sizeof(FlowRecord) == 512);

}  // namespace weir
