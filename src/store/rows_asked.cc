#include "store/rows_asked.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <iterator>
#include <unordered_map>
#include <utility>

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

/// Days whose sums tell all, and in which hours.
struct DaysMade {
  int64_t first = 0;
  int64_t end = 0;
};

Result<DaysMade> days_made(Connection& connection) {
  auto rows = connection.query(fmt::format("SELECT (greatest(days_from, day_hours_from) + {0} - 1) // {0}, days // {0} FROM rollup_state", kMicrosPerDay));
  if (!rows) return rows.error();
  auto chunk = rows->next();
  if (!chunk) return chunk.error();
  if (!*chunk || chunk->rows() == 0) return Error{"the store's table rollup_state is empty"};
  return DaysMade{chunk->at<int64_t>(0, 0), chunk->at<int64_t>(1, 0)};
}

/// By day since the epoch: a bit for each hour.
using HoursOfDays = std::unordered_map<int64_t, uint32_t>;

bool has_hour(const HoursOfDays& hours, int64_t hour) {
  const int64_t day = day_of(hour);
  const auto found = hours.find(day);
  return found != hours.end() && (found->second >> (hour - day * kHoursPerDay) & 1) != 0;
}

/// In which hours one of a clause's addresses is there, as which end.
struct HoursOfEnds {
  std::array<HoursOfDays, 2> of{};  // by End
  const HoursOfDays& operator[](End end) const noexcept { return of[static_cast<size_t>(end)]; }
};

Result<HoursOfEnds> hours_of(Connection& connection, const EndClause& clause, const DaysMade& days) {
  std::string found;
  std::vector<SqlValue> values;
  for (const EndRange& range : clause) {
    const std::string_view end = name_of(range.end);
    found += fmt::format("{0}SELECT {1}::BIGINT AS e, time, hours FROM rolled_{2}_1d WHERE {2}_endpoint_addr BETWEEN ${3} AND ${4} AND time >= make_timestamptz({5}) AND time < make_timestamptz({6})",
                         found.empty() ? "" : " UNION ALL ", static_cast<int>(range.end), end, values.size() + 1, values.size() + 2, days.first * kMicrosPerDay, days.end * kMicrosPerDay);
    values.emplace_back(range.first);
    values.emplace_back(range.last);
  }
  auto rows = connection.query(fmt::format("SELECT e, epoch_us(time) // {}, bit_or(coalesce(hours, {}))::BIGINT FROM ({}) GROUP BY 1, 2", kMicrosPerDay, kEveryHour, found), values);
  if (!rows) return rows.error();
  HoursOfEnds hours;
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error();
    if (!*chunk) return hours;
    for (size_t row = 0; row < chunk->rows(); ++row) {
      hours.of.at(static_cast<size_t>(chunk->at<int64_t>(0, row)))[chunk->at<int64_t>(1, row)] = static_cast<uint32_t>(chunk->at<int64_t>(2, row));
    }
  }
}

struct Choice {
  std::vector<HourTable> tables;
  std::vector<KeptFile> files;

  /// Takes out tables and files of which `is_of`(hour, whether rows may still come) holds.
  template <class IsOf>
  Choice take(IsOf is_of) {
    Choice taken;
    const auto tables_end = std::stable_partition(tables.begin(), tables.end(), [&](const HourTable& table) { return !is_of(table.hour, table.is_open); });
    taken.tables.assign(std::make_move_iterator(tables_end), std::make_move_iterator(tables.end()));
    tables.erase(tables_end, tables.end());
    const auto files_end = std::stable_partition(files.begin(), files.end(), [&](const KeptFile& file) { return !is_of(file.hour, false); });
    taken.files.assign(std::make_move_iterator(files_end), std::make_move_iterator(files.end()));
    files.erase(files_end, files.end());
    return taken;
  }
  bool is_empty() const noexcept { return tables.empty() && files.empty(); }
};

/// Days that something lies in and whose sums tell all.
Result<DaysMade> days_known(Connection& connection, const Choice& choice) {
  const auto made = days_made(connection);
  if (!made) return made.error();
  DaysMade days{INT64_MAX, INT64_MIN};
  const auto take = [&](int64_t hour) {
    days.first = std::min(days.first, day_of(hour));
    days.end = std::max(days.end, day_of(hour) + 1);
  };
  for (const HourTable& table : choice.tables) take(table.hour);
  for (const KeptFile& file : choice.files) take(file.hour);
  return DaysMade{std::max(days.first, made->first), std::min(days.end, made->end)};
}

std::string text_of(const AddressOctets& octets) {
  std::string text;
  for (size_t i = 0; i < octets.size(); ++i) text += fmt::format("{}{:02x}", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", octets[i]);
  return text;
}

std::string is_in(const EndRange& range) {
  const std::string column = fmt::format("{}_endpoint_addr", name_of(range.end));
  if (range.first == range.last) return fmt::format("{} = '{}'::UUID", column, text_of(range.first));  // Bloom filters of files know only this
  return fmt::format("{} BETWEEN '{}'::UUID AND '{}'::UUID", column, text_of(range.first), text_of(range.last));
}

/// Rows in which it can only be this end that the clause holds of: what is asked of one column leaves out row groups, and reads the other
/// columns of the rows that are left.
std::string rows_of_end(const Choice& choice, const EndClause& clause, End end) {
  std::string any;
  for (const EndRange& range : clause) {
    if (range.end == end) any += (any.empty() ? "" : " OR ") + is_in(range);
  }
  return fmt::format(" UNION ALL (FROM ({}) WHERE {})", rows_sql(choice.tables, choice.files), any);
}

// PERF: a row of which either column may hold what is asked for is read with all of its columns before DuckDB looks at it. So the ends
// are looked for one behind the other. Of several ranges an end not: a choice of ranges is no condition of one column to DuckDB.
std::string rows_of_either(const Choice& choice, const EndClause& clause) {
  const std::string rows = rows_sql(choice.tables, choice.files);
  if (clause.size() != 2 || clause[0].end == clause[1].end || choice.is_empty()) return rows;
  return fmt::format("(FROM ({0}) WHERE {1}) UNION ALL (FROM ({0}) WHERE {2} AND ({1}) IS NOT TRUE)", rows, is_in(clause[0]), is_in(clause[1]));
}

/// Of those that are left: by hours, and of hours in which only one end has what is asked for by that end.
Result<std::string> sql_by_ends(Connection& connection, const std::vector<EndClause>& ends, Choice choice) {
  const auto days = days_known(connection, choice);
  if (!days) return days.error();
  std::string beside;
  for (const EndClause& clause : ends) {
    if (days->first >= days->end || clause.empty()) continue;
    const auto hours = hours_of(connection, clause, *days);
    if (!hours) return hours.error();
    const auto is_known = [&](int64_t hour, bool is_open) { return !is_open && day_of(hour) >= days->first && day_of(hour) < days->end; };
    const auto is_there = [&](int64_t hour, End end) { return has_hour((*hours)[end], hour); };
    choice.take([&](int64_t hour, bool is_open) { return is_known(hour, is_open) && !is_there(hour, End::src) && !is_there(hour, End::dst); });
    const bool has_both = std::any_of(clause.begin(), clause.end(), [&](const EndRange& range) { return range.end != clause.front().end; });
    // The last clause only: what it puts beside is not looked at again.
    if (!has_both || &clause != &ends.back()) continue;
    for (const auto& [end, other] : {std::pair(End::src, End::dst), std::pair(End::dst, End::src)}) {
      const Choice of_end = choice.take([&](int64_t hour, bool is_open) { return is_known(hour, is_open) && is_there(hour, end) && !is_there(hour, other); });
      if (!of_end.is_empty()) beside += rows_of_end(of_end, clause, end);
    }
  }
  return rows_of_either(choice, ends.back()) + beside;
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
  Choice choice{std::move(*tables), std::move(*files)};
  choice.take([&](int64_t hour, bool) { return !overlaps(asked.times, hour); });
  const auto closed = static_cast<size_t>(std::count_if(choice.tables.begin(), choice.tables.end(), [](const HourTable& table) { return !table.is_open; }));
  if (asked.ends.empty()) return rows_sql(choice.tables, choice.files);
  if (closed + choice.files.size() <= kWorthLooking) return rows_of_either(choice, asked.ends.back());
  return sql_by_ends(connection, asked.ends, std::move(choice));
}

Result<std::string> narrowed(Connection& connection, std::string_view statement, const RowsAsked& asked) {
  if (!is_select(statement) || statement.find("flow_rows") == std::string_view::npos) return std::string(statement);
  auto rows = sql_of(connection, asked);
  if (!rows) return rows.error();
  return fmt::format("WITH flow_rows AS NOT MATERIALIZED ({})\n{}", *rows, statement);
}

}  // namespace weir::store
