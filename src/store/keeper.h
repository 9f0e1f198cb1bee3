// keeper.h — Keeps the store in order while it is written to: folds rows into rollups, closes hours that nobody writes to, makes files
// of those that are old enough, merges, retires and checks files.
//
// Spec:     docs/STORE.md, "History", "Rollups".
// Runs on:  make, step on the keeper_thread; view and suspect on any.
// Owns:     a Connection, and through History the files.
// Bounds:   one piece of work a step: at most kFoldRowsMax rows of an hour, one hour's file, one merge.
// Failure:  what fails is in the view and is tried again after kRetryMicros; everything else goes on.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/named_enum.h"
#include "base/result.h"
#include "base/snapshot.h"
#include "store/history.h"
#include "store/rollups.h"

namespace weir::store {

#define WEIR_KEEPER_TASKS(X) X(fold) X(close) X(roll_up) X(look) X(archive) X(merge) X(retire) X(expire)
WEIR_NAMED_ENUM(KeeperTask, uint8_t, WEIR_KEEPER_TASKS)
inline constexpr size_t kKeeperTasks = static_cast<size_t>(KeeperTask::count_);

inline constexpr int64_t kMicrosPerSecond = 1'000'000;
inline constexpr int64_t kRetryMicros = 60 * kMicrosPerSecond;
/// A clock that is further ahead of the newest flow is not believed where files would go for it.
inline constexpr int64_t kClockAheadMaxMicros = 7 * 24 * 3600 * kMicrosPerSecond;

struct KeeperConfig {
  std::string folder;                                    // of files; absolute, there
  int64_t recent_micros = 48 * 3600 * kMicrosPerSecond;  // hours older than that become files
  int64_t history_micros = 0;                            // files older than that go; 0: never
  RollupRetention rollups = {.minutes_micros = 48 * 3600 * kMicrosPerSecond, .hours_micros = 0, .days_micros = 0};
  int64_t fold_every_micros = 10 * kMicrosPerSecond;
  int64_t quiet_micros = 600 * kMicrosPerSecond;  // an hour that nobody wrote to for so long is closed, and may become a file
};

struct KeeperTaskView {
  uint64_t runs = 0;
  uint64_t done = 0;      // rows, hours, files: what the task counts
  uint64_t failures = 0;
  std::string trouble;    // of the last run; empty: none
};

struct KeeperView {
  std::array<KeeperTaskView, kKeeperTasks> tasks;
  uint64_t hours = 0;             // that lie in the database
  uint64_t files = 0;             // that are asked
  uint64_t file_octets = 0;
  uint64_t file_rows = 0;
  uint64_t broken_files = 0;
  std::vector<std::string> newly_broken;  // since the start, each with why; at most kBrokenNamedMax
  const KeeperTaskView& of(KeeperTask task) const noexcept { return tasks[static_cast<size_t>(task)]; }
};
inline constexpr size_t kBrokenNamedMax = 100;

class Keeper {
 public:
  /// Checks what is there.
  static Result<std::unique_ptr<Keeper>> make(Database& database, const KeeperConfig& config, int64_t now_micros);

  /// Whatever is due. True: there is more to do at once.
  bool step(int64_t now_micros);
  /// Somebody could not read this file: it is read as a whole at the next step. Any thread.
  void suspect(const std::string& path);
  std::shared_ptr<const KeeperView> view() const { return view_.read(); }

 private:
  struct Schedule {
    int64_t every_micros = 0;
    int64_t next_micros = 0;
  };
  Keeper(Connection connection, const KeeperConfig& config);
  Result<uint64_t> run(KeeperTask task, int64_t now_micros);
  Result<uint64_t> close(int64_t now_micros);
  Result<uint64_t> archive(int64_t now_micros);
  Result<void> look_at_writes(int64_t now_micros);
  Result<uint64_t> look(int64_t now_micros);
  /// Where the newest hour that there is ends.
  Result<int64_t> newest_micros();
  Result<void> publish();
  void name_broken(const std::string& text);

  Connection connection_;
  const KeeperConfig config_;
  History history_;
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
  std::mutex suspects_lock_;  // not a path of data: somebody could not read a file
  std::vector<std::string> suspects_;
  Snapshot<KeeperView> view_;
};

}  // namespace weir::store
