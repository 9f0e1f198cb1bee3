// A store that an older version of the program made.
#include <gtest/gtest.h>

#include "schema_v1.h"
#include "store/address_functions.h"
#include "store/duckdb_sink.h"
#include "store/file_scrub.h"
#include "store/history.h"
#include "store/rollups.h"
#include "store_database.h"
#include "support/process.h"

namespace weir::store {
namespace {

constexpr int64_t kHour = 490'000;

class UpgradeTest : public ::testing::Test {
 protected:
  /// Empty: in memory.
  explicit UpgradeTest(const std::string& file = "") : path_(file.empty() ? "" : folder_ / file) {
    open();
    run(kSchemaV1);
    run("CREATE TABLE flow_h490000 AS FROM flow_none; INSERT INTO flow_hours VALUES (490000, 7); INSERT INTO rollup_folds VALUES (490000, 2)");
    for (int i = 0; i < 3; ++i) append(kHour, i);
    run("INSERT INTO rolled_src_1m SELECT time, src_endpoint_addr, 1, 10, 0, 0, 0 FROM flow_h490000 WHERE rowid < 2");
    run("CREATE VIEW flow_rows AS FROM flow_none UNION ALL FROM flow_h490000; CREATE VIEW flow_tail AS FROM flow_none UNION ALL FROM flow_h490000 "
        "WHERE rowid >= 2");
  }
  /// A file is closed before it is opened again.
  void open() {
    connection_.reset();
    database_.reset();
    auto opened = Database::open({.path = path_, .folders = {folder_ / ""}});
    ASSERT_TRUE(opened) << opened.error().message;
    database_ = std::move(*opened);
    connection_ = std::make_unique<Connection>(std::move(*database_->connect()));
    EXPECT_TRUE(register_address_functions(*connection_));
  }
  void run(const std::string& sql) {
    const auto done = connection_->execute(sql);
    ASSERT_TRUE(done) << done.error().message;
  }
  void append(int64_t hour, int i) {
    run(fmt::format("INSERT INTO {} (time, sampler_address, src_endpoint_addr, bytes_total) VALUES (make_timestamptz({}), ip_parse('192.0.2.1'), "
                    "ip_parse('10.0.0.{}'), 10)", hour_table(hour), hour * kMicrosPerHour, i));
  }
  std::string ask(const std::string& sql) {
    auto rows = connection_->query("SELECT (" + sql + ")::VARCHAR");
    if (!rows) return rows.error().message;
    return std::string(rows->next()->text(0, 0));
  }

  test::TemporaryFolder folder_;
  const std::string path_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Connection> connection_;
};

TEST_F(UpgradeTest, KeepsItsRowsAndSums) {
  const auto upgraded = prepare_schema(*connection_);
  ASSERT_TRUE(upgraded) << upgraded.error().message;
  EXPECT_EQ(ask("SELECT version FROM weir_schema"), std::to_string(kSchemaVersion));
  EXPECT_EQ(ask("SELECT count(*) FROM flows"), "3");
  EXPECT_EQ(ask("SELECT sum(flows) FROM rollup_src_1m"), "3");
  EXPECT_EQ(*fold(*connection_), 1u);
  EXPECT_EQ(ask("SELECT sum(flows) FROM rollup_src_1m"), "3");
  ASSERT_TRUE(prepare_schema(*connection_)) << "once";
}

TEST_F(UpgradeTest, GoesOnWithItsHours) {
  ASSERT_TRUE(prepare_schema(*connection_));
  ASSERT_TRUE(open_hours(*connection_, std::array<int64_t, 2>{kHour, kHour + 1}));
  append(kHour, 4);
  append(kHour + 1, 5);
  EXPECT_EQ(*fold(*connection_), 3u);
  EXPECT_EQ(*close_folded(*connection_, std::array<int64_t, 2>{kHour, kHour + 1}), 2u);
  EXPECT_EQ(ask("SELECT count(*) FROM flow_tail"), "0");
  EXPECT_EQ(ask("SELECT sum(flows) FROM rollup_src_1d"), "5");
}

TEST_F(UpgradeTest, OfDaysThatAreThereNobodyKnowsTheHours) {
  const int64_t day = kHour / 24 * 24;
  run(fmt::format("INSERT INTO rolled_src_1d VALUES (make_timestamptz({0}), ip_parse('10.0.0.0'), 1, 10, 0, 0, 0); "
                  "INSERT INTO rolled_dst_1d VALUES (make_timestamptz({0}), ip_parse('2001:db8::1'), 1, 10, 0, 0, 0); "
                  "UPDATE rollup_state SET hours = {1}, days = {1}", day * kMicrosPerHour, (day + 24) * kMicrosPerHour));
  const auto upgraded = prepare_schema(*connection_);
  ASSERT_TRUE(upgraded) << upgraded.error().message;
  EXPECT_EQ(ask("SELECT count(*) FROM rolled_src_1d WHERE hours IS NULL"), "1");
  EXPECT_EQ(ask("SELECT count(*) FROM rolled_dst_1d WHERE hours IS NULL"), "1");
  EXPECT_EQ(ask("SELECT days > 0 AND day_hours_from = days FROM rollup_state"), "true") << "nor of days that were forgotten";
  EXPECT_EQ(ask("SELECT sum(flows) FROM rollup_dst_1d WHERE dst_endpoint_addr IS NOT NULL"), "1");
  // What is folded from now on says it: the third row of the hour, and a late one.
  EXPECT_EQ(*fold(*connection_), 1u);
  ASSERT_TRUE(open_hours(*connection_, std::array<int64_t, 1>{day + 3}));
  append(day + 3, 2);
  EXPECT_EQ(*fold(*connection_), 1u);
  EXPECT_EQ(ask("SELECT list((ip_text(src_endpoint_addr), hours) ORDER BY hours) FROM rolled_src_1d"),
            fmt::format("[(10.0.0.2, {}), (10.0.0.2, {}), (10.0.0.0, NULL)]", 1 << 3, 1 << (kHour - day)));
  EXPECT_EQ(ask("SELECT sum(flows) FROM rollup_src_1d"), "3");
}

/// A file holds what a checkpoint put there, its log the rest, which is done once more when it is opened.
class FileUpgradeTest : public UpgradeTest, public ::testing::WithParamInterface<bool> {
 protected:
  FileUpgradeTest() : UpgradeTest("flows.duckdb") {}
  void open_again() {
    if (GetParam()) run("CHECKPOINT");
    open();
  }
};

TEST_P(FileUpgradeTest, IsThereWhenItIsOpenedAgain) {
  run("INSERT INTO identity_sources VALUES ('u.1.0', '1-7', 1)");
  open_again();
  ASSERT_TRUE(prepare_schema(*connection_));
  open_again();
  EXPECT_EQ(ask("SELECT version FROM weir_schema"), std::to_string(kSchemaVersion));
  EXPECT_EQ(ask("SELECT count(*) FROM flows"), "3");
  EXPECT_EQ(ask("SELECT (hour, commits, is_open) FROM flow_hours"), "(490000, 7, true)");
  EXPECT_EQ(ask("SELECT (hour, folded) FROM rollup_folds"), "(490000, 2)");
  EXPECT_EQ(ask("SELECT rollup_state FROM rollup_state"), "{'hours': 0, 'days': 0, 'minutes_from': 0, 'hours_from': 0, 'days_from': 0, 'flows_from': 0, 'day_hours_from': 0}");
  EXPECT_EQ(ask("SELECT (source, runs, seen) FROM identity_sources"), "(u.1.0, 1-7, 1)");
  ASSERT_TRUE(prepare_schema(*connection_)) << "once";
  ASSERT_TRUE(open_hours(*connection_, std::array<int64_t, 2>{kHour, kHour + 1}));
  append(kHour, 4);
  append(kHour + 1, 5);
  EXPECT_EQ(*fold(*connection_), 3u);
  open_again();
  EXPECT_EQ(ask("SELECT count(*) FROM flows"), "5");
  EXPECT_EQ(ask("SELECT sum(flows) FROM rollup_src_1d"), "5");
}

TEST_P(FileUpgradeTest, FilesGetTheirSumsWhenTheyAreReadThrough) {
  const std::string old = folder_ / "old.parquet", lost = folder_ / "lost.parquet";
  run("COPY (FROM flow_h490000) TO " + sql_text(old) + " (FORMAT parquet)");
  run(fmt::format("INSERT INTO history_files VALUES ({}, 489000, 3, {}, 'kept', '', 5), ({}, 489001, 3, 700, 'broken', 'it is away', 6)", sql_text(old),
                  std::filesystem::file_size(old), sql_text(lost)));
  open_again();
  ASSERT_TRUE(prepare_schema(*connection_));
  EXPECT_EQ(ask("SELECT count(*) FROM history_files WHERE crc32c IS NULL AND checked = 0"), "2");
  open_again();
  EXPECT_EQ(ask("SELECT count(*) FROM history_files WHERE crc32c IS NULL AND checked = 0"), "2");
  EXPECT_EQ(ask("SELECT (path, hour, rows, state, trouble, changed) FROM history_files WHERE hour = 489001"),
            fmt::format("({}, 489001, 3, broken, it is away, 6)", lost));
  FileScrub scrub;
  std::vector<StateChange> changes;
  ASSERT_TRUE(scrub.step(*connection_, UINT64_MAX, UINT64_MAX, kHour * kMicrosPerHour, changes));
  EXPECT_TRUE(changes.empty());
  EXPECT_EQ(scrub.view().summed, 1u);
  open_again();
  EXPECT_EQ(ask(fmt::format("SELECT crc32c = {} AND checked > 0 FROM history_files WHERE state = 'kept'", *sum_of_file(old, ReadFrom::cache))), "true");
  // A new one beside it: entries have room for all that is known of files.
  ASSERT_TRUE(note_making(*connection_, folder_ / "new.parquet", kHour, 7));
  ASSERT_TRUE(note_kept(*connection_, {.path = folder_ / "new.parquet", .hour = kHour, .rows = 1, .octets = 2, .state = "kept", .crc32c = 3}, 8));
  open_again();
  EXPECT_EQ(ask(fmt::format("SELECT (rows, octets, state, changed, crc32c, checked) FROM history_files WHERE hour = {}", kHour)), "(1, 2, kept, 8, 3, 8)");
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutACheckpoint, FileUpgradeTest, ::testing::Bool());

}  // namespace
}  // namespace weir::store
