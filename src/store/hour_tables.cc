#include "store/hour_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "store/schema.h"

namespace weir::store {

namespace {

constexpr std::string_view kHourTablePrefix = "flow_h";

// PERF: DuckDB 1.4 unpacks a bit-packed UUID in about a microsecond, so addresses lie as they are: a scan of ten million takes
// 0.2 s instead of 12 s on two cores (BLOB with FSST: 0.6 s), grouping by a million of them 2.8 s instead of 11 s (BLOB: 3.0 s).
std::string column_ddl(Column column) {
  const ColumnSpec& spec = columns()[static_cast<size_t>(column)];
  return fmt::format("{} {}{}", spec.name, sql_type(spec.type),
                     spec.type == ColumnType::address ? " USING COMPRESSION uncompressed" : "");
}

/// Nothing where it is no table of an hour.
bool read_hour(std::string_view table, int64_t& hour) {
  if (!table.starts_with(kHourTablePrefix)) return false;
  const char* const end = table.data() + table.size();
  const auto [parsed_to, error] = std::from_chars(table.data() + kHourTablePrefix.size(), end, hour);
  return error == std::errc() && parsed_to == end;
}

bool read_column(std::string_view name, Column& column) {
  const auto at = std::find_if(columns().begin(), columns().end(), [&](const ColumnSpec& spec) { return spec.name == name; });
  if (at == columns().end()) return false;
  column = static_cast<Column>(at - columns().begin());
  return true;
}

using ColumnsByHour = std::map<int64_t, std::vector<Column>>;

Result<ColumnsByHour> columns_by_hour(Connection& connection) {
  auto rows = connection.query(
      "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = current_database() AND NOT internal "
      "AND starts_with(table_name, 'flow_h') ORDER BY table_name, column_index");
  if (!rows) return rows.error();
  ColumnsByHour found;
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error();
    if (!*chunk) return found;
    for (size_t row = 0; row < chunk->rows(); ++row) {
      int64_t hour = 0;
      Column column{};
      if (!read_hour(chunk->text(0, row), hour)) continue;
      if (!read_column(chunk->text(1, row), column)) {
        return Error{fmt::format("the store's table {} has a column {} that this program does not know", chunk->text(0, row), chunk->text(1, row))};
      }
      found[hour].push_back(column);
    }
  }
}

/// In the caller's transaction.
Result<void> open_hour(Connection& connection, int64_t hour, const HourTable* there, const ColumnSet& needed, const ColumnSet& likely) {
  if (there == nullptr) {
    ColumnSet all = needed | likely;
    all.set(static_cast<size_t>(Column::time));
    auto made = connection.execute(fmt::format("CREATE TABLE {} ({}); INSERT INTO flow_hours VALUES ({}, 0, true)", hour_table(hour),
                                               columns_ddl(all), hour));
    if (!made) return made.error();
    return {};
  }
  const ColumnSet missing = needed & ~there->set();
  for (size_t i = 0; i < kColumns; ++i) {
    if (!missing[i]) continue;
    auto added = connection.execute(fmt::format("ALTER TABLE {} ADD COLUMN {}", hour_table(hour), column_ddl(static_cast<Column>(i))));
    if (!added) return added.error();
  }
  if (there->is_open) return {};
  auto opened = connection.execute(fmt::format("UPDATE flow_hours SET is_open = true WHERE hour = {}", hour));
  if (!opened) return opened.error();
  return {};
}

}  // namespace

ColumnSet HourTable::set() const noexcept {
  ColumnSet set;
  for (const Column column : columns) set.set(static_cast<size_t>(column));
  return set;
}

std::string columns_ddl(const ColumnSet& set) {
  std::string ddl;
  for (size_t i = 0; i < kColumns; ++i) {
    if (set[i]) ddl += fmt::format("{}{}", ddl.empty() ? "" : ", ", column_ddl(static_cast<Column>(i)));
  }
  return ddl;
}

std::string hour_table(int64_t hour) { return std::string(kHourTablePrefix) + std::to_string(hour); }

Result<std::vector<HourTable>> hour_tables(Connection& connection) {
  auto columns = columns_by_hour(connection);
  if (!columns) return columns.error();
  auto rows = connection.query("SELECT hour, is_open FROM flow_hours ORDER BY hour");
  if (!rows) return rows.error();
  std::vector<HourTable> tables;
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error();
    if (!*chunk) return tables;
    for (size_t row = 0; row < chunk->rows(); ++row) {
      const auto hour = chunk->at<int64_t>(0, row);
      tables.push_back({hour, chunk->at<bool>(1, row), std::move((*columns)[hour])});
    }
  }
}

std::string every_column(const ColumnSet& has) {
  std::string list;
  for (size_t i = 0; i < kColumns; ++i) {
    const ColumnSpec& spec = columns()[i];
    if (i != 0) list += ", ";
    if (!has[i]) list += fmt::format("NULL::{} AS ", sql_type(spec.type));
    list += spec.name;
  }
  return list;
}

std::string hour_rows(const HourTable& table, std::string_view condition) {
  std::string sql = fmt::format("SELECT {} FROM {}", every_column(table.set()), hour_table(table.hour));
  if (!condition.empty()) sql += fmt::format(" WHERE {}", condition);
  return sql;
}

Result<void> open_hours(Connection& connection, std::span<const int64_t> hours, const ColumnSet& needed, const ColumnSet& likely) {
  return retry_conflicts(connection, [&]() -> Result<void> {
    const auto tables = hour_tables(connection);
    if (!tables) return tables.error();
    for (const int64_t hour : hours) {
      const auto there = std::find_if(tables->begin(), tables->end(), [&](const HourTable& table) { return table.hour == hour; });
      auto opened = open_hour(connection, hour, there == tables->end() ? nullptr : &*there, needed, likely);
      if (!opened) return opened;
    }
    return make_views(connection);
  });
}

Result<bool> hold_hours(Connection& connection, std::span<const int64_t> hours) {
  std::string list;
  for (const int64_t hour : hours) list += fmt::format("{}{}", list.empty() ? "" : ",", hour);
  auto held = connection.execute(fmt::format("UPDATE flow_hours SET commits = commits + {} WHERE is_open AND hour IN ({})", kAppendInCommits, list));
  if (held) return *held == hours.size();
  if (is_conflict(held.error())) return false;
  return held.error();
}

Result<void> close_hour(Connection& connection, int64_t hour) {
  // `commits` as well: DuckDB lets two transactions change one row in different columns. And to another value: to write what is on the disk
  // already is no change, and an append that began before would not meet it.
  auto closed = connection.execute(fmt::format("UPDATE flow_hours SET is_open = false, commits = commits + 1 WHERE hour = {}", hour));
  if (!closed) return closed.error();
  return {};
}

Result<void> drop_hour(Connection& connection, int64_t hour) {
  // A DELETE does not meet another transaction's UPDATE in DuckDB; an UPDATE does.
  auto dropped = connection.execute(fmt::format(
      "UPDATE flow_hours SET commits = -1 WHERE hour = {0}; DELETE FROM flow_hours WHERE hour = {0}; "
      "DELETE FROM rollup_folds WHERE hour = {0}; DROP TABLE {1}", hour,
      hour_table(hour)));
  if (!dropped) return dropped.error();
  return {};
}

}  // namespace weir::store
