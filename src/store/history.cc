#include "store/history.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "store/schema.h"

namespace weir::store {

namespace {

namespace fs = std::filesystem;

Result<int64_t> number_of(Connection& connection, const std::string& sql) {
  auto rows = connection.query(sql);
  if (!rows) return rows.error();
  auto chunk = rows->next();
  if (!chunk) return chunk.error();
  return *chunk && chunk->rows() > 0 && !chunk->is_null(0, 0) ? chunk->at<int64_t>(0, 0) : 0;
}

/// What a disk has changed is not to become another file's rows.
Result<void> are_as_written(const std::vector<FileRow>& files) {
  for (const FileRow& file : files) {
    const auto trouble = octets_trouble(file, ReadFrom::cache);
    if (!trouble) return trouble.error();
    if (!trouble->empty()) return Error{fmt::format("{}: {}", file.path, *trouble)};
  }
  return {};
}

}  // namespace

Error History::given_up(Connection& connection, Error error) const {
  (void)remove_leftovers(connection);  // the next one that is made tries it again
  return error;
}

Result<FileRow> History::make_file(Connection& connection, const FileSource& source, int64_t hour, int64_t rows,
                                   const std::vector<std::string>& replaces, int64_t passed_micros) {
  if (auto removed = remove_leftovers(connection); !removed) return removed.error();
  const std::string path = new_path(folder_, hour);
  if (auto noted = note_making(connection, path, hour, passed_micros); !noted) return noted.error();
  on_step_(FileStep::noted);
  auto file = write_file(connection, folder_, path, source, replaces, on_step_);
  if (!file) return given_up(connection, file.error());
  if (file->rows != rows) {
    return given_up(connection, Error{fmt::format("{} has {} rows where {} were to be in it", path, file->rows, rows)});
  }
  file->hour = hour;
  return file;
}

Result<bool> History::archive(Connection& connection, int64_t hour, int64_t passed_micros) {
  const std::string table = hour_table(hour);
  const auto rows = number_of(connection, "SELECT count(*) FROM " + table);
  if (!rows) return rows.error();
  const std::string folded_sql = fmt::format("SELECT folded FROM rollup_folds WHERE hour = {}", hour);
  const auto folded = number_of(connection, folded_sql);
  if (!folded) return folded.error();
  if (*folded != *rows) return false;

  FileRow file;
  if (*rows > 0) {
    const auto tables = hour_tables(connection);
    if (!tables) return tables.error();
    const auto at = std::find_if(tables->begin(), tables->end(), [&](const HourTable& t) { return t.hour == hour; });
    if (at == tables->end()) return false;
    auto made = make_file(connection, {fmt::format("FROM {} WHERE rowid < {}", table, *rows), at->set()}, hour, *rows, {}, passed_micros);
    if (!made) return made.error();
    file = *made;
  }
  bool is_unchanged = true;
  auto swapped = retry_conflicts(connection, [&]() -> Result<void> {
    const auto now = number_of(connection, "SELECT count(*) FROM " + table);
    if (!now) return now.error();
    is_unchanged = *now == *rows;
    if (!is_unchanged) return {};
    if (auto dropped = drop_hour(connection, hour); !dropped) return dropped;
    if (*rows > 0) {
      if (auto kept = note_kept(connection, file, passed_micros); !kept) return kept;
    }
    on_step_(FileStep::swapping);
    return make_views(connection);
  });
  if (!swapped) return given_up(connection, swapped.error());
  if (is_unchanged) on_step_(FileStep::swapped);
  else if (auto removed = remove_leftovers(connection); !removed) return removed.error();
  return is_unchanged;
}

Result<std::vector<int64_t>> History::hours_to_merge(Connection& connection) const {
  auto rows = connection.query("SELECT hour FROM history_files WHERE state = 'kept' GROUP BY hour HAVING count(*) > 1 "
                               "ORDER BY count(*) DESC, hour");
  if (!rows) return rows.error();
  std::vector<int64_t> hours;
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error();
    if (!*chunk) return hours;
    for (size_t row = 0; row < chunk->rows(); ++row) hours.push_back(chunk->at<int64_t>(0, row));
  }
}

Result<uint64_t> History::merge(Connection& connection, int64_t hour, int64_t passed_micros) {
  const auto files = file_rows(connection, fmt::format("state = 'kept' AND hour = {}", hour));
  if (!files) return files.error();
  if (files->size() < 2) return uint64_t{0};
  std::string list;
  std::vector<std::string> names;
  int64_t rows = 0;
  for (const FileRow& file : *files) {
    list += fmt::format("{}{}", list.empty() ? "" : ", ", sql_text(file.path));
    names.push_back(fs::path(file.path).filename());
    rows += file.rows;
  }
  if (auto whole = are_as_written(*files); !whole) return whole.error();
  auto made = make_file(connection, {fmt::format("FROM read_parquet([{}], hive_partitioning = false)", list)}, hour, rows, names, passed_micros);
  if (!made) return made.error();
  // What was read of them lay on the disk in between, or may have.
  if (auto whole = are_as_written(*files); !whole) return given_up(connection, whole.error());
  auto swapped = retry_conflicts(connection, [&]() -> Result<void> {
    auto changed = connection.execute(
        fmt::format("UPDATE history_files SET state = 'retired', changed = {} WHERE path IN ({})", passed_micros, list));
    if (!changed) return changed.error();
    if (auto kept = note_kept(connection, *made, passed_micros); !kept) return kept;
    on_step_(FileStep::swapping);
    return make_views(connection);
  });
  if (!swapped) return given_up(connection, swapped.error());
  on_step_(FileStep::swapped);
  return uint64_t{files->size()};
}

Result<uint64_t> History::retire_before(Connection& connection, int64_t hour, int64_t passed_micros) {
  uint64_t retired = 0;
  auto done = retry_conflicts(connection, [&]() -> Result<void> {
    auto changed = connection.execute(fmt::format("UPDATE history_files SET state = 'retired', changed = {} WHERE state IN ('kept', 'broken', "
                                                  "'damaged') AND hour < {}", passed_micros, hour));
    if (!changed) return changed.error();
    retired = *changed;
    if (retired == 0) return {};
    auto noted = connection.execute(fmt::format("UPDATE rollup_state SET flows_from = greatest(flows_from, {})", hour * kMicrosPerHour));
    if (!noted) return noted.error();
    return make_views(connection);
  });
  if (!done) return done.error();
  return retired;
}

Result<uint64_t> History::remove_retired(Connection& connection, int64_t passed_micros, int64_t kept_micros) {
  // Of a time that has not come (it was another clock's): from now on.
  auto renewed = connection.execute(fmt::format("UPDATE history_files SET changed = {0} WHERE state = 'retired' AND changed > {0}", passed_micros));
  if (!renewed) return renewed.error();
  const auto files = file_rows(connection, fmt::format("state = 'retired' AND changed <= {}", passed_micros - kept_micros));
  if (!files) return files.error();
  uint64_t removed = 0;
  Result<uint64_t> outcome = uint64_t{0};
  int64_t stuck_hour = INT64_MIN;
  for (const FileRow& file : *files) {
    // Of an hour the oldest go first, so that what is there always says of what else is there that it is in it.
    if (file.hour == stuck_hour) continue;
    if (unlink(file.path.c_str()) != 0 && errno != ENOENT) {
      outcome = Error{fmt::format("cannot remove {}: {}", file.path, std::strerror(errno))};
      stuck_hour = file.hour;
      continue;
    }
    on_step_(FileStep::removed);
    auto forgotten = connection.execute("DELETE FROM history_files WHERE path = " + sql_text(file.path));
    if (!forgotten) return forgotten.error();
    // The hour's folder and the day's, once they are empty.
    const fs::path hour_folder = fs::path(file.path).parent_path();
    if (rmdir(hour_folder.c_str()) == 0) (void)rmdir(hour_folder.parent_path().c_str());
    ++removed;
  }
  return outcome ? Result<uint64_t>(removed) : outcome;
}

}  // namespace weir::store
