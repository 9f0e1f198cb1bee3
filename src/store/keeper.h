// keeper.h — Keeps the store in order while it is written to: folds rows into rollups, closes hours that nobody writes to, makes files
// of those that are old enough, merges, retires and checks files.
//
// Spec:     docs/STORE.md, "History", "Rollups".
// Runs on:  make, step on the keeper_thread; view and suspect on any.
// Owns:     a Connection, and through History the files.
// Bounds:   one piece of work a step: at most kFoldRowsMax rows of an hour, one hour's file, one merge, kScrubBudgetNs of reading files through.
// Failure:  what fails is in the view and is tried again after kRetryMicros; everything else goes on.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/named_enum.h"
#include "base/result.h"
#include "base/snapshot.h"
#include "store/file_scrub.h"
#include "store/file_watch.h"
#include "store/history.h"
#include "store/retention_clock.h"
#include "store/rollups.h"
#include "store/set_aside.h"

namespace weir::store {

#define WEIR_KEEPER_TASKS(X) X(fold) X(close) X(roll_up) X(look) X(scrub) X(archive) X(merge) X(retire) X(expire)
WEIR_NAMED_ENUM(KeeperTask, uint8_t, WEIR_KEEPER_TASKS)
inline constexpr size_t kKeeperTasks = static_cast<size_t>(KeeperTask::count_);

inline constexpr int64_t kMicrosPerSecond = 1'000'000;
inline constexpr int64_t kRetryMicros = 60 * kMicrosPerSecond;
inline constexpr uint64_t kScrubBudgetNs = 500'000'000;
/// The clock that files and sums become too old by is kept so often.
inline constexpr int64_t kKeepClockMicros = 600 * kMicrosPerSecond;
/// A wall clock that is further ahead of it is not believed where sums are made of sums, either.
inline constexpr int64_t kClockAheadMaxMicros = 7 * 24 * 3600 * kMicrosPerSecond;

struct KeeperConfig {
  std::string folder;                                    // of files; absolute, there
  int64_t recent_micros = 48 * 3600 * kMicrosPerSecond;  // hours older than that become files
  int64_t history_micros = 0;                            // files older than that go; 0: never
  RollupRetention rollups = {.minutes_micros = 48 * 3600 * kMicrosPerSecond, .hours_micros = 0, .days_micros = 0};
  int64_t retired_micros = kRetiredKeptMicros;           // who reads a file that was replaced or retired has so long
  uint64_t scrub_octets_per_second = 8 << 20;            // files are read through so fast; 0: only where somebody asks
  int64_t fold_every_micros = 10 * kMicrosPerSecond;
  int64_t quiet_micros = 600 * kMicrosPerSecond;  // an hour that nobody wrote to for so long is closed, and may become a file
  std::function<int64_t()> steady_micros = machine_steady_micros;
  std::string boot = machine_boot();
};

struct KeeperTaskView {
  uint64_t runs = 0;
  uint64_t done = 0;      // rows, hours, files: what the task counts
  uint64_t failures = 0;
  uint64_t busy_ns = 0;   // of all runs
  std::string trouble;    // of the last run; empty: none
};

struct KeeperView {
  std::array<KeeperTaskView, kKeeperTasks> tasks;
  uint64_t hours = 0;             // that lie in the database
  uint64_t files = 0;             // that are asked
  uint64_t file_octets = 0;
  uint64_t file_rows = 0;
  LeftOut left_out;
  FileWatchView watch;
  ScrubView scrub;
  uint64_t files_without_sum = 0;  // an older version wrote them, and they are yet to be read through
  int64_t unread_micros = 0;       // since when, at most, each of the others was not read through; 0: there is none
  RollupRetention rollups{};       // how long they are kept, as configured
  int64_t history_micros = 0;      // the same of files
  KeptFrom kept_from;
  int64_t clock_ahead_micros = 0; // how far the wall clock is ahead of the time that files and sums become too old by
  const KeeperTaskView& of(KeeperTask task) const noexcept { return tasks[static_cast<size_t>(task)]; }
};

class Keeper {
 public:
  /// Checks what is there.
  static Result<std::unique_ptr<Keeper>> make(Database& database, const KeeperConfig& config, int64_t now_micros);

  /// Whatever is due. True: there is more to do at once.
  bool step(int64_t now_micros);
  /// Somebody's question ended with these words, which may be of a file. Any thread.
  void suspect(const std::string& words) { watch_.suspect(words); }
  /// All files are to be read through at once; nothing where that number is under way or done.
  void verify(uint64_t number) noexcept { scrub_.verify(number); }
  std::shared_ptr<const KeeperView> view() const { return view_.read(); }

 private:
  struct Schedule {
    int64_t every_micros = 0;
    int64_t next_micros = 0;
  };
  Keeper(Connection connection, const KeeperConfig& config, RetentionClock clock);
  Result<uint64_t> run(KeeperTask task, int64_t now_micros);
  Result<uint64_t> close(int64_t now_micros);
  Result<uint64_t> archive(int64_t now_micros);
  Result<void> look_at_writes(int64_t now_micros);
  Result<uint64_t> merge(int64_t now_micros);
  Result<uint64_t> scrub();
  Result<uint64_t> retire();
  Result<void> keep_clock();
  SetAside& aside(KeeperTask task) noexcept { return aside_[static_cast<size_t>(task)]; }
  Schedule& schedule_of(KeeperTask task) noexcept { return schedule_[static_cast<size_t>(task)]; }
  Result<void> publish();

  Connection connection_;
  const KeeperConfig config_;
  History history_;
  FileWatch watch_;
  FileScrub scrub_;
  RetentionClock clock_;
  int64_t clock_kept_ = 0;  // what it had passed when it was kept last
  std::array<SetAside, kKeeperTasks> aside_;
  std::array<Schedule, kKeeperTasks> schedule_;
  KeeperView current_;
  /// Of each hour: how often it was written to, and since when it has not been more.
  struct Writes {
    int64_t commits = 0;
    int64_t since_micros = 0;
    bool is_open = true;
  };
  bool is_quiet(const Writes& writes, int64_t now_micros) const noexcept {
    return now_micros - writes.since_micros >= config_.quiet_micros;
  }
  std::map<int64_t, Writes> writes_;
  Snapshot<KeeperView> view_;
};

}  // namespace weir::store
