// file_watch.h — Which files can be read: looks at them, finds the one that a question ended with, and takes back those that are whole
// again.
//
// Spec:     docs/STORE.md, "Files".
// Runs on:  the keeper's thread, with its Connection; suspect on any.
// Bounds:   kWatchBudgetNs of reading a look; all files are read at most once in ten times as long as it takes.
// Failure:  an Error is the database's; a file that cannot be read is none, but `broken` or `damaged` from then on.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/database.h"
#include "store/file_book.h"

namespace weir::store {

inline constexpr uint64_t kWatchBudgetNs = 1'000'000'000;

struct FileWatchView {
  std::vector<std::string> newly_broken;  // since the start, each with why; at most kFilesNamedMax
  uint64_t taken_back = 0;                // since the start
  uint64_t in_doubt = 0;                  // kept, and yet to be read
  uint64_t unknown = 0;                   // named as ours, and the database does not know them: left alone
  std::vector<std::string> unknown_named; // some of them
};

class FileWatch {
 public:
  explicit FileWatch(std::string folder) : folder_(std::move(folder)) {}

  /// At start. What an earlier run did not end is removed; each file's end is looked at.
  Result<void> begin(Connection& connection);
  /// Somebody's question ended with these words. A file that they name is read next, else all are, newest first.
  void suspect(const std::string& words);
  bool has_suspicion() const;
  /// These are read next, whatever is wrong with them.
  void doubt(const std::vector<FileRow>& files);
  /// How many were found broken or are whole again.
  Result<uint64_t> look(Connection& connection, int64_t steady_micros);
  /// Takes up what was found of files. How many those are.
  Result<uint64_t> change(Connection& connection, const std::vector<StateChange>& changes);
  bool is_reading() const noexcept { return !to_read_.empty(); }
  const FileWatchView& view() const noexcept { return view_; }

 private:
  struct Recheck {
    std::string stamp;
    int64_t next_micros = 0;
    int64_t wait_micros = 0;
  };
  Result<void> take_suspicions(Connection& connection, int64_t steady_micros);
  Result<void> look_at_noted(Connection& connection, std::vector<StateChange>& changes);
  Result<void> look_at_lengths(Connection& connection, std::vector<StateChange>& changes);
  Result<void> read_some(Connection& connection, uint64_t until_ns, int64_t steady_micros, std::vector<StateChange>& changes);
  Result<void> look_at_broken(Connection& connection, uint64_t until_ns, int64_t steady_micros, std::vector<StateChange>& changes);

  const std::string folder_;
  FileWatchView view_;
  std::deque<FileRow> to_read_;
  std::map<std::string, Recheck> rechecks_;  // of files that are broken or damaged
  bool wants_all_ = false;
  std::optional<int64_t> reading_since_micros_;  // steady
  int64_t all_next_micros_ = 0;   // steady: not before it
  mutable std::mutex lock_;       // not a path of data: a question failed
  std::vector<std::string> suspicions_;
};

}  // namespace weir::store
