#include "store/rollups.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>


namespace weir::store {

namespace {

constexpr std::array<RollupSpec, 6> kSpecs = {{
    {"interface", "sampler_address, in_if, out_if", ""},
    {"service", "protocol_num, dst_endpoint_port, app", ""},
    {"src", "src_endpoint_addr", "", true},
    {"dst", "dst_endpoint_addr", "", true},
    {"as", "src_as, dst_as, src_country, dst_country", ""},
    {"bgp", "sampler_address, as_path, bgp_communities, src_as, dst_as",
     "as_path IS NOT NULL OR bgp_communities IS NOT NULL"},
}};

struct Grain {
  std::string_view name;
  int64_t micros;
};
constexpr Grain kMinute = {"1m", 60'000'000};
constexpr Grain kHour = {"1h", kMicrosPerHour};
constexpr Grain kDay = {"1d", 24 * kMicrosPerHour};
constexpr std::array<Grain, 3> kGrains = {kMinute, kHour, kDay};

/// Of rows, and of rows of rollups. A sum that BIGINT does not hold stays at its greatest.
constexpr std::string_view kRowMeasures =
    "count(*)::BIGINT AS flows, least(coalesce(sum(bytes_total), 0), 9223372036854775807)::BIGINT AS bytes_total, "
    "least(coalesce(sum(packets_total), 0), 9223372036854775807)::BIGINT AS packets_total, "
    "least(coalesce(sum(bytes_raw), 0), 9223372036854775807)::BIGINT AS bytes_raw, "
    "least(coalesce(sum(packets_raw), 0), 9223372036854775807)::BIGINT AS packets_raw";
constexpr std::string_view kRollupMeasures =
    "least(sum(flows), 9223372036854775807)::BIGINT AS flows, "
    "least(sum(bytes_total), 9223372036854775807)::BIGINT AS bytes_total, "
    "least(sum(packets_total), 9223372036854775807)::BIGINT AS packets_total, "
    "least(sum(bytes_raw), 9223372036854775807)::BIGINT AS bytes_raw, "
    "least(sum(packets_raw), 9223372036854775807)::BIGINT AS packets_raw";

std::string table_of(const RollupSpec& spec, const Grain& grain) { return fmt::format("rolled_{}_{}", spec.name, grain.name); }

/// A day of an address says in which of its hours there are flows.
bool has_hours(const RollupSpec& spec, const Grain& grain) noexcept { return spec.is_of_addresses && grain.micros == kDay.micros; }

/// Beside the sums, of rows, minutes and hours alike: `time` says the hour of each. None is before 1970.
std::string_view hours_of(const RollupSpec& spec, const Grain& grain) noexcept {
  return has_hours(spec, grain) ? ", bit_or(1 << (epoch_us(time) // 3600000000 % 24)::INTEGER) AS hours" : "";
}

/// In the dimensions' order, which is that of what is inserted.
std::string dimensions_ddl(const RollupSpec& spec) {
  std::string ddl;
  for (std::string_view rest = spec.dimensions; !rest.empty();) {
    const size_t end = std::min(rest.find(", "), rest.size());
    const std::string_view name = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 2, rest.size()));
    const auto column = std::find_if(columns().begin(), columns().end(), [&](const ColumnSpec& c) { return c.name == name; });
    assert(column != columns().end());
    ddl += fmt::format("{} {}{}, ", name, sql_type(column->type),
                       column->type == ColumnType::address ? " USING COMPRESSION uncompressed" : "");
  }
  return ddl;
}

/// Integers: date_trunc asks a calendar for each row.
std::string bucket(const Grain& grain) {
  return fmt::format("make_timestamptz(epoch_us(time) // {0} * {0}) AS time", grain.micros);
}

/// `more`: behind the sums.
std::string from_rows(const RollupSpec& spec, const Grain& grain, std::string_view source, std::string_view more = {}) {
  return fmt::format("SELECT {}, {}, {}{} FROM {}{}{} GROUP BY ALL", bucket(grain), spec.dimensions, kRowMeasures, more, source,
                     spec.condition.empty() ? "" : " WHERE ", spec.condition);
}

std::string from_rollup(const RollupSpec& spec, const Grain& grain, const Grain& of, std::string_view condition, std::string_view more = {}) {
  return fmt::format("SELECT {}, {}, {}{} FROM {} WHERE {} GROUP BY ALL", bucket(grain), spec.dimensions, kRollupMeasures, more,
                     table_of(spec, of), condition);
}

/// Of hours and days. By address, for a question of one, or of a prefix, to read little of each.
// PERF: and for one of all addresses: DuckDB finds an hour's groups side by side where the hour before left them, in two thirds of the time.
std::string order_of(const RollupSpec& spec) { return spec.is_of_addresses ? fmt::format(" ORDER BY time, {}", spec.dimensions) : ""; }

/// `time` against microseconds.
std::string time_is(std::string_view relation, int64_t micros) {
  return fmt::format("time {} make_timestamptz({})", relation, micros);
}

/// Up to where hours (days) are made of minutes (hours).
struct MadeTo {
  int64_t hours = 0;
  int64_t days = 0;
};

Result<std::vector<std::pair<int64_t, int64_t>>> number_pairs(Connection& connection, const std::string& sql) {
  auto rows = connection.query(sql);
  if (!rows) return rows.error();
  std::vector<std::pair<int64_t, int64_t>> pairs;
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error();
    if (!*chunk) return pairs;
    for (size_t row = 0; row < chunk->rows(); ++row) {
      pairs.emplace_back(chunk->at<int64_t>(0, row), chunk->at<int64_t>(1, row));
    }
  }
}

Result<MadeTo> made_to(Connection& connection) {
  const auto pairs = number_pairs(connection, "SELECT hours, days FROM rollup_state");
  if (!pairs) return pairs.error();
  if (pairs->empty()) return Error{"the store's table rollup_state is empty"};
  return MadeTo{pairs->front().first, pairs->front().second};
}

Result<void> execute_all(Connection& connection, const std::vector<std::string>& statements) {
  for (const std::string& sql : statements) {
    if (auto done = connection.query(sql); !done) return done.error();
  }
  return {};
}

/// Rows of an hour's table: how many there are, and how many of them are folded.
struct Fold {
  const HourTable* table;
  int64_t rows = 0;
  int64_t folded = 0;
};

/// Of tables that are open.
Result<std::vector<Fold>> folds_of(Connection& connection, std::span<const HourTable> tables) {
  const auto folded = number_pairs(connection, "SELECT hour, folded FROM rollup_folds");
  if (!folded) return folded.error();
  std::string counts;
  for (const HourTable& table : tables) {
    if (!table.is_open) continue;
    counts += fmt::format("{}SELECT {}::BIGINT, count(*) FROM {}", counts.empty() ? "" : " UNION ALL ", table.hour, hour_table(table.hour));
  }
  std::vector<Fold> folds;
  if (counts.empty()) return folds;
  const auto rows = number_pairs(connection, counts);
  if (!rows) return rows.error();
  for (const auto& [hour, count] : *rows) {
    const auto table = std::find_if(tables.begin(), tables.end(), [hour = hour](const HourTable& t) { return t.hour == hour; });
    const auto at = std::find_if(folded->begin(), folded->end(), [hour = hour](const auto& fold) { return fold.first == hour; });
    folds.push_back({&*table, count, at == folded->end() ? 0 : at->second});
  }
  return folds;
}

/// The next kFoldRowsMax of its rows; how many.
Result<int64_t> fold_hour(Connection& connection, const Fold& fold, const MadeTo& made) {
  const int64_t to = std::min(fold.rows, fold.folded + static_cast<int64_t>(kFoldRowsMax));
  const std::string rows = fmt::format("({})", hour_rows(*fold.table, fmt::format("rowid >= {} AND rowid < {}", fold.folded, to)));
  const int64_t begin = fold.table->hour * kMicrosPerHour;
  std::vector<std::string> statements;
  for (const RollupSpec& spec : kSpecs) {
    for (const Grain& grain : kGrains) {
      const bool is_due = grain.micros == kMinute.micros || begin < (grain.micros == kHour.micros ? made.hours : made.days);
      if (!is_due) continue;
      statements.push_back("INSERT INTO " + table_of(spec, grain) + " " + from_rows(spec, grain, rows, hours_of(spec, grain)));
    }
  }
  statements.push_back(fmt::format("UPDATE rollup_folds SET folded = {1} WHERE hour = {0}", fold.table->hour, to));
  statements.push_back(fmt::format("INSERT INTO rollup_folds SELECT {0}, {1} WHERE NOT EXISTS (FROM rollup_folds WHERE hour = {0})", fold.table->hour, to));
  if (auto done = execute_all(connection, statements); !done) return done.error();
  return to - fold.folded;
}

std::string view_of(const RollupSpec& spec, const Grain& grain, const MadeTo& made) {
  std::string sql = fmt::format("CREATE OR REPLACE VIEW rollup_{}_{} AS SELECT time, {}, flows, bytes_total, packets_total, bytes_raw, packets_raw FROM {}",
                                spec.name, grain.name, spec.dimensions, table_of(spec, grain));
  if (grain.micros == kDay.micros) {
    sql += " UNION ALL " + from_rollup(spec, grain, kHour, time_is(">=", made.days));
  }
  if (grain.micros != kMinute.micros) {
    sql += " UNION ALL " + from_rollup(spec, grain, kMinute, time_is(">=", made.hours));
  }
  return sql + " UNION ALL " + from_rows(spec, grain, "flow_tail");
}

}  // namespace

std::span<const RollupSpec> rollup_specs() noexcept { return kSpecs; }

std::string rollup_tables_ddl() {
  std::string ddl =
      "CREATE TABLE rollup_folds (hour BIGINT NOT NULL, folded BIGINT NOT NULL);"
      // Up to where hours and days are made; since when there are sums of each kind, and flows; since when days tell hours.
      "CREATE TABLE rollup_state (hours BIGINT NOT NULL, days BIGINT NOT NULL, minutes_from BIGINT DEFAULT 0, hours_from BIGINT DEFAULT 0,"
      " days_from BIGINT DEFAULT 0, flows_from BIGINT DEFAULT 0, day_hours_from BIGINT DEFAULT 0); INSERT INTO rollup_state (hours, days) VALUES (0, 0);";
  for (const RollupSpec& spec : kSpecs) {
    for (const Grain& grain : kGrains) {
      ddl += fmt::format(
          "CREATE TABLE {} (time TIMESTAMPTZ NOT NULL, {}flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, "
          "packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL, packets_raw BIGINT NOT NULL{});",
          table_of(spec, grain), dimensions_ddl(spec), has_hours(spec, grain) ? ", hours INTEGER" : "");
    }
  }
  return ddl;
}

Result<std::vector<std::string>> rollup_views(Connection& connection) {
  const auto made = made_to(connection);
  if (!made) return made.error();
  std::vector<std::string> views;
  for (const RollupSpec& spec : kSpecs) {
    for (const Grain& grain : kGrains) views.push_back(view_of(spec, grain, *made));
  }
  views.push_back("CREATE OR REPLACE VIEW bgp_routing_info AS SELECT time, ip_text(sampler_address) AS sampler_address, as_path, "
                  "bgp_communities, src_as, dst_as, flows, bytes_total, packets_total FROM rollup_bgp_1m");
  return views;
}

Result<std::string> tail_view(Connection& connection, std::span<const HourTable> tables) {
  const auto folded = number_pairs(connection, "SELECT hour, folded FROM rollup_folds");
  if (!folded) return folded.error();
  std::string sql = "CREATE OR REPLACE VIEW flow_tail AS FROM flow_none";
  for (const HourTable& table : tables) {
    if (!table.is_open) continue;
    const auto at = std::find_if(folded->begin(), folded->end(), [&](const auto& fold) { return fold.first == table.hour; });
    sql += " UNION ALL " + hour_rows(table, at == folded->end() ? "" : fmt::format("rowid >= {}", at->second));
  }
  return sql;
}

Result<uint64_t> fold(Connection& connection) {
  uint64_t rows = 0;
  auto folded = retry_conflicts(connection, [&]() -> Result<void> {
    rows = 0;
    const auto tables = hour_tables(connection);
    if (!tables) return tables.error();
    const auto folds = folds_of(connection, *tables);
    if (!folds) return folds.error();
    const auto made = made_to(connection);
    if (!made) return made.error();
    for (const Fold& fold : *folds) {
      if (fold.folded >= fold.rows) continue;
      const auto done = fold_hour(connection, fold, *made);
      if (!done) return done.error();
      rows += static_cast<uint64_t>(*done);
    }
    if (rows == 0) return {};
    const auto tail = tail_view(connection, *tables);
    if (!tail) return tail.error();
    return execute_all(connection, {*tail});
  });
  if (!folded) return folded.error();
  return rows;
}

Result<uint64_t> close_folded(Connection& connection, std::span<const int64_t> hours) {
  uint64_t closed = 0;
  auto done = retry_conflicts(connection, [&]() -> Result<void> {
    closed = 0;
    auto tables = hour_tables(connection);
    if (!tables) return tables.error();
    const auto folds = folds_of(connection, *tables);
    if (!folds) return folds.error();
    for (const int64_t hour : hours) {
      const auto fold = std::find_if(folds->begin(), folds->end(), [&](const Fold& f) { return f.table->hour == hour; });
      if (fold == folds->end() || fold->folded < fold->rows) continue;
      if (auto shut = close_hour(connection, hour); !shut) return shut;
      (*tables)[static_cast<size_t>(fold->table - tables->data())].is_open = false;
      ++closed;
    }
    if (closed == 0) return {};
    const auto tail = tail_view(connection, *tables);
    if (!tail) return tail.error();
    return execute_all(connection, {*tail});
  });
  if (!done) return done.error();
  return closed;
}

Result<uint64_t> roll_up(Connection& connection, int64_t now_micros) {
  uint64_t made_now = 0;
  auto rolled = retry_conflicts(connection, [&]() -> Result<void> {
    made_now = 0;
    const auto made = made_to(connection);
    if (!made) return made.error();
    const auto floor_to = [&](const Grain& grain) { return (now_micros - kRollupGraceMicros) / grain.micros * grain.micros; };
    const MadeTo next = {std::max(made->hours, floor_to(kHour)), std::max(made->days, floor_to(kDay))};
    std::vector<std::string> statements;
    const auto make = [&](const Grain& grain, const Grain& of, int64_t from, int64_t to) {
      if (to <= from) return;
      for (const RollupSpec& spec : kSpecs) {
        statements.push_back(fmt::format("INSERT INTO {} {}{}", table_of(spec, grain),
                                         from_rollup(spec, grain, of, time_is(">=", from) + " AND " + time_is("<", to), hours_of(spec, grain)),
                                         order_of(spec)));
      }
      ++made_now;
    };
    make(kHour, kMinute, made->hours, next.hours);
    make(kDay, kHour, made->days, next.days);
    if (statements.empty()) return {};
    statements.push_back(fmt::format("UPDATE rollup_state SET hours = {}, days = {}", next.hours, next.days));
    if (auto done = execute_all(connection, statements); !done) return done;
    const auto views = rollup_views(connection);
    if (!views) return views.error();
    return execute_all(connection, *views);
  });
  if (!rolled) return rolled.error();
  return made_now;
}

Result<KeptFrom> kept_from(Connection& connection) {
  auto rows = connection.query("SELECT minutes_from, hours_from, days_from, flows_from FROM rollup_state");
  if (!rows) return rows.error();
  auto chunk = rows->next();
  if (!chunk) return chunk.error();
  if (!*chunk || chunk->rows() == 0) return Error{"the store's table rollup_state is empty"};
  return KeptFrom{chunk->at<int64_t>(0, 0), chunk->at<int64_t>(1, 0), chunk->at<int64_t>(2, 0), chunk->at<int64_t>(3, 0)};
}

Result<uint64_t> expire_rollups(Connection& connection, int64_t now_micros, const RollupRetention& retention) {
  const auto made = made_to(connection);
  if (!made) return made.error();
  uint64_t rows = 0;
  // Nothing that a coarser one has yet to be made of.
  const std::array<int64_t, 3> bounds = {
      retention.minutes_micros == 0 ? 0 : std::min(now_micros - retention.minutes_micros, made->hours),
      retention.hours_micros == 0 ? 0 : std::min(now_micros - retention.hours_micros, made->days),
      retention.days_micros == 0 ? 0 : now_micros - retention.days_micros};
  // Before the first goes: who asks for sums goes by it, whatever was configured then.
  auto noted = connection.execute(fmt::format("UPDATE rollup_state SET minutes_from = greatest(minutes_from, {}), hours_from = greatest(hours_from, {}), "
                                              "days_from = greatest(days_from, {})", bounds[0], bounds[1], bounds[2]));
  if (!noted) return noted.error();
  for (size_t i = 0; i < kGrains.size(); ++i) {
    if (bounds[i] <= 0) continue;
    for (const RollupSpec& spec : kSpecs) {
      auto deleted = connection.execute("DELETE FROM " + table_of(spec, kGrains[i]) + " WHERE " + time_is("<", bounds[i]));
      if (!deleted) return deleted.error();
      rows += *deleted;
    }
  }
  return rows;
}

}  // namespace weir::store
