// Flows published, stored and asked for, by the programs themselves: nats-server, weir-store, weir-api, weirctl.
#include <fmt/format.h>

#include "api/real_store.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

// Their time is when they come, since nobody can have received them so long ago; bytes are 1000, 1001, …, one in ten goes to port 53.
constexpr const char* kWindow = "time:last_1h";
constexpr uint32_t kFlows = 3000;

TEST_F(StoreAndAsk, WhatWasPublishedIsWhatIsAnswered) {
  start_all();
  for (uint32_t first = 0; first < kFlows; first += 1000) publish("flows.raw.a", test::flow_batch(first, 1000));
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));
  uint64_t bytes = 0, to_53 = 0;
  for (uint64_t i = 0; i < kFlows; ++i) {
    bytes += 1000 + i;
    if (i % 10 == 0) to_53 += 1000 + i;
  }

  const json sources = ask(std::string("in:flows ") + kWindow + R"( stats:"sum(bytes_total) as total_bytes by connection.src_endpoint_ip" sort:total_bytes:desc limit:25)");
  EXPECT_EQ(sources["results"], json::array({{{"src_endpoint_ip", "192.0.2.1"}, {"total_bytes", bytes}}}));
  EXPECT_EQ(sources["table"], "rollup_src");
  const json ports = ask(std::string("in:flows ") + kWindow + " groupby:dst_port");
  EXPECT_EQ(ports["results"][1], (json{{"dst_endpoint_port", 53}, {"count", kFlows / 10}, {"bytes", to_53}, {"packets", kFlows / 10}}));
  const json from_flows = ask(std::string("in:flows ") + kWindow + R"( stats:"sum(bytes_total) as b, max(bytes_total) as m, p50(bytes_total) as p by proto")");
  EXPECT_EQ(from_flows["results"][0], (json{{"protocol_num", 6}, {"b", bytes}, {"m", 999 + kFlows}, {"p", 1000 + (kFlows - 1) / 2.0}}));
  EXPECT_EQ(from_flows["table"], "flow_rows");

  // The store's own socket says behind rows whether they are all.
  const auto ask_store = [&](const json& body) {
    return test::fetch({.url = "http://localhost/v1/sql", .method = "POST", .body = body.dump(), .headers = {"Content-Type: application/json"}, .unix_path = folder_ / "store.sock"});
  };
  for (const char* const format : {"csv", "ndjson", "json"}) {
    const auto some = ask_store({{"sql", "SELECT bytes_total FROM flows"}, {"max_rows", 3}, {"format", format}});
    EXPECT_EQ(some.headers.count("x-weir-truncated") != 0 ? some.headers.at("x-weir-truncated") : "not said", "true") << format;
    const auto all = ask_store({{"sql", "SELECT bytes_total FROM flows LIMIT 3"}, {"max_rows", 3}, {"format", format}});
    EXPECT_EQ(all.headers.count("x-weir-truncated") != 0 ? all.headers.at("x-weir-truncated") : "not said", "false") << format;
  }
  EXPECT_EQ(ask_store({{"sql", "SELECT server_name FROM flows LIMIT 2"}, {"format", "csv"}}).body, "server_name\n\"\"\n\"\"\n");

  // Lists of many, all of which weir-store takes.
  std::string many = std::string("in:flows groupby:dst_port ") + kWindow;
  for (const char* const field : {"port", "!as", "!if", "!vlan"}) {
    many += fmt::format(" {}:(", field);
    for (int i = 0; i < 200; ++i) many += (i == 0 ? "" : ",") + std::to_string(i + 1);
    many += ")";
  }
  EXPECT_EQ(ask(many)["results"].size(), 1u);

  // Many of them at one time: pages go by what else is shown.
  std::set<uint64_t> seen;
  std::string cursor;
  size_t pages = 0;
  do {
    const json page = ask(std::string("in:flows ") + kWindow + " limit:250", cursor);
    for (const json& row : page["results"]) EXPECT_TRUE(seen.insert(row["bytes_total"].get<uint64_t>()).second);
    cursor = page["next_cursor"].is_string() ? page["next_cursor"].get<std::string>() : "";
    // Later ones do not shift what is still to come.
    publish("flows.raw.a", test::flow_batch(100'000 + 10 * pages, 10));
  } while (!cursor.empty() && ++pages < 100);
  EXPECT_EQ(seen.size(), kFlows);
  for (uint64_t i = 0; i < kFlows; ++i) EXPECT_TRUE(seen.count(1000 + i)) << i;

  EXPECT_THAT(ctl({"query", "--csv", std::string("in:flows bytes_total:1000 fields:src_ip,dst_ip,dst_port,bytes_total ") + kWindow}).out,
              ::testing::Eq("src_endpoint_ip,dst_endpoint_ip,dst_endpoint_port,bytes_total\n192.0.2.1,198.51.100.7,53,1000\n"));
  EXPECT_THAT(ctl({"sql", "SELECT protocol_name, dst_endpoint_ip FROM flows WHERE bytes_total = 1001"}).out, HasSubstr("tcp            198.51.100.7"));
  const auto parquet = post("/api/query?format=parquet", {{"query", std::string("in:flows limit:10 ") + kWindow}});
  EXPECT_TRUE(parquet.body.starts_with("PAR1") && parquet.body.ends_with("PAR1")) << parquet.body.substr(0, 200);
  EXPECT_EQ(parquet.headers.at("x-weir-truncated"), "true");
  const auto whole = post("/api/query?format=parquet", {{"query", std::string("in:flows bytes_total:1000 ") + kWindow}});
  EXPECT_EQ(whole.headers.at("x-weir-truncated"), "false") << whole.body.substr(0, 200);
  // What has no place in rows is in the file's end, and in a header.
  const auto last_hour = post("/api/query?format=parquet", {{"query", "in:flows limit:10"}});
  EXPECT_EQ(last_hour.headers.at("x-weir-notes"), R"(["time: is not said; the last hour"])") << last_hour.body.substr(0, 200);
  EXPECT_THAT(last_hour.body, ::testing::AllOf(HasSubstr("weir_notes"), HasSubstr(R"(["time: is not said; the last hour"])")));
  const auto cut_sql = post("/api/sql?format=parquet", {{"sql", "SELECT bytes_total FROM flows"}, {"max_rows", 3}});
  EXPECT_EQ(cut_sql.headers.at("x-weir-truncated"), "true");
}

TEST_F(StoreAndAsk, WhatIsWrongIsSaidAndNothingIsChanged) {
  start_all();
  for (const char* const sql : {"DROP TABLE flow_none", "DELETE FROM exporters", "ATTACH 'x.db'", "SELECT * FROM read_csv('/etc/passwd')", "COPY (SELECT 1) TO '/tmp/x'",
                                "SET memory_limit = '1TB'", "SELECT 1; DROP TABLE exporters"}) {
    EXPECT_EQ(post("/api/sql", {{"sql", sql}}).status, 400) << sql;
  }
  EXPECT_EQ(post("/api/query", {{"query", "in:flows app:~("}}).status, 400);
  const auto unknown = json::parse(post("/api/sql", {{"sql", "SELECT nothing FROM flows"}}).body, nullptr, false);
  EXPECT_EQ(unknown["position"], 8) << unknown.dump();
  EXPECT_THAT(ctl({"sql", "SELECT nothing FROM flows"}).err, HasSubstr("  SELECT nothing FROM flows\n         ^\n"));
  const auto late = post("/api/sql", {{"sql", "SELECT count(*) FROM range(100000000000) a WHERE a.range % 7 = 3"}, {"timeout_ms", 300}});
  EXPECT_EQ(late.status, 504) << late.body;
  EXPECT_EQ(get("/api/netflow?time_range=last_7d&group_by=src_ip").status, 200);
  store_.reset();
  EXPECT_TRUE(eventually([&] { return get("/readyz").status == 503; }));
  EXPECT_EQ(ctl({"query", "in:flows"}).status, 1);
}

}  // namespace
}  // namespace weir
