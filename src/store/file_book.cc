#include "store/file_book.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <set>
#include <system_error>

#include "store/schema.h"

namespace weir::store {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNamePrefix = "flows-";
constexpr std::string_view kSuffix = ".parquet";

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool is_named_as_ours(std::string_view name) {
  if (ends_with(name, kUnfinished)) name.remove_suffix(kUnfinished.size());
  return name.substr(0, kNamePrefix.size()) == kNamePrefix && ends_with(name, kSuffix);
}

/// `day=…/hour=…/flows-….parquet` of a path.
std::string place_of(const std::string& path) {
  const fs::path whole(path);
  return whole.parent_path().parent_path().filename() / whole.parent_path().filename() / whole.filename();
}

Result<void> done(const Result<uint64_t>& changed) {
  if (!changed) return changed.error();
  return {};
}

std::string time_text(int64_t hour) {
  const std::time_t seconds = hour * 3600;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:00:00Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour);
}

constexpr const char* kWhich = "FROM history_files WHERE state IN ('broken', 'damaged')";

}  // namespace

Result<std::vector<FileRow>> file_rows(Connection& connection, const std::string& condition, const std::string& order) {
  auto rows = connection.query(fmt::format("SELECT path, hour, rows, octets, state, crc32c FROM history_files WHERE {} ORDER BY {}", condition, order));
  if (!rows) return rows.error();
  std::vector<FileRow> files;
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error();
    if (!*chunk) return files;
    for (size_t row = 0; row < chunk->rows(); ++row) {
      files.push_back({std::string(chunk->text(0, row)), chunk->at<int64_t>(1, row), chunk->at<int64_t>(2, row),
                       chunk->at<int64_t>(3, row), std::string(chunk->text(4, row))});
      if (!chunk->is_null(5, row)) files.back().crc32c = static_cast<uint32_t>(chunk->at<int64_t>(5, row));
    }
  }
}

Result<LeftOut> left_out_sums(Connection& connection, std::span<const TimeRange> ranges) {
  std::string any = "false";
  for (const TimeRange& range : ranges) {
    any += " OR (true";
    if (range.from_micros) any += fmt::format(" AND (hour + 1)::HUGEINT * {} > {}", kMicrosPerHour, *range.from_micros);
    if (range.until_micros) any += fmt::format(" AND hour::HUGEINT * {} < {}", kMicrosPerHour, *range.until_micros);
    any += ")";
  }
  auto sums = connection.query(fmt::format("SELECT count(*), coalesce(sum(rows), 0)::BIGINT, coalesce(min(hour), 0), coalesce(max(hour) + 1, 0) {} AND ({})", kWhich, any));
  if (!sums) return sums.error();
  auto sum = sums->next();
  if (!sum) return sum.error();
  return LeftOut{static_cast<uint64_t>(sum->at<int64_t>(0, 0)), static_cast<uint64_t>(sum->at<int64_t>(1, 0)), sum->at<int64_t>(2, 0),
                 sum->at<int64_t>(3, 0), {}};
}

Result<LeftOut> left_out_sums(Connection& connection) {
  const TimeRange all;
  return left_out_sums(connection, std::span(&all, 1));
}

Result<LeftOut> left_out_files(Connection& connection) {
  auto sums = left_out_sums(connection);
  if (!sums || sums->files == 0) return sums;
  LeftOut left_out = std::move(*sums);
  auto rows = connection.query(fmt::format("SELECT path || ': ' || trouble {} ORDER BY hour DESC, path LIMIT {}", kWhich, kFilesNamedMax));
  if (!rows) return rows.error();
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error();
    if (!*chunk) return left_out;
    for (size_t row = 0; row < chunk->rows(); ++row) left_out.named.emplace_back(chunk->text(0, row));
  }
}

std::string text_of(const LeftOut& left_out) {
  if (left_out.files == 0) return {};
  return fmt::format("{} {} with {} flows of {} to {} cannot be read and {} left out of every answer", left_out.files,
                     left_out.files == 1 ? "file" : "files", left_out.rows, time_text(left_out.from_hour), time_text(left_out.until_hour),
                     left_out.files == 1 ? "is" : "are");
}

std::string header_of(const LeftOut& left_out) {
  if (left_out.files == 0) return {};
  return fmt::format("files={}; rows={}; from={}; to={}", left_out.files, left_out.rows, time_text(left_out.from_hour), time_text(left_out.until_hour));
}

std::string canonical_folder(const std::string& folder) {
  std::error_code failed;
  std::string path = fs::weakly_canonical(fs::absolute(folder, failed), failed).string();
  if (failed) path = folder;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Result<void> settle_folder(Connection& connection, const std::string& folder) {
  auto table = connection.query("SELECT 1 FROM duckdb_tables() WHERE table_name = 'history_files'");
  if (!table) return table.error();
  auto is_there = table->next();
  if (!is_there) return is_there.error();
  if (!*is_there) return {};
  const std::string prefix = canonical_folder(folder) + "/";
  const auto elsewhere = file_rows(connection, "NOT starts_with(path, " + sql_text(prefix) + ")");
  if (!elsewhere) return elsewhere.error();
  std::error_code failed;
  for (const FileRow& file : *elsewhere) {
    if (file.state == "retired" || fs::exists(prefix + place_of(file.path), failed) || !fs::exists(file.path, failed)) continue;
    return Error{fmt::format("{} is a file of this database's and is not in {}: take history.folder back, or move the files there",
                             file.path, folder)};
  }
  // One spelt with two slashes is in the folder, too.
  return done(connection.execute(fmt::format("UPDATE history_files SET path = {0} || regexp_extract(path, '[^/]+/+[^/]+/+[^/]+$') "
                                             "WHERE path <> {0} || regexp_extract(path, '[^/]+/+[^/]+/+[^/]+$')", sql_text(prefix))));
}

Result<void> note_making(Connection& connection, const std::string& path, int64_t hour, int64_t passed_micros) {
  return done(connection.execute(
      fmt::format("INSERT INTO history_files VALUES ({}, {}, 0, 0, 'making', '', {}, NULL, 0)", sql_text(path), hour, passed_micros)));
}

Result<void> note_kept(Connection& connection, const FileRow& file, int64_t passed_micros) {
  return done(connection.execute(fmt::format("UPDATE history_files SET state = 'kept', rows = {}, octets = {}, changed = {}, crc32c = {}, checked = {} "
                                             "WHERE path = {}",
                                             file.rows, file.octets, passed_micros, file.crc32c ? std::to_string(*file.crc32c) : "NULL",
                                             file.crc32c ? passed_micros : 0, sql_text(file.path))));
}

Result<void> note_checked(Connection& connection, const std::string& path, uint32_t crc32c, int64_t passed_micros) {
  return retry_conflicts(connection, [&] {
    return done(connection.execute(fmt::format("UPDATE history_files SET crc32c = {}, checked = {} WHERE path = {}", crc32c, passed_micros, sql_text(path))));
  });
}

Result<void> change_states(Connection& connection, const std::vector<StateChange>& changes) {
  if (changes.empty()) return {};
  return retry_conflicts(connection, [&]() -> Result<void> {
    for (const StateChange& change : changes) {
      auto changed = connection.execute(fmt::format("UPDATE history_files SET state = {}, trouble = {}{} WHERE path = {}", sql_text(change.state),
                                                    sql_text(change.trouble), change.state == "kept" ? ", checked = 0" : "", sql_text(change.path)));
      if (!changed) return changed.error();
    }
    return make_views(connection);
  });
}

Result<void> remove_leftovers(Connection& connection) {
  const auto files = file_rows(connection, "state = 'making'");
  if (!files) return files.error();
  const auto is_gone = [](const std::string& path) { return unlink(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR; };
  for (const FileRow& file : *files) {
    // One that cannot be removed just now keeps its entry, and holds up nobody.
    if (!is_gone(file.path) || !is_gone(file.path + std::string(kUnfinished))) continue;
    auto forgotten = connection.execute("DELETE FROM history_files WHERE state = 'making' AND path = " + sql_text(file.path));
    if (!forgotten) return forgotten.error();
  }
  return {};
}

Result<std::vector<std::string>> strangers(Connection& connection, const std::string& folder) {
  const auto files = file_rows(connection, "true");
  if (!files) return files.error();
  std::set<std::string> known;
  for (const FileRow& file : *files) known.insert(file.path);
  std::error_code failed;
  std::vector<std::string> found;
  for (fs::recursive_directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    if (is_named_as_ours(at->path().filename().string()) && known.count(at->path().string()) == 0) found.push_back(at->path().string());
  }
  if (failed) return Error{fmt::format("cannot look through {}: {}", folder, failed.message())};
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace weir::store
