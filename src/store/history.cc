#include "store/history.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <random>
#include <set>
#include <system_error>

#include "store/schema.h"

namespace weir::store {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNamePrefix = "flows-";
constexpr std::string_view kSuffix = ".parquet";
constexpr std::string_view kUnfinished = ".unfinished";
/// Of a list's elements: behind those of columns, whatever is added there.
constexpr size_t kElementFieldIds = 1000;

std::string column_names() {
  std::string names;
  for (const ColumnSpec& column : columns()) names += fmt::format("{}{}", names.empty() ? "" : ", ", column.name);
  return names;
}

std::string field_ids() {
  std::string ids;
  size_t id = 0;
  for (const ColumnSpec& column : columns()) {
    ++id;
    const bool is_list = column.type == ColumnType::big_numbers || column.type == ColumnType::texts;
    ids += is_list ? fmt::format("{}{}: {{__duckdb_field_id: {}, element: {}}}", ids.empty() ? "" : ", ", column.name, id,
                                 kElementFieldIds + id)
                   : fmt::format("{}{}: {}", ids.empty() ? "" : ", ", column.name, id);
  }
  return ids;
}

Error system_error(std::string_view what, const std::string& path) {
  return Error{fmt::format("{} {}: {}", what, path, std::strerror(errno))};
}

Result<void> sync(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return system_error("cannot open", path);
  const int state = fsync(fd);
  const int why = errno;
  close(fd);
  errno = why;
  if (state != 0) return system_error("cannot write", path);
  return {};
}

/// What the file's own end says.
Result<int64_t> rows_of_file(Connection& connection, const std::string& path) {
  auto rows = connection.query("SELECT num_rows::BIGINT FROM parquet_file_metadata(" + sql_text(path) + ")");
  if (!rows) return rows.error();
  auto chunk = rows->next();
  if (!chunk) return chunk.error();
  if (!*chunk || chunk->rows() == 0) return Error{path + " says nothing of its rows"};
  return chunk->at<int64_t>(0, 0);
}

struct FileRow {
  std::string path;
  int64_t hour;
  int64_t rows;
};

Result<std::vector<FileRow>> file_rows(Connection& connection, const std::string& condition) {
  auto rows = connection.query("SELECT path, hour, rows FROM history_files WHERE " + condition + " ORDER BY hour, path");
  if (!rows) return rows.error();
  std::vector<FileRow> files;
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error();
    if (!*chunk) return files;
    for (size_t row = 0; row < chunk->rows(); ++row) {
      files.push_back({std::string(chunk->text(0, row)), chunk->at<int64_t>(1, row), chunk->at<int64_t>(2, row)});
    }
  }
}

Result<int64_t> number_of(Connection& connection, const std::string& sql) {
  auto rows = connection.query(sql);
  if (!rows) return rows.error();
  auto chunk = rows->next();
  if (!chunk) return chunk.error();
  return *chunk && chunk->rows() > 0 && !chunk->is_null(0, 0) ? chunk->at<int64_t>(0, 0) : 0;
}

std::string insert_file(const std::string& path, int64_t hour, int64_t rows, int64_t octets, int64_t now_micros) {
  return fmt::format("INSERT INTO history_files VALUES ({}, {}, {}, {}, 'kept', '', {})", sql_text(path), hour, rows, octets,
                     now_micros);
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

std::string History::path_of(int64_t hour) const {
  const std::time_t seconds = hour * 3600;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::random_device random;
  return fmt::format("{}/day={:04}-{:02}-{:02}/hour={:02}/{}{}-{:08x}{:08x}{}", folder_, parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, kNamePrefix, hour, random(), random(), kSuffix);
}

Result<History::Written> History::write(Connection& connection, const std::string& select, int64_t hour) const {
  Written written{path_of(hour)};
  const fs::path folder = fs::path(written.path).parent_path();
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) return Error{fmt::format("cannot make the folder {}: {}", folder.string(), failed.message())};
  const std::string unfinished = written.path + std::string(kUnfinished);
  const auto give_up = [&](const Error& error) {
    fs::remove(unfinished, failed);
    return error;
  };
  // By source first: an address or a prefix of it touches few row groups, and neighbours compress each other.
  auto copied = connection.execute(fmt::format(
      "COPY (SELECT {} FROM ({}) ORDER BY src_endpoint_addr, dst_endpoint_addr, time) TO {} (FORMAT parquet, COMPRESSION zstd, "
      "ROW_GROUP_SIZE 122880, FIELD_IDS {{{}}})",
      column_names(), select, sql_text(unfinished), field_ids()));
  if (!copied) return give_up(copied.error());
  if (auto synced = sync(unfinished, O_RDWR); !synced) return give_up(synced.error());
  const auto rows = rows_of_file(connection, unfinished);
  if (!rows) return give_up(rows.error());
  written.rows = *rows;
  written.octets = static_cast<int64_t>(fs::file_size(unfinished, failed));
  // Never in another's place.
  if (renameat2(AT_FDCWD, unfinished.c_str(), AT_FDCWD, written.path.c_str(), RENAME_NOREPLACE) != 0) {
    return give_up(system_error("cannot name", written.path));
  }
  for (const fs::path& of : {folder, folder.parent_path(), fs::path(folder_)}) {
    if (auto synced = sync(of.string(), O_RDONLY | O_DIRECTORY); !synced) return synced.error();
  }
  return written;
}

Result<bool> History::archive(Connection& connection, int64_t hour, int64_t now_micros) {
  const std::string table = hour_table(hour);
  const auto rows = number_of(connection, "SELECT count(*) FROM " + table);
  if (!rows) return rows.error();
  const std::string folded_sql = fmt::format("SELECT folded FROM rollup_folds WHERE hour = {}", hour);
  const auto folded = number_of(connection, folded_sql);
  if (!folded) return folded.error();
  if (*folded != *rows) return false;

  Written written;
  if (*rows > 0) {
    const auto tables = hour_tables(connection);
    if (!tables) return tables.error();
    const auto at = std::find_if(tables->begin(), tables->end(), [&](const HourTable& t) { return t.hour == hour; });
    if (at == tables->end()) return false;
    auto done = write(connection, hour_rows(*at, fmt::format("rowid < {}", *rows)), hour);
    if (!done) return done.error();
    written = *done;
    if (written.rows != *rows) {
      (void)unlink(written.path.c_str());
      return Error{fmt::format("{} has {} rows where {} were written", written.path, written.rows, *rows)};
    }
  }
  bool is_unchanged = true;
  auto swapped = retry_conflicts(connection, [&]() -> Result<void> {
    const auto now = number_of(connection, "SELECT count(*) FROM " + table);
    if (!now) return now.error();
    is_unchanged = *now == *rows;
    if (!is_unchanged) return {};
    if (auto dropped = drop_hour(connection, hour); !dropped) return dropped;
    if (*rows > 0) {
      auto named = connection.execute(insert_file(written.path, hour, written.rows, written.octets, now_micros));
      if (!named) return named.error();
    }
    return make_views(connection);
  });
  if (swapped && is_unchanged) return true;
  if (!written.path.empty()) (void)unlink(written.path.c_str());
  if (!swapped) return swapped.error();
  return false;
}

Result<uint64_t> History::merge(Connection& connection, int64_t now_micros) {
  const auto hour = number_of(connection,
                              "SELECT hour FROM history_files WHERE state = 'kept' GROUP BY hour HAVING count(*) > 1 "
                              "ORDER BY count(*) DESC, hour LIMIT 1");
  if (!hour) return hour.error();
  const std::string condition = fmt::format("state = 'kept' AND hour = {}", *hour);
  const auto files = file_rows(connection, condition);
  if (!files) return files.error();
  if (files->size() < 2) return uint64_t{0};
  std::string list;
  int64_t rows = 0;
  for (const FileRow& file : *files) {
    list += fmt::format("{}{}", list.empty() ? "" : ", ", sql_text(file.path));
    rows += file.rows;
  }
  auto written = write(connection, fmt::format("FROM read_parquet([{}], hive_partitioning = false)", list), *hour);
  if (!written) return written.error();
  if (written->rows != rows) {
    (void)unlink(written->path.c_str());
    return Error{fmt::format("{} has {} rows where {} were merged", written->path, written->rows, rows)};
  }
  auto swapped = retry_conflicts(connection, [&]() -> Result<void> {
    auto changed = connection.execute(
        fmt::format("UPDATE history_files SET state = 'retired', changed = {} WHERE path IN ({})", now_micros, list));
    if (!changed) return changed.error();
    auto named = connection.execute(insert_file(written->path, *hour, written->rows, written->octets, now_micros));
    if (!named) return named.error();
    return make_views(connection);
  });
  if (!swapped) {
    (void)unlink(written->path.c_str());
    return swapped.error();
  }
  return uint64_t{files->size()};
}

Result<uint64_t> History::retire_before(Connection& connection, int64_t hour, int64_t now_micros) {
  uint64_t retired = 0;
  auto done = retry_conflicts(connection, [&]() -> Result<void> {
    auto changed = connection.execute(fmt::format(
        "UPDATE history_files SET state = 'retired', changed = {} WHERE state <> 'retired' AND hour < {}", now_micros, hour));
    if (!changed) return changed.error();
    retired = *changed;
    return retired == 0 ? Result<void>() : make_views(connection);
  });
  if (!done) return done.error();
  return retired;
}

Result<uint64_t> History::remove_retired(Connection& connection, int64_t now_micros) {
  const auto files = file_rows(connection, fmt::format("state = 'retired' AND changed <= {}", now_micros - kRetiredKeptMicros));
  if (!files) return files.error();
  uint64_t removed = 0;
  for (const FileRow& file : *files) {
    if (unlink(file.path.c_str()) != 0 && errno != ENOENT) return system_error("cannot remove", file.path);
    auto forgotten = connection.execute("DELETE FROM history_files WHERE path = " + sql_text(file.path));
    if (!forgotten) return forgotten.error();
    // The hour's folder and the day's, once they are empty.
    const fs::path hour_folder = fs::path(file.path).parent_path();
    if (rmdir(hour_folder.c_str()) == 0) (void)rmdir(hour_folder.parent_path().c_str());
    ++removed;
  }
  return removed;
}

Result<void> History::set_broken(Connection& connection, const std::string& path, const std::string& why, int64_t now_micros) {
  return retry_conflicts(connection, [&]() -> Result<void> {
    auto changed = connection.execute(fmt::format("UPDATE history_files SET state = 'broken', trouble = {}, changed = {} WHERE path = {}",
                                                  sql_text(why), now_micros, sql_text(path)));
    if (!changed) return changed.error();
    return make_views(connection);
  });
}

Result<std::vector<std::string>> History::check(Connection& connection, int64_t now_micros) {
  const auto files = file_rows(connection, "true");
  if (!files) return files.error();
  std::set<std::string> known;
  for (const FileRow& file : *files) known.insert(file.path);
  std::error_code failed;
  std::vector<std::string> unknown;
  for (fs::recursive_directory_iterator at(folder_, failed), end; !failed && at != end; at.increment(failed)) {
    const std::string name = at->path().filename().string();
    const bool is_ours = name.compare(0, kNamePrefix.size(), kNamePrefix) == 0 &&
                         (ends_with(name, kSuffix) || ends_with(name, std::string(kSuffix) + std::string(kUnfinished)));
    if (is_ours && known.count(at->path().string()) == 0) unknown.push_back(at->path().string());
  }
  if (failed) return Error{fmt::format("cannot look through {}: {}", folder_, failed.message())};
  for (const std::string& path : unknown) {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return system_error("cannot remove", path);
  }

  const auto kept = file_rows(connection, "state <> 'retired'");
  if (!kept) return kept.error();
  std::vector<std::string> broken;
  for (const FileRow& file : *kept) {
    const auto rows = rows_of_file(connection, file.path);
    std::string why;
    if (!rows) why = rows.error().message;
    else if (*rows != file.rows) why = fmt::format("it has {} rows where {} were written", *rows, file.rows);
    if (why.empty()) continue;
    if (auto set = set_broken(connection, file.path, why, now_micros); !set) return set.error();
    broken.push_back(fmt::format("{}: {}", file.path, why));
  }
  // One that was broken and is whole again, for somebody brought it back, is asked again.
  for (const FileRow& file : *kept) {
    const auto rows = rows_of_file(connection, file.path);
    if (!rows || *rows != file.rows) continue;
    auto mended = connection.execute("UPDATE history_files SET state = 'kept', trouble = '' WHERE state = 'broken' AND path = " +
                                     sql_text(file.path));
    if (!mended) return mended.error();
  }
  auto views = retry_conflicts(connection, [&] { return make_views(connection); });
  if (!views) return views.error();
  return broken;
}

Result<bool> History::check_whole(Connection& connection, const std::string& path, int64_t now_micros) {
  const auto files = file_rows(connection, "state = 'kept' AND path = " + sql_text(path));
  if (!files) return files.error();
  if (files->empty()) return false;
  // Every column of every row is decoded.
  std::string sums;
  for (const ColumnSpec& column : columns()) sums += fmt::format("{}bit_xor(hash({}))", sums.empty() ? "" : ", ", column.name);
  const auto read = connection.query(fmt::format("SELECT {} FROM read_parquet({}, hive_partitioning = false)", sums, sql_text(path)));
  if (read) return false;
  // It was not the file that failed.
  for (const std::string_view words : {"Out of Memory", "INTERRUPT"}) {
    if (read.error().message.find(words) != std::string::npos) return read.error();
  }
  if (auto set = set_broken(connection, path, read.error().message, now_micros); !set) return set.error();
  return true;
}

}  // namespace weir::store
