// worker_fixture.h — A worker on its own thread, with a real nats-server.
#pragma once

#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "etl/etl_fixture.h"
#include "etl/worker.h"

namespace weir::etl {

class EtlWorkerTest : public test::EtlFixture {
 protected:
  EtlConfig config() const {
    EtlConfig config;
    config.nats_url = nats_.url();
    config.source.ack_wait_secs = 2;
    config.events.stream.max_bytes = config.decisions.stream.max_bytes = config.dead.stream.max_bytes = 256 << 20;
    config.events.buffer_bytes = 4 << 20;
    config.shutdown_deadline_ms = 5000;
    return config;
  }
  void start(const EtlConfig& config) {
    if (rules_.read() == nullptr) take_rules(config, 1);
    auto made = EtlWorker::make(config, rules_);
    ASSERT_TRUE(made) << made.error().message;
    worker_ = std::move(*made);
    thread_ = std::thread([this] {
      const RoleScope role(etl_thread);
      const RoleScope publishes(publisher_thread);
      worker_->run();
    });
  }
  void take_rules(EtlConfig config, uint64_t version, const std::string& text = "") {
    if (!text.empty()) {
      config.rules = folder_ / "rules.yaml";
      std::ofstream(config.rules) << "version: 1\n" << text;
    }
    auto rules = read_rules(config, version);
    ASSERT_TRUE(rules) << rules.error().message;
    rules_.publish(std::move(*rules));
  }
  void stop() {
    if (worker_ == nullptr || !thread_.joinable()) return;
    worker_->ask_to_stop();
    thread_.join();
  }
  void TearDown() override { stop(); }

  EtlBooks books() {
    const auto view = worker_->view();
    return view == nullptr ? EtlBooks() : view->books;
  }
  /// So many messages are done with, one way or another, and the books balance at each look.
  void settle(uint64_t messages) {
    ASSERT_TRUE(test::eventually([&] {
      const EtlBooks b = books();
      EXPECT_EQ(b.discrepancy(), "");
      return b.messages_done + b.messages_dead_total() + b.messages_returned >= messages && b.messages_in_hand == 0;
    })) << worker_->view()->not_ready_because();
    ASSERT_TRUE(test::eventually([&] { return is_all_done(); })) << consumer().dump();
  }
  std::vector<test::StoredMessage> dead() { return read_stream("flows_dead"); }

  Snapshot<RulesInUse> rules_;
  std::unique_ptr<EtlWorker> worker_;
  std::thread thread_;
};

}  // namespace weir::etl
