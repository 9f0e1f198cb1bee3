#include "store/rows_asked.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <unordered_map>

#include "store/hour_tables.h"
#include "store/schema.h"

namespace weir::store {
namespace {

constexpr int64_t kHoursPerDay = 24;
constexpr int64_t kMicrosPerDay = kHoursPerDay * kMicrosPerHour;
constexpr uint32_t kEveryHour = (1u << kHoursPerDay) - 1;
constexpr size_t kWorthLooking = 4;  // so few hours are read sooner than left out

int64_t day_of(int64_t hour) noexcept { return hour >= 0 ? hour / kHoursPerDay : -((-hour + kHoursPerDay - 1) / kHoursPerDay); }

bool overlaps(const std::vector<TimeRange>& times, int64_t hour) noexcept {
  return std::any_of(times.begin(), times.end(), [&](const TimeRange& range) {
    const bool is_before = range.from_micros && hour < hour_of(*range.from_micros);
    const bool is_behind = range.until_micros && (*range.until_micros == INT64_MIN || hour > hour_of(*range.until_micros - 1));
    return !is_before && !is_behind;
  });
}

/// Days of which sums tell all.
struct DaysMade {
  int64_t first = 0;
  int64_t end = 0;
};

Result<DaysMade> days_made(Connection& connection) {
  auto rows = connection.query(fmt::format("SELECT (days_from + {0} - 1) // {0}, days // {0} FROM rollup_state", kMicrosPerDay));
  if (!rows) return rows.error();
  auto chunk = rows->next();
  if (!chunk) return chunk.error();
  if (!*chunk || chunk->rows() == 0) return Error{"the store's table rollup_state is empty"};
  return DaysMade{chunk->at<int64_t>(0, 0), chunk->at<int64_t>(1, 0)};
}

/// By day since the epoch: a bit for each hour in which one of a clause's addresses is there.
using HoursOfDays = std::unordered_map<int64_t, uint32_t>;

Result<HoursOfDays> hours_of(Connection& connection, const EndClause& clause, const DaysMade& days) {
  std::string found;
  std::vector<SqlValue> values;
  for (const EndRange& range : clause) {
    const std::string_view end = name_of(range.end);
    found += fmt::format("{}SELECT time, hours FROM rolled_{}_1d WHERE {}_endpoint_addr BETWEEN ${} AND ${} AND time >= make_timestamptz({}) AND time < make_timestamptz({})",
                         found.empty() ? "" : " UNION ALL ", end, end, values.size() + 1, values.size() + 2, days.first * kMicrosPerDay, days.end * kMicrosPerDay);
    values.emplace_back(range.first);
    values.emplace_back(range.last);
  }
  auto rows = connection.query(fmt::format("SELECT epoch_us(time) // {}, bit_or(coalesce(hours, {}))::BIGINT FROM ({}) GROUP BY 1", kMicrosPerDay, kEveryHour, found), values);
  if (!rows) return rows.error();
  HoursOfDays hours;
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error();
    if (!*chunk) return hours;
    for (size_t row = 0; row < chunk->rows(); ++row) hours[chunk->at<int64_t>(0, row)] |= static_cast<uint32_t>(chunk->at<int64_t>(1, row));
  }
}

/// Takes out those hours in which a clause does not hold.
Result<void> leave_out_by_ends(Connection& connection, const std::vector<EndClause>& ends, std::vector<HourTable>& tables, std::vector<KeptFile>& files) {
  const auto closed = static_cast<size_t>(std::count_if(tables.begin(), tables.end(), [](const HourTable& table) { return !table.is_open; }));
  if (ends.empty() || closed + files.size() <= kWorthLooking) return {};
  const auto made = days_made(connection);
  if (!made) return made.error();
  // Only of days that something lies in.
  DaysMade days{INT64_MAX, INT64_MIN};
  const auto take = [&](int64_t hour) {
    days.first = std::min(days.first, day_of(hour));
    days.end = std::max(days.end, day_of(hour) + 1);
  };
  for (const HourTable& table : tables) take(table.hour);
  for (const KeptFile& file : files) take(file.hour);
  days = {std::max(days.first, made->first), std::min(days.end, made->end)};
  if (days.first >= days.end) return {};
  for (const EndClause& clause : ends) {
    if (clause.empty()) continue;
    const auto hours = hours_of(connection, clause, days);
    if (!hours) return hours.error();
    const auto is_empty = [&](int64_t hour) {
      const int64_t day = day_of(hour);
      if (day < days.first || day >= days.end) return false;
      const auto found = hours->find(day);
      return found == hours->end() || (found->second >> (hour - day * kHoursPerDay) & 1) == 0;
    };
    std::erase_if(tables, [&](const HourTable& table) { return !table.is_open && is_empty(table.hour); });
    std::erase_if(files, [&](const KeptFile& file) { return is_empty(file.hour); });
  }
  return {};
}

bool is_select(std::string_view statement) noexcept {
  constexpr std::string_view kSelect = "select";
  return statement.size() > kSelect.size() && std::equal(kSelect.begin(), kSelect.end(), statement.begin(), [](char lower, char c) { return lower == std::tolower(static_cast<unsigned char>(c)); });
}

}  // namespace

Result<std::string> sql_of(Connection& connection, const RowsAsked& asked) {
  auto tables = hour_tables(connection);
  if (!tables) return tables.error();
  auto files = kept_files(connection);
  if (!files) return files.error();
  std::erase_if(*tables, [&](const HourTable& table) { return !overlaps(asked.times, table.hour); });
  std::erase_if(*files, [&](const KeptFile& file) { return !overlaps(asked.times, file.hour); });
  if (auto left_out = leave_out_by_ends(connection, asked.ends, *tables, *files); !left_out) return left_out.error();
  return rows_sql(*tables, *files);
}

Result<std::string> narrowed(Connection& connection, std::string_view statement, const RowsAsked& asked) {
  if (!is_select(statement) || statement.find("flow_rows") == std::string_view::npos) return std::string(statement);
  auto rows = sql_of(connection, asked);
  if (!rows) return rows.error();
  return fmt::format("WITH flow_rows AS NOT MATERIALIZED ({})\n{}", *rows, statement);
}

}  // namespace weir::store
