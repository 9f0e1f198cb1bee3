// From HTTP through SRQL and SQL to real DuckDB and back: what the known flows add up to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "api/running_server.h"
#include "api/standin_store.h"
#include "query/known_flows.h"
#include "store/rollups.h"

namespace weir::api {
namespace {

using nlohmann::json;
using query::KnownFlow;
using query::KnownFlows;

class ApiAnswers : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    setenv("TZ", "UTC", 1);
    flows_ = new KnownFlows;
    db_ = new store::StoreDatabase;
    flows_->store(*db_);
    ASSERT_TRUE(store::fold(*db_->connection));
    ASSERT_TRUE(store::make_views(*db_->connection));
    char name[] = "/tmp/weir-store-XXXXXX";
    folder_ = mkdtemp(name);
    store_ = new StandinStore(*db_, folder_ + "/store.sock");
  }
  static void TearDownTestSuite() {
    delete store_;
    delete db_;
    delete flows_;
    std::filesystem::remove_all(folder_);
  }

  RunningServer server{{}, std::make_shared<const Tokens>(), folder_ + "/store.sock"};

  json ask(const std::string& query, const std::string& cursor = {}) {
    json body = {{"query", query}};
    if (!cursor.empty()) body["cursor"] = cursor;
    const auto answer = server.post("/api/query", body.dump());
    EXPECT_EQ(answer.status, 200) << answer.body;
    return json::parse(answer.body, nullptr, false);
  }
  json get(const std::string& target) {
    const auto answer = server.get(target);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return json::parse(answer.body, nullptr, false);
  }
  static int64_t bytes_since(int64_t from_us, int64_t to_us, const std::string& src) {
    int64_t sum = 0;
    for (const KnownFlow& f : flows_->all()) sum += f.time_us >= from_us && f.time_us < to_us && f.src == src ? f.bytes_total() : 0;
    return sum;
  }

  static KnownFlows* flows_;
  static store::StoreDatabase* db_;
  static StandinStore* store_;
  static std::string folder_;
};
KnownFlows* ApiAnswers::flows_;
store::StoreDatabase* ApiAnswers::db_;
StandinStore* ApiAnswers::store_;
std::string ApiAnswers::folder_;

TEST_F(ApiAnswers, TopTalkersOfADay) {
  const json body = ask(R"(in:flows time:last_24h stats:"sum(bytes_total) as total_bytes by connection.src_endpoint_ip" sort:total_bytes:desc limit:25)");
  ASSERT_EQ(body["results"].size(), 8u);
  int64_t before = INT64_MAX;
  for (const json& row : body["results"]) {
    const auto bytes = row["total_bytes"].get<int64_t>();
    EXPECT_EQ(bytes, bytes_since(kNowUs - 86'400'000'000, kNowUs, row["src_endpoint_ip"]));
    EXPECT_LE(bytes, before);
    before = bytes;
  }
}

TEST_F(ApiAnswers, PagesStayWholeWhileFlowsComeIn) {
  const std::string query = "in:flows time:last_24h limit:100 fields:time,src_ip,bytes_total";
  size_t expected = 0;
  for (const KnownFlow& f : flows_->all()) expected += f.time_us >= kNowUs - 86'400'000'000 && f.time_us < kNowUs;
  std::multiset<std::string> seen;
  std::string cursor;
  int pages = 0;
  do {
    const json body = ask(query, cursor);
    for (const json& row : body["results"]) seen.insert(row.dump());
    cursor = body["next_cursor"].is_string() ? body["next_cursor"].get<std::string>() : "";
    EXPECT_EQ(body["truncated"], !cursor.empty());
    EXPECT_FALSE(body["results"][0].contains("page_tie"));
    // Time goes on, and newer flows come.
    server.now_us += 60'000'000;
    const std::lock_guard lock(store_->mutex);
    const int64_t hour = kNowUs / store::kMicrosPerHour;
    ASSERT_TRUE(store::open_hours(*db_->connection, std::vector<int64_t>{hour}));
    db_->run(fmt::format("INSERT INTO {} (time, received_time, sampler_address, bytes_total) VALUES (make_timestamptz({}), now(), ip_parse('192.0.2.1'), 1)",
                         store::hour_table(hour), kNowUs + pages * 1000));
  } while (!cursor.empty() && ++pages < 100);
  EXPECT_EQ(seen.size(), expected);
  EXPECT_GT(pages, 5);
  const std::lock_guard lock(store_->mutex);
  db_->run(fmt::format("DELETE FROM {}", store::hour_table(kNowUs / store::kMicrosPerHour)));
}

TEST_F(ApiAnswers, DashboardsAskForWhatTheyKnow) {
  const json all = get("/api/netflow?time_range=last_24h&group_by=src_ip&filter=src_ip=10.0.0.1");
  EXPECT_EQ(all["results"], json::array({{{"src_ip", "10.0.0.1"}, {"bytes", bytes_since(kNowUs - 86'400'000'000, kNowUs, "10.0.0.1")}, {"timestamp", "2026-11-02T12:00:00Z"}}}));
  const json flows = get("/api/netflow?time_range=last_5m&filter=dst_port!=443,protocol%3D6&limit=5");
  ASSERT_EQ(flows["results"].size(), 5u);
  for (const json& row : flows["results"]) {
    std::vector<std::string> names;
    for (const auto& [name, value] : row.items()) names.push_back(name);
    EXPECT_THAT(names, testing::UnorderedElementsAre("timestamp", "src_ip", "dst_ip", "src_port", "dst_port", "protocol", "bytes"));
    EXPECT_NE(row["dst_port"], 443);
    EXPECT_EQ(row["protocol"], 6);
  }
  EXPECT_EQ(server.get("/api/netflow?time_range=last_24h&group_by=src_ip&format=csv").body.substr(0, 23), "src_ip,bytes,timestamp\n");
}

TEST_F(ApiAnswers, RealtimeAndHistoricalAreTheWhole) {
  const auto bytes_of = [&](const std::string& route) {
    int64_t sum = 0;
    const json body = get(route + "?time_range=last_10d&group_by=src_ip&filter=src_ip=10.0.0.2");
    for (const json& row : body["results"]) sum += row["bytes"].get<int64_t>();
    return sum;
  };
  const int64_t threshold = kNowUs - 2 * 86'400'000'000;
  EXPECT_EQ(bytes_of("/api/netflow/realtime"), bytes_since(threshold, kNowUs, "10.0.0.2"));
  EXPECT_EQ(bytes_of("/api/netflow/historical"), bytes_since(kNowUs - 864'000'000'000, threshold, "10.0.0.2"));
  EXPECT_EQ(bytes_of("/api/netflow"), bytes_of("/api/netflow/realtime") + bytes_of("/api/netflow/historical"));
  EXPECT_EQ(get("/api/netflow/historical?time_range=last_1h")["results"], json::array());
  EXPECT_EQ(server.get("/api/netflow/historical?time_range=last_1h&format=csv").headers.at("x-weir-truncated"), "false") << "of nothing, too, that is all";
}

TEST_F(ApiAnswers, SqlAnswersWithListsAndSaysWhatIsWrong) {
  const auto answer = server.post("/api/sql", R"({"sql":"SELECT ip_text(src_endpoint_addr) AS src, count(*)::BIGINT AS n FROM flow_rows WHERE src_endpoint_addr = ? GROUP BY 1","parameters":[{"addr":"10.0.0.1"}]})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json body = json::parse(answer.body);
  EXPECT_EQ(body["rows"][0][0], "10.0.0.1");
  EXPECT_EQ(body["columns"][1]["name"], "n");
  const auto wrong = server.post("/api/sql", R"({"sql":"SELECT nothing FROM flow_rows"})");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_THAT(wrong.body, testing::HasSubstr("nothing"));
  EXPECT_EQ(server.post("/api/query", R"({"query":"in:flows app:~( time:last_24h"})").status, 400);
}

TEST_F(ApiAnswers, WithoutAStoreSaysSo) {
  RunningServer alone({}, std::make_shared<const Tokens>(), folder_ + "/nobody.sock");
  EXPECT_EQ(alone.get("/readyz").status, 503);
  const auto answer = alone.post("/api/query", R"({"query":"in:flows"})");
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, testing::HasSubstr("the store cannot be asked"));
}

}  // namespace
}  // namespace weir::api
