// history.h — Hours that are over become Parquet files; files are merged, retired and checked.
//
// Spec:     docs/STORE.md, "History". Files as Iceberg can adopt them: no unsigned types, a field id for each column, one
//           day a file.
// Runs on:  the keeper's thread, with its Connection.
// Owns:     the files under its folder that are named as it names them.
// Bounds:   one hour, or one hour's files, at a time.
// Failure:  an Error; then nothing has changed but a file that nobody knows, which the next start removes. A file is on the disk
//           (fsync) before the transaction that names it and drops its rows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/database.h"

namespace weir::store {

/// So long a retired file is left to those who are reading it.
inline constexpr int64_t kRetiredKeptMicros = 600'000'000;
inline constexpr size_t kHistoryFilesMax = 100'000;

class History {
 public:
  /// `folder` is absolute and there.
  explicit History(std::string folder) : folder_(std::move(folder)) {}

  /// At start: files that no transaction knows are removed; those that are not what they should be are left out from now on.
  /// The latter, each with why.
  Result<std::vector<std::string>> check(Connection& connection, int64_t now_micros);
  /// Reads the whole file: what a look at its end does not show. True: it is broken, and left out from now on.
  Result<bool> check_whole(Connection& connection, const std::string& path, int64_t now_micros);

  /// The hour's rows become a file and its table goes. False where rows are not folded yet, or came meanwhile: later.
  Result<bool> archive(Connection& connection, int64_t hour, int64_t now_micros);
  /// The hour that has the most files, if it has more than one, gets one instead. How many files it had.
  Result<uint64_t> merge(Connection& connection, int64_t now_micros);
  /// Retires files of hours before `hour`.
  Result<uint64_t> retire_before(Connection& connection, int64_t hour, int64_t now_micros);
  /// Removes files that were retired long enough ago.
  Result<uint64_t> remove_retired(Connection& connection, int64_t now_micros);

 private:
  struct Written {
    std::string path;
    int64_t rows = 0;
    int64_t octets = 0;
  };
  std::string path_of(int64_t hour) const;
  Result<Written> write(Connection& connection, const std::string& select, int64_t hour) const;
  Result<void> set_broken(Connection& connection, const std::string& path, const std::string& why, int64_t now_micros);

  const std::string folder_;
};

}  // namespace weir::store
