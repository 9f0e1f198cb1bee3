#include "store/hour_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "store/rollups.h"
#include "store_database.h"

namespace weir::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::array<int64_t, 1> kHour = {490'000};

ColumnSet set_of(std::initializer_list<Column> columns) {
  ColumnSet set;
  for (const Column column : columns) set.set(static_cast<size_t>(column));
  return set;
}

const ColumnSet kPlain = set_of({Column::time, Column::sampler_address, Column::src_endpoint_addr, Column::bytes_total});

void append(StoreDatabase& store, int rows, const std::string& columns = "", const std::string& values = "") {
  store.run(fmt::format("INSERT INTO flow_h490000 (time, sampler_address, src_endpoint_addr, bytes_total{}) SELECT make_timestamptz({} + i), "
                        "ip_parse('192.0.2.1'), ip_parse('10.0.0.1'), 10{} FROM range({}) t(i)",
                        columns, kHour[0] * kMicrosPerHour, values, rows));
}

/// As who appends does it: held in the transaction of the rows; false where the hour has to be opened first.
bool append_held(Connection& connection, int rows) {
  EXPECT_TRUE(connection.execute("BEGIN"));
  const auto held = hold_hours(connection, kHour);
  EXPECT_TRUE(held) << held.error().message;
  if (*held) {
    const auto done = connection.execute(fmt::format(
        "INSERT INTO flow_h490000 (time, sampler_address, src_endpoint_addr, bytes_total) SELECT make_timestamptz({} + i), "
        "ip_parse('192.0.2.1'), ip_parse('10.0.0.1'), 10 FROM range({}) t(i)", kHour[0] * kMicrosPerHour, rows));
    if (done && connection.execute("COMMIT")) return true;
  }
  (void)connection.execute("ROLLBACK");
  return false;
}

TEST(HourTables, HaveTheColumnsThatAreUsedAndViewsHaveThemAll) {
  StoreDatabase store;
  ASSERT_TRUE(open_hours(*store.connection, kHour, kPlain));
  const auto tables = hour_tables(*store.connection);
  ASSERT_TRUE(tables);
  ASSERT_EQ(tables->size(), 1u);
  EXPECT_THAT(tables->front().columns, ElementsAre(Column::time, Column::src_endpoint_addr, Column::bytes_total, Column::sampler_address));
  append(store, 3);
  EXPECT_EQ(store.ask("SELECT count(*), count(app), count(labels), sum(bytes_total) FROM flow_rows"), "3|0|0|30\n");
  EXPECT_EQ(store.ask("SELECT DISTINCT src_endpoint_ip, app, labels, nat_src_ip FROM flows"), "10.0.0.1|||\n");
}

TEST(HourTables, GainColumnsAndKeepTheirRows) {
  StoreDatabase store;
  ASSERT_TRUE(open_hours(*store.connection, kHour, kPlain));
  append(store, 3);
  const auto folded = fold(*store.connection);
  ASSERT_TRUE(folded) << folded.error().message;
  EXPECT_EQ(*folded, 3u);
  ASSERT_TRUE(open_hours(*store.connection, kHour, kPlain | set_of({Column::app, Column::labels, Column::nat_src_addr})));
  append(store, 2, ", app, labels, nat_src_addr", ", 'web', ['a'], ip_parse('192.0.2.9')");
  EXPECT_EQ(store.ask("SELECT app, labels, nat_src_ip, count(*) FROM flows GROUP BY ALL ORDER BY ALL"), "web|[a]|192.0.2.9|2\n|||3\n");
  EXPECT_EQ(*fold(*store.connection), 2u);
  EXPECT_EQ(store.ask("SELECT app, sum(flows) FROM rollup_service_1m GROUP BY ALL ORDER BY ALL"), "web|2\n|3\n");
  // What it has already and what was used of late changes nothing.
  ASSERT_TRUE(open_hours(*store.connection, kHour, kPlain, all_columns()));
  EXPECT_EQ(hour_tables(*store.connection)->front().columns.size(), 7u);
}

TEST(HourTables, ANewOneBeginsWithWhatIsLikely) {
  StoreDatabase store;
  ASSERT_TRUE(open_hours(*store.connection, kHour, kPlain, set_of({Column::app})));
  EXPECT_EQ(hour_tables(*store.connection)->front().columns.size(), 5u);
}

// A question that began before still sees the hour, for as long as it takes.
TEST(HourTables, AreMadeAnewWhileSomeoneStillReadsTheOneThatWasDropped) {
  StoreDatabase store;
  ASSERT_TRUE(open_hours(*store.connection, kHour, kPlain));
  append(store, 3);
  auto reader = store.database->connect();
  ASSERT_TRUE(reader);
  ASSERT_TRUE(reader->execute("BEGIN"));
  ASSERT_TRUE(reader->query("SELECT count(*) FROM flow_hours"));
  ASSERT_TRUE(store.connection->execute("BEGIN"));
  ASSERT_TRUE(drop_hour(*store.connection, kHour[0]));
  ASSERT_TRUE(store.connection->execute("COMMIT"));
  const auto opened = open_hours(*store.connection, kHour, kPlain);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_TRUE(append_held(*store.connection, 2));
  EXPECT_EQ(store.ask("SELECT count(*) FROM flow_rows"), "2\n");
}

TEST(HourTables, WithAColumnThatNobodyKnowsAreAnError) {
  StoreDatabase store;
  ASSERT_TRUE(open_hours(*store.connection, kHour));
  store.run("ALTER TABLE flow_h490000 ADD COLUMN colour VARCHAR");
  const auto tables = hour_tables(*store.connection);
  ASSERT_FALSE(tables);
  EXPECT_THAT(tables.error().message, HasSubstr("flow_h490000 has a column colour"));
}

TEST(HourTables, OnesThatAreClosedAreNotLookedIntoForSums) {
  StoreDatabase store;
  ASSERT_TRUE(open_hours(*store.connection, kHour, kPlain));
  append(store, 3);
  EXPECT_EQ(*close_folded(*store.connection, kHour), 0u) << "its rows are not in the sums";
  ASSERT_EQ(*fold(*store.connection), 3u);
  EXPECT_EQ(*close_folded(*store.connection, kHour), 1u);
  EXPECT_THAT(store.ask("SELECT sql FROM duckdb_views() WHERE view_name = 'flow_tail'"), testing::Not(HasSubstr("flow_h490000")));
  EXPECT_EQ(store.ask("SELECT (SELECT count(*) FROM flow_rows), (SELECT sum(flows) FROM rollup_src_1m)"), "3|3\n");
  EXPECT_EQ(*fold(*store.connection), 0u);
  // A row that comes late opens it.
  EXPECT_FALSE(append_held(*store.connection, 2));
  EXPECT_EQ(store.ask("SELECT (SELECT count(*) FROM flow_rows), (SELECT sum(flows) FROM rollup_src_1m)"), "3|3\n");
  ASSERT_TRUE(open_hours(*store.connection, kHour, kPlain));
  EXPECT_TRUE(append_held(*store.connection, 2));
  EXPECT_EQ(store.ask("SELECT (SELECT count(*) FROM flow_rows), (SELECT sum(flows) FROM rollup_src_1m)"), "5|5\n");
  EXPECT_EQ(*fold(*store.connection), 2u);
  EXPECT_EQ(store.ask("SELECT (SELECT count(*) FROM flow_rows), (SELECT sum(flows) FROM rollup_src_1m)"), "5|5\n");
}

TEST(HourTables, OneThatIsWrittenToIsNotClosed) {
  StoreDatabase store;
  auto other = store.database->connect();
  ASSERT_TRUE(other);
  ASSERT_TRUE(open_hours(*store.connection, kHour, kPlain));
  store.run("BEGIN");
  ASSERT_TRUE(*hold_hours(*store.connection, kHour));
  append(store, 1);
  ASSERT_TRUE(other->execute("BEGIN"));
  const auto refused = close_hour(*other, kHour[0]);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(is_conflict(refused.error())) << refused.error().message;
  ASSERT_TRUE(other->execute("ROLLBACK"));
  store.run("COMMIT");
  // And one that is being closed is not written to.
  ASSERT_TRUE(other->execute("BEGIN"));
  ASSERT_TRUE(close_hour(*other, kHour[0]));
  EXPECT_FALSE(append_held(*store.connection, 1));
  ASSERT_TRUE(other->execute("COMMIT"));
  EXPECT_FALSE(append_held(*store.connection, 1));
}

// Whoever has counted an hour's rows must not close it when more of them came meanwhile: these would be in no sum.
TEST(HourTables, OneThatWasWrittenToSinceItWasLookedAtIsNotClosed) {
  StoreDatabase store;
  auto other = store.database->connect();
  ASSERT_TRUE(other);
  ASSERT_TRUE(open_hours(*store.connection, kHour, kPlain));
  for (int appends = 0; appends < 3; ++appends) {
    ASSERT_TRUE(other->execute("BEGIN"));
    ASSERT_TRUE(hour_tables(*other));
    ASSERT_TRUE(append_held(*store.connection, 10));
    const auto refused = close_hour(*other, kHour[0]);
    ASSERT_FALSE(refused) << "after " << appends << " appends";
    EXPECT_TRUE(is_conflict(refused.error())) << refused.error().message;
    ASSERT_TRUE(other->execute("ROLLBACK"));
  }
  // And the other way round: what was closed since then is not written to.
  StoreDatabase fresh;
  other = fresh.database->connect();
  ASSERT_TRUE(other);
  ASSERT_TRUE(open_hours(*fresh.connection, kHour, kPlain));
  for (int turns = 0; turns < 3; ++turns) {
    ASSERT_TRUE(other->execute("BEGIN"));
    ASSERT_TRUE(hour_tables(*other));
    ASSERT_TRUE(close_hour(*fresh.connection, kHour[0]));
    const auto held = hold_hours(*other, kHour);
    ASSERT_TRUE(held) << held.error().message;
    ASSERT_FALSE(*held) << "in turn " << turns;
    ASSERT_TRUE(other->execute("ROLLBACK"));
    ASSERT_TRUE(open_hours(*fresh.connection, kHour, kPlain));
    ASSERT_TRUE(append_held(*fresh.connection, 10));
  }
}

TEST(HourTables, SumsAreCompleteWhileOneClosesAndAnotherAppends) {
  StoreDatabase store;
  auto keeping = store.database->connect();
  ASSERT_TRUE(keeping);
  ASSERT_TRUE(open_hours(*store.connection, kHour, kPlain));
  std::atomic<bool> is_over{false};
  std::atomic<uint64_t> closed{0};
  std::thread keeper([&] {
    while (!is_over.load()) {
      EXPECT_TRUE(fold(*keeping));
      const auto now = close_folded(*keeping, kHour);
      EXPECT_TRUE(now) << now.error().message;
      if (now) closed += *now;
    }
  });
  int rows = 0;
  for (int i = 0; i < 100; ++i) {
    while (!append_held(*store.connection, 10)) {
      const auto opened = open_hours(*store.connection, kHour, kPlain);
      ASSERT_TRUE(opened) << opened.error().message;
    }
    rows += 10;
    const std::string all = fmt::format("{}|{}\n", rows, rows);
    EXPECT_EQ(store.ask("SELECT (SELECT count(*) FROM flow_rows), (SELECT sum(flows) FROM rollup_src_1m)"), all);
    // Now and then it is left alone for long enough to be closed.
    const uint64_t before = closed;
    for (int waits = 0; i % 10 == 9 && closed == before && waits < 2000; ++waits) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  is_over = true;
  keeper.join();
  EXPECT_GE(closed, 5u);
}

}  // namespace
}  // namespace weir::store
