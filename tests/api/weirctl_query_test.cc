// weirctl query and weirctl sql as people use them, in front of weir-api with known answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/running_server.h"
#include "cli/weirctl_chart.h"
#include "support/program.h"

namespace weir::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using F = FakeBackend;

class WeirctlQuery : public testing::Test {
 protected:
  void SetUp() override {
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("COLUMNS", "60", 1);
    unsetenv("WEIR_API_TOKEN");
  }
  test::Outcome ctl(std::vector<std::string> words, const RunningServer& of) {
    std::vector<std::string> all = {test::built("weirctl"), words[0], "--api", of.folder + "/api.sock"};
    all.insert(all.end(), words.begin() + 1, words.end());
    return test::run_program(all);
  }
  RunningServer server;
};

constexpr const char* kGroups = R"({"columns":[],"rows":[["10.0.0.1",30,3000000,300],["2001:db8::1",7,1500000,20],[null,1,1,1]],"truncated":false})";

TEST_F(WeirctlQuery, ShowsATable) {
  server.fake->lay_out({F::more(kGroups), F::over()});
  const auto plain = ctl({"query", "in:flows groupby:src_ip"}, server);
  EXPECT_EQ(plain.status, 0) << plain.err;
  EXPECT_EQ(plain.out, "src_endpoint_ip  count    bytes  packets\n"
                       "10.0.0.1            30  3000000      300\n"
                       "2001:db8::1          7  1500000       20\n"
                       "-                    1        1        1\n");
  EXPECT_THAT(plain.err, HasSubstr("time: is not said; the last hour"));
}

TEST_F(WeirctlQuery, ShowsBarsFromZeroToTheLargest) {
  server.fake->lay_out({F::more(R"({"columns":[],"rows":[["a",400],["b",200],["c",1],["d",0]]})"), F::over()});
  const auto chart = ctl({"query", "--chart", "on", "in:flows time:last_1h stats:\"sum(bytes_total) as b by app\""}, server);
  EXPECT_EQ(chart.status, 0) << chart.err;
  const auto lines = test::lines_of(chart.out);
  ASSERT_EQ(lines.size(), 5u) << chart.out;
  const auto blocks = [](const std::string& line) { return (line.size() - line.find_first_of("\xe2")) / 3; };
  EXPECT_EQ(blocks(lines[1]), 2 * blocks(lines[2]));
  EXPECT_THAT(lines[3], HasSubstr("▏")) << "a little is not nothing";
  EXPECT_EQ(lines[4], "d      0");
  EXPECT_EQ(chart.out.find('\x1b'), std::string::npos) << "no colour where no terminal is";
}

TEST_F(WeirctlQuery, ShowsTimesAsTheyAreAndBarsOfNumbers) {
  server.fake->lay_out({F::more(R"({"columns":[],"rows":[["a","2026-11-02T11:00:00Z",200],["b","2026-11-02T10:00:00Z",400]]})"), F::over()});
  const auto chart = ctl({"query", "--chart", "on", "in:flows time:last_1h stats:\"max(time) as last_seen, sum(bytes_total) as b by app\""}, server);
  EXPECT_EQ(chart.status, 0) << chart.err;
  const auto lines = test::lines_of(chart.out);
  ASSERT_EQ(lines.size(), 3u) << chart.out;
  EXPECT_THAT(lines[1], testing::StartsWith("a    2026-11-02T11:00:00Z  200  █"));
  EXPECT_THAT(lines[2], testing::StartsWith("b    2026-11-02T10:00:00Z  400  █"));
  server.fake->clear();
  server.fake->lay_out({F::more(R"({"columns":[],"rows":[["2026-11-02T11:00:00Z","2026-11-02T11:04:00Z",800],["2026-11-02T11:05:00Z","2026-11-02T11:09:00Z",400]]})"), F::over()});
  const auto series = ctl({"query", "--chart", "on", "in:flows time:last_1h bucket:5m stats:\"max(time) as last_seen, sum(bytes_total) as b\""}, server);
  EXPECT_THAT(series.out, HasSubstr("sum of bytes, a column 5 min"));
  EXPECT_THAT(series.out, testing::Not(HasSubstr("11:09")));
  server.fake->clear();
  server.fake->lay_out({F::more(R"({"columns":[],"rows":[["2026-11-02T11:00:00Z","2026-11-02T11:04:00Z"]]})"), F::over()});
  EXPECT_THAT(ctl({"query", "--chart", "on", "in:flows time:last_1h bucket:5m agg:max value_field:time"}, server).out,
              HasSubstr("2026-11-02T11:00:00Z  2026-11-02T11:04:00Z"));
}

TEST_F(WeirctlQuery, ShowsAChartOfTime) {
  server.fake->lay_out({F::more(R"({"columns":[],"rows":[["2026-11-02T11:00:00Z",800],["2026-11-02T11:05:00Z",400],["2026-11-02T11:20:00Z",100]]})"), F::over()});
  const auto chart = ctl({"query", "--chart", "on", "in:flows time:last_1h bucket:5m"}, server);
  EXPECT_EQ(chart.status, 0) << chart.err;
  EXPECT_THAT(chart.out, HasSubstr("sum of bytes, a column 5 min"));
  EXPECT_THAT(chart.out, HasSubstr("800 │███████████"));
  EXPECT_THAT(chart.out, HasSubstr("2026-11-02T11:00"));
  EXPECT_THAT(chart.out, HasSubstr("2026-11-02T11:20"));
  server.fake->clear();
  server.fake->lay_out({F::more(R"({"columns":[],"rows":[["2026-11-02T11:00:00Z","web",800],["2026-11-02T11:05:00Z","dns",100],["2026-11-02T11:05:00Z","web",400]]})"), F::over()});
  const auto several = ctl({"query", "--chart", "on", "in:flows time:last_1h bucket:5m series:app"}, server);
  EXPECT_THAT(several.out, HasSubstr("web  █"));
  EXPECT_THAT(several.out, HasSubstr("all to one scale, 0 to 800"));
}

TEST_F(WeirctlQuery, PointsAtWhatIsWrong) {
  const auto wrong = ctl({"query", "in:flows dst_port:abc"}, server);
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("at 19: 'abc' is no value of dst_endpoint_port"));
  EXPECT_THAT(wrong.err, HasSubstr("  in:flows dst_port:abc\n                    ^^^\n"));
  EXPECT_EQ(ctl({"query", "--format", "xml", "in:flows"}, server).status, 2);
  EXPECT_EQ(test::run_program({test::built("weirctl"), "query", "--api", "/nowhere/api.sock", "in:flows"}).status, 3);
}

TEST_F(WeirctlQuery, WritesWhatProgramsRead) {
  server.fake->lay_out({F::more(kGroups), F::over()});
  const auto csv = ctl({"query", "--csv", "in:flows groupby:src_ip limit:1"}, server);
  EXPECT_EQ(csv.out, "src_endpoint_ip,count,bytes,packets\n10.0.0.1,30,3000000,300\n");
  EXPECT_EQ(csv.err, "weirctl: time: is not said; the last hour\nweirctl: there are more rows than these (limit:)\n");
  EXPECT_EQ(ctl({"query", "--csv", "in:flows time:last_1h groupby:src_ip limit:3"}, server).err, "");
  const auto json = nlohmann::json::parse(ctl({"query", "--json", "in:flows groupby:src_ip limit:1"}, server).out, nullptr, false);
  EXPECT_EQ(json["results"][0]["bytes"], 3'000'000);
  EXPECT_EQ(json["truncated"], true);
  EXPECT_EQ(test::run_program({test::built("weirctl"), "query", "--api", server.url(""), "in:flows groupby:src_ip"}).status, 0) << "over TCP";
}

TEST_F(WeirctlQuery, SaysBesideRowsWhatTheyLack) {
  StorePart rows = F::more(kGroups);
  rows.left_out = "files=1; rows=30; from=2026-09-01T10:00:00Z; to=2026-09-01T11:00:00Z";
  server.fake->lay_out({rows, F::over()});
  server.keep({{604'800}, {}, {}, {30 * 86'400}});
  constexpr const char* kRagged = "in:flows time:[2026-09-01T10:30:00Z,2026-11-01] groupby:src_ip";
  constexpr const char* kGone = "flows before 2026-10-03T12:00:00Z are no longer kept: the answer lacks what only they could tell\n";
  const std::string left_out = "weirctl: the store cannot read all that it has of this time, and left out: " + rows.left_out + "\n";
  for (const char* const format : {"csv", "ndjson"}) {
    EXPECT_EQ(ctl({"query", "--format", format, kRagged}, server).err, std::string("weirctl: ") + kGone + left_out) << format;
  }
  EXPECT_EQ(ctl({"query", "--json", kRagged}, server).err, left_out) << "its notes are in it";
  EXPECT_EQ(ctl({"query", kRagged}, server).err, left_out + kGone) << "once";
  server.fake->clear();
  rows.octets = "PAR1PAR1";
  server.fake->lay_out({rows, F::over()});
  EXPECT_EQ(ctl({"query", "--format", "parquet", kRagged}, server).err, std::string("weirctl: ") + kGone + left_out);
}

TEST_F(WeirctlQuery, AsksInSql) {
  server.fake->lay_out({F::more(R"({"columns":[{"name":"n","type":"BIGINT"},{"name":"x","type":"VARCHAR"}],"rows":[[1,"\u001b[31m"],[22,"b"]],"truncated":true})"), F::over()});
  const auto answer = ctl({"sql", "SELECT n, x FROM flows"}, server);
  EXPECT_EQ(answer.status, 0) << answer.err;
  EXPECT_EQ(answer.out, " n  x\n 1  \\x1b[31m\n22  b\n") << "nobody's text steers the terminal";
  EXPECT_THAT(answer.err, HasSubstr("there are more"));
  server.fake->clear();
  server.fake->lay_out({F::failed(400, "Parser Error: near x")});
  EXPECT_THAT(ctl({"sql", "SELEC"}, server).err, HasSubstr("Parser Error: near x"));
}

TEST_F(WeirctlQuery, ShowsItsToken) {
  RunningServer asks({}, *Tokens::parse("noc 0123456789abcdef", "t"));
  asks.fake->lay_out({F::more(kGroups), F::over()});
  const auto words = std::vector<std::string>{test::built("weirctl"), "query", "--api", asks.url(""), "in:flows groupby:src_ip"};
  const auto refused = test::run_program(words);
  EXPECT_EQ(refused.status, 4);
  EXPECT_THAT(refused.err, HasSubstr("WEIR_API_TOKEN"));
  setenv("WEIR_API_TOKEN", "0123456789abcdef", 1);
  EXPECT_EQ(test::run_program(words).status, 0);
}

TEST(Chart, IsHonest) {
  const cli::Look look{40, false, false, true};
  EXPECT_EQ(cli::bar(1, 2, 10, look), "█████");
  EXPECT_EQ(cli::bar(0, 2, 10, look), "");
  EXPECT_EQ(cli::bar(-1, 2, 10, look), "");
  EXPECT_EQ(cli::bar(1, 2, 10, {40, false, false, false}), "#####");
  EXPECT_EQ(cli::bar(1, 2, 10, {40, true, true, true}), "\x1b[36m█████\x1b[0m");
  EXPECT_EQ(cli::short_number(0), "0");
  EXPECT_EQ(cli::short_number(999), "999");
  EXPECT_EQ(cli::short_number(999'600), "1.00 M");
  EXPECT_EQ(cli::short_number(1'234'567), "1.23 M");
  EXPECT_EQ(cli::short_number(0.25), "0.25");
  cli::Series many{"", {}};
  for (int i = 0; i < 100; ++i) many.values.emplace_back(i);
  const auto lines = cli::column_chart(many, "a", "b", look);
  EXPECT_EQ(lines.back(), "each column is the mean of 3 buckets");
  for (const std::string& line : lines) {
    EXPECT_LE(std::count_if(line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }), 40) << line;
  }
}

}  // namespace
}  // namespace weir::api
