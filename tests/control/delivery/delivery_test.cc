#include <gtest/gtest.h>

#include "delivery_fixture.h"

namespace weir::control {
namespace {

TEST_F(DeliveryTest, AcknowledgesEveryBatchInOrderAndReusesItsBuffer) {
  FakePublisher& fake = add("a", 2, Mode::acknowledge);
  delivery_.start();
  constexpr uint64_t kBatches = kBuffers * 5;  // more than there are buffers
  for (uint64_t i = 1; i <= kBatches; ++i) {
    seal(2);
    step_until([&] { return view(0).batches_acknowledged == i; });
    expect_balanced();
  }
  drain_now();
  EXPECT_EQ(view(0).records_acknowledged, 2 * kBatches);
  EXPECT_EQ(batcher_.counters().encoded.value(), 2 * kBatches);
  std::vector<uint64_t> expected;
  for (uint64_t i = 1; i <= kBatches; ++i) expected.push_back(i);
  EXPECT_EQ(fake.sequences_seen(), expected);
}

/// Who sleeps until there are some looks for them once more before it does.
TEST_F(DeliveryTest, HasNewsOfWhatWasSealedSinceItLooked) {
  delivery_.start();
  EXPECT_FALSE(delivery_.has_news());
  seal();
  EXPECT_TRUE(delivery_.has_news());
  EXPECT_TRUE(delivery_.step());
  EXPECT_FALSE(delivery_.has_news());
  seal();
  EXPECT_TRUE(delivery_.has_news());
}

TEST_F(DeliveryTest, TellsHowLongBatchesTookFromTheirFirstRecord) {
  add("a", 2, Mode::acknowledge);
  delivery_.start();
  seal();  // in the burst that filled it: only what came then counts
  step_until([&] { return view(0).delivery.count() == 1; });
  EXPECT_LT(view(0).delivery.max_ns(), 5 * kNsPerSec) << "not since the machine was started";

  // This one was open for half a minute before it was sealed.
  const uint64_t now_ns = steady_clock_ns();
  {
    RoleScope role(rx_lcore);
    std::vector<FlowRecord> rows(1);
    ExportHeader header;
    batcher_.add({.header = header, .records = rows, .arena = nullptr, .listener = {}}, RouteId{0});
    batcher_.poll(now_ns - 30 * kNsPerSec);
    batcher_.seal_all();
  }
  step_until([&] { return view(0).delivery.count() == 2; });
  EXPECT_GE(view(0).delivery.max_ns(), 30 * kNsPerSec);
  EXPECT_LT(view(0).delivery.quantile_ns(0.5), 5 * kNsPerSec);
  drain_now();
}

TEST_F(DeliveryTest, CountsWhatAStuckPublisherCannotTakeAndKeepsTheOtherGoing) {
  add("stuck", 1, Mode::hold, 0, /*queue=*/2);
  add("healthy", 8, Mode::acknowledge);
  delivery_.start();
  uint64_t sealed = 0;
  for (; sealed < 6; ++sealed) {
    seal(10);
    step_until([&] { return view(1).batches_acknowledged == sealed + 1; });
    expect_balanced();
  }
  const PublisherView stuck = view(0);
  EXPECT_EQ(view(1).records_acknowledged, 60u);
  EXPECT_EQ(stuck.records_acknowledged, 0u);
  EXPECT_GT(stuck.records_dropped, 0u);
  EXPECT_EQ(stuck.records_dropped + stuck.records_in_flight, 60u);
  EXPECT_LE(stuck.batches_in_flight, 4u);  // window 1, queue 2, one in the thread's hand
  drain_now();
  EXPECT_EQ(view(0).failures[DeliveryFailure::shutdown_deadline], stuck.records_in_flight);
  EXPECT_EQ(view(0).records_in_flight, 0u);
  expect_balanced();
}

TEST_F(DeliveryTest, BoundsTheRecordsThatOnePublisherHolds) {
  add("slow", 1, Mode::hold, /*records_max=*/25, /*queue=*/8);
  delivery_.start();
  for (int i = 0; i < 4; ++i) seal(10);
  step_until([&] { return view(0).batches_in_flight + view(0).batches_dropped == 4; });
  EXPECT_EQ(view(0).records_in_flight, 20u);
  EXPECT_EQ(view(0).records_dropped, 20u);
  expect_balanced();
  drain_now();
  expect_balanced();
}

TEST_F(DeliveryTest, WhoIsStuckLeavesBuffersForTheOthers) {
  add("stuck", 1, Mode::hold, /*records_max=*/0, /*queue=*/64);
  add("healthy", 4, Mode::acknowledge, /*records_max=*/0, /*queue=*/64);
  delivery_.start();
  for (uint32_t i = 1; i <= kBuffers * 3; ++i) {
    seal(1);
    step_until([&] { return view(1).batches_acknowledged == i; });
  }
  EXPECT_EQ(batcher_.counters().drops.total(), 0u);
  EXPECT_EQ(view(0).batches_in_flight, kBuffers / 4 * 3 / 2);
  EXPECT_EQ(view(0).failures[DeliveryFailure::queue_full], kBuffers * 3 - kBuffers / 4 * 3 / 2);
  expect_balanced();
  drain_now();
}

TEST_F(DeliveryTest, SeveralThatAreStuckWithDifferentBatchesLeaveBuffersForTheOthers) {
  add("oldest", 1, Mode::hold, /*records_max=*/0, /*queue=*/64);
  PublisherBounds newest;
  newest.policy = DropPolicy::drop_oldest;
  newest.waiting_batches_max = 64;
  add("newest", 1, Mode::hold, std::move(newest), /*queue=*/1);
  add("good", 4, Mode::acknowledge);
  delivery_.start();
  for (uint32_t i = 1; i <= kBuffers * 3; ++i) {
    seal(10);
    step_until([&] { return view(2).records_acknowledged == i * 10; });
  }
  EXPECT_EQ(batcher_.counters().drops.total(), 0u) << "there was a buffer for each batch";
  expect_balanced();
  drain_now();
  expect_balanced();
}

TEST_F(DeliveryTest, MissesWhatWasSealedAndNeverCame) {
  add("a", 4, Mode::acknowledge);
  delivery_.start();
  seal(10);
  seal(5);
  outbound::OutboundBatch* stolen = nullptr;
  ASSERT_TRUE(batcher_.take_sealed(stolen));
  delivery_.expect_sealed(0, batcher_.counters().records_sealed.value());
  EXPECT_TRUE(delivery_.discrepancies().empty()) << "the ring has not been looked into";
  step_until([&] { return view(0).batches_acknowledged == 1; });
  ASSERT_EQ(delivery_.discrepancies().size(), 1u);
  EXPECT_EQ(delivery_.discrepancies()[0].text(),
            "sealed records of core 0: 10 are not accounted for");
  drain_now();
}

TEST_F(DeliveryTest, FindsAllThatWasSealedHoweverMuchIsOnItsWay) {
  add("a", 4, Mode::acknowledge);
  delivery_.start();
  for (uint64_t i = 1; i <= 40; ++i) {
    seal(7);
    delivery_.expect_sealed(0, batcher_.counters().records_sealed.value());
    seal(3);
    step_until([&] { return view(0).batches_acknowledged == 2 * i; });
    EXPECT_TRUE(delivery_.discrepancies().empty());
    EXPECT_TRUE(view(0).discrepancies().empty());
  }
  drain_now();
}

TEST_F(DeliveryTest, TakesABatchThatAloneExceedsTheBoundWhenNothingElseWaits) {
  add("small", 4, Mode::acknowledge, /*records_max=*/5);
  delivery_.start();
  seal(20);
  step_until([&] { return view(0).batches_acknowledged == 1; });
  EXPECT_EQ(view(0).records_acknowledged, 20u);
  drain_now();
}

TEST_F(DeliveryTest, CountsFailuresUnderTheirReason) {
  add("refused", 4, Mode::fail);
  delivery_.start();
  seal(7);
  step_until([&] { return view(0).batches_failed == 1; });
  EXPECT_EQ(view(0).failures[DeliveryFailure::rejected], 7u);
  EXPECT_EQ(view(0).records_failed, 7u);
  EXPECT_EQ(view(0).records_dropped, 0u);
  expect_balanced();
  drain_now();
}

TEST_F(DeliveryTest, GivesBuffersBackWithoutAnyPublisher) {
  delivery_.start();
  for (uint32_t i = 0; i < kBuffers * 3; ++i) {
    seal(1);
    step_until([&] { return batcher_.sealed_waiting() == 0; });
  }
  EXPECT_EQ(batcher_.counters().drops.total(), 0u);
  EXPECT_TRUE(delivery_.drained());
}

TEST_F(DeliveryTest, WhoSettlesNothingForLongTakesNothingUntilItMoves) {
  FakePublisher& slow = add("slow", 2, Mode::acknowledge);
  delivery_.start();
  seal(5);
  step_until([&] { return view(0).batches_acknowledged == 1; });
  ahead_ns_ += 10 * kTakesNothingNs;
  EXPECT_EQ(view(0).takes_nothing_ns, 0u) << "there is nothing to take";
  slow.set_mode(Mode::hold);
  seal(5);
  step_until([&] { return view(0).batches_in_flight == 1; });
  EXPECT_EQ(view(0).trouble(), "") << "it has it for a moment";
  ahead_ns_ += 3 * kTakesNothingNs;
  EXPECT_GE(view(0).takes_nothing_ns, 3 * kTakesNothingNs);
  EXPECT_NE(view(0).trouble().find("takes nothing since "), std::string::npos) << view(0).trouble();
  slow.set_mode(Mode::acknowledge);
  step_until([&] { return view(0).batches_acknowledged == 2; });
  EXPECT_EQ(view(0).trouble(), "");
  drain_now();
}

TEST_F(DeliveryTest, TellsTheFillOfTheBoundThatActs) {
  add("records", 1, Mode::hold, /*records_max=*/25, /*queue=*/8);
  add("queue", 1, Mode::hold, /*records_max=*/0, /*queue=*/2);
  delivery_.start();
  EXPECT_EQ(view(0).queue_fill, 0.0);
  for (int i = 0; i < 4; ++i) seal(10);
  step_until([&] { return view(0).batches_in_flight + view(0).batches_dropped == 4; });
  EXPECT_EQ(view(0).records_dropped, 20u);
  EXPECT_EQ(view(0).records_max, 25u);
  EXPECT_EQ(view(0).queue_fill, 0.8);
  // Its thread takes one or two from the queue when it comes to it; then two wait.
  double fill = 0;
  step_until([&] {
    fill = view(1).queue_fill;
    if (fill < 1.0) seal(1);
    return fill == 1.0;
  });
  EXPECT_EQ(fill, 1.0);
  drain_now();
}

TEST_F(DeliveryTest, NamesThePublisherThatDoesNotEnd) {
  FakePublisher& hung = add("hung", 4, Mode::hang);
  add("well", 4, Mode::acknowledge);
  delivery_.start();
  seal(5);
  step_until([&] { return view(1).batches_acknowledged == 1; });
  delivery_.begin_drain(steady_clock_ns());
  step_until([&] { return delivery_.unfinished().size() == 1; });
  EXPECT_EQ(delivery_.unfinished(), std::vector<std::string>{"hung"});
  EXPECT_FALSE(delivery_.drained());
  hung.set_mode(Mode::acknowledge);
  step_until([&] { return delivery_.drained(); });
  EXPECT_TRUE(delivery_.unfinished().empty());
}

TEST_F(DeliveryTest, PublishesWhatIsQueuedWhenItDrains) {
  FakePublisher& fake = add("late", 2, Mode::hold, 0, /*queue=*/8);
  delivery_.start();
  for (int i = 0; i < 6; ++i) seal(5);
  step_until([&] { return view(0).batches_in_flight == 6; });
  fake.set_mode(Mode::acknowledge);
  delivery_.begin_drain(steady_clock_ns() + 20 * kNsPerSec);
  step_until([&] { return delivery_.drained(); });
  EXPECT_EQ(view(0).records_acknowledged, 30u);
  expect_balanced();
}

}  // namespace
}  // namespace weir::control
