// What is left where the program is killed between any two steps of making, merging or removing files: every row, once.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

#include "store/file_watch.h"
#include "store/history.h"
#include "store/open_store.h"
#include "store/rollups.h"
#include "store/schema.h"

namespace weir::store {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kHour = 489'600;

struct FileCrashTest : testing::TestWithParam<FileStep> {
  fs::path place;
  FileCrashTest() {
    char name[] = "/tmp/weir-crash-XXXXXX";
    place = mkdtemp(name);
    fs::create_directories(place / "history");
  }
  ~FileCrashTest() override { fs::remove_all(place); }

  /// In a process of its own, which is killed there. `expected`: how it ends.
  void in_child(const std::function<void(OpenStore&, Connection&)>& work, int expected) const {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      {
        auto store = open();
        if (!store) _exit(3);
        auto connection = (*store)->database()->connect();
        work(**store, *connection);
      }
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status), expected);
  }
  Result<std::unique_ptr<OpenStore>> open() const {
    DatabaseOptions options;
    options.path = place / "flows.duckdb";
    options.folders = {place / "history"};
    options.history_folder = place / "history";
    return OpenStore::open(options);
  }
  History history(FileStep fatal) const {
    return History(place / "history", [fatal](FileStep step) {
      if (step == fatal) std::raise(SIGKILL);
    });
  }
  static void append(Connection& connection, int rows) {
    if (!open_hours(connection, std::span(&kHour, 1)) ||
        !connection.execute(fmt::format("INSERT INTO {} (time, src_endpoint_addr, bytes_total, packets_total, bytes_raw, packets_raw) SELECT "
                                        "make_timestamptz({} + i), uuid(), i, 1, i, 1 FROM range({}) t(i)",
                                        hour_table(kHour), kHour * kMicrosPerHour, rows)) ||
        !fold(connection)) {
      _exit(4);
    }
  }
  static int64_t number(Connection& connection, const std::string& sql) {
    auto rows = connection.query(sql);
    EXPECT_TRUE(rows) << rows.error().message;
    return rows ? rows->next()->at<int64_t>(0, 0) : -1;
  }
  /// The next start, and what is still to be done. No file is left that is not in use, none is missing.
  void goes_on(int64_t rows, const std::function<void(Connection&)>& rest) const {
    auto store = open();
    ASSERT_TRUE(store) << store.error().message;
    auto connection = (*store)->database()->connect();
    FileWatch watch(place / "history");
    const auto begun = watch.begin(*connection);
    ASSERT_TRUE(begun) << begun.error().message;
    EXPECT_EQ(watch.view().unknown, 0u);
    EXPECT_TRUE(watch.view().newly_broken.empty());
    const std::string counts = "SELECT count(*) FROM flow_rows", sums = "SELECT sum(flows)::BIGINT FROM rollup_src_1m";
    EXPECT_EQ(number(*connection, counts), rows);
    EXPECT_EQ(number(*connection, sums), rows);
    rest(*connection);
    EXPECT_EQ(number(*connection, counts), rows);
    EXPECT_EQ(number(*connection, sums), rows);
    EXPECT_EQ(number(*connection, "SELECT count(*) FROM history_files WHERE state = 'kept'"), 1);
    int64_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(place / "history")) files += entry.is_regular_file() ? 1 : 0;
    EXPECT_EQ(files, number(*connection, "SELECT count(*) FROM history_files"));
  }
};

TEST_P(FileCrashTest, WhileAnHourBecomesAFile) {
  in_child([&](OpenStore&, Connection& connection) {
    append(connection, 3000);
    (void)history(GetParam()).archive(connection, kHour, 1);
  }, -SIGKILL);
  goes_on(3000, [&](Connection& connection) {
    if (number(connection, "SELECT count(*) FROM flow_hours") == 0) return;
    const auto done = History(place / "history").archive(connection, kHour, 2);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(*done);
  });
}

TEST_P(FileCrashTest, WhileFilesAreMerged) {
  in_child([&](OpenStore&, Connection& connection) {
    for (const int rows : {2000, 700, 5}) {
      append(connection, rows);
      (void)History(place / "history").archive(connection, kHour, 1);
    }
    (void)history(GetParam()).merge(connection, kHour, 2);
  }, -SIGKILL);
  goes_on(2705, [&](Connection& connection) {
    const auto hours = History(place / "history").hours_to_merge(connection);
    ASSERT_TRUE(hours);
    for (const int64_t hour : *hours) EXPECT_EQ(*History(place / "history").merge(connection, hour, 3), 3u);
  });
}

std::string step_name(const testing::TestParamInfo<FileStep>& info) { return std::string(name_of(info.param)); }
INSTANTIATE_TEST_SUITE_P(KilledWhen, FileCrashTest,
                         testing::Values(FileStep::noted, FileStep::written, FileStep::named, FileStep::synced, FileStep::swapping, FileStep::swapped),
                         step_name);

TEST_F(FileCrashTest, WhileRetiredFilesAreRemoved) {
  in_child([&](OpenStore&, Connection& connection) {
    for (const int rows : {2000, 700, 5}) {
      append(connection, rows);
      (void)History(place / "history").archive(connection, kHour, 1);
    }
    (void)History(place / "history").merge(connection, kHour, 2);
    (void)history(FileStep::removed).remove_retired(connection, 2 + kRetiredKeptMicros);
  }, -SIGKILL);
  goes_on(2705, [&](Connection& connection) {
    EXPECT_EQ(*History(place / "history").remove_retired(connection, 2 + kRetiredKeptMicros), 3u);
  });
}

// The commit is in the log, but who made it was told that it failed: the database's word counts.
TEST_F(FileCrashTest, ACommitThatSeemedToFailKeepsItsFile) {
  in_child([&](OpenStore&, Connection& connection) {
    append(connection, 3000);
    (void)history(FileStep::swapped).archive(connection, kHour, 1);
  }, -SIGKILL);
  auto store = open();
  ASSERT_TRUE(store);
  auto connection = (*store)->database()->connect();
  ASSERT_TRUE(remove_leftovers(*connection));
  EXPECT_EQ(number(*connection, "SELECT count(*) FROM flow_rows"), 3000);
}

}  // namespace
}  // namespace weir::store
