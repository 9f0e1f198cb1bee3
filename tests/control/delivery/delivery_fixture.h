// delivery_fixture.h — A core whose batches a test seals by hand, and publishers whose fate it decides.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include "base/clock.h"
#include "control/delivery/delivery.h"
#include "support/fake_publisher.h"

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"  // one thread plays all roles here
#endif

namespace weir::control {

using outbound::Batcher;
using outbound::DeliveryFailure;
using test::FakePublisher;
using Mode = FakePublisher::Mode;

inline constexpr uint32_t kBuffers = 8;

/// One core whose batches the test seals by hand, and its delivery.
class DeliveryTest : public testing::Test {
 protected:
  DeliveryTest()
      : batcher_({.core = 0, .buffers = kBuffers, .batch_octets = 4096}),
        delivery_({&batcher_}, kBuffers) {}

  FakePublisher& add(const char* name, size_t window, Mode mode, uint64_t records_max = 0,
                     size_t queue = 4) {
    PublisherBounds bounds;
    bounds.records_max = records_max;
    return add(name, window, mode, std::move(bounds), queue);
  }

  FakePublisher& add(const char* name, size_t window, Mode mode, PublisherBounds bounds,
                     size_t queue) {
    auto publisher = std::make_unique<FakePublisher>(window, mode);
    FakePublisher& fake = *publisher;
    delivery_.add_publisher(
        std::make_unique<PublisherThread>(
            PublisherThreadConfig{
                .name = name, .queue_batches_max = queue, .batches_in_all = kBuffers + kReplaysMax},
            std::move(publisher), waker_),
        std::move(bounds));
    return fake;
  }

  /// For a change: what a reload would make. Without a fake the one of that name goes on.
  PublisherChange wanted(const char* name, std::unique_ptr<FakePublisher> fake, PublisherBounds bounds = {},
                         const char* place = "") {
    PublisherChange change{.name = name, .bounds = std::move(bounds), .thread = nullptr};
    if (fake == nullptr) return change;
    change.thread = std::make_unique<PublisherThread>(
        PublisherThreadConfig{
            .name = name, .queue_batches_max = 4, .batches_in_all = kBuffers + kReplaysMax, .place = place},
        std::move(fake), waker_);
    return change;
  }
  template <class... Change>
  void change_at(uint64_t leave_deadline_ns, Change&&... change) {
    std::vector<PublisherChange> changes;
    (changes.push_back(std::move(change)), ...);
    delivery_.change(std::move(changes), leave_deadline_ns);
  }
  PublisherView row(const std::string& name) {
    for (PublisherView& v : delivery_.views(steady_clock_ns() + ahead_ns_)) {
      if (v.name == name) return v;
    }
    ADD_FAILURE() << "no publisher " << name;
    return {};
  }

  /// One sealed batch of `records` records.
  void seal(size_t records = 3) {
    RoleScope role(rx_lcore);
    ExportHeader header;
    header.type = FlowType::netflow_v5;
    std::vector<FlowRecord> rows(records);
    for (FlowRecord& row : rows) {
      row = FlowRecord{};
      row.bytes = 64;
    }
    batcher_.add({.header = header, .records = rows, .arena = nullptr, .listener = {}}, RouteId{0});
    batcher_.seal_all();
  }

  /// The same of records of one exporter.
  void seal_from(const char* exporter, size_t records) {
    RoleScope role(rx_lcore);
    ExportHeader header;
    header.type = FlowType::netflow_v5;
    header.exporter_address = *IpAddress::parse(exporter);
    std::vector<FlowRecord> rows(records);
    batcher_.add({.header = header, .records = rows, .arena = nullptr, .listener = {}}, RouteId{0});
    batcher_.seal_all();
  }

  void step_until(const std::function<bool()>& done) {
    const uint64_t give_up_ns = steady_clock_ns() + 20 * kNsPerSec;
    while (!done()) {
      ASSERT_LT(steady_clock_ns(), give_up_ns) << "nothing more happens";
      if (!delivery_.step()) waker_.wait(1, [] { return false; });
    }
  }

  PublisherView view(size_t i) { return delivery_.views(steady_clock_ns() + ahead_ns_)[i]; }

  void drain_now() {
    delivery_.begin_drain(steady_clock_ns());
    step_until([&] { return delivery_.drained(); });
  }

  void expect_balanced() {
    const uint64_t encoded = batcher_.counters().encoded.value();
    for (const PublisherView& p : delivery_.views(steady_clock_ns() + ahead_ns_)) {
      EXPECT_EQ(encoded, p.records_acknowledged + p.records_failed + p.records_dropped +
                             p.records_spooled + p.records_in_flight + p.records_waiting + p.records_absent)
          << p.name;
      EXPECT_TRUE(p.discrepancies().empty()) << p.name;
    }
    for (const Discrepancy& d : delivery_.discrepancies()) ADD_FAILURE() << d.text();
  }

  RoleScope role_{control_thread};
  uint64_t ahead_ns_ = 0;  // how far the test pretends that time has gone
  Waker waker_;
  Batcher batcher_;
  Delivery delivery_;
};

}  // namespace weir::control
