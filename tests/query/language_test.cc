// The language, from text to SQL, without a database: what is accepted, what is refused and where, and what comes of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

#include "fuzz/srql_oracle.h"
#include "query/check.h"
#include "query/posix_zone.h"
#include "query/parser.h"
#include "query/translate.h"
#include "query/sql_shape.h"
#include "query/srql_queries.h"

namespace weir::query {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t kNowUs = 1'793'620'800'000'000;  // 2026-11-02T12:00:00Z

Plan plan_of(std::string_view text) {
  Plan plan;
  const auto error = plan_query(text, kNowUs, plan);
  EXPECT_FALSE(error) << text << ": " << error->message << " at " << error->place.at;
  return plan;
}

std::string sql_of(std::string_view text) { return translate(plan_of(text), duckdb_dialect()).statement.sql; }
std::vector<Parameter> parameters_of(std::string_view text) {
  // Behind those of the window.
  const Translation t = translate(plan_of(text), duckdb_dialect());
  return {t.statement.parameters.begin() + 2, t.statement.parameters.end() - (t.has_page_columns ? 1 : 0)};
}

TEST(Srql, AcceptsWhatPeopleType) {
  for (const auto& list : {std::span<const char* const>(kQueries), std::span<const char* const>(kMoreQueries)}) {
    for (const char* const query : list) {
      SCOPED_TRACE(query);
      Plan plan;
      const auto error = plan_query(query, kNowUs, plan);
      ASSERT_FALSE(error) << error->message << " at " << error->place.at + 1;
      const Translation t = translate(plan, duckdb_dialect());
      EXPECT_EQ(trouble_in(t.statement), std::nullopt) << t.statement.sql;
      if (t.probe) {
        EXPECT_EQ(trouble_in(*t.probe), std::nullopt) << t.probe->sql;
        ASSERT_LT(t.cut, t.statement.parameters.size());
        EXPECT_TRUE(std::holds_alternative<Instant>(t.statement.parameters[t.cut]));
      }
      EXPECT_FALSE(t.columns.empty());
    }
  }
}

TEST(Srql, RefusesWithThePlaceAndWhatIsAllowed) {
  for (const BadQuery& bad : kBadQueries) {
    SCOPED_TRACE(bad.query);
    Plan plan;
    const auto error = plan_query(bad.query, kNowUs, plan);
    ASSERT_TRUE(error);
    EXPECT_THAT(error->message, HasSubstr(bad.says));
    EXPECT_EQ(column_of(bad.query, error->place.at), bad.column) << error->message;
  }
}

TEST(Srql, EveryBeginningOfAQueryIsAnsweredOrRefused) {
  for (const char* const query : kQueries) {
    const std::string_view whole(query);
    for (size_t n = 0; n < whole.size(); ++n) {
      Plan plan;
      const std::string_view part = whole.substr(0, n);
      const auto error = plan_query(part, kNowUs, plan);
      if (error) {
        EXPECT_LE(error->place.at, n) << part;
        EXPECT_FALSE(error->message.empty()) << part;
      } else {
        EXPECT_EQ(trouble_in(translate(plan, duckdb_dialect()).statement), std::nullopt) << part;
      }
    }
  }
}

TEST(Srql, IsBounded) {
  Plan plan;
  std::string deep = "in:flows ";
  for (int i = 0; i < 33; ++i) deep += '(';
  EXPECT_THAT(plan_query(deep + "src_ip:10.0.0.1", kNowUs, plan)->message, HasSubstr("nested more than 32 deep"));
  EXPECT_THAT(plan_query("in:flows " + std::string(100, '!') + "(src_ip:10.0.0.1)", kNowUs, plan)->message, HasSubstr("nested more than 32 deep"));
  EXPECT_THAT(plan_query(std::string(kQueryOctetsMax + 1, ' '), kNowUs, plan)->message, HasSubstr("limit 16384"));
  std::string list = "in:flows port:(1";
  for (int i = 1; i < 200; ++i) list += ",1";
  EXPECT_FALSE(plan_query(list + ")", kNowUs, plan = {}));
  EXPECT_THAT(plan_query(list + ",1)", kNowUs, plan)->message, HasSubstr("more than 200 items"));
  std::string many = "in:flows";
  for (int i = 0; i < 257; ++i) many += " port:1";
  EXPECT_THAT(plan_query(many, kNowUs, plan)->message, HasSubstr("more than 256 conditions"));
  // Infinity is no parameter: a flow would be compared with NULL.
  EXPECT_THAT(plan_query("in:flows stats:\"count(*) as n\" having:n>" + std::string(300, '9') + "T", kNowUs, plan = {})->message, HasSubstr("is no number"));
}

TEST(Srql, ValuesGoBesideTheSql) {
  const std::string sql = sql_of("in:flows app:\"'; DROP TABLE flow_rows; --\" server_name:%x'% user_name:~a'b");
  EXPECT_THAT(sql, Not(HasSubstr("DROP")));
  EXPECT_THAT(parameters_of("in:flows app:\"'; DROP TABLE flow_rows; --\""), ElementsAre(Parameter(std::string("'; DROP TABLE flow_rows; --"))));
}

TEST(Srql, AddressesAreComparedAsAddresses) {
  EXPECT_EQ(parameters_of("in:flows src_ip:2001:0db8::1"), parameters_of("in:flows src_ip:2001:db8:0:0:0:0:0:1"));
  EXPECT_EQ(parameters_of("in:flows src_cidr:192.0.2.99/24"), parameters_of("in:flows src_cidr:192.0.2.0/24"));
  EXPECT_THAT(parameters_of("in:flows src_cidr:192.0.2.99/24"),
              ElementsAre(Parameter(*IpAddress::parse("192.0.2.0")), Parameter(*IpAddress::parse("192.0.2.255"))));
  EXPECT_THAT(parameters_of("in:flows dst_cidr:2001:db8:ffff::/33"),
              ElementsAre(Parameter(*IpAddress::parse("2001:db8:8000::")), Parameter(*IpAddress::parse("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"))));
  EXPECT_THAT(parameters_of("in:flows dst_cidr:0.0.0.0/0"),
              ElementsAre(Parameter(*IpAddress::parse("0.0.0.0")), Parameter(*IpAddress::parse("255.255.255.255"))));
}

TEST(Srql, NeitherSideHoldsWhereAFieldIsMissing) {
  EXPECT_THAT(sql_of("in:flows !port:22"), HasSubstr("((f.src_endpoint_port = ? OR f.dst_endpoint_port = ?) IS NOT TRUE)"));
}

TEST(Srql, OrBindsCloserThanStandingSideBySide) {
  EXPECT_THAT(sql_of("in:flows proto:6 src_port:1 OR dst_port:2 ip_ttl:3"),
              HasSubstr("(f.protocol_num = ? AND (f.src_endpoint_port = ? OR f.dst_endpoint_port = ?) AND f.ip_ttl = ?)"));
}

/// Files of the zone database list the changes to 2037 and end with a rule, or leave to the rule all that it has.
TEST(Srql, ZonesChangeAsTheirRulesSay) {
  struct Case {
    const char* zone;
    const char* rule;
    size_t changes;  // from 2008 to 2037
  };
  constexpr Case kCases[] = {
      {"Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3", 58},
      {"America/New_York", "EST5EDT,M3.2.0,M11.1.0", 58},
      {"Australia/Lord_Howe", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 58},
      {"America/Nuuk", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 0},
      {"Asia/Kolkata", "IST-5:30", 0},
  };
  const int64_t from = 1'199'145'600, to = 2'145'916'800;  // 2008, 2038
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.zone);
    auto zone = TimeZone::find(c.zone);
    ASSERT_TRUE(zone) << zone.error().message;
    // Greenland has it since 2023.
    const int64_t since = c.changes == 0 ? 1'711'000'000 : from;
    const auto by_rule = transitions_of_rule(c.rule, since);
    ASSERT_TRUE(by_rule);
    std::vector<std::pair<int64_t, int64_t>> listed, ruled;
    for (const auto& t : zone->transitions_between(since, to)) listed.emplace_back(t.at, t.offset);
    for (const auto& t : *by_rule) {
      if (t.at < to) ruled.emplace_back(t.at, t.offset);
    }
    EXPECT_EQ(listed, ruled);
    EXPECT_GE(ruled.size(), c.changes);
  }
  EXPECT_FALSE(TimeZone::find("right/Europe/Berlin")) << "it counts leap seconds";
  // Behind what files list.
  const auto berlin = TimeZone::find("Europe/Berlin");
  EXPECT_EQ(berlin->offset_at(2'540'000'000), 7200) << "June 2050";
  EXPECT_EQ(berlin->offset_at(2'555'000'000), 3600) << "December 2050";
  EXPECT_THAT(*transitions_of_rule("AAA3BBB,J60/0,J300/0", 951'782'400), testing::SizeIs(testing::Gt(400u)));
  for (const char* const bad : {"", "A", "AB3", "CET", "CET-1CEST", "CET-1CEST,M13.1.0,M10.5.0", "CET-1CEST,M3.0.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,M3.5.0",
                                "CET-99", "<CET-1", "CET-1CEST,J0,J5", "CET-1CEST,M3.5.0,M10.5.0x", "CET-1CEST,M3.5.0/200,M10.5.0"}) {
    EXPECT_FALSE(transitions_of_rule(bad, 0)) << bad;
  }
}

TEST(Srql, FlagsAreSetOrNotSetOrNotLookedAt) {
  EXPECT_THAT(sql_of("in:flows tcp_flags:SYN,!ACK"), HasSubstr("(f.tcp_flags & CAST(? AS BIGINT)) = ?"));
  EXPECT_THAT(parameters_of("in:flows tcp_flags:SYN,!ACK"), ElementsAre(Parameter(int64_t{18}), Parameter(int64_t{2})));
  EXPECT_THAT(parameters_of("in:flows tcp_flags:0x12"), ElementsAre(Parameter(int64_t{18})));
}

TEST(Srql, WildcardsTakeTheirOwnMarksLiterally) {
  EXPECT_THAT(parameters_of("in:flows app:a_b%"), ElementsAre(Parameter(std::string("a\\_b%"))));
}

TEST(Srql, SaysWhatWasNotSaid) {
  const Plan plan = plan_of("in:flows");
  EXPECT_THAT(plan.notes, ElementsAre("time: is not said; the last hour"));
  EXPECT_EQ(plan.window.start_us, kNowUs - 3600 * kUsPerSec);
  EXPECT_EQ(plan.window.end_us, kNowUs);
  EXPECT_EQ(plan.limit, kLimitDefault);
  EXPECT_THAT(plan_of("in:flows bucket:1m time:last_1h").notes, ElementsAre("value_field: is not said; bytes_total", "agg: is not said; sum"));
}

struct WindowRow {
  const char* said;
  const char* start;
  const char* end;
};
TEST(Srql, WindowsAreHalfOpenAndInTheirZone) {
  constexpr WindowRow kRows[] = {
      {"time:last_5m", "2026-11-02T11:55:00Z", "2026-11-02T12:00:00Z"},
      {"time:7d", "2026-10-26T12:00:00Z", "2026-11-02T12:00:00Z"},
      {"time:\"7 Days\"", "2026-10-26T12:00:00Z", "2026-11-02T12:00:00Z"},
      {"time:today", "2026-11-02T00:00:00Z", "2026-11-02T12:00:00Z"},
      {"time:yesterday", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"},
      {"time:yesterday tz:Europe/Berlin", "2026-10-31T23:00:00Z", "2026-11-01T23:00:00Z"},
      {"time:yesterday tz:+05:30", "2026-10-31T18:30:00Z", "2026-11-01T18:30:00Z"},
      // New York's clocks went back at 06:00 UTC on November 1st: that day had 25 hours.
      {"time:yesterday tz:America/New_York", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
      {"time:[2026-11-01 01:30:00,2026-11-01 02:30:00] tz:America/New_York", "2026-11-01T05:30:00Z", "2026-11-01T07:30:00Z"},
      {"time:[2026-03-29 02:30:00,2026-03-29 04:00:00] tz:Europe/Berlin", "2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z"},
      {"time:[2026-11-01,2026-11-02]", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"},
      {"time:[\"2026-11-01 10:00:00\",2026-11-01T12:30:00.25+02:00]", "2026-11-01T10:00:00Z", "2026-11-01T10:30:00.250Z"},
      {"time:[2026-11-01,]", "2026-11-01T00:00:00Z", "2026-11-02T12:00:00Z"},
      {"time:[,2026-11-01]", "-", "2026-11-01T00:00:00Z"},
      {"time:>=2026-11-01 time:<2026-11-01T06:00:00Z", "2026-11-01T00:00:00Z", "2026-11-01T06:00:00Z"},
      {"time:>2026-11-01 time:<=now", "2026-11-01T00:00:00.000001Z", "2026-11-02T12:00:00.000001Z"},
  };
  for (const WindowRow& row : kRows) {
    SCOPED_TRACE(row.said);
    const Plan plan = plan_of(std::string("in:flows ") + row.said);
    EXPECT_EQ(plan.window.start_us ? instant_text(*plan.window.start_us) : "-", row.start);
    EXPECT_EQ(instant_text(plan.window.end_us.value_or(0)), row.end);
  }
}

TEST(Srql, BucketsOfAutoSuitTheWindow) {
  const auto seconds = [](const char* time) { return plan_of(std::string("in:flows bucket:auto time:") + time).bucket->seconds; };
  EXPECT_EQ(seconds("last_5m"), 5);
  EXPECT_EQ(seconds("last_1h"), 60);
  EXPECT_EQ(seconds("last_24h"), 900);
  EXPECT_EQ(seconds("last_7d"), 10'800);
  EXPECT_EQ(seconds("last_30d"), 43'200);
  // A hundred at most, also where the first and the last of them are cut.
  EXPECT_EQ(seconds("last_99m"), 60);
  EXPECT_EQ(seconds("[2026-11-02T10:20:30Z,2026-11-02T12:00:30Z]"), 300);
  EXPECT_EQ(seconds("[2026-11-02T10:20:30Z,2026-11-02T12:01:29Z]"), 300);
}

struct TableRow {
  const char* query;
  const char* table;
};
TEST(Srql, SumsComeFromTheSmallestTableThatHasThem) {
  constexpr TableRow kRows[] = {
      {"groupby:src_ip", "rollup_src"},
      {"groupby:dst_ip dst_cidr:10.0.0.0/8", "rollup_dst"},
      {"groupby:dst_cidr:24", "rollup_dst"},
      {"groupby:dst_port,protocol_group proto:tcp app:web", "rollup_service"},
      {"groupby:exporter_name,in_if_name", "rollup_interface"},
      {"stats:\"sum(bytes_total) as b, avg(packets_total) as p, rate(bytes_raw) as r\" as:64512 country:DE", "rollup_as"},
      {"stats:\"count(*) as n\"", "rollup_interface"},
      {"bucket:5m series:app", "rollup_service"},
      {"bucket:1d series:app tz:Europe/Berlin", "rollup_service"},
      {"bucket:30s series:app", "flow_rows"},      // a minute would lie in two
      {"groupby:src_ip,dst_ip", "flow_rows"},
      {"groupby:src_ip dst_port:443", "flow_rows"},
      {"groupby:src_port", "flow_rows"},
      {"groupby:src_ip bytes_total:>100", "flow_rows"},
      {"stats:\"max(bytes_total) as m by src_ip\"", "flow_rows"},
      {"stats:\"count_distinct(src_ip) as m\"", "flow_rows"},
      {"stats:\"sum(bytes_in) as m by src_ip\"", "flow_rows"},
      {"src_ip:10.0.0.1", "flow_rows"},
  };
  for (const TableRow& row : kRows) {
    SCOPED_TRACE(row.query);
    EXPECT_EQ(translate(plan_of(std::string("in:flows ") + row.query), duckdb_dialect()).table, row.table);
  }
}

TEST(Srql, ARaggedWindowIsPutTogetherWithoutGapOrOverlap) {
  const Translation t = translate(plan_of("in:flows time:[2026-10-27T10:20:30.5Z,2026-11-02T01:02:03Z] groupby:src_ip"), duckdb_dialect());
  std::vector<std::string> bounds;
  for (const Parameter& p : t.statement.parameters) bounds.push_back(instant_text(std::get<Instant>(p).us).substr(5));
  // Of two parts the first start and the last end, then where the first ends and the last starts.
  EXPECT_THAT(bounds, ElementsAre("10-28T00:00:00Z", "11-02T00:00:00Z",                                                // days
                                  "10-27T11:00:00Z", "10-28T00:00:00Z",                                                // hours: one is not worth it
                                  "10-27T10:21:00Z", "11-02T01:02:00Z", "10-27T11:00:00Z", "11-02T00:00:00Z",          // minutes
                                  "10-27T10:20:30.500Z", "11-02T01:02:03Z", "10-27T10:21:00Z", "11-02T01:02:00Z"));    // flows
  EXPECT_THAT(t.statement.sql, HasSubstr("FROM rollup_src_1m WHERE time >= ? AND time < ? AND (time < ? OR time >= ?)")) << "DuckDB prunes by no other choice";
  const auto place = [&](std::string_view table) { return t.statement.sql.find(table); };
  EXPECT_LT(place("rollup_src_1d"), place("rollup_src_1h")) << "these lie by address: what DuckDB keeps of them does, too";
  EXPECT_LT(place("rollup_src_1h"), place("rollup_src_1m"));
  EXPECT_LT(place("rollup_src_1m"), place("flow_rows"));
}

// A day has as many sums as few of its hours have: of two days from noon to noon a day's are a third of all.
TEST(Srql, OneWholeDayOfAWindowIsWorthItsOwnSums) {
  const Translation t = translate(plan_of("in:flows time:[2026-10-31T10:00:00Z,2026-11-02T10:00:00Z] groupby:src_ip"), duckdb_dialect());
  std::vector<std::string> bounds;
  for (const Parameter& p : t.statement.parameters) bounds.push_back(instant_text(std::get<Instant>(p).us).substr(5));
  EXPECT_THAT(bounds, ElementsAre("11-01T00:00:00Z", "11-02T00:00:00Z",                                         // the day
                                  "10-31T10:00:00Z", "11-02T10:00:00Z", "11-01T00:00:00Z", "11-02T00:00:00Z"));  // hours before and behind it
  EXPECT_THAT(t.statement.sql, ::testing::HasSubstr("rollup_src_1d"));
}

/// What tests/fuzz/srql_fuzz.cc does for longer: parts of queries exchanged, doubled, left out, and octets changed.
TEST(Srql, ChangedQueriesAreAnsweredOrRefused) {
  uint64_t seed = 20261102;
  const auto below = [&](size_t n) {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<size_t>((seed >> 33) % n);
  };
  std::vector<std::string> all(std::begin(kQueries), std::end(kQueries));
  all.insert(all.end(), std::begin(kMoreQueries), std::end(kMoreQueries));
  for (int i = 0; i < 30'000; ++i) {
    std::string text = all[below(all.size())];
    for (size_t changes = 1 + below(4); changes != 0; --changes) {
      const std::string& other = all[below(all.size())];
      const size_t from = below(other.size());
      const std::string part = other.substr(from, 1 + below(12));
      switch (below(4)) {
        case 0: text.insert(below(text.size() + 1), part); break;
        case 1: text.erase(below(text.size() + 1), 1 + below(8)); break;
        case 2: text += ' ' + other.substr(std::min(other.size(), size_t{9})); break;
        default: if (!text.empty()) text[below(text.size())] = "()[]!:,\"'`~%<>=*-|\\ "[below(21)];
      }
    }
    check_srql(text);
  }
}

TEST(Srql, WhatRollupsHaveForgottenFlowsTell) {
  Plan plan = plan_of("in:flows time:[2026-10-20T10:30:00Z,2026-11-02T00:00:00Z] groupby:src_ip");
  plan.rollups_kept.minutes_from_us = kNowUs - 7 * 86'400 * kUsPerSec;
  std::string sql = translate(plan, duckdb_dialect()).statement.sql;
  EXPECT_THAT(sql, Not(HasSubstr("_1m"))) << "the half hour at the beginning is older than minutes are kept";
  EXPECT_THAT(sql, HasSubstr("FROM flow_rows"));
  EXPECT_THAT(sql, HasSubstr("FROM rollup_src_1h"));
  EXPECT_THAT(sql, HasSubstr("FROM rollup_src_1d"));
  plan = plan_of("in:flows time:[,2026-11-02] bucket:5m series:app");
  plan.rollups_kept.minutes_from_us = kNowUs - 7 * 86'400 * kUsPerSec;
  const Translation t = translate(plan, duckdb_dialect());
  std::vector<std::string> bounds;
  for (const Parameter& p : t.statement.parameters) bounds.push_back(instant_text(std::get<Instant>(p).us).substr(5, 11));
  EXPECT_THAT(bounds, ElementsAre("10-26T12:00", "11-02T00:00", "10-26T12:00"));
}

/// docs/SRQL.md, "Fields", from the table that queries go by.
std::string fields_table() {
  static constexpr std::pair<FieldKind, const char*> kWords[] = {
      {FieldKind::address, "address"},       {FieldKind::network, "network"},           {FieldKind::number, "number"},     {FieldKind::counter, "number"},
      {FieldKind::text, "text"},             {FieldKind::named_number, "name"},         {FieldKind::tcp_flags, "flags"},   {FieldKind::flags_label, "flags"},
      {FieldKind::mac, "MAC address"},       {FieldKind::instant, "time"},              {FieldKind::number_list, "AS numbers"},
      {FieldKind::community_list, "communities"}, {FieldKind::text_list, "texts"},      {FieldKind::boolean, "true, false"}, {FieldKind::conversation, "pair of addresses"}};
  std::string table = "| field | also | values |\n|---|---|---|\n";
  for (const Field& field : fields()) {
    std::string also, values;
    for (const char c : field.aliases) also += c == ' ' ? "`, `" : std::string(1, c);
    for (const auto& [kind, word] : kWords) {
      if (kind == field.kind) values = word;
    }
    if (!field.names.empty()) values += (values == "name" ? ": " : " or ") + names_allowed(field);
    if (field.is_numeric() && field.largest != INT64_MAX) values += " to " + std::to_string(field.largest);
    if (field.is_either_side()) values += ", either side";
    if (!field.unit.empty()) values += ", " + std::string(field.unit);
    table += "| `" + std::string(field.name) + "` | " + (also.empty() ? "" : "`" + also + "`") + " | " + values + " |\n";
  }
  return table;
}

TEST(Srql, ItsFieldsAreInTheDocumentation) {
  const std::string path = std::string(std::getenv("WEIR_SOURCE_ROOT")) + "/docs/SRQL.md";
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::string begin = "<!-- fields -->\n", end = "<!-- /fields -->";
  const size_t from = text.find(begin) + begin.size(), to = text.find(end);
  ASSERT_NE(to, std::string::npos);
  if (std::getenv("WEIR_WRITE_DOCS") != nullptr) {
    text.replace(from, to - from, fields_table());
    std::ofstream(path) << text;
    return;
  }
  EXPECT_EQ(text.substr(from, to - from), fields_table()) << "WEIR_WRITE_DOCS=1 writes it";
}

TEST(Srql, ItsAnswersAreCheckedWhereDuckDbIs) {
#ifndef WEIR_HAS_DUCKDB
  GTEST_SKIP() << "query_answers is not built: DuckDB's library is not here (scripts/fetch_duckdb.sh brings it)";
#endif
}

}  // namespace
}  // namespace weir::query
