// schema.h — What the store keeps: columns of a flow's row, tables, and the views that questions are asked of.
//
// Spec:     docs/STORE.md, "Schema".
// Runs on:  whoever holds a Connection that may write.
// Failure:  an Error in DuckDB's words; the transaction that the caller began is his to roll back.
//
// Rows lie in one table an hour of `time`, which is dropped as a whole when it has become a file. What is asked is
// views over them all, made anew in the transaction in which tables or files come and go.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/database.h"

namespace weir::store {

inline constexpr int kSchemaVersion = 1;
inline constexpr int64_t kMicrosPerHour = 3'600'000'000;

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

/// `flow_h<hour>`: hours since the epoch.
std::string hour_table(int64_t hour);
constexpr int64_t hour_of(int64_t micros) noexcept {
  return micros >= 0 ? micros / kMicrosPerHour : -((-micros + kMicrosPerHour - 1) / kMicrosPerHour);
}

/// Makes what is not there, and what an older version left into this one's. A newer version's is an Error.
Result<void> prepare_schema(Connection& connection);

/// An empty table for an hour's rows; nothing where it is there. In the caller's transaction, who makes the views anew in it.
Result<void> make_hour_table(Connection& connection, int64_t hour);

/// The same for several, with the views, in transactions of its own: again while another connection makes views, too.
Result<void> open_hours(Connection& connection, std::span<const int64_t> hours);

/// In the transaction that appends to their tables: from now to its end nobody drops one (DuckDB would let him, and the rows were
/// gone). False where one has been dropped already, or is just being: roll back, open_hours, and begin again.
Result<bool> hold_hours(Connection& connection, std::span<const int64_t> hours);

/// Drops its table, in the caller's transaction, who makes the views anew in it. An Error that is a conflict where somebody
/// appends just now.
Result<void> drop_hour(Connection& connection, int64_t hour);

/// A file of rows that questions are asked of.
struct KeptFile {
  std::string path;
  int64_t octets = 0;
};
Result<std::vector<KeptFile>> kept_files(Connection& connection);
/// It is there and as long as it was.
bool looks_whole(const KeptFile& file) noexcept;

/// Of the tables that there are.
Result<std::vector<int64_t>> hours_of(Connection& connection);

/// Over all tables and files, as they are in this transaction; a file that does not look whole is left out.
Result<void> make_views(Connection& connection);

}  // namespace weir::store
