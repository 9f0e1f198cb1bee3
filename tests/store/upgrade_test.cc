// A store that an older version of the program made.
#include <gtest/gtest.h>

#include "schema_v1.h"
#include "store/address_functions.h"
#include "store/duckdb_sink.h"
#include "store/rollups.h"
#include "store_database.h"

namespace weir::store {
namespace {

constexpr int64_t kHour = 490'000;

class UpgradeTest : public ::testing::Test {
 protected:
  UpgradeTest() {
    database_ = std::move(*Database::open({}));
    connection_ = std::make_unique<Connection>(std::move(*database_->connect()));
    EXPECT_TRUE(register_address_functions(*connection_));
    run(kSchemaV1);
    run("CREATE TABLE flow_h490000 AS FROM flow_none; INSERT INTO flow_hours VALUES (490000, 7); INSERT INTO rollup_folds VALUES (490000, 2)");
    for (int i = 0; i < 3; ++i) append(kHour, i);
    run("INSERT INTO rolled_src_1m SELECT time, src_endpoint_addr, 1, 10, 0, 0, 0 FROM flow_h490000 WHERE rowid < 2");
    run("CREATE VIEW flow_rows AS FROM flow_none UNION ALL FROM flow_h490000; CREATE VIEW flow_tail AS FROM flow_none UNION ALL FROM flow_h490000 "
        "WHERE rowid >= 2");
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

}  // namespace
}  // namespace weir::store
