#include "store/parquet_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <random>
#include <system_error>

#include "store/schema.h"

namespace weir::store {

namespace {

namespace fs = std::filesystem;

/// Of lists' elements, behind those of columns: as Iceberg gives ids when a table is made, so that one that is made of a file's schema has
/// the file's ids.
constexpr size_t kElementFieldIds = 65;
static_assert(kElementFieldIds == kColumns + 1, "a column that was added has the next id that is free, from 70");

/// By source first: an address or a prefix of it touches few row groups, and neighbours compress each other.
std::string in_our_order(const ColumnSet& has) {
  std::string order;
  for (const Column column : {Column::src_endpoint_addr, Column::dst_endpoint_addr, Column::time}) {
    const auto at = static_cast<size_t>(column);
    if (has[at]) order += fmt::format("{}{}", order.empty() ? " ORDER BY " : ", ", columns()[at].name);
  }
  return order;
}

std::string field_ids() {
  std::string ids;
  size_t id = 0, element = kElementFieldIds;
  for (const ColumnSpec& column : columns()) {
    ++id;
    const bool is_list = column.type == ColumnType::big_numbers || column.type == ColumnType::texts;
    ids += is_list ? fmt::format("{}{}: {{__duckdb_field_id: {}, element: {}}}", ids.empty() ? "" : ", ", column.name, id, element++)
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

bool has_any(std::string_view text, std::initializer_list<std::string_view> words) noexcept {
  for (const std::string_view word : words) {
    if (text.find(word) != std::string_view::npos) return true;
  }
  return false;
}

/// It would have failed of any file.
bool is_of_the_machine(const Error& error) noexcept {
  return has_any(error.message, {"Out of Memory", "INTERRUPT", "Interrupted", "Too many open files", "Cannot allocate memory", "bad_alloc",
                                 "FATAL", "has been invalidated"});
}

}  // namespace

std::string new_path(const std::string& folder, int64_t hour) {
  const std::time_t seconds = hour * 3600;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::random_device random;
  return fmt::format("{}/day={:04}-{:02}-{:02}/hour={:02}/flows-{}-{:08x}{:08x}.parquet", folder, parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, hour, random(), random());
}

Result<FileRow> write_file(Connection& connection, const std::string& folder, const std::string& path, const FileSource& source,
                           const std::vector<std::string>& replaces, const OnFileStep& on_step) {
  FileRow file;
  file.path = path;
  const fs::path hour_folder = fs::path(path).parent_path();
  std::error_code failed;
  fs::create_directories(hour_folder, failed);
  if (failed) return Error{fmt::format("cannot make the folder {}: {}", hour_folder.string(), failed.message())};
  const std::string unfinished = path + std::string(kUnfinished);
  std::string names;
  for (const std::string& name : replaces) names += (names.empty() ? "" : ",") + name;
  // PERF: only columns that there are go through the sort; those that are NULL in every row are put in behind it.
  auto copied = connection.query(fmt::format(
      "COPY (SELECT {} FROM (FROM ({}){})) TO {} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 9, "
      "ROW_GROUP_SIZE 122880, FIELD_IDS {{{}}}, KV_METADATA {{weir_replaces: {}}})",
      every_column(source.has), source.query, in_our_order(source.has), sql_text(unfinished), field_ids(), sql_text(names)));
  if (!copied) return copied.error();
  const auto sum = sum_of_file(unfinished, ReadFrom::cache);
  if (!sum) return sum.error();
  file.crc32c = *sum;
  if (auto synced = sync(unfinished, O_RDWR); !synced) return synced.error();
  const auto rows = rows_of_file(connection, unfinished);
  if (!rows) return rows.error();
  file.rows = *rows;
  file.octets = static_cast<int64_t>(fs::file_size(unfinished, failed));
  on_step(FileStep::written);
  // Never in another's place.
  if (renameat2(AT_FDCWD, unfinished.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0) return system_error("cannot name", path);
  on_step(FileStep::named);
  for (const fs::path& of : {hour_folder, hour_folder.parent_path(), fs::path(folder)}) {
    if (auto synced = sync(of.string(), O_RDONLY | O_DIRECTORY); !synced) return synced.error();
  }
  on_step(FileStep::synced);
  return file;
}

Result<std::string> trouble_of_error(const Error& error) {
  if (is_of_the_machine(error)) return error;
  return error.message;
}

Result<std::string> end_trouble(Connection& connection, const FileRow& file) {
  std::error_code failed;
  const auto octets = fs::file_size(file.path, failed);
  if (failed) return failed.message();
  if (static_cast<int64_t>(octets) != file.octets) return fmt::format("it has {} octets where {} were written", octets, file.octets);
  const auto rows = rows_of_file(connection, file.path);
  if (!rows) return trouble_of_error(rows.error());
  return *rows == file.rows ? std::string() : fmt::format("it has {} rows where {} were written", *rows, file.rows);
}

std::string trouble_of_sum(const FileRow& file, uint32_t crc32c) {
  if (!file.crc32c || *file.crc32c == crc32c) return {};
  return fmt::format("its octets are not those that were written: their CRC-32C is {:08x} where it was {:08x}", crc32c, *file.crc32c);
}

Result<std::string> octets_trouble(const FileRow& file, ReadFrom from) {
  if (!file.crc32c) return std::string();
  const auto sum = sum_of_file(file.path, from);
  if (!sum) return trouble_of_error(sum.error());
  return trouble_of_sum(file, *sum);
}

Result<std::string> inside_trouble(Connection& connection, const FileRow& file) {
  auto outside = end_trouble(connection, file);
  if (outside && outside->empty()) outside = octets_trouble(file, ReadFrom::disk);
  if (!outside || !outside->empty()) return outside;
  // Every column of every row is decoded.
  std::string sums;
  for (const ColumnSpec& column : columns()) sums += fmt::format("{}bit_xor(hash({}))", sums.empty() ? "" : ", ", column.name);
  const auto read = connection.query(fmt::format("SELECT {} FROM read_parquet({}, hive_partitioning = false)", sums, sql_text(file.path)));
  if (!read) return trouble_of_error(read.error());
  return std::string();
}

bool may_be_of_a_file(const std::string& message) noexcept {
  return has_any(message, {"arquet", "IO Error", "ZSTD", "ecompress", "Out of buffer", "TProtocol", "orrupt"});
}

}  // namespace weir::store
