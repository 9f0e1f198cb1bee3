// weirctl verify in front of a store that is made up: it waits for its own reading to end, and for nothing that cannot come.
// What a store finds is in program_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "service/http_server.h"
#include "support/program.h"

namespace weir {
namespace {

using nlohmann::json;
using test::Outcome;
using testing::HasSubstr;
using namespace std::chrono_literals;

class Verify : public testing::Test {
 protected:
  Verify() { serve({{"GET", "/v1/status"}, {"POST", "/v1/verify"}}); }

  std::string socket() const { return folder_ / "store.sock"; }
  void serve(const std::vector<std::pair<std::string, std::string>>& known) {
    server_.reset();
    std::vector<service::HttpRoute> routes;
    for (const auto& [method, path] : known) {
      const bool is_status = path == "/v1/status";
      routes.push_back({method, path, false, [this, is_status](const service::HttpRequest&) { return is_status ? status() : verify(); },
                        is_status ? service::HttpAccess::read : service::HttpAccess::admin, {}});
    }
    auto server = service::HttpServer::start({.unix_path = socket()}, std::move(routes));
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  service::HttpResponse status() {
    const int look = ++looks_;
    if (look == restart_at_look_) started_ns_ = 2;
    // The reading that somebody else asked for before, over and without a finding.
    const bool is_ours = looks_ > over_at_look_;
    const json verify = {{"number", is_ours ? 8 : 7}, {"is_over", true}, {"files", is_ours ? 3 : 2}, {"octets", 5 << 20}, {"damaged", is_ours ? damaged_.load() : 0}, {"left", 0}};
    json named = json::array();
    if (is_ours && damaged_ != 0) named.push_back("/history/flows-1-2.parquet: its octets are not those that were written");
    const json keeper = {{"scrub", {{"verify", verify}}}, {"broken_files", named.size()}, {"broken_named", named}};
    service::HttpResponse response;
    const bool is_in_trouble = trouble_at_look_ != 0 && look >= trouble_at_look_;
    response.body = json{{"program", "weir-store"}, {"started_ns", started_ns_.load()}, {"keeper", keeper}, {"keeper_trouble", is_in_trouble ? "no room" : ""}}.dump();
    return response;
  }
  service::HttpResponse verify() {
    service::HttpResponse response;
    response.status = 202;
    response.body = answer_;
    return response;
  }
  Outcome ctl(std::vector<std::string> words = {}) {
    std::vector<std::string> all = {test::built("weirctl"), "--socket", socket()};
    all.insert(all.end(), words.begin(), words.end());
    all.emplace_back("verify");
    return test::run_program(all);
  }

  test::TemporaryFolder folder_;
  std::string answer_ = R"({"number":8})";
  std::atomic<int> looks_{0}, over_at_look_{3}, restart_at_look_{0}, trouble_at_look_{0}, damaged_{0};
  std::atomic<int64_t> started_ns_{1};
  std::unique_ptr<service::HttpServer> server_;
};

TEST_F(Verify, WaitsForItsOwnReading) {
  const Outcome good = ctl();
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_EQ(good.out, "3 files of 5 MiB were read through: 0 of them are not what was written\n");
  EXPECT_EQ(looks_, 4) << "an earlier one's end is not its own";
}

TEST_F(Verify, NamesWhatIsNotWhatWasWritten) {
  damaged_ = 1;
  const Outcome bad = ctl();
  EXPECT_EQ(bad.status, 1);
  EXPECT_EQ(bad.out, "3 files of 5 MiB were read through: 1 of them are not what was written\n"
                     "left out: /history/flows-1-2.parquet: its octets are not those that were written\n");
  const Outcome as_json = ctl({"--json"});
  EXPECT_EQ(as_json.status, 1);
  EXPECT_EQ(json::parse(as_json.out, nullptr, false)["left_out"].size(), 1u) << as_json.out;
}

TEST_F(Verify, EndsWhereTheStoreWasStartedAnew) {
  over_at_look_ = 1'000'000;  // it numbers from the beginning, and comes to no eighth
  restart_at_look_ = 3;
  const Outcome restarted = ctl();
  EXPECT_EQ(restarted.status, 1);
  EXPECT_EQ(restarted.out, "");
  EXPECT_EQ(restarted.err, "weirctl: weir-store was started anew meanwhile, and reads nothing through for us: ask again\n");
  EXPECT_EQ(looks_, 3);
}

TEST_F(Verify, EndsWhereNobodyCanReadAnyMore) {
  over_at_look_ = 1'000'000;
  trouble_at_look_ = 3;
  const Outcome nobody = ctl();
  EXPECT_EQ(nobody.status, 1);
  EXPECT_EQ(nobody.err, "weirctl: nobody can read them: no room\n");
  EXPECT_EQ(looks_, 3);
}

TEST_F(Verify, EndsWhereTheStoreHasGone) {
  over_at_look_ = 1'000'000;
  std::thread ends([&] {
    for (int i = 0; i < 1000 && looks_ < 2; ++i) std::this_thread::sleep_for(10ms);
    server_.reset();
  });
  const Outcome gone = ctl();
  ends.join();
  EXPECT_EQ(gone.status, 3) << gone.err;
  EXPECT_THAT(gone.err, HasSubstr(socket()));
  EXPECT_EQ(gone.out, "");
}

TEST_F(Verify, SaysThatNobodyIsThereToAsk) {
  server_.reset();
  const Outcome nobody = ctl();
  EXPECT_EQ(nobody.status, 3);
  EXPECT_THAT(nobody.err, HasSubstr(socket()));
  EXPECT_EQ(nobody.out, "");
}

TEST_F(Verify, IsRefusedByWhoHasNoFiles) {
  serve({{"GET", "/v1/status"}});
  const Outcome other = ctl();
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(other.err, HasSubstr("/v1/verify"));
  EXPECT_EQ(looks_, 1);
}

TEST_F(Verify, TakesNoOthersEndForItsOwnWhereItIsToldNoNumber) {
  for (const char* const answer : {"", "[]", "{}", R"({"number":"8"})", R"({"number":null})"}) {
    looks_ = 0;
    answer_ = answer;
    const Outcome odd = ctl();
    EXPECT_EQ(odd.status, 1) << answer;
    EXPECT_THAT(odd.err, HasSubstr("another shape")) << answer;
  }
}

}  // namespace
}  // namespace weir
