#include "store/rollups.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>

#include "complete_sums.h"
#include "store/schema.h"
#include "store_database.h"

namespace weir::store {
namespace {

constexpr int64_t kDay = 24 * kMicrosPerHour;
constexpr int64_t kBegin = 20'400 * kDay;

/// Rows whose columns are drawn from few values, so that groups have several.
void append(StoreDatabase& store, int64_t hour, int rows, uint64_t seed) {
  const auto opened = open_hours(*store.connection, std::span(&hour, 1));
  ASSERT_TRUE(opened) << opened.error().message;
  // hash(i, k) is what is random.
  const auto pick = [seed](int salt, int among) { return fmt::format("(hash(i, {}::UBIGINT, {}) % {})::BIGINT", seed, salt, among); };
  store.run(fmt::format(
      "INSERT INTO {} (time, sampler_address, src_endpoint_addr, dst_endpoint_addr, in_if, out_if, protocol_num, dst_endpoint_port, app,"
      " src_as, dst_as, src_country, dst_country, as_path, bgp_communities, bytes_total, packets_total, bytes_raw, packets_raw) "
      "SELECT make_timestamptz({} + {}), ip_parse('192.0.2.' || {}), ip_parse('10.0.0.' || {}), CASE WHEN {} = 0 THEN NULL ELSE"
      " ip_parse('10.0.1.' || {}) END, {}, nullif({}, 0), 6 + 11 * {}, 443 + {}, CASE WHEN {} = 0 THEN NULL ELSE 'web' END,"
      " 64500 + {}, 64500, 'DE', NULL, CASE WHEN {} = 0 THEN [64500, 64501] END, CASE WHEN {} = 0 THEN [65000::BIGINT * 65536 + 1] END,"
      " {}, {}, {}, NULL FROM range({}) t(i)",
      hour_table(hour), hour * kMicrosPerHour, pick(1, static_cast<int>(kMicrosPerHour / 1000)) + " * 1000", pick(2, 3), pick(3, 20), pick(4, 5),
      pick(5, 10), pick(6, 4), pick(7, 4), pick(8, 2), pick(9, 5), pick(10, 2), pick(11, 4), pick(12, 3), pick(13, 3), pick(14, 1'000'000),
      pick(15, 100), pick(16, 5000), rows));
}

TEST(Rollups, AreCompleteBeforeAnythingIsFolded) {
  StoreDatabase store;
  expect_complete(store, "empty");
  append(store, kBegin / kMicrosPerHour, 500, 1);
  expect_complete(store, "unfolded");
  EXPECT_EQ(store.ask("SELECT count(*) FROM rolled_src_1m"), "0\n");
}

TEST(Rollups, FoldTakesEachRowOnce) {
  StoreDatabase store;
  const int64_t hour = kBegin / kMicrosPerHour;
  append(store, hour, 500, 1);
  append(store, hour + 1, 300, 2);
  EXPECT_EQ(*fold(*store.connection), 800u);
  EXPECT_EQ(*fold(*store.connection), 0u);
  append(store, hour, 20, 3);
  EXPECT_EQ(*fold(*store.connection), 20u);
  EXPECT_EQ(store.ask("SELECT sum(flows) FROM rolled_src_1m"), "820\n");
  EXPECT_EQ(store.ask("SELECT count(*) FROM flow_tail"), "0\n");
  expect_complete(store, "folded");
}

TEST(Rollups, HoursAndDaysAreMadeOnceTheyAreOver) {
  StoreDatabase store;
  const int64_t hour = kBegin / kMicrosPerHour;
  append(store, hour, 200, 1);
  append(store, hour + 25, 200, 2);
  ASSERT_TRUE(fold(*store.connection));
  // Neither is over: the first only with its grace.
  EXPECT_EQ(*roll_up(*store.connection, kBegin + kMicrosPerHour + kRollupGraceMicros - 1), 2u);  // what was before
  EXPECT_EQ(store.ask("SELECT count(*) FROM rolled_src_1h"), "0\n");
  EXPECT_EQ(*roll_up(*store.connection, kBegin + kMicrosPerHour + kRollupGraceMicros), 1u);
  EXPECT_EQ(store.ask("SELECT sum(flows) FROM rolled_src_1h"), "200\n");
  EXPECT_EQ(*roll_up(*store.connection, kBegin + kMicrosPerHour + kRollupGraceMicros), 0u);
  EXPECT_EQ(*roll_up(*store.connection, kBegin + kDay + kRollupGraceMicros), 2u);
  EXPECT_EQ(store.ask("SELECT sum(flows) FROM rolled_src_1d"), "200\n");
  expect_complete(store, "the first day is made");
}

TEST(Rollups, ALateRowGoesWhereItBelongs) {
  StoreDatabase store;
  const int64_t hour = kBegin / kMicrosPerHour;
  append(store, hour, 200, 1);
  append(store, hour + 30, 200, 2);
  ASSERT_TRUE(fold(*store.connection));
  ASSERT_TRUE(roll_up(*store.connection, kBegin + 2 * kDay + kRollupGraceMicros));
  append(store, hour, 50, 3);
  append(store, hour + 3, 50, 4);
  expect_complete(store, "late, unfolded");
  ASSERT_EQ(*fold(*store.connection), 100u);
  expect_complete(store, "late, folded");
  EXPECT_EQ(store.ask("SELECT sum(flows) FROM rolled_src_1d"), "500\n");
}

/// One flow, so long after the first hour's begin.
void append_one(StoreDatabase& store, int64_t after_micros, std::string_view src, std::string_view dst) {
  const int64_t hour = hour_of(kBegin + after_micros);
  ASSERT_TRUE(open_hours(*store.connection, std::span(&hour, 1)));
  store.run(fmt::format("INSERT INTO {} (time, sampler_address, src_endpoint_addr, dst_endpoint_addr, bytes_total, packets_total, bytes_raw) VALUES "
                        "(make_timestamptz({}), ip_parse('192.0.2.1'), ip_parse('{}'), ip_parse('{}'), 10, 1, 10)", hour_table(hour), kBegin + after_micros, src, dst));
}

std::string hours_of_days(StoreDatabase& store, std::string_view side) {
  return store.ask(fmt::format("SELECT (epoch_us(time) - {}) // {}, ip_text({}_endpoint_addr), flows, hours FROM rolled_{}_1d ORDER BY ALL", kBegin, kDay, side, side));
}

TEST(Rollups, ADayOfAnAddressSaysInWhichHoursItWasThere) {
  StoreDatabase store;
  append_one(store, 0, "10.0.0.1", "2001:db8::1");
  append_one(store, 6 * kMicrosPerHour - 1, "10.0.0.1", "2001:db8::2");
  append_one(store, 6 * kMicrosPerHour, "2001:db8::9", "2001:db8::1");
  append_one(store, 6 * kMicrosPerHour + 1, "2001:db8::9", "2001:db8::1");
  append_one(store, kDay - 1, "10.0.0.1", "2001:db8::1");
  append_one(store, kDay + 9 * kMicrosPerHour, "10.0.0.1", "2001:db8::1");
  ASSERT_TRUE(fold(*store.connection));
  ASSERT_TRUE(roll_up(*store.connection, kBegin + 2 * kDay + kRollupGraceMicros));
  EXPECT_EQ(hours_of_days(store, "src"), fmt::format("0|10.0.0.1|3|{}\n0|2001:db8::9|2|{}\n1|10.0.0.1|1|{}\n", 1 | 1 << 5 | 1 << 23, 1 << 6, 1 << 9));
  EXPECT_EQ(hours_of_days(store, "dst"), fmt::format("0|2001:db8::1|4|{}\n0|2001:db8::2|1|{}\n1|2001:db8::1|1|{}\n", 1 | 1 << 6 | 1 << 23, 1 << 5, 1 << 9));
}

TEST(Rollups, ALateRowBringsItsHourToItsDay) {
  StoreDatabase store;
  append_one(store, 5 * kMicrosPerHour, "10.0.0.1", "2001:db8::1");
  ASSERT_TRUE(fold(*store.connection));
  ASSERT_TRUE(roll_up(*store.connection, kBegin + kDay + kRollupGraceMicros));
  append_one(store, 7 * kMicrosPerHour, "10.0.0.1", "2001:db8::2");
  append_one(store, 24 * kMicrosPerHour, "10.0.0.1", "2001:db8::1");  // of a day that is not over
  expect_complete(store, "late, unfolded");
  ASSERT_TRUE(fold(*store.connection));
  expect_complete(store, "late, folded");
  EXPECT_EQ(hours_of_days(store, "src"), fmt::format("0|10.0.0.1|1|{}\n0|10.0.0.1|1|{}\n", 1 << 5, 1 << 7));
  EXPECT_EQ(hours_of_days(store, "dst"), fmt::format("0|2001:db8::1|1|{}\n0|2001:db8::2|1|{}\n", 1 << 5, 1 << 7));
}

TEST(Rollups, HoursAndDaysLieByAddress) {
  StoreDatabase store;
  const int64_t hour = kBegin / kMicrosPerHour;
  append(store, hour, 300, 1);
  append(store, hour + 30, 300, 2);
  ASSERT_TRUE(fold(*store.connection));
  ASSERT_TRUE(roll_up(*store.connection, kBegin + 2 * kDay + kRollupGraceMicros));  // two days at once
  for (const std::string_view of : {"src_1h", "src_1d", "dst_1h", "dst_1d"}) {
    const std::string by = fmt::format("{}_endpoint_addr", of.substr(0, 3));
    const std::string lie = store.ask(fmt::format("SELECT time, {} FROM rolled_{} ORDER BY rowid", by, of));
    EXPECT_EQ(lie, store.ask(fmt::format("SELECT time, {0} FROM rolled_{1} ORDER BY time, {0}", by, of))) << of;
    EXPECT_GT(std::count(lie.begin(), lie.end(), '\n'), 8) << of;
  }
}

TEST(Rollups, ASumThatNoNumberHoldsStaysAtItsGreatest) {
  StoreDatabase store;
  const int64_t hour = kBegin / kMicrosPerHour;
  ASSERT_TRUE(open_hours(*store.connection, std::span(&hour, 1)));
  store.run(fmt::format("INSERT INTO {} (time, sampler_address, bytes_total) SELECT make_timestamptz({}), ip_parse('::1'), 9223372036854775807 "
                        "FROM range(3)", hour_table(hour), kBegin));
  EXPECT_EQ(store.ask("SELECT bytes_total FROM rollup_src_1m"), "9223372036854775807\n");
  ASSERT_TRUE(fold(*store.connection));
  EXPECT_EQ(store.ask("SELECT bytes_total FROM rollup_src_1m"), "9223372036854775807\n");
}

TEST(Rollups, WhatIsForgottenIsNothingThatACoarserOneNeeds) {
  StoreDatabase store;
  const int64_t hour = kBegin / kMicrosPerHour;
  append(store, hour, 200, 1);
  ASSERT_TRUE(fold(*store.connection));
  const RollupRetention short_ones = {.minutes_micros = 1, .hours_micros = 1, .days_micros = 0};
  EXPECT_EQ(*expire_rollups(*store.connection, kBegin + 10 * kDay, short_ones), 0u);  // nothing is made of them yet
  ASSERT_TRUE(roll_up(*store.connection, kBegin + kMicrosPerHour + kRollupGraceMicros));
  EXPECT_GT(*expire_rollups(*store.connection, kBegin + 10 * kDay, short_ones), 0u);
  EXPECT_EQ(store.ask("SELECT sum(flows) FROM rolled_src_1m"), "\n");
  EXPECT_EQ(store.ask("SELECT sum(flows) FROM rollup_src_1h"), "200\n");
  EXPECT_EQ(store.ask("SELECT sum(flows) FROM rollup_src_1d"), "200\n");
  // Whoever asks goes by what is gone, whatever is configured from then on.
  EXPECT_EQ(kept_from(*store.connection)->minutes_micros, kBegin + kMicrosPerHour);
  EXPECT_EQ(kept_from(*store.connection)->hours_micros, kBegin) << "of which no day is made yet";
  EXPECT_EQ(kept_from(*store.connection)->days_micros, 0);
  ASSERT_TRUE(expire_rollups(*store.connection, kBegin + 10 * kDay, {.minutes_micros = 30 * kDay, .hours_micros = 0, .days_micros = 0}));
  EXPECT_EQ(kept_from(*store.connection)->minutes_micros, kBegin + kMicrosPerHour);
}

TEST(Rollups, AreCompleteAfterWhateverOrderOfSteps) {
  for (const uint64_t seed : {11u, 12u}) {
    StoreDatabase store;
    std::mt19937_64 random(seed);
    int64_t now = kBegin;
    for (int step = 0; step < 12; ++step) {
      now += static_cast<int64_t>(random() % (6 * kMicrosPerHour));
      // Mostly now, some late, some from a clock that is ahead.
      const int64_t hour = hour_of(now) - (random() % 3 == 0 ? static_cast<int64_t>(random() % 30) : 0) + (random() % 6 == 0 ? 2 : 0);
      append(store, hour, static_cast<int>(random() % 150), random());
      if (random() % 2 == 0) { ASSERT_TRUE(fold(*store.connection)); }
      if (random() % 3 == 0) { ASSERT_TRUE(roll_up(*store.connection, now)); }
      if (step % 4 == 3) expect_complete(store, fmt::format("seed {} step {}", seed, step));
    }
    ASSERT_TRUE(fold(*store.connection));
    expect_complete(store, fmt::format("seed {} at the end", seed));
  }
}

TEST(Rollups, BgpRoutingHasPathsAndCommunities) {
  StoreDatabase store;
  const int64_t hour = kBegin / kMicrosPerHour;
  append(store, hour, 300, 5);
  ASSERT_TRUE(fold(*store.connection));
  EXPECT_EQ(store.ask("SELECT sum(flows) = (SELECT count(*) FROM flow_rows WHERE as_path IS NOT NULL OR bgp_communities IS NOT NULL),"
                      " min(sampler_address) LIKE '192.0.2.%' FROM bgp_routing_info"),
            "true|true\n");
}

}  // namespace
}  // namespace weir::store
