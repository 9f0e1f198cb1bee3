#include "store/history.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "damaged_file.h"
#include "store/rollups.h"
#include "store/schema.h"
#include "store_database.h"

namespace weir::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int64_t kHour = 489'600;
constexpr int64_t kNow = (kHour + 100) * kMicrosPerHour;

struct HistoryTest : testing::Test {
  std::string folder;
  std::unique_ptr<StoreDatabase> store;
  std::unique_ptr<History> history;

  HistoryTest() {
    char name[] = "/tmp/weir-history-XXXXXX";
    folder = mkdtemp(name);
    DatabaseOptions options;
    options.folders = {folder};
    store = std::make_unique<StoreDatabase>(options);
    history = std::make_unique<History>(folder);
  }
  ~HistoryTest() override { fs::remove_all(folder); }

  void append(int64_t hour, int rows) {
    ASSERT_TRUE(open_hours(*store->connection, std::span(&hour, 1)));
    store->run(fmt::format(
        "INSERT INTO {} (time, sampler_address, src_endpoint_addr, dst_endpoint_addr, bytes_total, packets_total, bytes_raw, packets_raw, as_path,"
        " labels, app, threat_matched) SELECT make_timestamptz({} + i * 1000000 % 3600000000), ip_parse('192.0.2.1'), ip_parse('10.0.' || i %"
        " 7 || '.' || i % 256), ip_parse('2001:db8::' || i % 50), i, 1, i, 1, [64500, i], ['a', 'b'], 'web', true FROM range({}) t(i)",
        hour_table(hour), hour * kMicrosPerHour, rows));
  }
  std::string sums() { return store->ask("SELECT count(*), sum(bytes_total), bit_xor(hash(as_path, labels, app, time, dst_endpoint_addr)) FROM flow_rows"); }
  std::vector<std::string> files() {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  void archive(int64_t hour, int64_t now = kNow) {
    ASSERT_TRUE(fold(*store->connection));
    const auto done = history->archive(*store->connection, hour, now);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(*done);
  }
};

TEST_F(HistoryTest, AnHourBecomesAFileAndEveryAnswerStaysTheSame) {
  append(kHour, 5000);
  append(kHour + 1, 100);
  const std::string before = sums();
  archive(kHour);
  EXPECT_EQ(sums(), before);
  ASSERT_EQ(files().size(), 1u);
  EXPECT_THAT(files()[0], HasSubstr("/day=2025-11-08/hour=00/flows-489600-"));
  EXPECT_EQ(hour_tables(*store->connection)->size(), 1u);
  EXPECT_EQ(store->ask("SELECT sum(flows) FROM rollup_src_1m"), "5100\n");
  EXPECT_EQ(store->ask("SELECT src_endpoint_ip, app FROM flows WHERE bytes_total = 4999"), "10.0.1.135|web\n");
}

TEST_F(HistoryTest, ItsFilesAreWhatIcebergAdopts) {
  append(kHour, 5000);
  archive(kHour);
  const std::string file = sql_text(files()[0]);
  EXPECT_EQ(store->ask("SELECT count(*), count(field_id), count(DISTINCT field_id) FROM parquet_schema(" + file + ") WHERE num_children IS NULL OR "
                       "repetition_type = 'OPTIONAL' AND converted_type = 'LIST'"),
            fmt::format("{0}|{0}|{0}\n", kColumns + 5));  // of five lists the elements, too
  EXPECT_EQ(store->ask("SELECT field_id FROM parquet_schema(" + file + ") WHERE name = 'time'"), "1\n");
  EXPECT_EQ(store->ask("SELECT count(*) FROM parquet_schema(" + file + ") WHERE converted_type LIKE 'UINT%'"), "0\n");
  EXPECT_EQ(store->ask("SELECT type, type_length, logical_type LIKE 'UUIDType%' FROM parquet_schema(" + file + ") WHERE name = 'src_endpoint_addr'"),
            "FIXED_LEN_BYTE_ARRAY|16|true\n");
  EXPECT_EQ(store->ask("SELECT logical_type LIKE '%isAdjustedToUTC=1%MICROS%' FROM parquet_schema(" + file + ") WHERE name = 'time'"), "true\n");
  EXPECT_EQ(store->ask("SELECT DISTINCT compression FROM parquet_metadata(" + file + ")"), "ZSTD\n");
}

// Who asks for an address reads few of its row groups.
TEST_F(HistoryTest, RowsLieBySourceDestinationAndTime) {
  const std::string is_in_order =
      "SELECT count(*), count(DISTINCT r), count(*) FILTER (before > row(src_endpoint_addr, dst_endpoint_addr, time)) FROM (SELECT *, file_row_number AS r, "
      "lag(row(src_endpoint_addr, dst_endpoint_addr, time)) OVER (ORDER BY file_row_number) AS before FROM read_parquet({}, file_row_number = true))";
  append(kHour, 300'000);  // several row groups
  archive(kHour);
  const std::string first = files()[0];
  EXPECT_EQ(store->ask(fmt::format(fmt::runtime(is_in_order), sql_text(first))), "300000|300000|0\n");
  EXPECT_EQ(store->ask("SELECT count(DISTINCT row_group_id) FROM parquet_metadata(" + sql_text(first) + ")"), "3\n");
  append(kHour, 1000);
  archive(kHour);
  EXPECT_EQ(*history->merge(*store->connection, kHour, kNow + 1), 2u);
  const std::string merged = store->ask("SELECT path FROM history_files WHERE state = 'kept'");
  EXPECT_EQ(store->ask(fmt::format(fmt::runtime(is_in_order), sql_text(merged.substr(0, merged.size() - 1)))), "301000|301000|0\n");
}

// Flows of layers without addresses.
TEST_F(HistoryTest, AnHourWithoutAddressesBecomesAFile) {
  ColumnSet has;
  has.set(static_cast<size_t>(Column::bytes_total));
  const int64_t hour = kHour;
  ASSERT_TRUE(open_hours(*store->connection, std::span(&hour, 1), has));
  store->run(fmt::format("INSERT INTO {} (time, bytes_total) SELECT make_timestamptz({} + (i * 7 % 10) * 1000000), i FROM range(10) t(i)", hour_table(kHour),
                         kHour * kMicrosPerHour));
  const auto open = hour_tables(*store->connection);
  ASSERT_EQ(open->front().columns.size(), 2u);
  ASSERT_TRUE(fold(*store->connection)) << "sums take what is not there as NULL";
  archive(kHour);
  EXPECT_EQ(store->ask("SELECT string_agg(bytes_total, ',' ORDER BY file_row_number), count(src_endpoint_addr) FROM read_parquet(" + sql_text(files()[0]) +
                       ", file_row_number = true)"),
            "0,3,6,9,2,5,8,1,4,7|0\n");
}

TEST_F(HistoryTest, RowsThatAreNotFoldedWait) {
  append(kHour, 10);
  EXPECT_FALSE(*history->archive(*store->connection, kHour, kNow));
  EXPECT_TRUE(files().empty());
}

TEST_F(HistoryTest, LateRowsMakeAnotherFileAndFilesOfAnHourAreMerged) {
  append(kHour, 500);
  archive(kHour, kNow);
  append(kHour, 30);
  archive(kHour, kNow + 1);
  append(kHour, 3);
  archive(kHour, kNow + 2);
  const std::string before = sums();
  EXPECT_EQ(files().size(), 3u);
  EXPECT_EQ(*history->hours_to_merge(*store->connection), std::vector<int64_t>{kHour});
  EXPECT_EQ(*history->merge(*store->connection, kHour, kNow + 3), 3u);
  EXPECT_EQ(sums(), before);
  EXPECT_EQ(store->ask("SELECT rows FROM history_files WHERE state = 'kept'"), "533\n");
  EXPECT_TRUE(history->hours_to_merge(*store->connection)->empty());
  EXPECT_EQ(*history->merge(*store->connection, kHour, kNow + 4), 0u);
  // Who reads them still finds them for a while.
  EXPECT_EQ(*history->remove_retired(*store->connection, kNow + 3 + kRetiredKeptMicros - 1), 0u);
  EXPECT_EQ(files().size(), 4u);
  EXPECT_EQ(*history->remove_retired(*store->connection, kNow + 3 + kRetiredKeptMicros), 3u);
  EXPECT_EQ(files().size(), 1u);
  EXPECT_EQ(sums(), before);
}

TEST_F(HistoryTest, WhatIsTooOldGoes) {
  append(kHour, 500);
  append(kHour + 1, 7);
  archive(kHour);
  archive(kHour + 1);
  EXPECT_EQ(*history->retire_before(*store->connection, kHour, kNow), 0u);
  EXPECT_EQ(kept_from(*store->connection)->flows_micros, 0) << "nothing was";
  EXPECT_EQ(*history->retire_before(*store->connection, kHour + 1, kNow), 1u);
  EXPECT_EQ(kept_from(*store->connection)->flows_micros, (kHour + 1) * kMicrosPerHour);
  EXPECT_EQ(store->ask("SELECT count(*) FROM flow_rows"), "7\n");
  EXPECT_EQ(*history->remove_retired(*store->connection, kNow + kRetiredKeptMicros), 1u);
  EXPECT_EQ(files().size(), 1u);
  EXPECT_FALSE(fs::exists(folder + "/day=2025-11-08/hour=00"));
  EXPECT_TRUE(fs::exists(folder + "/day=2025-11-08/hour=01"));
}

TEST_F(HistoryTest, AFileThatIsGoneOrCutShortHoldsUpNobody) {
  append(kHour, 500);
  append(kHour + 1, 7);
  archive(kHour);
  archive(kHour + 1);
  const std::string path = files()[0];
  for (const bool is_gone : {false, true}) {
    if (is_gone) fs::remove(path);
    else fs::resize_file(path, 100);
    // The next hour opens all the same.
    const int64_t next = kHour + (is_gone ? 3 : 2);
    const auto opened = open_hours(*store->connection, std::span(&next, 1));
    EXPECT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(store->ask("SELECT count(*) FROM flow_rows"), "7\n") << is_gone;
  }
}

// A merge reads what a disk has changed as other rows, and their file would have a sum that is right.
TEST_F(HistoryTest, WhatADiskHasChangedIsMergedIntoNothing) {
  append(kHour, 5000);
  archive(kHour, kNow);
  const std::string path = files()[0];
  append(kHour, 30);
  archive(kHour, kNow + 1);
  const std::string before = sums();
  const auto at = flip_bit_unnoticed(*store, path, "SELECT sum(bytes_total), bit_xor(hash(as_path, labels, app, time, dst_endpoint_addr)) FROM flow_rows");
  ASSERT_NE(at, 0);
  for (const bool is_during : {false, true}) {
    if (is_during) flip_bit(path, at);
    const auto merged = History(folder, [&](FileStep step) {
      if (is_during && step == FileStep::noted) flip_bit(path, at);
    }).merge(*store->connection, kHour, kNow + 2);
    ASSERT_FALSE(merged) << is_during;
    EXPECT_THAT(merged.error().message, HasSubstr(path + ": its octets are not those that were written")) << is_during;
    EXPECT_EQ(files().size(), 2u) << is_during;
    EXPECT_EQ(store->ask("SELECT state, rows FROM history_files ORDER BY rows"), "kept|30\nkept|5000\n") << is_during;
  }
  flip_bit(path, at);
  EXPECT_EQ(*history->merge(*store->connection, kHour, kNow + 3), 2u);
  EXPECT_EQ(sums(), before);
  EXPECT_EQ(store->ask("SELECT count(*) FROM history_files WHERE crc32c IS NULL"), "0\n");
}

TEST_F(HistoryTest, WhereNoFileCanBeWrittenRowsStay) {
  append(kHour, 50'000);
  ASSERT_TRUE(fold(*store->connection));
  // As a disk that is full answers: no file grows beyond a few octets.
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 4096;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto done = history->archive(*store->connection, kHour, kNow);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(done);
  EXPECT_TRUE(files().empty());
  EXPECT_EQ(store->ask("SELECT count(*) FROM history_files"), "0\n");
  EXPECT_EQ(store->ask("SELECT count(*) FROM flow_rows"), "50000\n");
  archive(kHour);
}

}  // namespace
}  // namespace weir::store
