// columns.h — What the store keeps of a flow: the columns of its row.
//
// Spec:     docs/STORE.md, "Columns".
// Runs on:  any thread.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace weir::store {

enum class ColumnType : uint8_t { time, address, number, big_number, truth, text, big_numbers, texts };

// X(name, type). The order is that of chunks, of files' columns, and, from 1, of their field ids. A new column goes to the
// end, with a step of upgrade().
// clang-format off
#define WEIR_STORE_COLUMNS(X)                                                                                  \
  X(time, time) X(start_time, time) X(end_time, time) X(received_time, time)                                   \
  X(src_endpoint_addr, address) X(dst_endpoint_addr, address)                                                  \
  X(src_endpoint_port, number) X(dst_endpoint_port, number) X(protocol_num, number) X(tcp_flags, number)       \
  X(ip_tos, number) X(ip_ttl, number) X(icmp_type, number) X(icmp_code, number)                                \
  X(bytes_total, big_number) X(packets_total, big_number) X(bytes_raw, big_number) X(packets_raw, big_number)  \
  X(bytes_in_raw, big_number) X(bytes_out_raw, big_number)                                                     \
  X(packets_in_raw, big_number) X(packets_out_raw, big_number) X(sampling_rate, big_number)                    \
  X(src_mac, big_number) X(dst_mac, big_number) X(vlan_id, number) X(src_vlan, number) X(dst_vlan, number)     \
  X(src_as, big_number) X(dst_as, big_number) X(next_hop_as, big_number)                                       \
  X(next_hop, address) X(bgp_next_hop, address) X(src_net, number) X(dst_net, number)                          \
  X(as_path, big_numbers) X(bgp_communities, big_numbers)                                                      \
  X(sampler_address, address) X(observation_domain_id, big_number) X(in_if, big_number) X(out_if, big_number)  \
  X(flow_source, number) X(direction_id, number) X(observed_direction, number) X(flow_end_reason, number)      \
  X(forwarding_status, number) X(app, text) X(server_name, text) X(user_name, text) X(partition, text)         \
  X(site, text) X(src_country, text) X(dst_country, text) X(src_tags, texts) X(dst_tags, texts)                \
  X(labels, texts) X(threat_matched, truth) X(nat_src_addr, address) X(nat_dst_addr, address)                  \
  X(nat_src_port, number) X(nat_dst_port, number) X(nat_event, number) X(firewall_event, number)               \
  X(remainder, text)
// clang-format on

#define WEIR_STORE_COLUMN_NAME_(name, type) name,
enum class Column : uint8_t { WEIR_STORE_COLUMNS(WEIR_STORE_COLUMN_NAME_) count_ };
#undef WEIR_STORE_COLUMN_NAME_
inline constexpr size_t kColumns = static_cast<size_t>(Column::count_);

struct ColumnSpec {
  std::string_view name;
  ColumnType type;
};
std::span<const ColumnSpec, kColumns> columns() noexcept;

/// As DDL names it: UUID for an address.
std::string_view sql_type(ColumnType type) noexcept;

using ColumnSet = std::bitset<kColumns>;
inline ColumnSet all_columns() noexcept { return ColumnSet().set(); }

}  // namespace weir::store
