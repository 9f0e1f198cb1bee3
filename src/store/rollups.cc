#include "store/rollups.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>

#include "store/schema.h"

namespace weir::store {

namespace {

constexpr std::array<RollupSpec, 6> kSpecs = {{
    {"interface", "sampler_address, in_if, out_if", ""},
    {"service", "protocol_num, dst_endpoint_port, app", ""},
    {"src", "src_endpoint_addr", ""},
    {"dst", "dst_endpoint_addr", ""},
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

std::string from_rows(const RollupSpec& spec, const Grain& grain, std::string_view source, std::string_view condition) {
  std::string conditions = std::string(condition);
  if (!spec.condition.empty()) {
    conditions += fmt::format("{}({})", conditions.empty() ? "" : " AND ", spec.condition);
  }
  return fmt::format("SELECT {}, {}, {} FROM {}{}{} GROUP BY ALL", bucket(grain), spec.dimensions, kRowMeasures, source,
                     conditions.empty() ? "" : " WHERE ", conditions);
}

std::string from_rollup(const RollupSpec& spec, const Grain& grain, const Grain& of, std::string_view condition) {
  return fmt::format("SELECT {}, {}, {} FROM {} WHERE {} GROUP BY ALL", bucket(grain), spec.dimensions, kRollupMeasures,
                     table_of(spec, of), condition);
}

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
    if (auto done = connection.execute(sql); !done) return done.error();
  }
  return {};
}

struct Unfolded {
  int64_t hour;
  int64_t from;
  int64_t to;
};

Result<std::vector<Unfolded>> unfolded(Connection& connection) {
  const auto folds = number_pairs(connection, "SELECT hour, coalesce(folded, 0) FROM flow_hours LEFT JOIN rollup_folds USING (hour)");
  if (!folds) return folds.error();
  std::string counts;
  for (const auto& [hour, folded] : *folds) {
    counts += fmt::format("{}SELECT {}::BIGINT, count(*) FROM {}", counts.empty() ? "" : " UNION ALL ", hour, hour_table(hour));
  }
  std::vector<Unfolded> found;
  if (counts.empty()) return found;
  const auto rows = number_pairs(connection, counts);
  if (!rows) return rows.error();
  for (const auto& [hour, count] : *rows) {
    const auto at = std::find_if(folds->begin(), folds->end(), [hour = hour](const auto& fold) { return fold.first == hour; });
    if (at == folds->end() || at->second >= count) continue;
    found.push_back({hour, at->second, std::min(count, at->second + static_cast<int64_t>(kFoldRowsMax))});
  }
  return found;
}

Result<void> fold_hour(Connection& connection, const Unfolded& part, const MadeTo& made) {
  const std::string rows = fmt::format("rowid >= {} AND rowid < {}", part.from, part.to);
  const int64_t begin = part.hour * kMicrosPerHour;
  std::vector<std::string> statements;
  for (const RollupSpec& spec : kSpecs) {
    for (const Grain& grain : kGrains) {
      const bool is_due = grain.micros == kMinute.micros || begin < (grain.micros == kHour.micros ? made.hours : made.days);
      if (!is_due) continue;
      statements.push_back("INSERT INTO " + table_of(spec, grain) + " " + from_rows(spec, grain, hour_table(part.hour), rows));
    }
  }
  statements.push_back(fmt::format("INSERT OR REPLACE INTO rollup_folds VALUES ({}, {})", part.hour, part.to));
  return execute_all(connection, statements);
}

std::string view_of(const RollupSpec& spec, const Grain& grain, const MadeTo& made) {
  std::string sql = fmt::format("CREATE OR REPLACE VIEW rollup_{}_{} AS FROM {}", spec.name, grain.name, table_of(spec, grain));
  if (grain.micros == kDay.micros) {
    sql += " UNION ALL " + from_rollup(spec, grain, kHour, time_is(">=", made.days));
  }
  if (grain.micros != kMinute.micros) {
    sql += " UNION ALL " + from_rollup(spec, grain, kMinute, time_is(">=", made.hours));
  }
  return sql + " UNION ALL " + from_rows(spec, grain, "flow_tail", "");
}

}  // namespace

std::span<const RollupSpec> rollup_specs() noexcept { return kSpecs; }

std::string rollup_tables_ddl() {
  std::string ddl =
      "CREATE TABLE rollup_folds (hour BIGINT PRIMARY KEY, folded BIGINT NOT NULL);"
      "CREATE TABLE rollup_state (hours BIGINT NOT NULL, days BIGINT NOT NULL); INSERT INTO rollup_state VALUES (0, 0);";
  for (const RollupSpec& spec : kSpecs) {
    for (const Grain& grain : kGrains) {
      ddl += fmt::format(
          "CREATE TABLE {} (time TIMESTAMPTZ NOT NULL, {}flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, "
          "packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL, packets_raw BIGINT NOT NULL);",
          table_of(spec, grain), dimensions_ddl(spec));
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

Result<std::string> tail_view(Connection& connection) {
  const auto folds = number_pairs(connection, "SELECT hour, coalesce(folded, 0) FROM flow_hours LEFT JOIN rollup_folds USING (hour)"
                                              " ORDER BY hour");
  if (!folds) return folds.error();
  std::string sql = "CREATE OR REPLACE VIEW flow_tail AS FROM flow_none";
  for (const auto& [hour, folded] : *folds) {
    sql += fmt::format(" UNION ALL FROM {}{}", hour_table(hour), folded == 0 ? "" : fmt::format(" WHERE rowid >= {}", folded));
  }
  return sql;
}

Result<uint64_t> fold(Connection& connection) {
  uint64_t rows = 0;
  auto folded = retry_conflicts(connection, [&]() -> Result<void> {
    rows = 0;
    const auto parts = unfolded(connection);
    if (!parts) return parts.error();
    if (parts->empty()) return {};
    const auto made = made_to(connection);
    if (!made) return made.error();
    for (const Unfolded& part : *parts) {
      if (auto done = fold_hour(connection, part, *made); !done) return done;
      rows += static_cast<uint64_t>(part.to - part.from);
    }
    const auto tail = tail_view(connection);
    if (!tail) return tail.error();
    return execute_all(connection, {*tail});
  });
  if (!folded) return folded.error();
  return rows;
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
        statements.push_back(fmt::format("INSERT INTO {} {}", table_of(spec, grain),
                                         from_rollup(spec, grain, of, time_is(">=", from) + " AND " + time_is("<", to))));
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

Result<uint64_t> expire_rollups(Connection& connection, int64_t now_micros, const RollupRetention& retention) {
  const auto made = made_to(connection);
  if (!made) return made.error();
  uint64_t rows = 0;
  // Nothing that a coarser one has yet to be made of.
  const std::array<int64_t, 3> bounds = {
      retention.minutes_micros == 0 ? 0 : std::min(now_micros - retention.minutes_micros, made->hours),
      retention.hours_micros == 0 ? 0 : std::min(now_micros - retention.hours_micros, made->days),
      retention.days_micros == 0 ? 0 : now_micros - retention.days_micros};
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
