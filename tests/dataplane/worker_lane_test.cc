// How frames are spread over workers, and what becomes of them there. No DPDK.
#include "dataplane/worker_lane.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "support.h"

namespace weir::dataplane::testing {
namespace {

using packet::FrameVerdict;
using packet::LinkType;
using ::testing::Each;
using ::testing::IsEmpty;

rte_mbuf* buffer(uintptr_t number) { return reinterpret_cast<rte_mbuf*>(number * 64); }
IpAddress address(const std::string& text) { return *IpAddress::parse(text); }

struct Workers {
  explicit Workers(size_t count, size_t frames = kLaneFrames) {
    for (size_t i = 0; i < count; ++i) {
      bells.push_back(std::make_unique<WorkerBell>());
      lanes.push_back(std::make_unique<WorkerLane>(*bells.back(), frames));
      distributor.add(*lanes.back());
    }
  }
  std::vector<rte_mbuf*> end_burst() {
    const RoleScope role(rx_lcore);
    rte_mbuf* refused[kBurst];
    const size_t count = distributor.end_burst(refused);
    return {refused, refused + count};
  }
  std::vector<HandedFrame> take(size_t worker, size_t frames_max = kBurst) {
    const RoleScope role(worker_lcore);
    std::vector<HandedFrame> frames(frames_max);
    frames.resize(lanes[worker]->take(frames));
    return frames;
  }
  void offer(uintptr_t number, const IpAddress& source, HandedKind kind = HandedKind::datagram) {
    const RoleScope role(rx_lcore);
    distributor.offer({.mbuf = buffer(number), .kind = kind}, source);
  }
  bool may_receive(bool is_patient) {
    const RoleScope role(rx_lcore);
    return distributor.may_receive(is_patient);
  }

  HandedCounters counters;
  std::vector<std::unique_ptr<WorkerBell>> bells;
  std::vector<std::unique_ptr<WorkerLane>> lanes;
  Distributor distributor{0x5eed, counters};
};

TEST(Distributor, GivesAnExporterAlwaysToTheSameWorkerAndSpreadsMany) {
  Workers workers(3);
  std::vector<size_t> exporters(3);
  for (int i = 0; i < 3000; ++i) {
    const IpAddress source =
        address(i % 2 == 0 ? fmt::format("10.0.{}.{}", i / 256, i % 256) : fmt::format("2001:db8::{:x}", i));
    const size_t worker = workers.distributor.worker_of(source);
    ASSERT_LT(worker, 3u);
    EXPECT_EQ(workers.distributor.worker_of(source), worker);
    ++exporters[worker];
  }
  EXPECT_THAT(exporters, Each(::testing::AllOf(::testing::Gt(800u), ::testing::Lt(1200u))));
}

TEST(Distributor, AnotherSeedSpreadsOtherwise) {
  HandedCounters counters;
  WorkerBell bell;
  WorkerLane lane(bell);
  Distributor first(1, counters), second(2, counters);
  for (int i = 0; i < 8; ++i) {
    first.add(lane);
    second.add(lane);
  }
  int alike = 0;
  for (int i = 0; i < 256; ++i) {
    const IpAddress source = address(fmt::format("192.0.2.{}", i));
    alike += first.worker_of(source) == second.worker_of(source);
  }
  EXPECT_LT(alike, 100) << "nobody can choose addresses that all meet one worker";
}

TEST(Distributor, KeepsTheOrderOfAnExportersFramesOverBursts) {
  Workers workers(2);
  const IpAddress source = address("192.0.2.1");
  const size_t worker = workers.distributor.worker_of(source);
  for (uintptr_t i = 1; i <= 100; ++i) {
    workers.offer(i, source);
    if (i % 7 == 0) {
      EXPECT_THAT(workers.end_burst(), IsEmpty());
    }
  }
  EXPECT_THAT(workers.end_burst(), IsEmpty());
  const std::vector<HandedFrame> taken = workers.take(worker, 200);
  ASSERT_EQ(taken.size(), 100u);
  for (uintptr_t i = 0; i < 100; ++i) EXPECT_EQ(taken[i].mbuf, buffer(i + 1));
  EXPECT_THAT(workers.take(1 - worker), IsEmpty());
}

TEST(Distributor, HandsBackWhatAFullLaneDoesNotTakeAndCountsEveryFrame) {
  Workers workers(2, 4);
  const IpAddress flood = address("192.0.2.1");
  const size_t behind = workers.distributor.worker_of(flood);
  IpAddress other = address("192.0.2.2");
  for (int i = 3; workers.distributor.worker_of(other) == behind; ++i) other = address(fmt::format("192.0.2.{}", i));

  for (uintptr_t i = 1; i <= 3; ++i) workers.offer(i, flood);
  workers.offer(4, flood, HandedKind::fragment);
  workers.offer(5, flood, HandedKind::fragment);
  workers.offer(6, flood);
  workers.offer(7, other);
  EXPECT_THAT(workers.end_burst(), ::testing::UnorderedElementsAre(buffer(5), buffer(6)));
  EXPECT_EQ(workers.counters.handed[HandedKind::datagram].value(), 4u);
  EXPECT_EQ(workers.counters.handed[HandedKind::fragment].value(), 1u);
  EXPECT_EQ(workers.counters.full[HandedKind::datagram].value(), 1u);
  EXPECT_EQ(workers.counters.full[HandedKind::fragment].value(), 1u);
  EXPECT_EQ(workers.lanes[behind]->full(), 2u);
  EXPECT_EQ(workers.lanes[behind]->waiting(), 4u);
  EXPECT_EQ(workers.lanes[1 - behind]->handed(), 1u) << "the flood is its own worker's trouble";

  EXPECT_EQ(workers.take(behind).size(), 4u);
  workers.offer(8, flood);
  EXPECT_THAT(workers.end_burst(), IsEmpty()) << "there is room again";
}

TEST(Distributor, WaitsForWhoIsBehindOnlyWhereNothingRunsAwayOrAPublisherBlocks) {
  Workers workers(2, kBurst + 8);
  EXPECT_TRUE(workers.may_receive(true));
  const IpAddress source = address("192.0.2.1");
  const size_t behind = workers.distributor.worker_of(source);
  for (uintptr_t i = 1; i <= kBurst; ++i) workers.offer(i, source);
  workers.end_burst();
  for (uintptr_t i = 1; i <= kBurst; ++i) workers.offer(i, source);
  workers.end_burst();
  EXPECT_FALSE(workers.may_receive(true)) << "a file can wait";
  EXPECT_TRUE(workers.may_receive(false)) << "others' datagrams must not: what finds no room is dropped";
  workers.bells[behind]->is_holding = true;
  EXPECT_FALSE(workers.may_receive(false)) << "as a core that decodes itself";
  while (!workers.take(behind).empty()) {
  }
  EXPECT_TRUE(workers.may_receive(true));
}

TEST(WorkerLane, IsOverWhenItIsClosedAndEmpty) {
  Workers workers(1);
  workers.offer(1, address("192.0.2.1"));
  workers.end_burst();
  WorkerLane& lane = *workers.lanes[0];
  const RoleScope role(worker_lcore);
  EXPECT_FALSE(lane.is_over());
  lane.close();
  EXPECT_FALSE(lane.is_over()) << "what was handed over is still to be taken";
  HandedFrame frame;
  EXPECT_EQ(lane.take({&frame, 1}), 1u);
  EXPECT_TRUE(lane.is_over());
}

/// A receive core's pipeline and that of its only worker.
class HandOverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    PipelineConfig config = netflow_pipeline();
    auto rules = config.rules();
    ASSERT_TRUE(rules);
    rules_.push_back(*rules);
    for (auto* pipeline : {&receiver_, &worker_}) {
      auto made = Pipeline::create(config, rules_.back());
      ASSERT_TRUE(made) << made.error().message;
      *pipeline = std::move(*made);
    }
  }

  /// Whether it was the worker's.
  bool sort(const lab::Octets& frame, ExceptionLane* kernel = nullptr) {
    const RoleScope role(rx_lcore);
    HandedFrame handed{.received = kCaptureTimeNs};
    IpAddress source;
    if (!receiver_->sort_frame(frame, LinkType::ethernet, kernel, handed, source)) return false;
    receiver_->counters().handover.handed[handed.kind].increment();
    waiting_.emplace_back(frame, handed);
    sources_.insert(source);
    return true;
  }
  void work(ExceptionLane* kernel = nullptr) {
    const RoleScope role(rx_lcore);
    worker_->catch_up();
    for (const auto& [octets, handed] : waiting_) worker_->on_handed_frame(octets, handed, kernel);
    waiting_.clear();
  }
  /// Both cores go by it, in the order in which the data plane tells them.
  void set_rules(PipelineConfig config, bool worker_too = true) {
    auto rules = config.rules();
    ASSERT_TRUE(rules);
    rules_.push_back(*rules);
    const RoleScope role(control_thread);
    if (worker_too) worker_->set_rules(**rules);
    receiver_->set_rules(**rules);
    const RoleScope receiving(rx_lcore);
    receiver_->catch_up();
  }
  void expect_books() {
    EXPECT_THAT(receiver_->ledger().discrepancies(), IsEmpty());
    EXPECT_THAT(worker_->ledger().discrepancies(), IsEmpty());
    Ledger total = receiver_->ledger();
    total += worker_->ledger();
    EXPECT_THAT(total.discrepancies(), IsEmpty());
    EXPECT_THAT(total.handover_discrepancies(), IsEmpty());
    EXPECT_EQ(receiver_->counters().datagrams.value(), 0u);
    EXPECT_EQ(worker_->counters().frames.value(), 0u) << "a frame is counted once";
  }

  std::vector<std::shared_ptr<const PlaneRules>> rules_;
  std::unique_ptr<Pipeline> receiver_, worker_;
  std::vector<std::pair<lab::Octets, HandedFrame>> waiting_;
  std::set<IpAddress> sources_;
};

TEST_F(HandOverTest, LeavesTheWorkerWhatIsExportTrafficAndNothingElse) {
  const lab::UdpEnds ends{.src = "192.0.2.7", .dst = "192.0.2.200", .src_port = 9, .dst_port = kNetflowPort};
  EXPECT_TRUE(sort(v5_frame(30)));
  EXPECT_TRUE(sort(v5_frame(1, 0, kNetflowPort, "192.0.2.9")));
  for (const lab::Octets& packet : lab::fragment_packets(ends, 1, lab::udp_segment(ends, v5_datagram(30)), 496))
    EXPECT_TRUE(sort(lab::ethernet(lab::kEtherTypeIpv4, packet)));
  EXPECT_FALSE(sort(v5_frame(1, 0, 9999))) << "no listener";
  EXPECT_FALSE(sort(lab::ethernet(lab::kEtherTypeArp, lab::zeros(46))));
  EXPECT_FALSE(sort(lab::zeros(13)));
  EXPECT_THAT(sources_, ::testing::ElementsAre(address("192.0.2.1"), address("192.0.2.7"), address("192.0.2.9")));
  work();
  EXPECT_EQ(worker_->decoder_counters().records.value(), 61u);
  EXPECT_EQ(receiver_->counters().verdicts[FrameVerdict::udp].value(), 3u);
  EXPECT_EQ(receiver_->counters().no_listener.value(), 1u);
  EXPECT_EQ(worker_->counters().taken[HandedKind::fragment].value(), 3u);
  EXPECT_EQ(worker_->ledger().reassembled[FrameVerdict::udp], 1u);
  expect_books();
}

TEST_F(HandOverTest, AFirstFragmentForTheHostFollowsThoseThatAWorkerHas) {
  const auto frames_of = [](uint32_t id, uint16_t port) {
    const lab::UdpEnds ends{.src = "192.0.2.7", .dst = "192.0.2.200", .src_port = 9, .dst_port = port};
    std::vector<lab::Octets> frames;
    for (const lab::Octets& packet : lab::fragment_packets(ends, id, lab::udp_segment(ends, v5_datagram(30)), 496))
      frames.push_back(lab::ethernet(lab::kEtherTypeIpv4, packet));
    return frames;
  };
  const auto late = frames_of(1, 9999), in_order = frames_of(2, 9999), exported = frames_of(3, kNetflowPort);
  ASSERT_EQ(late.size(), 3u);
  Waker waker;
  const ExceptionLane::Config config{.mac = packet::parse_frame(late[0], LinkType::ethernet).dst_mac};
  ExceptionLane of_queue(config, waker), of_worker(config, waker);
  EXPECT_TRUE(sort(late[1], &of_queue)) << "nobody knows whose it is";
  for (const lab::Octets& frame : in_order) EXPECT_FALSE(sort(frame, &of_queue));
  EXPECT_TRUE(sort(late[0], &of_queue)) << "the worker has some of it";
  EXPECT_TRUE(sort(late[2], &of_queue));
  for (const size_t i : {2, 0, 1}) EXPECT_TRUE(sort(exported[i], &of_queue)) << i;
  EXPECT_EQ(of_queue.waiting(), 3u);
  work(&of_worker);
  EXPECT_EQ(worker_->decoder_counters().records.value(), 30u);
  EXPECT_EQ(worker_->counters().exceptions[ExceptionOutcome::passed].value(), 1u);
  const RoleScope role(exception_thread);
  const packet::FrameView whole = packet::parse_frame(of_worker.front(), LinkType::ethernet);
  EXPECT_EQ(name_of(whole.verdict), name_of(FrameVerdict::udp));
  EXPECT_EQ(whole.dst_port, 9999);
  EXPECT_EQ(lab::Octets(whole.payload.begin(), whole.payload.end()), v5_datagram(30));
  expect_books();
}

TEST_F(HandOverTest, ADifferenceBetweenHandedAndTakenIsFound) {
  EXPECT_TRUE(sort(v5_frame(1)));
  waiting_.clear();  // gone without a word
  Ledger total = receiver_->ledger();
  total += worker_->ledger();
  ASSERT_EQ(total.handover_discrepancies().size(), 1u);
  EXPECT_EQ(total.handover_discrepancies()[0].text(), "datagrams handed to workers: 1 are not accounted for");
}

TEST_F(HandOverTest, WhatWasSortedBeforeAListenerWentIsStillDecoded) {
  EXPECT_TRUE(sort(v5_frame(30)));
  PipelineConfig without = netflow_pipeline();
  without.listeners[0].port = 0;
  set_rules(without);
  work();
  EXPECT_EQ(worker_->decoder_counters().records.value(), 30u);
  EXPECT_FALSE(sort(v5_frame(30)));
  expect_books();
}

TEST_F(HandOverTest, AWorkerKnowsTheListenersByWhichItsBurstWasSorted) {
  PipelineConfig with = netflow_pipeline();
  with.listeners.push_back({.name = "other", .port = 9999, .route = {}, .rules = {}});
  set_rules(with);
  EXPECT_TRUE(sort(v5_frame(30, 0, 9999)));
  work();
  EXPECT_EQ(worker_->decoder_counters().records.value(), 30u);
  expect_books();
}

TEST_F(HandOverTest, AListenerThatTheWorkerDoesNotKnowYetIsNoListener) {
  PipelineConfig with = netflow_pipeline();
  with.listeners.push_back({.name = "other", .port = 9999, .route = {}, .rules = {}});
  set_rules(with, /*worker_too=*/false);
  EXPECT_TRUE(sort(v5_frame(30, 0, 9999)));
  work();
  EXPECT_EQ(worker_->counters().no_listener.value(), 1u);
  expect_books();
}

}  // namespace
}  // namespace weir::dataplane::testing
