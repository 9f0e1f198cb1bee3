#include "store/sql_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace weir::store {
namespace {

constexpr size_t kPieceOctets = 256 * 1024;

std::string next_path(const std::string& folder) {
  static std::atomic<uint64_t> count{0};
  return fmt::format("{}/answer-{}-{}.parquet", folder, getpid(), count.fetch_add(1));
}

}  // namespace

std::string answers_folder(const DatabaseOptions& options) {
  return options.temp_directory.empty() ? std::string() : options.temp_directory + "/answers";
}

void clear_answers(const std::string& folder) {
  if (folder.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  std::filesystem::create_directories(folder, ignored);
}

SqlFile::SqlFile(const std::string& folder, Says says) : says_(std::move(says)), path_(next_path(folder)), cut_path_(path_ + ".cut") {}

SqlFile::~SqlFile() {
  unlink(path_.c_str());
  unlink(cut_path_.c_str());
}

std::string SqlFile::options(bool is_cut) const {
  std::string metadata = fmt::format("weir_truncated: '{}'", is_cut);
  if (!says_.notes.empty()) metadata += ", weir_notes: " + sql_text(says_.notes);
  if (!says_.left_out.empty()) metadata += ", weir_left_out: " + sql_text(says_.left_out);
  return fmt::format("(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{}}})", metadata);
}

std::string SqlFile::statement(std::string_view sql, uint64_t rows) const {
  // A line of its own for the bracket: the question may end with a comment.
  return fmt::format("COPY (SELECT * FROM ({}\n) LIMIT {}) TO {} {}", sql, rows + 1, sql_text(path_), options(/*is_cut=*/false));
}

Result<void> SqlFile::cut(Connection& connection, uint64_t rows) {
  // Nothing but an order that is asked for keeps rows where they are.
  const auto done = connection.execute(
      fmt::format("COPY (SELECT * FROM read_parquet({}) ORDER BY file_row_number LIMIT {}) TO {} {}",
                  sql_text(path_), rows, sql_text(cut_path_), options(/*is_cut=*/true)));
  if (!done) return done.error();
  unlink(path_.c_str());
  path_ = cut_path_;
  return {};
}

Result<void> SqlFile::read(const std::function<bool(std::string& piece)>& take) {
  const int fd = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Error{fmt::format("{}: {}", path_, std::strerror(errno))};
  unlink(path_.c_str());
  std::string piece;
  for (;;) {
    piece.resize(kPieceOctets);
    const ssize_t n = ::read(fd, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    const std::string trouble = n < 0 ? fmt::format("{}: {}", path_, std::strerror(errno)) : std::string();
    piece.resize(n > 0 ? static_cast<size_t>(n) : 0);
    const bool goes_on = n > 0 && take(piece);
    if (goes_on) continue;
    close(fd);
    if (!trouble.empty()) return Error{trouble};
    if (n > 0) return Error{"it was stopped"};
    return {};
  }
}

}  // namespace weir::store
