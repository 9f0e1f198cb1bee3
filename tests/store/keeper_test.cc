#include "store/keeper.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "complete_sums.h"
#include "damaged_file.h"
#include "store/schema.h"
#include "store_database.h"

namespace weir::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int64_t kHour = 489'600;
constexpr int64_t kBegin = kHour * kMicrosPerHour;
constexpr int64_t kMinute = 60 * kMicrosPerSecond;

struct KeeperTest : testing::Test {
  std::string folder;
  std::unique_ptr<StoreDatabase> store;
  std::unique_ptr<Keeper> keeper;
  KeeperConfig config;
  int64_t now = kBegin;
  int64_t jumped = 0;  // of `now`, what no time passed for

  KeeperTest() {
    char name[] = "/tmp/weir-keeper-XXXXXX";
    folder = mkdtemp(name);
    DatabaseOptions options;
    options.folders = {folder};
    store = std::make_unique<StoreDatabase>(options);
    config.folder = folder;
    config.steady_micros = [this] { return now - jumped; };
    config.boot = "this one";
  }
  void jump(int64_t micros) {
    now += micros;
    jumped += micros;
  }
  ~KeeperTest() override { fs::remove_all(folder); }

  void make() {
    auto made = Keeper::make(*store->database, config, now);
    ASSERT_TRUE(made) << made.error().message;
    keeper = std::move(*made);
  }
  void append(int64_t hour, int rows) { append_to(*store->connection, hour, rows); }
  static void append_to(Connection& connection, int64_t hour, int rows) {
    for (bool is_held = true;; is_held = false) {
      if (!is_held) {
        const auto opened = open_hours(connection, std::span(&hour, 1));
        ASSERT_TRUE(opened) << opened.error().message;
      }
      ASSERT_TRUE(connection.execute("BEGIN"));
      const auto held = hold_hours(connection, std::span(&hour, 1));
      ASSERT_TRUE(held) << held.error().message;
      if (*held) {
        const auto done = connection.execute(fmt::format(
            "INSERT INTO {} (time, sampler_address, src_endpoint_addr, bytes_total, packets_total, bytes_raw, packets_raw) SELECT "
            "make_timestamptz({} + i), ip_parse('192.0.2.1'), ip_parse('10.0.0.' || i % 256), i, 1, i, 1 FROM range({}) t(i)",
            hour_table(hour), hour * kMicrosPerHour, rows));
        if (done && connection.execute("COMMIT")) return;
      }
      (void)connection.execute("ROLLBACK");
    }
  }
  /// What any task says of its last run.
  std::string troubles() const {
    std::string text;
    for (const KeeperTaskView& task : keeper->view()->tasks) text += task.trouble;
    return text;
  }
  /// As its thread does it, a minute long.
  void steps(int64_t minutes) {
    for (const int64_t end = now + minutes * kMinute; now < end; now += 10 * kMicrosPerSecond) {
      for (int more = 0; more < 100 && keeper->step(now); ++more) {}
    }
  }
};

TEST_F(KeeperTest, AnHourGoesThroughItsLife) {
  config.recent_micros = 2 * kMicrosPerHour;
  config.history_micros = 24 * kMicrosPerHour;
  make();
  append(kHour, 1000);
  steps(1);
  EXPECT_EQ(keeper->view()->of(KeeperTask::fold).done, 1000u);
  EXPECT_EQ(keeper->view()->hours, 1u);
  steps(3 * 60);  // its hour and the two that are recent
  EXPECT_EQ(keeper->view()->hours, 0u);
  EXPECT_EQ(keeper->view()->files, 1u);
  EXPECT_EQ(keeper->view()->file_rows, 1000u);
  for (const KeeperTask task : {KeeperTask::fold, KeeperTask::roll_up, KeeperTask::archive}) EXPECT_GT(keeper->view()->of(task).busy_ns, 0u) << name_of(task);
  EXPECT_EQ(store->ask("SELECT count(*), (SELECT sum(flows) FROM rollup_src_1h) FROM flow_rows"), "1000|1000\n");
  append(kHour + 200, 1);  // time goes on for flows, too
  now = kBegin + 201 * kMicrosPerHour;
  steps(1);
  EXPECT_EQ(keeper->view()->files, 0u);
  EXPECT_EQ(store->ask("SELECT count(*), (SELECT sum(flows) FROM rollup_src_1h) FROM flow_rows"), "1|1001\n");
  steps(12);
  EXPECT_TRUE(fs::is_empty(folder));
}

TEST_F(KeeperTest, AnHourThatIsStillWrittenToWaits) {
  config.recent_micros = kMicrosPerHour;
  make();
  now = kBegin + 10 * kMicrosPerHour;
  for (int i = 0; i < 5; ++i) {
    append(kHour, 10);
    steps(5);
    EXPECT_EQ(keeper->view()->files, 0u);
  }
  steps(12);
  EXPECT_EQ(keeper->view()->files, 1u);
}

TEST_F(KeeperTest, LateRowsAreMergedIntoTheirHoursFile) {
  config.recent_micros = kMicrosPerHour;
  make();
  now = kBegin + 10 * kMicrosPerHour;
  append(kHour, 10);
  steps(15);
  append(kHour, 5);
  steps(30);
  EXPECT_EQ(keeper->view()->files, 1u);
  EXPECT_EQ(keeper->view()->file_rows, 15u);
  EXPECT_EQ(troubles(), "");
  EXPECT_EQ(keeper->view()->of(KeeperTask::merge).done, 2u);
}

TEST_F(KeeperTest, AFileThatIsCutShortIsFoundAndNamed) {
  config.recent_micros = kMicrosPerHour;
  make();
  now = kBegin + 10 * kMicrosPerHour;
  append(kHour, 10);
  append(kHour + 1, 7);
  steps(15);
  ASSERT_EQ(keeper->view()->files, 2u);
  fs::resize_file(kept_files(*store->connection)->front().path, 50);
  steps(1);
  const LeftOut left_out = keeper->view()->left_out;
  EXPECT_EQ(left_out.files, 1u);
  EXPECT_EQ(left_out.rows, 10u);
  EXPECT_EQ(text_of(left_out), "1 file with 10 flows of 2025-11-08T00:00:00Z to 2025-11-08T01:00:00Z cannot be read and is left out of every answer");
  EXPECT_EQ(header_of(left_out), "files=1; rows=10; from=2025-11-08T00:00:00Z; to=2025-11-08T01:00:00Z");
  ASSERT_EQ(left_out.named.size(), 1u);
  EXPECT_THAT(left_out.named[0], testing::AllOf(HasSubstr("flows-489600-"), HasSubstr("it has 50 octets where")));
  ASSERT_EQ(keeper->view()->watch.newly_broken.size(), 1u);
  EXPECT_THAT(keeper->view()->watch.newly_broken[0], HasSubstr("flows-489600-"));
  EXPECT_EQ(store->ask("SELECT count(*) FROM flow_rows"), "7\n");
}

TEST_F(KeeperTest, GoesOnWhenTheClockIsSetBack) {
  make();
  now = kBegin + 10 * kMicrosPerHour;
  steps(1);
  now = kBegin;
  append(kHour, 10);
  steps(1);
  EXPECT_EQ(keeper->view()->of(KeeperTask::fold).done, 10u);
}

TEST_F(KeeperTest, AClockThatIsYearsAheadCostsNothingThoughFlowsComeUnderIt) {
  config.recent_micros = kMicrosPerHour;
  config.history_micros = 30 * 24 * kMicrosPerHour;
  make();
  now = kBegin + 10 * kMicrosPerHour;
  append(kHour, 10);
  append(kHour + 10, 7);
  steps(15);
  ASSERT_EQ(keeper->view()->files, 1u);
  const std::string sums = store->ask("SELECT sum(flows), count(*) FROM rollup_src_1m");
  const int64_t years = 12 * 365 * 24 * kMicrosPerHour;
  jump(years);
  append(hour_of(now), 1);
  for (int start = 0; start < 8; ++start) {
    make();
    steps(2);
  }
  EXPECT_GT(keeper->view()->clock_ahead_micros, years - 24 * kMicrosPerHour);
  EXPECT_EQ(store->ask("SELECT count(*), (SELECT count(*) FROM history_files WHERE state = 'retired') FROM flow_rows"), "18|0\n");
  EXPECT_EQ(store->ask("SELECT sum(flows) FROM rollup_src_1m WHERE time < TIMESTAMPTZ '2030-01-01'"), "17\n") << sums;
  jump(-years);
  steps(15);
  EXPECT_EQ(keeper->view()->clock_ahead_micros, 0);
  EXPECT_EQ(store->ask("SELECT count(*) FROM flow_rows"), "18\n");
}

// Hours and days are made up to a time that has not come; when the clock is right again rows come for minutes, hours and days that are summed
// up, and for hours that are files.
TEST_F(KeeperTest, SumsStayThoseOfRowsWhenTheClockWasAheadAndIsSetBack) {
  config.recent_micros = kMicrosPerHour;
  config.rollups.minutes_micros = 0;
  make();
  now = kBegin + 30 * kMicrosPerHour;
  for (int hour = 0; hour < 30; hour += 7) append(kHour + hour, 100 + hour);
  steps(15);
  expect_complete(*store, "before");
  const int64_t ahead = 3 * 24 * kMicrosPerHour;
  jump(ahead);
  append(hour_of(now), 40);
  append(hour_of(now) - 5, 20);
  steps(15);
  expect_complete(*store, "ahead");
  ASSERT_EQ(store->ask("SELECT days > " + std::to_string(now - 24 * kMicrosPerHour) + " FROM rollup_state"), "true\n") << "made of what has not come";
  jump(-ahead);
  for (int round = 0; round < 3; ++round) {
    for (const int64_t hour : {hour_of(now), hour_of(now) - 2, kHour, hour_of(now) + 40, hour_of(now + ahead) - 5}) append(hour, 30 + round);
    expect_complete(*store, fmt::format("set back, round {}, not folded", round));
    steps(1);
    expect_complete(*store, fmt::format("set back, round {}, folded", round));
    steps(25);
    expect_complete(*store, fmt::format("set back, round {}, closed and in files", round));
  }
  EXPECT_GE(keeper->view()->of(KeeperTask::merge).done, 2u);
  for (int day = 0; day < 6; ++day) {
    now += 24 * kMicrosPerHour;
    append(hour_of(now), 3);
    steps(15);
  }
  expect_complete(*store, "when that time has come");
  EXPECT_EQ(troubles(), "");
}

TEST_F(KeeperTest, WhoReadsAFileThatWasReplacedHasHisTimeWhateverTheClockSays) {
  config.recent_micros = kMicrosPerHour;
  make();
  now = kBegin + 10 * kMicrosPerHour;
  append(kHour, 10);
  steps(15);
  append(kHour, 5);
  for (int i = 0; i < 60 && keeper->view()->of(KeeperTask::merge).done == 0; ++i) steps(1);
  ASSERT_EQ(keeper->view()->of(KeeperTask::merge).done, 2u);
  const auto retired = [&] { return store->ask("SELECT count(*) FROM history_files WHERE state = 'retired'"); };
  jump(kMicrosPerHour);
  steps(5);
  EXPECT_EQ(retired(), "2\n");
  steps(8);
  EXPECT_EQ(retired(), "0\n");
}

// Of two hours that are to be made files the first cannot be.
TEST_F(KeeperTest, AnHourThatCannotBecomeAFileHoldsUpNoOther) {
  config.recent_micros = kMicrosPerHour;
  make();
  now = kBegin + 30 * kMicrosPerHour;
  append(kHour, 10);
  append(kHour + 24, 7);  // of the next day
  const fs::path day = fs::path(folder) / "day=2025-11-08";
  std::fclose(std::fopen(day.c_str(), "w"));
  steps(15);
  EXPECT_EQ(keeper->view()->file_rows, 7u);
  EXPECT_THAT(keeper->view()->of(KeeperTask::archive).trouble, HasSubstr("cannot make the folder"));
  EXPECT_GE(keeper->view()->of(KeeperTask::archive).failures, 1u);
  fs::remove(day);
  steps(20);
  EXPECT_EQ(keeper->view()->file_rows, 17u);
  EXPECT_EQ(troubles(), "");
}

// A file of the hour that would be merged first is damaged inside: it is found, and left out; all else is merged.
TEST_F(KeeperTest, DamageThatAMergeMeetsIsLeftOutAndHoldsUpNoOtherHour) {
  config.recent_micros = kMicrosPerHour;
  make();
  now = kBegin + 30 * kMicrosPerHour;
  History history(folder);
  const auto make_file = [&](int64_t hour, int rows) {
    append(hour, rows);
    ASSERT_TRUE(fold(*store->connection));
    const auto done = history.archive(*store->connection, hour, now);
    ASSERT_TRUE(done && *done) << done.error().message;
  };
  make_file(kHour, 20'000);
  const std::string path = kept_files(*store->connection)->front().path;
  for (int i = 1; i < 3; ++i) make_file(kHour, i);
  for (int i = 0; i < 2; ++i) make_file(kHour + 1, 50);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto size = static_cast<std::streamoff>(fs::file_size(path));
  for (std::streamoff at = 4; at < size - 20'000; at += 64) {
    file.seekp(at);
    file.put('\x55');
  }
  file.close();
  steps(5);
  EXPECT_EQ(keeper->view()->left_out.files, 1u);
  EXPECT_EQ(store->ask("SELECT hour, rows FROM history_files WHERE state = 'kept' ORDER BY hour"), "489600|3\n489601|100\n");
  EXPECT_EQ(store->ask("SELECT path FROM history_files WHERE state = 'damaged'"), path + "\n");
  EXPECT_EQ(store->ask("SELECT count(*) FROM flow_rows"), "103\n");
}

TEST_F(KeeperTest, ADiskThatForgetsIsFoundWithinADayAndNotMergedOn) {
  config.recent_micros = kMicrosPerHour;
  make();
  now = kBegin + 10 * kMicrosPerHour;
  append(kHour, 20'000);
  append(kHour + 1, 7);
  steps(15);
  ASSERT_EQ(keeper->view()->files, 2u);
  EXPECT_EQ(keeper->view()->files_without_sum, 0u);
  const std::string path = kept_files(*store->connection)->front().path;
  flip_bit(path, static_cast<std::streamoff>(fs::file_size(path) / 3));
  for (int hour = 0; hour < 25; ++hour) {
    now += kMicrosPerHour - kMinute;
    steps(1);
  }
  EXPECT_EQ(keeper->view()->left_out.files, 1u);
  EXPECT_EQ(keeper->view()->left_out.rows, 20'000u);
  EXPECT_EQ(keeper->view()->scrub.damaged, 1u);
  EXPECT_EQ(keeper->view()->of(KeeperTask::scrub).done, 2u);
  EXPECT_LE(keeper->view()->unread_micros, 2 * kMicrosPerHour);
  ASSERT_EQ(keeper->view()->watch.newly_broken.size(), 1u);
  EXPECT_THAT(keeper->view()->watch.newly_broken[0], HasSubstr(path + ": its octets are not those"));
  EXPECT_EQ(store->ask("SELECT count(*) FROM flow_rows"), "7\n");
}

// What a merge meets first is named in the log as well, and the other files of its hour are merged.
TEST_F(KeeperTest, AMergeThatMeetsWhatADiskHasChangedLeavesItOut) {
  config.recent_micros = kMicrosPerHour;
  config.scrub_octets_per_second = 0;
  make();
  now = kBegin + 30 * kMicrosPerHour;
  History history(folder);
  for (const int rows : {20'000, 1, 2}) {
    append(kHour, rows);
    ASSERT_TRUE(fold(*store->connection));
    ASSERT_TRUE(*history.archive(*store->connection, kHour, now));
  }
  const std::string path = file_rows(*store->connection, "rows = 20000")->front().path;
  flip_bit(path, static_cast<std::streamoff>(fs::file_size(path) / 3));
  steps(5);
  EXPECT_EQ(store->ask("SELECT state, rows FROM history_files WHERE state <> 'retired' ORDER BY rows"), "kept|3\ndamaged|20000\n");
  ASSERT_EQ(keeper->view()->watch.newly_broken.size(), 1u);
  EXPECT_THAT(keeper->view()->watch.newly_broken[0], HasSubstr(path));
  EXPECT_EQ(troubles(), "");
}

TEST_F(KeeperTest, AllFilesAreVerifiedWhereSomebodyAsksThoughNothingIsRead) {
  config.recent_micros = kMicrosPerHour;
  config.scrub_octets_per_second = 0;
  make();
  now = kBegin + 10 * kMicrosPerHour;
  append(kHour, 10);
  append(kHour + 1, 7);
  steps(15);
  now += 100 * kMicrosPerHour;
  steps(1);
  EXPECT_EQ(keeper->view()->scrub.octets, 0u);
  keeper->verify(1);
  steps(1);
  const VerifyView verify = keeper->view()->scrub.verify;
  EXPECT_TRUE(verify.is_over);
  EXPECT_EQ(verify.number, 1u);
  EXPECT_EQ(verify.files, 2u);
  EXPECT_EQ(verify.octets, keeper->view()->file_octets);
}

TEST_F(KeeperTest, WhatFailsIsSaidAndTriedAgain) {
  config.recent_micros = kMicrosPerHour;
  make();
  now = kBegin + 10 * kMicrosPerHour;
  append(kHour, 10);
  // Where its folder would be there is a file.
  const fs::path day = fs::path(folder) / "day=2025-11-08";
  std::fclose(std::fopen(day.c_str(), "w"));
  steps(15);
  EXPECT_THAT(keeper->view()->of(KeeperTask::archive).trouble, HasSubstr("cannot make the folder"));
  EXPECT_GE(keeper->view()->of(KeeperTask::archive).failures, 2u);
  EXPECT_EQ(store->ask("SELECT count(*) FROM flow_rows"), "10\n");
  fs::remove(day);
  steps(10);
  EXPECT_EQ(keeper->view()->of(KeeperTask::archive).trouble, "");
  EXPECT_EQ(keeper->view()->files, 1u);
}

// The keeper archives, folds and merges as fast as it can while rows come for the same hours: every row is there once.
TEST_F(KeeperTest, NoRowIsLostOrDoubledBesideAWriter) {
  config.recent_micros = 0;
  config.quiet_micros = 0;
  config.fold_every_micros = 0;
  config.rollups.minutes_micros = 0;  // old as these rows are, their minutes are to stay
  make();
  std::atomic<bool> is_enough{false}, is_over{false};
  uint64_t appends = 0;
  std::thread writer([&] {
    auto connection = store->database->connect();
    ASSERT_TRUE(connection);
    while (!is_enough && appends < 1500) {
      append_to(*connection, kHour + static_cast<int64_t>(appends / 100 % 3), 100);
      ++appends;
      std::this_thread::sleep_for(std::chrono::milliseconds(appends % 16 == 0 ? 40 : 1));
    }
    is_over = true;
  });
  now = kBegin + 100 * kMicrosPerHour;
  while (!is_over) {
    keeper->step(now);
    now += kMinute + 1;
    // Nobody ever sees a row twice or a group that is not whole.
    const std::string counts = store->ask("SELECT count(*) % 100, count(*) - (SELECT sum(flows) FROM rollup_src_1m) FROM flow_rows");
    EXPECT_TRUE(counts == "0|0\n" || counts == "0|\n") << counts;
    EXPECT_EQ(troubles(), "");
    is_enough = keeper->view()->of(KeeperTask::archive).done >= 6;
  }
  writer.join();
  EXPECT_EQ(store->ask("SELECT count(*), sum(bytes_total), (SELECT sum(flows) FROM rollup_src_1m), (SELECT sum(flows) FROM rollup_src_1d) FROM flow_rows"),
            fmt::format("{0}|{1}|{0}|{0}\n", appends * 100, appends * 99 * 50));
  EXPECT_GE(keeper->view()->of(KeeperTask::archive).done, 6u);
}

}  // namespace
}  // namespace weir::store
