// real_store.h — nats-server, weir-store and weir-api as they are installed, and what one asks them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "support/flow_stream.h"
#include "support/program.h"
#include "support/web_client.h"

namespace weir {

using test::built;
using test::eventually;
using test::json;
using test::Outcome;
using test::Process;

class StoreAndAsk : public test::FlowStreamFixture {
 protected:
  StoreAndAsk() { consumer_name_ = "weir-store-flows-raw-any"; }

  std::string api_socket() const { return folder_ / "api.sock"; }
  void start_all() {
    test::write_file(folder_ / "store.yaml",
                     "nats_url: " + nats_.url() + "\ndatabase: {path: " + (folder_ / "flows.duckdb") + ", temp_directory: " + (folder_ / "temp") +
                         "}\nhistory: {folder: " + (folder_ / "history") + "}\ncommit: {interval_ms: 100}\ncontrol_socket: {path: " + (folder_ / "store.sock") +
                         "}\nsql: {queries_max: 4}\n");
    test::write_file(folder_ / "api.yaml", "listen: {unix: " + api_socket() + "}\nstore: {socket: " + (folder_ / "store.sock") + "}\n");
    store_ = std::make_unique<Process>(folder_, std::vector<std::string>{built("weir-store"), "run", "-c", folder_ / "store.yaml"});
    api_ = std::make_unique<Process>(folder_, std::vector<std::string>{built("weir-api"), "run", "-c", folder_ / "api.yaml"});
    ASSERT_TRUE(eventually([&] { return get("/readyz").status == 200; })) << store_->err() << api_->err();
  }
  test::WebAnswer get(const std::string& target) { return test::fetch({.url = "http://localhost" + target, .unix_path = api_socket()}); }
  test::WebAnswer post(const std::string& target, const json& body) {
    return test::fetch({.url = "http://localhost" + target, .method = "POST", .body = body.dump(), .headers = {"Content-Type: application/json"}, .unix_path = api_socket()});
  }
  json ask(const std::string& query, const std::string& cursor = {}) {
    json body = {{"query", query}};
    if (!cursor.empty()) body["cursor"] = cursor;
    const auto answer = post("/api/query", body);
    EXPECT_EQ(answer.status, 200) << query << answer.body << answer.trouble;
    return json::parse(answer.body, nullptr, false);
  }
  Outcome ctl(std::vector<std::string> words) {
    std::vector<std::string> all = {built("weirctl"), words[0], "--api", api_socket()};
    all.insert(all.end(), words.begin() + 1, words.end());
    return test::run_program(all);
  }

  std::unique_ptr<Process> store_, api_;
};

}  // namespace weir
