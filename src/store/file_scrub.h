// file_scrub.h — Reads files of rows through, again and again, and holds their octets against the sum that was taken when they were
// written: Parquet pages have no checksum in DuckDB's files, so what a disk has changed in them may well be read, as other rows.
//
// Spec:     docs/STORE.md, "Files".
// Runs on:  the keeper's thread, with its Connection.
// Bounds:   so many octets and so long a step; one file is open at a time, and comes again after kScrubAgainMicros.
// Failure:  an Error is the database's or the machine's; the file is read anew then. What is wrong with a file is a StateChange.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/database.h"
#include "store/file_book.h"
#include "store/file_sum.h"

namespace weir::store {

inline constexpr int64_t kScrubAgainMicros = 24ll * 3600 * 1'000'000;

/// All files at once, because somebody asked.
struct VerifyView {
  uint64_t number = 0;  // which one: 0, none yet
  bool is_over = true;
  uint64_t files = 0;   // read to their ends
  uint64_t octets = 0;
  uint64_t damaged = 0; // of these
  uint64_t left = 0;
};

/// Since the start.
struct ScrubView {
  uint64_t files = 0;    // read to their ends
  uint64_t octets = 0;
  uint64_t damaged = 0;  // files that were not what was written
  uint64_t summed = 0;   // files whose sum was not known before
  VerifyView verify;
};

class FileScrub {
 public:
  /// Reads on, to the first file with something wrong; nothing where nothing is due. `changes`: what is to become of that one, before the next step.
  Result<void> step(Connection& connection, uint64_t octets_max, uint64_t until_ns, int64_t passed_micros, std::vector<StateChange>& changes);
  /// All files that there are now, newest first, before any other; nothing where that number is under way or done.
  void verify(uint64_t number) noexcept { wanted_ = number; }
  bool is_verifying() const noexcept { return !view_.verify.is_over || wanted_ != view_.verify.number; }
  bool is_reading() const noexcept { return reading_ != nullptr; }
  const ScrubView& view() const noexcept { return view_; }

 private:
  struct Reading {
    explicit Reading(const std::string& file) : path(file), sum(file, ReadFrom::disk) {}
    std::string path;
    FileSum sum;
  };
  Result<void> begin_verify(Connection& connection);
  Result<std::string> next_path(Connection& connection, int64_t passed_micros);
  Result<void> end_file(Connection& connection, const Result<uint64_t>& read, int64_t passed_micros, std::vector<StateChange>& changes);

  ScrubView view_;
  std::unique_ptr<Reading> reading_;  // null: none
  std::deque<std::string> to_verify_;
  uint64_t wanted_ = 0;
};

}  // namespace weir::store
