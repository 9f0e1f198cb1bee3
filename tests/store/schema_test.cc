#include "store/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <thread>

#include "store_database.h"

namespace weir::store {
namespace {

using testing::HasSubstr;

TEST(AddressFunctions, TextsAndMasks) {
  StoreDatabase store;
  const struct {
    const char* sql;
    const char* answer;
  } cases[] = {
      {"ip_text(ip_parse('192.0.2.1'))", "192.0.2.1\n"},
      {"ip_text(ip_parse('::ffff:192.0.2.1'))", "192.0.2.1\n"},
      {"ip_text(ip_parse('2001:0DB8:0:0:0:0:0:1'))", "2001:db8::1\n"},
      {"ip_parse('192.0.2.256') IS NULL", "true\n"},
      {"ip_parse('') IS NULL", "true\n"},
      {"ip_parse(repeat('1', 1000)) IS NULL", "true\n"},
      {"ip_parse('192.0.2.1' || chr(0)) IS NULL", "true\n"},
      {"ip_text(NULL) IS NULL", "true\n"},
      {"ip_text(ip_mask(ip_parse('192.0.2.129'), 24))", "192.0.2.0\n"},
      {"ip_text(ip_mask(ip_parse('192.0.2.129'), 25))", "192.0.2.128\n"},
      {"ip_text(ip_mask(ip_parse('192.0.2.129'), 0))", "0.0.0.0\n"},
      {"ip_text(ip_mask(ip_parse('192.0.2.129'), 99))", "192.0.2.129\n"},
      {"ip_text(ip_mask(ip_parse('2001:db8:ffff:ffff::1'), 33))", "2001:db8:8000::\n"},
      {"ip_text(ip_mask(ip_parse('2001:db8::1'), -1))", "::\n"},
      {"ip_mask(ip_parse('2001:db8::1'), NULL) IS NULL", "true\n"},
      {"mac_text(2199023255553)", "02:00:00:00:00:01\n"},
  };
  for (const auto& c : cases) EXPECT_EQ(store.ask(std::string("SELECT ") + c.sql), c.answer) << c.sql;
  EXPECT_EQ(store.ask("SELECT count(*), count(ip_text(a)), count(ip_mask(a, 8)) FROM (SELECT CASE WHEN i % 3 = 0 THEN NULL "
                      "ELSE ip_parse('10.1.' || i // 256 || '.' || i % 256) END AS a FROM range(9000) t(i))"),
            "9000|6000|6000\n");
}

TEST(Schema, TheViewsAreThereWhileNothingIsStored) {
  StoreDatabase store;
  for (const char* view : {"flow_rows", "flows", "ocsf_network_activity", "netflow"}) {
    EXPECT_EQ(store.ask(std::string("SELECT count(*) FROM ") + view), "0\n") << view;
  }
}

TEST(Schema, IsMadeOnceAndFoundAgain) {
  StoreDatabase store;
  store.run("INSERT INTO exporters VALUES (ip_parse('192.0.2.1'), 'edge', NULL)");
  const auto again = prepare_schema(*store.connection);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(store.ask("SELECT name FROM exporters"), "edge\n");
}

TEST(Schema, ANewerOneIsRefused) {
  StoreDatabase store;
  store.run("UPDATE weir_schema SET version = 1000");
  const auto again = prepare_schema(*store.connection);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("schema version 1000"));
}

TEST(Schema, RowsOfAllHoursAreInTheViews) {
  StoreDatabase store;
  for (const int64_t hour : {490'000, 490'001}) {
    ASSERT_TRUE(open_hours(*store.connection, {&hour, 1}));
    ASSERT_TRUE(open_hours(*store.connection, {&hour, 1}));  // it is there
    store.run("INSERT INTO " + hour_table(hour) +
              " (time, start_time, end_time, src_endpoint_addr, dst_endpoint_addr, src_endpoint_port, dst_endpoint_port, protocol_num,"
              " bytes_total, packets_total, bytes_raw, bytes_in_raw, sampling_rate, sampler_address, in_if, out_if, flow_source,"
              " direction_id, ip_tos, src_mac) VALUES (make_timestamptz(" + std::to_string(hour * kMicrosPerHour) +
              "), make_timestamptz(0), make_timestamptz(1500000), ip_parse('192.0.2.1'), ip_parse('2001:db8::2'), 1024, 443, 6,"
              " 1000, 10, 100, 7, 10, ip_parse('198.51.100.1'), 1, 2, 4, 2, 184, 1)");
  }
  store.run("INSERT INTO exporters VALUES (ip_parse('198.51.100.1'), 'edge', 'paris');"
            "INSERT INTO exporter_interfaces VALUES (ip_parse('198.51.100.1'), 1, 'ge-0/0/0', NULL, NULL)");
  EXPECT_EQ(store.ask("SELECT count(*), sum(bytes_total) FROM flow_rows"), "2|2000\n");
  EXPECT_EQ(store.ask("SELECT DISTINCT src_endpoint_ip, dst_endpoint_ip, dst_endpoint_port, protocol_name, protocol_group, bytes_total,"
                      " bytes_raw, bytes_in, duration_ms, sampler_address, exporter_name, in_if_name, out_if_name, flow_source,"
                      " direction, dscp, src_mac, dst_mac, site FROM flows"),
            "192.0.2.1|2001:db8::2|443|tcp|tcp|1000|100|70|1500|198.51.100.1|edge|ge-0/0/0||IPFIX|egress|46|00:00:00:00:00:01||paris\n");
  EXPECT_EQ(store.ask("SELECT src_ip, dst_ip, src_port, dst_port, protocol, bytes FROM netflow LIMIT 1"),
            "192.0.2.1|2001:db8::2|1024|443|6|1000\n");
  // What people type.
  EXPECT_EQ(store.ask("SELECT src_endpoint_ip, COUNT(*) AS flow_count, SUM(bytes_total) AS total_bytes FROM ocsf_network_activity "
                      "WHERE time > to_timestamp(0) GROUP BY src_endpoint_ip ORDER BY total_bytes DESC LIMIT 10"),
            "192.0.2.1|2|2000\n");
}

TEST(Schema, AnHourThatIsAppendedToIsNotDropped) {
  StoreDatabase store;
  auto other = store.database->connect();
  ASSERT_TRUE(other);
  const int64_t hours[] = {490'000, 490'001};
  ASSERT_TRUE(open_hours(*store.connection, hours));
  // One appends, the other is refused to drop.
  store.run("BEGIN");
  ASSERT_TRUE(*hold_hours(*store.connection, hours));
  store.run("INSERT INTO flow_h490000 (time, sampler_address) VALUES (make_timestamptz(1764000000000000), ip_parse('::1'))");
  ASSERT_TRUE(other->execute("BEGIN"));
  const auto refused = drop_hour(*other, 490'000);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(is_conflict(refused.error())) << refused.error().message;
  ASSERT_TRUE(other->execute("ROLLBACK"));
  store.run("COMMIT");
  // One drops, the other is told.
  ASSERT_TRUE(other->execute("BEGIN"));
  ASSERT_TRUE(drop_hour(*other, 490'001));
  store.run("BEGIN");
  const auto told = hold_hours(*store.connection, hours);
  ASSERT_TRUE(told) << told.error().message;
  EXPECT_FALSE(*told);
  store.run("ROLLBACK");
  ASSERT_TRUE(make_views(*other));
  ASSERT_TRUE(other->execute("COMMIT"));
  store.run("BEGIN");
  EXPECT_FALSE(*hold_hours(*store.connection, hours));
  store.run("ROLLBACK");
  ASSERT_TRUE(open_hours(*store.connection, hours));
  store.run("BEGIN");
  EXPECT_TRUE(*hold_hours(*store.connection, hours));
  store.run("COMMIT");
  EXPECT_EQ(store.ask("SELECT count(*) FROM flow_rows"), "1\n");
}

TEST(Schema, TwoWhoMakeViewsAtOnceBothSucceed) {
  StoreDatabase store;
  auto other = store.database->connect();
  ASSERT_TRUE(other);
  std::thread beside([&] {
    for (int64_t hour = 0; hour < 30; ++hour) {
      const auto opened = open_hours(*other, std::span(&hour, 1));
      EXPECT_TRUE(opened) << opened.error().message;
    }
  });
  for (int64_t hour = 20; hour < 50; ++hour) {
    const auto opened = open_hours(*store.connection, std::span(&hour, 1));
    EXPECT_TRUE(opened) << opened.error().message;
  }
  beside.join();
  EXPECT_EQ(hour_tables(*store.connection)->size(), 50u);
  EXPECT_EQ(store.ask("SELECT count(*) FROM flows"), "0\n");
}

TEST(Schema, HoursBeginWhereTheyDoAlsoBeforeTheEpoch) {
  EXPECT_EQ(hour_of(0), 0);
  EXPECT_EQ(hour_of(kMicrosPerHour - 1), 0);
  EXPECT_EQ(hour_of(kMicrosPerHour), 1);
  EXPECT_EQ(hour_of(-1), -1);
  EXPECT_EQ(hour_of(-kMicrosPerHour), -1);
  EXPECT_EQ(hour_of(-kMicrosPerHour - 1), -2);
}

}  // namespace
}  // namespace weir::store
