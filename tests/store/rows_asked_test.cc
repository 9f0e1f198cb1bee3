// A question reads the hours in which it can find something, and its answer is the same as over all of them.
#include "store/rows_asked.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "history_folder.h"
#include "store/rollups.h"

namespace weir::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kDay = 24 * kMicrosPerHour;
constexpr int64_t kFirst = 20'400 * 24;  // an hour that begins a day
constexpr int64_t kDays = 3;

AddressOctets octets_of(const std::string& text) {
  const auto address = IpAddress::parse(text);
  EXPECT_TRUE(address) << text;
  return address->octets;
}
EndRange src(const std::string& first, const std::string& last) { return {End::src, octets_of(first), octets_of(last)}; }
EndRange src(const std::string& one) { return src(one, one); }
EndRange dst(const std::string& one) { return {End::dst, octets_of(one), octets_of(one)}; }

struct RowsAskedTest : testing::Test {
  HistoryFolder history;
  StoreDatabase& store = *history.store;

  static std::string row_of(int64_t hour, const std::string& from, const std::string& to, int rows) {
    return fmt::format("INSERT INTO {} (time, src_endpoint_addr, dst_endpoint_addr, bytes_total) SELECT make_timestamptz({} + i), ip_parse('{}'), ip_parse('{}'), i FROM range({}) t(i);",
                       hour_table(hour), hour * kMicrosPerHour, from, to, rows);
  }
  void open(std::span<const int64_t> hours) {
    ColumnSet columns;
    for (const Column column : {Column::time, Column::src_endpoint_addr, Column::dst_endpoint_addr, Column::bytes_total, Column::packets_total, Column::bytes_raw, Column::packets_raw}) {
      columns.set(static_cast<size_t>(column));
    }
    const auto opened = open_hours(*store.connection, hours, columns);
    ASSERT_TRUE(opened) << opened.error().message;
  }
  void append(int64_t hour, const std::string& from, const std::string& to, int rows = 1) {
    open(std::span(&hour, 1));
    store.run(row_of(hour, from, to, rows));
  }
  static std::vector<int64_t> all_hours() {
    std::vector<int64_t> hours(24 * kDays);
    std::iota(hours.begin(), hours.end(), kFirst);
    return hours;
  }
  /// Three days that are made: in each hour a flow from an address that is everywhere, and one to such an address.
  void fill() {
    open(all_hours());
    std::string rows;
    for (const int64_t hour : all_hours()) {
      rows += row_of(hour, "192.0.2.1", fmt::format("10.0.0.{}", hour - kFirst), 1) + row_of(hour, fmt::format("10.0.1.{}", hour - kFirst), "2001:db8::2", 1);
    }
    store.run(rows);
    roll_up_until(kFirst + 24 * kDays);
  }
  void roll_up_until(int64_t hour) {
    ASSERT_TRUE(fold(*store.connection));
    ASSERT_TRUE(roll_up(*store.connection, hour * kMicrosPerHour + kRollupGraceMicros));
  }
  void close(int64_t hour) {
    ASSERT_TRUE(fold(*store.connection));
    ASSERT_EQ(*close_folded(*store.connection, std::span(&hour, 1)), 1u);
  }
  void close_all_of(const std::vector<int64_t>& hours) {
    ASSERT_TRUE(fold(*store.connection));
    ASSERT_EQ(*close_folded(*store.connection, hours), hours.size());
  }
  void close_all() { close_all_of(all_hours()); }
  void archive(int64_t hour) {
    const auto done = History(history.folder).archive(*store.connection, hour, 1);
    ASSERT_TRUE(done && *done);
  }

  /// Hours that a question reads, from the first on: 0, 1 …; a file's as 1000 more.
  std::set<int64_t> hours_of(const RowsAsked& asked) {
    const auto sql = sql_of(*store.connection, asked);
    EXPECT_TRUE(sql) << sql.error().message;
    std::set<int64_t> hours;
    for (int64_t hour = kFirst; hour < kFirst + 24 * kDays; ++hour) {
      if (sql->find("FROM " + hour_table(hour)) != std::string::npos) hours.insert(hour - kFirst);
    }
    const auto files = file_rows(*store.connection, "state = 'kept'");
    EXPECT_TRUE(files) << files.error().message;
    for (const FileRow& file : *files) {
      if (sql->find(file.path) != std::string::npos) hours.insert(1000 + file.hour - kFirst);
    }
    return hours;
  }
  static std::vector<TimeRange> always() { return {TimeRange{}}; }
};

TEST_F(RowsAskedTest, ByTime) {
  fill();
  close_all();
  archive(kFirst);
  const auto from = [](int64_t hours, int64_t micros = 0) { return (kFirst + hours) * kMicrosPerHour + micros; };
  EXPECT_EQ(hours_of({always(), {}}).size(), 72u);
  EXPECT_THAT(hours_of({{}, {}}), IsEmpty());
  EXPECT_THAT(hours_of({{{from(0), from(2)}}, {}}), ElementsAre(1, 1000));
  EXPECT_THAT(hours_of({{{from(0, kMicrosPerHour - 1), from(2, 1)}}, {}}), ElementsAre(1, 2, 1000));
  EXPECT_THAT(hours_of({{{from(5), from(6)}, {from(70), std::nullopt}}, {}}), ElementsAre(5, 70, 71));
  EXPECT_THAT(hours_of({{{std::nullopt, from(1)}}, {}}), ElementsAre(1000));
}

TEST_F(RowsAskedTest, ByAddress) {
  fill();
  close_all();
  archive(kFirst + 7);
  archive(kFirst + 30);
  EXPECT_THAT(hours_of({always(), {{dst("10.0.0.7")}}}), ElementsAre(1007));
  EXPECT_THAT(hours_of({always(), {{src("10.0.1.30")}}}), ElementsAre(1030));
  EXPECT_THAT(hours_of({always(), {{src("10.0.1.30"), dst("10.0.0.71")}}}), ElementsAre(71, 1030)) << "one or the other";
  EXPECT_THAT(hours_of({always(), {{src("10.0.1.30")}, {dst("10.0.0.30")}}}), ElementsAre(1030)) << "both";
  EXPECT_THAT(hours_of({always(), {{src("10.0.1.30")}, {dst("10.0.0.31")}}}), IsEmpty()) << "never both";
  EXPECT_THAT(hours_of({always(), {{src("10.0.1.29", "10.0.1.31")}}}), ElementsAre(29, 31, 1030));
  EXPECT_THAT(hours_of({always(), {{dst("192.0.2.1")}}}), IsEmpty()) << "the other side";
  EXPECT_EQ(hours_of({always(), {{src("192.0.2.1")}}}).size(), 72u);
  EXPECT_EQ(hours_of({always(), {{dst("2001:db8::2")}}}).size(), 72u);
  const auto either = sql_of(*store.connection, {always(), {{src("10.0.1.30"), dst("10.0.0.71"), dst("10.0.0.30")}}});
  ASSERT_TRUE(either);
  EXPECT_NE(either->find("WHERE dst_endpoint_addr = '00000000-0000-0000-0000-ffff0a000047'::UUID"), std::string::npos) << "only as that end: " << *either;
  EXPECT_EQ(either->find("WHERE src_endpoint_addr"), std::string::npos) << "where it is that, it is the other, too";
  EXPECT_THAT(hours_of({{{std::nullopt, (kFirst + 8) * kMicrosPerHour}}, {{src("10.0.1.30"), dst("10.0.0.7")}}}), ElementsAre(1007));
}

TEST_F(RowsAskedTest, NothingIsLeftOutThatMayHaveIt) {
  open(all_hours());
  std::string rows;
  for (const int64_t hour : all_hours()) rows += row_of(hour, "192.0.2.1", "192.0.2.2", 1);
  store.run(rows);
  const RowsAsked nobody{always(), {{src("203.0.113.9")}}};
  EXPECT_EQ(hours_of(nobody).size(), 72u) << "no day is made";
  roll_up_until(kFirst + 48);
  EXPECT_EQ(hours_of(nobody).size(), 72u) << "all hours are open";
  close_all();
  EXPECT_EQ(hours_of(nobody).size(), 24u) << "of the third day nobody knows";
  roll_up_until(kFirst + 72);
  EXPECT_THAT(hours_of(nobody), IsEmpty());
  // A late flow opens its hour, and is known once the hour is closed.
  append(kFirst + 5, "203.0.113.9", "192.0.2.2");
  EXPECT_THAT(hours_of(nobody), ElementsAre(5));
  close(kFirst + 5);
  EXPECT_THAT(hours_of(nobody), ElementsAre(5));
  // Of a day that an older version made its hours are not known.
  store.run(fmt::format("UPDATE rolled_src_1d SET hours = NULL WHERE time = make_timestamptz({}) AND src_endpoint_addr = ip_parse('203.0.113.9')", kFirst * kMicrosPerHour));
  ASSERT_EQ(hours_of(nobody).size(), 24u);
  EXPECT_EQ(*hours_of(nobody).rbegin(), 23);
  EXPECT_THAT(hours_of({always(), {{src("203.0.113.10")}}}), IsEmpty()) << "somebody else is there in none of them";
  // What an older version had made it may also have forgotten, and written nothing down: that an address is not there says nothing.
  store.run(fmt::format("UPDATE rollup_state SET day_hours_from = {}", (kFirst + 24) * kMicrosPerHour));
  EXPECT_EQ(hours_of({always(), {{src("203.0.113.10")}}}).size(), 24u);
  store.run("UPDATE rollup_state SET day_hours_from = 0");
  // Days whose sums are gone.
  ASSERT_TRUE(expire_rollups(*store.connection, (kFirst + 48) * kMicrosPerHour, {0, 0, 12 * kMicrosPerHour}));
  EXPECT_EQ(hours_of({always(), {{src("203.0.113.10")}}}).size(), 48u) << "the second day is gone, for it began too early";
}

TEST_F(RowsAskedTest, OfEitherEndEachIsLookedForByItselfAndNoRowIsThereTwice) {
  const std::vector<int64_t> hours{kFirst, kFirst + 1, kFirst + 2, kFirst + 3, kFirst + 4, kFirst + 5};
  open(hours);
  const auto put = [&](int64_t hour, const std::string& from, const std::string& to, int bytes) {
    const auto value = [](const std::string& address) { return address.empty() ? std::string("NULL") : fmt::format("ip_parse('{}')", address); };
    store.run(fmt::format("INSERT INTO {} (time, src_endpoint_addr, dst_endpoint_addr, bytes_total) VALUES (make_timestamptz({}), {}, {}, {})", hour_table(hour),
                          hour * kMicrosPerHour, value(from), value(to), bytes));
  };
  for (const int64_t hour : hours) {
    put(hour, "192.0.2.1", "192.0.2.2", 1);
    put(hour, "192.0.2.2", "192.0.2.1", 10);
    put(hour, "192.0.2.1", "192.0.2.1", 100);
    put(hour, "", "192.0.2.1", 1000);
    put(hour, "192.0.2.1", "", 10'000);
    put(hour, "192.0.2.3", "192.0.2.4", 100'000);
    put(hour, "", "", 100'000);
  }
  const auto expect = [&](const RowsAsked& asked, const std::string& holds, const std::string& answer) {
    const std::string question = fmt::format("SELECT count(*), sum(bytes_total) FROM flow_rows WHERE {}", holds);
    ASSERT_EQ(store.ask(question), answer);
    const auto narrow = narrowed(*store.connection, question, asked);
    ASSERT_TRUE(narrow) << narrow.error().message;
    EXPECT_EQ(store.ask(*narrow), answer);
    EXPECT_NE(narrow->find("IS NOT TRUE"), std::string::npos) << *narrow;
  };
  const EndClause one{src("192.0.2.1"), dst("192.0.2.1")}, some{{End::dst, octets_of("192.0.2.0"), octets_of("192.0.2.1")}, src("192.0.2.0", "192.0.2.1")};
  constexpr const char* kOne = "(src_endpoint_addr = ip_parse('192.0.2.1') OR dst_endpoint_addr = ip_parse('192.0.2.1'))";
  expect({always(), {one}}, kOne, "30|66666\n");
  expect({always(), {some}}, kOne, "30|66666\n");
  expect({{{std::nullopt, (kFirst + 2) * kMicrosPerHour}}, {one}}, fmt::format("{} AND time < make_timestamptz({})", kOne, (kFirst + 2) * kMicrosPerHour), "10|22222\n");
  expect({always(), {{src("192.0.2.2")}, one}}, fmt::format("{} AND src_endpoint_addr = ip_parse('192.0.2.2')", kOne), "6|60\n");
  // And in files, with statistics and Bloom filters.
  close_all_of(hours);
  for (const int64_t hour : hours) archive(hour);
  expect({always(), {one}}, kOne, "30|66666\n");
  expect({always(), {some}}, kOne, "30|66666\n");
}

TEST_F(RowsAskedTest, InPlaceOfTheView) {
  fill();
  const RowsAsked nothing{{}, {}};
  const auto in_place = [&](const std::string& statement) {
    const auto sql = narrowed(*store.connection, statement, nothing);
    EXPECT_TRUE(sql) << sql.error().message;
    return *sql;
  };
  EXPECT_EQ(store.ask(in_place("SELECT count(*) FROM flow_rows")), "0\n");
  EXPECT_EQ(store.ask(in_place("select count(*) FROM (SELECT 1 FROM flow_rows) UNION ALL SELECT count(*) FROM flow_rows")), "0\n0\n");
  for (const char* const as_it_is : {"SELECT count(*) FROM netflow", "SELECT 1", "WITH a AS (FROM flow_rows) SELECT count(*) FROM a", "FROM flow_rows"}) EXPECT_EQ(in_place(as_it_is), as_it_is);
}

/// Rows of few addresses in few hours, late ones among them, in tables that are open and closed and in files.
TEST_F(RowsAskedTest, AnswersAreThoseOfAllRows) {
  std::mt19937 random(7);
  const auto below = [&](unsigned n) { return static_cast<int>(random() % n); };
  const auto address = [&] { return below(5) == 0 ? fmt::format("2001:db8::{:x}", below(8)) : fmt::format("192.0.2.{}", below(12)); };
  size_t left_out = 0, found = 0;
  for (int round = 0; round < 6; ++round) {
    std::set<int64_t> hours;
    std::string rows;
    for (int i = 0; i < 20; ++i) {
      const int64_t hour = kFirst + below(24 * kDays);
      hours.insert(hour);
      rows += row_of(hour, address(), address(), 1 + below(3));
    }
    open(std::vector<int64_t>(hours.begin(), hours.end()));
    store.run(rows);
    if (round % 2 == 1) roll_up_until(kFirst + 24 * (1 + below(kDays)));
    std::vector<int64_t> done;
    const auto tables = hour_tables(*store.connection);
    ASSERT_TRUE(tables) << tables.error().message;
    for (const HourTable& table : *tables) {
      if (table.is_open && below(2) == 0) done.push_back(table.hour);
    }
    ASSERT_TRUE(fold(*store.connection));
    ASSERT_EQ(*close_folded(*store.connection, done), done.size());
    for (const int64_t hour : done) {
      if (below(3) == 0) archive(hour);
    }
    for (int i = 0; i < 15; ++i) {
      RowsAsked asked;
      const int64_t from = kFirst + below(24 * kDays), until = from + 1 + below(60);
      asked.times = {{from * kMicrosPerHour, until * kMicrosPerHour}};
      std::string condition = fmt::format("time >= make_timestamptz({}) AND time < make_timestamptz({})", from * kMicrosPerHour, until * kMicrosPerHour);
      for (int clauses = below(3); clauses > 0; --clauses) {
        EndClause& clause = asked.ends.emplace_back();
        std::string any;
        for (int ranges = 1 + below(2); ranges > 0; --ranges) {
          const End end = below(2) == 0 ? End::src : End::dst;
          const std::string first = address(), last = below(2) == 0 ? first : "192.0.2.255";
          clause.push_back({end, octets_of(first), octets_of(last)});
          any += fmt::format("{}{}_endpoint_addr BETWEEN ip_parse('{}') AND ip_parse('{}')", any.empty() ? "" : " OR ", name_of(end), first, last);
        }
        condition += fmt::format(" AND ({})", any);
      }
      const std::string question = fmt::format("SELECT count(*), sum(bytes_total), min(time), max(time) FROM flow_rows WHERE {}", condition);
      const auto narrow = narrowed(*store.connection, question, asked);
      ASSERT_TRUE(narrow) << narrow.error().message;
      const std::string answer = store.ask(question);
      EXPECT_EQ(store.ask(*narrow), answer) << question;
      found += answer.starts_with("0|") ? 0 : 1;
      if (!asked.ends.empty()) left_out += hours_of({asked.times, {}}).size() - hours_of(asked).size();
    }
  }
  EXPECT_GT(left_out, 200u);
  EXPECT_GT(found, 20u);
}

}  // namespace
}  // namespace weir::store
