#include "store/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "export/protocol_names.h"
#include "store/rollups.h"

namespace weir::store {

namespace {

/// Tables that are there whatever lies in them. What is deleted and comes again has no key: DuckDB would refuse it for as long as anybody
/// reads who began before.
std::string fixed_tables_ddl() {
  return "CREATE TABLE flow_none (" + columns_ddl(all_columns()) + ");"
         // Who appends to an hour's table counts here, who drops it deletes: they meet, as they do not at the table itself.
         "CREATE TABLE flow_hours (hour BIGINT NOT NULL, commits BIGINT NOT NULL, is_open BOOLEAN DEFAULT true);"
         // state: kept (in the views), retired (replaced or too old; still on the disk for those who read it), broken, damaged. crc32c: of its
         // octets, NULL until somebody has read them; checked: when they were held against it last, 0: never.
         "CREATE TABLE history_files (path VARCHAR PRIMARY KEY, hour BIGINT NOT NULL, rows BIGINT NOT NULL,"
         " octets BIGINT NOT NULL, state VARCHAR NOT NULL, trouble VARCHAR NOT NULL, changed BIGINT NOT NULL, crc32c BIGINT, checked BIGINT DEFAULT 0);"
         "CREATE TABLE exporters (sampler_address UUID PRIMARY KEY, name VARCHAR, site VARCHAR);"
         "CREATE TABLE exporter_interfaces (sampler_address UUID, if_index BIGINT, name VARCHAR, description VARCHAR,"
         " speed BIGINT, PRIMARY KEY (sampler_address, if_index));" +
         rollup_tables_ddl();
}

/// Numbers to texts by place in a list: a join for each row would cost more.
std::string protocol_list() {
  std::string list = "[";
  for (unsigned number = 0; number < 256; ++number) {
    const std::string_view keyword = outbound::protocol_name(static_cast<uint8_t>(number));
    std::string lower;
    for (const char c : keyword) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    list += fmt::format("{}{}", number == 0 ? "" : ",", lower.empty() ? "NULL" : sql_text(lower));
  }
  return list + "]";
}

/// What people type: addresses, protocols, sources and directions as text, counters scaled, names beside numbers.
std::string friendly_view(std::string_view name) {
  // As SRQL scales them: a product that BIGINT does not hold stays at its greatest, and fails nobody's question.
  const auto scaled = [](std::string_view raw, std::string_view as) {
    return fmt::format("CASE WHEN r.{0} IS NOT NULL THEN least(r.{0}::HUGEINT * greatest(coalesce(r.sampling_rate, 0), 1), "
                       "9223372036854775807)::BIGINT END AS {1}, ", raw, as);
  };
  return "CREATE OR REPLACE VIEW " + std::string(name) + " AS SELECT r.time, r.start_time, r.end_time, r.received_time, "
         "CASE WHEN r.end_time >= r.start_time THEN (epoch_us(r.end_time) - epoch_us(r.start_time)) // 1000 WHEN r.end_time < r.start_time THEN 0 END AS duration_ms, "
         "ip_text(r.src_endpoint_addr) AS src_endpoint_ip, ip_text(r.dst_endpoint_addr) AS dst_endpoint_ip, "
         "r.src_endpoint_port, r.dst_endpoint_port, r.protocol_num, "
         "coalesce(CASE WHEN r.protocol_num BETWEEN 0 AND 255 THEN (" + protocol_list() + ")[r.protocol_num + 1] END, r.protocol_num::VARCHAR) AS protocol_name, "
         "CASE r.protocol_num WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' ELSE 'other' END AS protocol_group, "
         "r.bytes_total, r.packets_total, r.bytes_raw, r.packets_raw, "
         + scaled("bytes_in_raw", "bytes_in") + scaled("bytes_out_raw", "bytes_out") + scaled("packets_in_raw", "packets_in") +
         scaled("packets_out_raw", "packets_out") +
         "r.sampling_rate, r.tcp_flags, r.ip_tos, r.ip_tos >> 2 AS dscp, r.ip_ttl, r.icmp_type, r.icmp_code, "
         "mac_text(r.src_mac) AS src_mac, mac_text(r.dst_mac) AS dst_mac, r.vlan_id, r.src_vlan, r.dst_vlan, "
         "r.src_as, r.dst_as, r.next_hop_as, ip_text(r.next_hop) AS next_hop, ip_text(r.bgp_next_hop) AS bgp_next_hop, "
         "r.src_net, r.dst_net, r.as_path, r.bgp_communities, "
         "ip_text(r.sampler_address) AS sampler_address, e.name AS exporter_name, r.observation_domain_id, "
         "r.in_if, r.out_if, i.name AS in_if_name, o.name AS out_if_name, "
         "CASE r.flow_source WHEN 1 THEN 'sFlow v5' WHEN 2 THEN 'NetFlow v5' WHEN 3 THEN 'NetFlow v9' WHEN 4 THEN 'IPFIX'"
         " WHEN 1001 THEN 'NetFlow v1' WHEN 1007 THEN 'NetFlow v7' WHEN 1012 THEN 'sFlow v2' WHEN 1014 THEN 'sFlow v4' WHEN 0 THEN 'unknown'"
         " ELSE r.flow_source::VARCHAR END AS flow_source, "
         "CASE r.direction_id WHEN 1 THEN 'ingress' WHEN 2 THEN 'egress' WHEN 3 THEN 'bidirectional'"
         " WHEN 4 THEN 'bidirectional' ELSE 'unknown' END AS direction, "
         "r.observed_direction, r.flow_end_reason, r.forwarding_status, r.app, r.server_name, r.user_name, r.partition, "
         "coalesce(e.site, r.site) AS site, r.src_country, r.dst_country, r.src_tags, r.dst_tags, r.labels, "
         "r.threat_matched, ip_text(r.nat_src_addr) AS nat_src_ip, ip_text(r.nat_dst_addr) AS nat_dst_ip, "
         "r.nat_src_port, r.nat_dst_port, r.nat_event, r.firewall_event, r.remainder "
         "FROM flow_rows r LEFT JOIN exporters e ON e.sampler_address = r.sampler_address "
         "LEFT JOIN exporter_interfaces i ON i.sampler_address = r.sampler_address AND i.if_index = r.in_if "
         "LEFT JOIN exporter_interfaces o ON o.sampler_address = r.sampler_address AND o.if_index = r.out_if";
}

constexpr const char* kNetflowView =
    "CREATE OR REPLACE VIEW netflow AS SELECT time AS timestamp, ip_text(src_endpoint_addr) AS src_ip, "
    "ip_text(dst_endpoint_addr) AS dst_ip, src_endpoint_port AS src_port, dst_endpoint_port AS dst_port, "
    "protocol_num AS protocol, bytes_total AS bytes FROM flow_rows";

Result<int64_t> number_of(Connection& connection, const std::string& sql) {
  auto rows = connection.query(sql);
  if (!rows) return rows.error();
  auto chunk = rows->next();
  if (!chunk) return chunk.error();
  return *chunk && !chunk->is_null(0, 0) ? chunk->at<int64_t>(0, 0) : 0;
}

/// What makes a version's schema of the one's before it: the first of the list, version 2 of version 1.
constexpr const char* kUpgrades[] = {
    "ALTER TABLE flow_hours ADD COLUMN is_open BOOLEAN DEFAULT true",
    // Without keys.
    "CREATE TABLE hours_3 (hour BIGINT NOT NULL, commits BIGINT NOT NULL, is_open BOOLEAN DEFAULT true);"
    "INSERT INTO hours_3 FROM flow_hours; DROP TABLE flow_hours; ALTER TABLE hours_3 RENAME TO flow_hours;"
    "CREATE TABLE folds_3 (hour BIGINT NOT NULL, folded BIGINT NOT NULL);"
    "INSERT INTO folds_3 FROM rollup_folds; DROP TABLE rollup_folds; ALTER TABLE folds_3 RENAME TO rollup_folds;"
    "CREATE TABLE IF NOT EXISTS identity_sources (source VARCHAR, runs VARCHAR, seen BIGINT);"
    "CREATE TABLE sources_3 (source VARCHAR NOT NULL, runs VARCHAR NOT NULL, seen BIGINT NOT NULL);"
    "INSERT INTO sources_3 FROM identity_sources; DROP TABLE identity_sources; ALTER TABLE sources_3 RENAME TO identity_sources",
    // Sums of files' octets: those that are there get theirs when they are read through.
    "ALTER TABLE history_files ADD COLUMN crc32c BIGINT; ALTER TABLE history_files ADD COLUMN checked BIGINT DEFAULT 0",
    // What was forgotten before, and where that was more than the configuration of now says, nobody knows.
    "ALTER TABLE rollup_state ADD COLUMN minutes_from BIGINT DEFAULT 0; ALTER TABLE rollup_state ADD COLUMN hours_from BIGINT DEFAULT 0;"
    "ALTER TABLE rollup_state ADD COLUMN days_from BIGINT DEFAULT 0; ALTER TABLE rollup_state ADD COLUMN flows_from BIGINT DEFAULT 0",
    // In which hours of a day an address was there: of days that are there nobody knows.
    "ALTER TABLE rolled_src_1d ADD COLUMN hours INTEGER; ALTER TABLE rolled_dst_1d ADD COLUMN hours INTEGER",
    // Nor of days that are not there any more: versions before the fifth forgot days and did not write down which.
    "ALTER TABLE rollup_state ADD COLUMN day_hours_from BIGINT DEFAULT 0; UPDATE rollup_state SET day_hours_from = days",
};
static_assert(std::size(kUpgrades) == kSchemaVersion - 1);

/// Step by step, each in a transaction with the version that it makes.
Result<void> upgrade(Connection& connection, int64_t version) {
  if (version < 1 || version > kSchemaVersion) {
    return Error{fmt::format("the store has schema version {}, this program knows 1 to {}", version, kSchemaVersion)};
  }
  for (; version < kSchemaVersion; ++version) {
    auto stepped = connection.execute(fmt::format("BEGIN; {}; UPDATE weir_schema SET version = {}; COMMIT", kUpgrades[version - 1], version + 1));
    if (!stepped) return stepped.error();
  }
  return {};
}

/// Those that only name other views: they stay as they are while hours and files come and go.
Result<void> make_lasting_views(Connection& connection) {
  auto views = rollup_views(connection);
  if (!views) return views.error();
  views->push_back(friendly_view("flows"));
  views->push_back(friendly_view("ocsf_network_activity"));
  views->push_back(kNetflowView);
  for (const std::string& sql : *views) {
    if (auto made = connection.execute(sql); !made) return made.error();
  }
  return {};
}

}  // namespace

Result<void> prepare_schema(Connection& connection) {
  const auto tables = number_of(connection, "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'weir_schema'");
  if (!tables) return tables.error();
  if (*tables == 0) {
    auto made = connection.execute("BEGIN; CREATE TABLE weir_schema (version BIGINT NOT NULL); INSERT INTO weir_schema VALUES (" +
                                   std::to_string(kSchemaVersion) + ");" + fixed_tables_ddl() + "COMMIT;");
    if (!made) return made.error();
  } else {
    const auto version = number_of(connection, "SELECT max(version) FROM weir_schema");
    if (!version) return version.error();
    if (auto upgraded = upgrade(connection, *version); !upgraded) return upgraded;
  }
  return retry_conflicts(connection, [&]() -> Result<void> {
    if (auto views = make_views(connection); !views) return views;
    return make_lasting_views(connection);
  });
}

std::string rows_sql(std::span<const HourTable> tables, std::span<const KeptFile> files) {
  std::string sql = "FROM flow_none";
  for (const HourTable& table : tables) sql += " UNION ALL " + hour_rows(table);
  if (!files.empty()) {
    std::string list;
    for (const KeptFile& file : files) list += fmt::format("{}{}", list.empty() ? "" : ",", sql_text(file.path));
    std::string names;
    for (const ColumnSpec& column : columns()) names += fmt::format("{}{}", names.empty() ? "" : ",", column.name);
    sql += fmt::format(" UNION ALL SELECT {} FROM read_parquet([{}], hive_partitioning = false, union_by_name = false)",
                       names, list);
  }
  return sql;
}

Result<std::vector<KeptFile>> kept_files(Connection& connection) {
  auto rows = connection.query("SELECT path, octets, hour FROM history_files WHERE state = 'kept' ORDER BY hour, path");
  if (!rows) return rows.error();
  std::vector<KeptFile> files;
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error();
    if (!*chunk) return files;
    for (size_t row = 0; row < chunk->rows(); ++row) files.push_back({std::string(chunk->text(0, row)), chunk->at<int64_t>(1, row), chunk->at<int64_t>(2, row)});
  }
}

bool looks_whole(const KeptFile& file) noexcept {
  std::error_code failed;
  const auto octets = std::filesystem::file_size(file.path, failed);
  return !failed && static_cast<int64_t>(octets) == file.octets;
}

Result<void> make_views(Connection& connection) {
  const auto tables = hour_tables(connection);
  if (!tables) return tables.error();
  auto files = kept_files(connection);
  if (!files) return files.error();
  // One that was taken away or cut short must not take the others with it. From now on its rows are in no answer, and each says so.
  const auto gone = std::stable_partition(files->begin(), files->end(), looks_whole);
  for (auto file = gone; file != files->end(); ++file) {
    auto noted = connection.execute("UPDATE history_files SET state = 'broken', trouble = '' WHERE state = 'kept' AND path = " + sql_text(file->path));
    if (!noted) return noted.error();
  }
  files->erase(gone, files->end());
  const auto tail = tail_view(connection, *tables);
  if (!tail) return tail.error();
  for (const std::string& sql : {"CREATE OR REPLACE VIEW flow_rows AS " + rows_sql(*tables, *files), *tail}) {
    if (auto made = connection.execute(sql); !made) return made.error();
  }
  return {};
}

}  // namespace weir::store
