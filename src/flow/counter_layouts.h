// counter_layouts.h — The blocks of counters that sFlow's counter samples are made of, as tables.
//
// Spec:     sFlow Version 5 (sflow.org) and its extensions: sflow_host, sflow_lag, sflow_optics,
//           sflow_80211, sflow_openflow, sflow_application. proto/sflow.proto has a message for each.
// Runs on:  any thread. Pure.
// Bounds:   each step of a walk consumes octets of the block; lists have at most
//           kCounterElementsMax elements.
//
// A block's values follow one another in XDR as the table has them; the i-th value is field i + 1 of
// the block's message. The decoder checks blocks by these tables, the encoder writes by them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/xdr.h"

namespace weir {

inline constexpr uint32_t kCounterElementsMax = 64;

enum class CounterType : uint8_t {
  u32,
  i32,
  u64,
  f32,
  mac,   // six octets, filled up to eight
  macs,  // a list of them
  uuid,  // 16 octets
  text,
};

struct CounterField {
  std::string_view name;
  CounterType type;
};

/// Whether a sample may hold several blocks of the kind.
enum class CounterBlocks : uint8_t { one, many };

struct CounterLayout {
  uint32_t format;  // of enterprise 0
  uint32_t field;   // of flowpb.SflowCounters
  std::span<const CounterField> fields;
  size_t required;                        // so many every agent sends; the rest may be missing
  std::span<const CounterField> element;  // of the list that follows the fields; empty: none does
  CounterBlocks blocks;
};

namespace counter {

#define WEIR_U32_(n) \
  CounterField { #n, CounterType::u32 }
#define WEIR_U64_(n) \
  CounterField { #n, CounterType::u64 }

inline constexpr CounterField kInterface[] = {
    WEIR_U32_(if_index),
    WEIR_U32_(if_type),
    WEIR_U64_(if_speed),
    WEIR_U32_(if_direction),
    WEIR_U32_(if_status),
    WEIR_U64_(if_in_octets),
    WEIR_U32_(if_in_ucast_pkts),
    WEIR_U32_(if_in_multicast_pkts),
    WEIR_U32_(if_in_broadcast_pkts),
    WEIR_U32_(if_in_discards),
    WEIR_U32_(if_in_errors),
    WEIR_U32_(if_in_unknown_protos),
    WEIR_U64_(if_out_octets),
    WEIR_U32_(if_out_ucast_pkts),
    WEIR_U32_(if_out_multicast_pkts),
    WEIR_U32_(if_out_broadcast_pkts),
    WEIR_U32_(if_out_discards),
    WEIR_U32_(if_out_errors),
    WEIR_U32_(if_promiscuous_mode),
};
inline constexpr CounterField kEthernet[] = {
    WEIR_U32_(alignment_errors),
    WEIR_U32_(fcs_errors),
    WEIR_U32_(single_collision_frames),
    WEIR_U32_(multiple_collision_frames),
    WEIR_U32_(sqe_test_errors),
    WEIR_U32_(deferred_transmissions),
    WEIR_U32_(late_collisions),
    WEIR_U32_(excessive_collisions),
    WEIR_U32_(internal_mac_transmit_errors),
    WEIR_U32_(carrier_sense_errors),
    WEIR_U32_(frame_too_longs),
    WEIR_U32_(internal_mac_receive_errors),
    WEIR_U32_(symbol_errors),
};
inline constexpr CounterField kVlan[] = {
    WEIR_U32_(vlan_id),        WEIR_U64_(octets),         WEIR_U32_(ucast_pkts),
    WEIR_U32_(multicast_pkts), WEIR_U32_(broadcast_pkts), WEIR_U32_(discards),
};
inline constexpr CounterField kIeee80211[] = {
    WEIR_U32_(transmitted_fragments),
    WEIR_U32_(multicast_transmitted_frames),
    WEIR_U32_(failed),
    WEIR_U32_(retries),
    WEIR_U32_(multiple_retries),
    WEIR_U32_(frame_duplicates),
    WEIR_U32_(rts_success),
    WEIR_U32_(rts_failures),
    WEIR_U32_(ack_failures),
    WEIR_U32_(received_fragments),
    WEIR_U32_(multicast_received_frames),
    WEIR_U32_(fcs_errors),
    WEIR_U32_(transmitted_frames),
    WEIR_U32_(wep_undecryptables),
    WEIR_U32_(qos_discarded_fragments),
    WEIR_U32_(associated_stations),
    WEIR_U32_(qos_cf_polls_received),
    WEIR_U32_(qos_cf_polls_unused),
    WEIR_U32_(qos_cf_polls_unusable),
    WEIR_U32_(qos_cf_polls_lost),
};
inline constexpr CounterField kLag[] = {
    {"actor_system_mac", CounterType::mac},
    {"partner_oper_system_mac", CounterType::mac},
    WEIR_U32_(attached_agg_id),
    WEIR_U32_(port_state),
    WEIR_U32_(lacp_pdus_rx),
    WEIR_U32_(marker_pdus_rx),
    WEIR_U32_(marker_response_pdus_rx),
    WEIR_U32_(unknown_rx),
    WEIR_U32_(illegal_rx),
    WEIR_U32_(lacp_pdus_tx),
    WEIR_U32_(marker_pdus_tx),
    WEIR_U32_(marker_response_pdus_tx),
};
inline constexpr CounterField kOptical[] = {
    WEIR_U32_(module_id),
    WEIR_U32_(num_lanes),
    WEIR_U32_(supply_voltage),
    {"temperature", CounterType::i32},
};
inline constexpr CounterField kLane[] = {
    WEIR_U32_(index),         WEIR_U32_(tx_bias_current), WEIR_U32_(tx_power),
    WEIR_U32_(tx_power_min),  WEIR_U32_(tx_power_max),    WEIR_U32_(tx_wavelength),
    WEIR_U32_(rx_power),      WEIR_U32_(rx_power_min),    WEIR_U32_(rx_power_max),
    WEIR_U32_(rx_wavelength),
};
inline constexpr CounterField kProcessor[] = {
    WEIR_U32_(cpu_5s),       WEIR_U32_(cpu_1m),      WEIR_U32_(cpu_5m),
    WEIR_U64_(total_memory), WEIR_U64_(free_memory),
};
inline constexpr CounterField kRadio[] = {
    WEIR_U32_(elapsed_time),
    WEIR_U32_(on_channel_time),
    WEIR_U32_(on_channel_busy_time),
};
inline constexpr CounterField kQueue[] = {
    WEIR_U32_(queue_index), WEIR_U32_(segment_size), WEIR_U32_(queue_segments),
    WEIR_U32_(length_0),    WEIR_U32_(length_1),     WEIR_U32_(length_2),
    WEIR_U32_(length_4),    WEIR_U32_(length_8),     WEIR_U32_(length_32),
    WEIR_U32_(length_128),  WEIR_U32_(length_1024),  WEIR_U32_(length_more),
    WEIR_U32_(dropped),
};
inline constexpr CounterField kOpenflowPort[] = {WEIR_U64_(datapath_id), WEIR_U32_(port_no)};
inline constexpr CounterField kPortName[] = {{"name", CounterType::text}};
inline constexpr CounterField kHost[] = {
    {"hostname", CounterType::text},   {"uuid", CounterType::uuid},
    WEIR_U32_(machine_type),           WEIR_U32_(os_name),
    {"os_release", CounterType::text},
};
inline constexpr CounterField kAdapter[] = {
    WEIR_U32_(if_index),
    {"mac_addresses", CounterType::macs},
};
inline constexpr CounterField kHostParent[] = {
    WEIR_U32_(container_type),
    WEIR_U32_(container_index),
};
inline constexpr CounterField kHostCpu[] = {
    {"load_one", CounterType::f32},
    {"load_five", CounterType::f32},
    {"load_fifteen", CounterType::f32},
    WEIR_U32_(proc_run),
    WEIR_U32_(proc_total),
    WEIR_U32_(cpu_num),
    WEIR_U32_(cpu_speed),
    WEIR_U32_(uptime),
    WEIR_U32_(cpu_user),
    WEIR_U32_(cpu_nice),
    WEIR_U32_(cpu_system),
    WEIR_U32_(cpu_idle),
    WEIR_U32_(cpu_wio),
    WEIR_U32_(cpu_intr),
    WEIR_U32_(cpu_sintr),
    WEIR_U32_(interrupts),
    WEIR_U32_(contexts),
    WEIR_U32_(cpu_steal),
    WEIR_U32_(cpu_guest),
    WEIR_U32_(cpu_guest_nice),
};
inline constexpr size_t kHostCpuRequired = 17;
inline constexpr CounterField kHostMemory[] = {
    WEIR_U64_(mem_total),  WEIR_U64_(mem_free),   WEIR_U64_(mem_shared), WEIR_U64_(mem_buffers),
    WEIR_U64_(mem_cached), WEIR_U64_(swap_total), WEIR_U64_(swap_free),  WEIR_U32_(page_in),
    WEIR_U32_(page_out),   WEIR_U32_(swap_in),    WEIR_U32_(swap_out),
};
inline constexpr CounterField kHostDisk[] = {
    WEIR_U64_(disk_total), WEIR_U64_(disk_free),     WEIR_U32_(part_max_used),
    WEIR_U32_(reads),      WEIR_U64_(bytes_read),    WEIR_U32_(read_time),
    WEIR_U32_(writes),     WEIR_U64_(bytes_written), WEIR_U32_(write_time),
};
inline constexpr CounterField kNet[] = {
    WEIR_U64_(bytes_in),  WEIR_U32_(packets_in),  WEIR_U32_(errors_in),  WEIR_U32_(drops_in),
    WEIR_U64_(bytes_out), WEIR_U32_(packets_out), WEIR_U32_(errors_out), WEIR_U32_(drops_out),
};
inline constexpr CounterField kVirtualNode[] = {
    WEIR_U32_(mhz),         WEIR_U32_(cpus),        WEIR_U64_(memory),
    WEIR_U64_(memory_free), WEIR_U32_(num_domains),
};
inline constexpr CounterField kVirtualCpu[] = {
    WEIR_U32_(state),
    WEIR_U32_(cpu_time),
    WEIR_U32_(virtual_cpus),
};
inline constexpr CounterField kVirtualMemory[] = {WEIR_U64_(memory), WEIR_U64_(max_memory)};
inline constexpr CounterField kVirtualDisk[] = {
    WEIR_U64_(capacity),      WEIR_U64_(allocation), WEIR_U64_(available),
    WEIR_U32_(read_requests), WEIR_U64_(read_bytes), WEIR_U32_(write_requests),
    WEIR_U64_(write_bytes),   WEIR_U32_(errors),
};
inline constexpr CounterField kAppResources[] = {
    WEIR_U32_(user_time), WEIR_U32_(system_time), WEIR_U64_(mem_used),  WEIR_U64_(mem_max),
    WEIR_U32_(fd_open),   WEIR_U32_(fd_max),      WEIR_U32_(conn_open), WEIR_U32_(conn_max),
};
inline constexpr CounterField kOvsDatapath[] = {
    WEIR_U32_(hits),      WEIR_U32_(misses), WEIR_U32_(lost),
    WEIR_U32_(mask_hits), WEIR_U32_(flows),  WEIR_U32_(masks),
};

#undef WEIR_U32_
#undef WEIR_U64_

constexpr CounterLayout plain(uint32_t format, uint32_t field,
                              std::span<const CounterField> fields) {
  return {format, field, fields, fields.size(), {}, CounterBlocks::one};
}

}  // namespace counter

/// In the order of their fields.
inline constexpr CounterLayout kCounterLayouts[] = {
    counter::plain(1, 20, counter::kInterface),
    counter::plain(2, 21, counter::kEthernet),
    counter::plain(5, 22, counter::kVlan),
    counter::plain(6, 23, counter::kIeee80211),
    counter::plain(7, 24, counter::kLag),
    {10, 25, counter::kOptical, 4, counter::kLane, CounterBlocks::one},
    counter::plain(1001, 26, counter::kProcessor),
    counter::plain(1002, 27, counter::kRadio),
    {1003, 28, counter::kQueue, 13, {}, CounterBlocks::many},
    counter::plain(1004, 29, counter::kOpenflowPort),
    counter::plain(1005, 30, counter::kPortName),
    counter::plain(2000, 31, counter::kHost),
    {2001, 32, {}, 0, counter::kAdapter, CounterBlocks::one},
    counter::plain(2002, 33, counter::kHostParent),
    {2003, 34, counter::kHostCpu, counter::kHostCpuRequired, {}, CounterBlocks::one},
    counter::plain(2004, 35, counter::kHostMemory),
    counter::plain(2005, 36, counter::kHostDisk),
    counter::plain(2006, 37, counter::kNet),
    counter::plain(2100, 38, counter::kVirtualNode),
    counter::plain(2101, 39, counter::kVirtualCpu),
    counter::plain(2102, 40, counter::kVirtualMemory),
    counter::plain(2103, 41, counter::kVirtualDisk),
    counter::plain(2104, 42, counter::kNet),
    counter::plain(2203, 43, counter::kAppResources),
    counter::plain(2207, 44, counter::kOvsDatapath),
};

/// Null where the format is none of them.
constexpr const CounterLayout* counter_layout(uint32_t format) noexcept {
  for (const CounterLayout& layout : kCounterLayouts) {
    if (layout.format == format) return &layout;
  }
  return nullptr;
}

/// One value as the wire has it.
struct CounterValue {
  uint64_t number = 0;                // u32, i32 (sign-extended), u64, f32 (its bits), mac
  std::span<const uint8_t> octets{};  // macs (eight each), uuid, text
};

inline CounterValue read_counter(XdrReader& in, CounterType type) noexcept {
  switch (type) {
    case CounterType::u32:
    case CounterType::f32: return {in.u32(), {}};
    case CounterType::i32: return {static_cast<uint64_t>(static_cast<int32_t>(in.u32())), {}};
    case CounterType::u64: return {in.u64(), {}};
    case CounterType::mac: {
      const auto octets = in.fixed(6);
      return {octets.empty() ? 0 : load_be(octets.data(), 6), {}};
    }
    case CounterType::macs: {
      const uint32_t count = in.u32();
      if (count > kCounterElementsMax) {
        in.fail();
        return {};
      }
      return {0, in.fixed(8 * count)};
    }
    case CounterType::uuid: return {0, in.fixed(16)};
    case CounterType::text: return {0, in.variable()};
  }
  return {};
}

/// Tells `visitor` the values of a block, in their order:
///   on_value(number, type, value); begin_element(number) and end_element() around each of a list's.
/// False where the block ends too early or a list is too long: what was told is not all.
/// `in.left()` is what the block has beyond that.
template <class Visitor>
bool walk_counters(const CounterLayout& layout, XdrReader& in, Visitor&& visitor) noexcept {
  const auto values = [&](std::span<const CounterField> fields, size_t required) {
    for (size_t i = 0; i < fields.size(); ++i) {
      if (i >= required && in.left() == 0) return true;
      const CounterValue value = read_counter(in, fields[i].type);
      if (!in.ok()) return false;
      visitor.on_value(static_cast<uint32_t>(i + 1), fields[i].type, value);
    }
    return true;
  };
  if (!values(layout.fields, layout.required)) return false;
  if (layout.element.empty()) return true;
  const uint32_t count = in.u32();
  if (!in.ok() || count > kCounterElementsMax) return false;
  for (uint32_t i = 0; i < count; ++i) {
    visitor.begin_element(static_cast<uint32_t>(layout.fields.size() + 1));
    if (!values(layout.element, layout.element.size())) return false;
    visitor.end_element();
  }
  return true;
}

}  // namespace weir
