// publisher_driver.h — Drives a publisher as its thread does: submits, polls, drains, and keeps the ledger.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "export/publisher.h"
#include "support/batches.h"

namespace weir::test {

template <class P>
class PublisherDriver : public ::testing::Test {
 protected:
  static inline const outbound::RunIdentity kIdentity{"7d9f1d3e-0000-4000-8000-000000000001",
                                                      1'700'000'000'000'000'000};
  static std::string id_of(const BatchBox& box) {
    return outbound::Addressing(kIdentity, {""}).id_of(box.batch);
  }

  template <class Config>
  void make(Config config) {
    auto made = P::make(std::move(config));
    ASSERT_TRUE(made) << made.error().message;
    publisher_ = std::move(*made);
  }
  /// So many batches, on two routes in turn, polling while the window is full.
  void submit(size_t count, uint32_t records = 3) {
    const RoleScope role(publisher_thread);
    for (size_t i = 0; i < count; ++i) {
      BatchBox& box = boxes_.emplace_back(boxes_.size() + 1, records, boxes_.size() % 2);
      while (!publisher_->submit(box.batch, ledger_)) publisher_->poll(20, ledger_);
    }
  }
  bool poll_until(const std::function<bool()>& done) {
    const RoleScope role(publisher_thread);
    const uint64_t give_up_ns = steady_clock_ns() + 60 * kNsPerSec;  // a hang, not a measure
    while (!done() && steady_clock_ns() < give_up_ns) publisher_->poll(20, ledger_);
    return done();
  }
  bool poll_until_settled() {
    return poll_until([&] { return publisher_->in_flight() == 0; });
  }
  void drain(uint64_t ms) {
    const RoleScope role(publisher_thread);
    const std::atomic<uint64_t> deadline_ns = steady_clock_ns() + ms * kNsPerMs;
    publisher_->drain(deadline_ns, ledger_);
    EXPECT_EQ(publisher_->in_flight(), 0u);
    ledger_.expect_balance(boxes_.size());
  }

  std::deque<BatchBox> boxes_;
  OutcomeLedger ledger_;
  std::unique_ptr<P> publisher_;
};

}  // namespace weir::test
