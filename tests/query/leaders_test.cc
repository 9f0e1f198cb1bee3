// The largest groups of very many, found without making them all, against all of them made.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "query/check.h"
#include "query/leaders.h"
#include "query/sql_shape.h"
#include "query/translate.h"
#include "store/rollups.h"
#include "store/sql_check.h"
#include "store/store_database.h"

namespace weir::query {
namespace {

constexpr int64_t kNowUs = 1'793'620'800'000'000;  // 2026-11-02T12:00:00Z
constexpr int64_t kHourUs = 3600 * kUsPerSec;

class Leaders : public testing::Test {
 protected:
  /// Thirty hours of flows between 4000 sources and destinations, some of which have no address.
  static void SetUpTestSuite() {
    db_ = new store::StoreDatabase;
    const auto address = [](int salt) {
      return fmt::format("CASE WHEN hash(i, {0}, 1) % 50 <> 0 THEN ip_parse('10.0.' || (floor(4000 * pow(hash(i, {0}) / 18446744073709551616.0, 4))::BIGINT // 256) || '.' || "
                         "(floor(4000 * pow(hash(i, {0}) / 18446744073709551616.0, 4))::BIGINT % 256)) END", salt);
    };
    for (int64_t hour = kNowUs / kHourUs - 30; hour < kNowUs / kHourUs; ++hour) {
      ASSERT_TRUE(store::open_hours(*db_->connection, std::span(&hour, 1)));
      // Sums that many groups share, a few that no BIGINT holds, and some flows that say nothing of octets.
      db_->run(fmt::format(
          "INSERT INTO {} (time, src_endpoint_addr, dst_endpoint_addr, dst_endpoint_port, protocol_num, bytes_total, packets_total, bytes_raw, packets_raw) SELECT "
          "make_timestamptz({}::BIGINT + (hash(i, 9) % 3600000000)::BIGINT), {}, {}, 1 + (hash(i, 3) % 3)::INTEGER, 6, CASE WHEN hash(i, 4) % 9999 = 0 THEN 9223372036854775807 "
          "WHEN hash(i, 4) % 40 = 0 THEN NULL ELSE 1 + (hash(i, 5) % 5)::BIGINT END, 1 + (hash(i, 6) % 7)::BIGINT, 1 + (hash(i, 7) % 5)::BIGINT, 1 FROM range({}, {}) t(i)",
          store::hour_table(hour), hour * kHourUs, address(1), address(2), hour * 3000, (hour + 1) * 3000));
    }
    ASSERT_TRUE(store::fold(*db_->connection));
    ASSERT_TRUE(store::roll_up(*db_->connection, kNowUs));
    ASSERT_TRUE(store::make_views(*db_->connection));
  }
  static void TearDownTestSuite() { delete db_; }

  static Plan plan_of(const std::string& text) {
    Plan plan;
    const auto error = plan_query(text, kNowUs, plan);
    EXPECT_FALSE(error) << text << ": " << error->message;
    return plan;
  }
  static std::string run(const Plan& plan) {
    const Translation t = translate(plan, duckdb_dialect());
    EXPECT_EQ(trouble_in(t.statement), std::nullopt) << t.statement.sql;
    std::vector<store::SqlValue> values;
    for (const Parameter& parameter : t.statement.parameters) {
      if (const auto* const time = std::get_if<Instant>(&parameter)) values.emplace_back(store::TimeMicros{time->us});
      else ADD_FAILURE() << "only times are bound here";
    }
    // As weir-store looks at it.
    auto rows = db_->connection->query("SELECT json_serialize_sql($1::VARCHAR)", std::vector<store::SqlValue>{t.statement.sql});
    EXPECT_TRUE(rows) << rows.error().message;
    const auto chunk = rows->next();
    const auto wrong = store::find_trouble(nlohmann::json::parse(chunk->text(0, 0)), 1000);
    EXPECT_FALSE(wrong) << wrong->message;
    return db_->ask(t.statement.sql, values);
  }
  static bool is_bounded(const Plan& plan) { return translate(plan, duckdb_dialect()).statement.sql.find("bound0") != std::string::npos; }
  /// No sums, so no bounds: all groups are made.
  static Plan plain(Plan plan) {
    plan.rollups_kept = {INT64_MAX / 4, INT64_MAX / 4, INT64_MAX / 4};
    return plan;
  }

  static store::StoreDatabase* db_;
};
store::StoreDatabase* Leaders::db_ = nullptr;

TEST_F(Leaders, AreThoseOfAllGroups) {
  const char* const kStats[] = {
      "sum(bytes_total) as a", "count(*) as a", "sum(packets_total) as a", "sum(bytes_total) as a, count(*) as n, max(packets_total) as m, count_distinct(dst_port) as d",
  };
  const char* const kBy[] = {"src_ip, dst_ip", "dst_ip, src_ip, dst_port", "src_ip, dst_port", "dst_ip, proto", "src_cidr:24, dst_ip"};
  const char* const kRest[] = {"limit:1", "limit:10", "limit:40 raw:true", "limit:1000"};
  size_t at = 0;
  for (const char* const window : {"time:last_24h", "time:[2026-11-01T08:00:30Z,2026-11-02T11:59:30Z]", "time:last_2d"}) {
    for (const char* const stats : kStats) {
      for (const char* const by : kBy) {
        const std::string text = fmt::format("in:flows {} stats:\"{} by {}\" sort:a:desc {}", window, stats, by, kRest[at++ % std::size(kRest)]);
        SCOPED_TRACE(text);
        const Plan plan = plan_of(text);
        EXPECT_TRUE(is_bounded(plan));
        const std::string all = run(plain(plan));
        EXPECT_GT(std::count(all.begin(), all.end(), '\n'), 1);
        ASSERT_EQ(run(plan), all);
      }
    }
  }
}

TEST_F(Leaders, AreLookedForOnlyWhereSumsBoundThem) {
  for (const char* const text : {
           "in:flows time:last_24h stats:\"sum(bytes_total) as a by src_ip, dst_ip\" sort:a:desc limit:1001",          // many
           "in:flows time:last_24h stats:\"sum(bytes_total) as a by src_ip, dst_ip\" sort:a:asc limit:10",             // the smallest
           "in:flows time:last_24h stats:\"sum(bytes_total) as a by src_ip, dst_ip\" sort:src_ip limit:10",            // not by the sum
           "in:flows time:last_24h stats:\"max(bytes_total) as a by src_ip, dst_ip\" sort:a:desc limit:10",            // no sum
           "in:flows time:last_24h stats:\"avg(bytes_total) as a by src_ip, dst_ip\" sort:a:desc limit:10",            // larger than those of its parts
           "in:flows time:last_24h stats:\"sum(bytes_in) as a by src_ip, dst_ip\" sort:a:desc limit:10",               // no sums of it
           "in:flows time:last_24h stats:\"sum(bytes_total) as a by src_ip, exporter_name\" sort:a:desc limit:10",     // joined
           "in:flows time:last_24h stats:\"sum(bytes_total) as a by src_country_iso2, dst_port\" sort:a:desc limit:10",
           "in:flows time:last_24h stats:\"sum(bytes_total) as a by src_ip, dst_ip\" having:\"a>5\" sort:a:desc limit:10",
           "in:flows time:last_24h src_ip:10.0.0.0/24 stats:\"sum(bytes_total) as a by src_ip, dst_ip\" sort:a:desc limit:10",
           "in:flows time:last_23h stats:\"sum(bytes_total) as a by src_ip, dst_ip\" sort:a:desc limit:10",
           "in:flows time:[,2026-11-02T11:00:00Z] stats:\"sum(bytes_total) as a by src_ip, dst_ip\" sort:a:desc limit:10",
           "in:flows time:last_24h bucket:1h agg:sum value_field:bytes_total series:src_ip limit:100",
           "in:flows time:last_24h stats:\"sum(bytes_total) as a by src_ip\" sort:a:desc limit:10",                    // a rollup has it
       }) {
    EXPECT_FALSE(is_bounded(plan_of(text))) << text;
  }
  // Minutes are gone: flows would have to tell what they bound.
  Plan plan = plan_of("in:flows time:[2026-11-01T08:10:00Z,2026-11-02T11:59:30Z] stats:\"sum(bytes_total) as a by src_ip, dst_ip\" sort:a:desc limit:10");
  EXPECT_TRUE(is_bounded(plan));
  plan.rollups_kept.minutes_from_us = kNowUs;
  EXPECT_FALSE(is_bounded(plan));
}

}  // namespace
}  // namespace weir::query
