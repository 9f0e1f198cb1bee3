// history.h — Hours that are over become files; files are merged, retired and removed.
//
// Spec:     docs/STORE.md, "Files".
// Runs on:  the keeper's thread, with its Connection.
// Owns:     the files under its folder that the database knows, and no others.
// Bounds:   one hour, or one hour's files, at a time.
// Failure:  an Error; then nothing has changed but a file that the database knows as one that was not ended. A file is on the disk
//           (fsync) before the transaction that keeps it and drops its rows.
//
// `passed_micros` is a time that never jumps (RetentionClock::passed).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/database.h"
#include "store/file_book.h"
#include "store/parquet_file.h"

namespace weir::store {

/// So long, at least, a retired file is left to those who are reading it.
inline constexpr int64_t kRetiredKeptMicros = 600'000'000;

class History {
 public:
  /// `folder` is there. `on_step`: told what has been done, for those who want to see it stopped there.
  explicit History(const std::string& folder, OnFileStep on_step = [](FileStep) {})
      : folder_(canonical_folder(folder)), on_step_(std::move(on_step)) {}
  const std::string& folder() const noexcept { return folder_; }

  /// The hour's rows become a file and its table goes. False where rows are not folded yet, or came meanwhile: later.
  Result<bool> archive(Connection& connection, int64_t hour, int64_t passed_micros);
  /// Hours that have more than one file, those with most first.
  Result<std::vector<int64_t>> hours_to_merge(Connection& connection) const;
  /// One file in place of the hour's. How many it had. An Error where one of them is damaged, too: which, FileWatch finds.
  Result<uint64_t> merge(Connection& connection, int64_t hour, int64_t passed_micros);
  /// Retires files of hours before `hour`.
  Result<uint64_t> retire_before(Connection& connection, int64_t hour, int64_t passed_micros);
  /// Removes files that have been retired for `kept_micros`.
  Result<uint64_t> remove_retired(Connection& connection, int64_t passed_micros, int64_t kept_micros = kRetiredKeptMicros);

 private:
  /// A file of the query's rows, of which there are so many, that the database knows as one that is being made.
  Result<FileRow> make_file(Connection& connection, const FileSource& source, int64_t hour, int64_t rows,
                            const std::vector<std::string>& replaces, int64_t passed_micros);
  /// After an error: what was made goes, unless the database has kept it.
  Error given_up(Connection& connection, Error error) const;

  const std::string folder_;
  const OnFileStep on_step_;
};

}  // namespace weir::store
