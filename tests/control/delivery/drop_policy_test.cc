// What becomes of batches for which a publisher has no room, by its policy; each is counted once.
#include <fstream>
#include <set>

#include "delivery_fixture.h"
#include "support/process.h"

namespace weir::control {
namespace {

using test::TemporaryFolder;

class DropPolicyTest : public DeliveryTest {
 protected:
  PublisherBounds bounds(DropPolicy policy, uint64_t records_max = 0, size_t waiting = 0) {
    PublisherBounds made;
    made.policy = policy;
    made.records_max = records_max;
    made.waiting_batches_max = waiting;
    return made;
  }

  PublisherBounds spooling(uint64_t octets_max = 64 << 20, uint64_t records_max = 0) {
    PublisherBounds made = bounds(DropPolicy::spool, records_max);
    outbound::SpoolConfig config;
    config.dir = (folder_ / "spool");
    config.octets_max = octets_max;
    config.sync = outbound::SpoolSync::never;
    auto spool = outbound::Spool::open(config);
    EXPECT_TRUE(spool) << spool.error().message;
    auto journal = RunJournal::open((folder_ / "spool/run"));
    EXPECT_TRUE(journal) << journal.error().message;
    made.spool = std::make_unique<SpoolThread>(
        "p", std::move(*spool),
        outbound::Addressing({"uuid", 7}, {"flows.raw.netflow", "flows.raw.sflow"}), kBuffers,
        waker_);
    made.journal = std::move(*journal);
    return made;
  }

  /// The spool's own equation.
  static void expect_spool_balanced(const PublisherView& p) {
    const SpoolView& s = p.spool;
    EXPECT_EQ(s.records_restored + p.records_spooled, s.records_replayed + s.failures.total() +
                                                          s.records_expired + s.records_damaged +
                                                          s.records);
  }

  TemporaryFolder folder_;
};

TEST_F(DropPolicyTest, DropOldestLosesWhatHasWaitedLongest) {
  FakePublisher& slow =
      add("slow", 1, Mode::hold, bounds(DropPolicy::drop_oldest, 0, /*waiting=*/2), /*queue=*/1);
  delivery_.start();
  // One in its window, one in its hand, one in its queue; the next two wait, and then each new one
  // takes the place of the oldest that waits.
  for (uint64_t i = 0; i < 20; ++i) {
    seal(10);
    step_until([&] {
      const PublisherView v = view(0);
      return v.batches_in_flight + v.batches_dropped == i + 1 && v.records_waiting == 0;
    });
    expect_balanced();
  }
  const PublisherView v = view(0);
  EXPECT_GT(v.failures[DeliveryFailure::displaced], 0u);
  EXPECT_EQ(v.failures[DeliveryFailure::queue_full], 0u);
  slow.set_mode(Mode::acknowledge);
  delivery_.begin_drain(steady_clock_ns() + 20 * kNsPerSec);
  step_until([&] { return delivery_.drained(); });
  expect_balanced();
  // The two newest are among those that came through.
  const auto& seen = slow.sequences_seen();
  ASSERT_GE(seen.size(), 3u);
  EXPECT_EQ(seen.back(), 20u);
  EXPECT_EQ(seen[seen.size() - 2], 19u);
  EXPECT_EQ(view(0).records_acknowledged, seen.size() * 10);
}

TEST_F(DropPolicyTest, SpoolWantsBackInFiveSecondsWhatItsPublisherCannotDeliver) {
  FakePublisher& spools = add("spools", 4, Mode::acknowledge, spooling(), /*queue=*/4);
  FakePublisher& drops = add("drops", 4, Mode::acknowledge, bounds(DropPolicy::drop_newest), /*queue=*/4);
  delivery_.start();
  delivery_.step();
  EXPECT_EQ(spools.patience(), kWaitBeforeSpoolNs);
  EXPECT_EQ(drops.patience(), outbound::kPatientForEver);
  drain_now();
}

TEST_F(DropPolicyTest, DropOldestLeavesTheCoreBuffersToFill) {
  add("slow", 1, Mode::hold, bounds(DropPolicy::drop_oldest, 0, /*waiting=*/100), /*queue=*/1);
  delivery_.start();
  for (uint64_t i = 0; i < 30; ++i) {
    seal(10);
    step_until([&] { return view(0).records_waiting == 0; });
  }
  EXPECT_EQ(batcher_.counters().drops.total(), 0u) << "there was a buffer for each batch";
  EXPECT_LE(view(0).batches_in_flight, kBuffers / 4 * 3);
  expect_balanced();
  drain_now();
  expect_balanced();
}

TEST_F(DropPolicyTest, BlockLeavesBatchesWithTheirCoreUntilThereIsRoom) {
  FakePublisher& slow =
      add("slow", 1, Mode::hold, bounds(DropPolicy::block, /*records_max=*/20), /*queue=*/4);
  add("other", 8, Mode::acknowledge, bounds(DropPolicy::drop_newest), /*queue=*/8);
  delivery_.start();
  for (int i = 0; i < 5; ++i) seal(10);
  step_until([&] { return view(1).batches_acknowledged == 2; });
  for (int i = 0; i < 50; ++i) delivery_.step();
  EXPECT_EQ(view(0).records_in_flight, 20u);
  EXPECT_EQ(view(0).records_waiting, 30u);
  EXPECT_EQ(batcher_.sealed_waiting(), 3u);
  EXPECT_FALSE(delivery_.has_news()) << "who looks for what can be moved would look without end";
  expect_balanced();
  slow.set_mode(Mode::acknowledge);
  step_until([&] { return view(0).records_acknowledged == 50; });
  EXPECT_EQ(view(0).failures.total(), 0u);
  step_until([&] { return view(1).records_acknowledged == 50; });
  drain_now();
  expect_balanced();
}

/// The bound is not a multiple of what a batch holds: it is passed by less than a batch, and nothing is lost.
TEST_F(DropPolicyTest, BlockLosesNothingWhereABatchReachesBeyondTheBound) {
  FakePublisher& slow =
      add("slow", 1, Mode::hold, bounds(DropPolicy::block, /*records_max=*/25), /*queue=*/4);
  delivery_.start();
  for (int i = 0; i < 5; ++i) seal(10);
  step_until([&] { return view(0).records_in_flight == 30; });
  for (int i = 0; i < 50; ++i) delivery_.step();
  EXPECT_EQ(view(0).failures.total(), 0u);
  EXPECT_EQ(view(0).records_waiting, 20u);
  slow.set_mode(Mode::acknowledge);
  step_until([&] { return view(0).records_acknowledged == 50; });
  EXPECT_EQ(view(0).failures.total(), 0u);
  drain_now();
  expect_balanced();
}

TEST_F(DropPolicyTest, BlockIsOverWhenAStopWaitsNoLonger) {
  add("slow", 1, Mode::hold, bounds(DropPolicy::block, /*records_max=*/20), /*queue=*/4);
  delivery_.start();
  for (int i = 0; i < 5; ++i) seal(10);
  step_until([&] { return view(0).records_in_flight == 20; });
  drain_now();
  EXPECT_EQ(view(0).failures[DeliveryFailure::shutdown_deadline], 50u);
  EXPECT_EQ(view(0).records_waiting, 0u);
  expect_balanced();
}

TEST_F(DropPolicyTest, SpoolKeepsWhatThePublisherCannotTakeAndReplaysItInOrder) {
  FakePublisher& fake = add("p", 8, Mode::away, spooling(), /*queue=*/4);
  delivery_.start();
  for (uint64_t i = 1; i <= 20; ++i) {
    seal(10);
    step_until([&] { return view(0).records_waiting == 0 && view(0).batches_in_flight == 0; });
    expect_balanced();
  }
  EXPECT_EQ(view(0).records_spooled, 200u);
  EXPECT_EQ(view(0).failures.total(), 0u);
  fake.set_mode(Mode::acknowledge);
  step_until([&] { return view(0).spool.records_replayed == 200 && view(0).spool.records == 0; });
  drain_now();
  expect_balanced();
  expect_spool_balanced(view(0));
  // Those that failed while it was away come again; the order in which they succeed is that of sealing.
  std::vector<std::string> last_20(fake.replays_seen().end() - 20, fake.replays_seen().end());
  for (size_t i = 0; i < last_20.size(); ++i) {
    EXPECT_EQ(last_20[i], "uuid.7.0." + std::to_string(i + 1));
  }
}

/// Its bounds in records and batches are far away: the core's buffers are what is short.
TEST_F(DropPolicyTest, SpoolLeavesBuffersForWhatGoesToDisk) {
  PublisherBounds large = spooling();
  large.waiting_batches_max = 100;
  add("p", 1, Mode::hold, std::move(large), /*queue=*/2);
  delivery_.start();
  for (int i = 0; i < 30; ++i) {
    {
      RoleScope role(rx_lcore);
      batcher_.poll(steady_clock_ns());  // they are sealed now, and have not waited
    }
    seal(10);
    step_until([&] { return view(0).records_waiting == 0 && view(0).batches_in_flight <= kBuffers / 2; });
  }
  const PublisherView v = view(0);
  EXPECT_EQ(v.failures.total(), 0u);
  EXPECT_EQ(v.records_in_flight + v.records_spooled, 300u);
  EXPECT_GT(v.records_spooled, 0u);
  EXPECT_EQ(batcher_.counters().drops.total(), 0u);
  drain_now();
  expect_balanced();
}

TEST_F(DropPolicyTest, SpoolLetsLiveTrafficThroughWhileItReplays) {
  FakePublisher& fake = add("p", 8, Mode::away, spooling(), /*queue=*/4);
  delivery_.start();
  for (int i = 0; i < 10; ++i) {
    seal(1);
    step_until([&] { return view(0).records_waiting == 0 && view(0).batches_in_flight == 0; });
  }
  fake.set_mode(Mode::acknowledge);
  for (int i = 0; i < 40; ++i) {
    seal(1);
    step_until([&] { return view(0).records_waiting == 0 && view(0).batches_in_flight == 0; });
  }
  const PublisherView v = view(0);
  EXPECT_GT(v.records_acknowledged, 0u);
  step_until([&] { return view(0).spool.records == 0; });
  drain_now();
  expect_balanced();
  expect_spool_balanced(view(0));
  EXPECT_EQ(view(0).records_acknowledged + view(0).spool.records_replayed, 50u);
}

TEST_F(DropPolicyTest, SpoolTakesWhatIsLeftAtAStopAndTheNextRunDeliversIt) {
  add("p", 2, Mode::hold, spooling(), /*queue=*/4);
  delivery_.start();
  for (int i = 0; i < 5; ++i) seal(10);
  step_until([&] { return view(0).records_waiting == 0; });
  drain_now();
  delivery_.step();  // closes the books
  EXPECT_EQ(view(0).records_spooled, 50u);
  EXPECT_EQ(view(0).failures.total(), 0u);
  expect_balanced();

  Batcher batcher({.core = 0, .buffers = kBuffers, .batch_octets = 4096});
  Delivery next({&batcher}, kBuffers);
  auto publisher = std::make_unique<FakePublisher>(8, Mode::acknowledge);
  FakePublisher& fake = *publisher;
  delivery_.~Delivery();  // the spool is locked while it is open
  new (&delivery_) Delivery({&batcher_}, kBuffers);
  PublisherBounds again = spooling();
  EXPECT_FALSE(again.journal->lost_before()) << "the last run came to its end";
  next.add_publisher(
      std::make_unique<PublisherThread>(
          PublisherThreadConfig{
              .name = "p", .queue_batches_max = 4, .batches_in_all = kBuffers + kReplaysMax},
          std::move(publisher), waker_),
      std::move(again));
  next.start();
  const uint64_t give_up_ns = steady_clock_ns() + 20 * kNsPerSec;
  while (next.views(steady_clock_ns())[0].spool.records != 0) {
    ASSERT_LT(steady_clock_ns(), give_up_ns);
    if (!next.step()) waker_.wait(1, [] { return false; });
  }
  const PublisherView v = next.views(steady_clock_ns())[0];
  EXPECT_EQ(v.spool.records_restored, 50u);
  EXPECT_EQ(v.spool.records_replayed, 50u);
  expect_spool_balanced(v);
  next.begin_drain(steady_clock_ns());
  while (!next.drained()) next.step();
  const std::set<std::string> replayed(fake.replays_seen().begin(), fake.replays_seen().end());
  EXPECT_EQ(fake.replays_seen().size(), 5u);
  EXPECT_EQ(replayed, (std::set<std::string>{"uuid.7.0.1", "uuid.7.0.2", "uuid.7.0.3", "uuid.7.0.4",
                                             "uuid.7.0.5"}));
}

TEST_F(DropPolicyTest, AFullSpoolIsAReasonLikeAnother) {
  add("p", 8, Mode::away, spooling(/*octets_max=*/4096), /*queue=*/4);
  delivery_.start();
  for (int i = 0; i < 20; ++i) {
    seal(100);
    step_until([&] { return view(0).records_waiting == 0 && view(0).batches_in_flight == 0; });
  }
  const PublisherView v = view(0);
  EXPECT_GT(v.records_spooled, 0u);
  EXPECT_GT(v.failures[DeliveryFailure::spool_full], 0u);
  EXPECT_EQ(v.records_spooled + v.failures[DeliveryFailure::spool_full], 2000u);
  EXPECT_EQ(v.records_dropped, v.failures[DeliveryFailure::spool_full]);
  EXPECT_EQ(v.trouble(), "no broker; spool: full");
  EXPECT_FALSE(v.is_kept_on_disk());
  expect_balanced();
  drain_now();
  expect_spool_balanced(view(0));
}

TEST_F(DropPolicyTest, KeepsOnDiskUntilThatIsFullAndAgainWhenThereIsRoom) {
  FakePublisher& fake = add("p", 8, Mode::away, spooling(/*octets_max=*/4096), /*queue=*/4);
  delivery_.start();
  seal(100);
  step_until([&] { return view(0).records_spooled == 100; });
  EXPECT_TRUE(view(0).is_kept_on_disk());
  EXPECT_EQ(view(0).publish_trouble(), "no broker");
  for (int i = 0; i < 20; ++i) {
    seal(100);
    step_until([&] { return view(0).records_waiting == 0 && view(0).batches_in_flight == 0; });
  }
  EXPECT_FALSE(view(0).is_kept_on_disk());
  fake.set_mode(Mode::acknowledge);
  // Nothing more is given to the disk: that it has room again is seen all the same.
  step_until([&] { return view(0).spool.records == 0 && view(0).is_kept_on_disk(); });
  EXPECT_EQ(view(0).trouble(), "");
  drain_now();
}

TEST_F(DropPolicyTest, ADiskThatTakesNothingKeepsNothing) {
  add("p", 8, Mode::away, spooling(64 << 20, /*records_max=*/1), /*queue=*/4);
  seal(10);
  seal(10);
  // Its thread has not begun, as one that hangs in a write.
  step_until([&] { return view(0).records_in_flight == 20; });
  EXPECT_TRUE(view(0).is_kept_on_disk()) << "it has them for a moment";
  ahead_ns_ += 2 * kTakesNothingNs;
  EXPECT_FALSE(view(0).is_kept_on_disk());
  EXPECT_NE(view(0).trouble().find("; spool: takes nothing since 1"), std::string::npos) << view(0).trouble();
  EXPECT_NE(view(0).lasting_trouble().find("; spool: takes nothing any more"), std::string::npos);
  delivery_.start();
  step_until([&] { return view(0).records_spooled != 0; });
  EXPECT_TRUE(view(0).is_kept_on_disk());
  drain_now();
}

TEST_F(DropPolicyTest, WhatTheBrokerRefusesForGoodIsNotSpooled) {
  add("p", 8, Mode::fail, spooling(), /*queue=*/4);
  delivery_.start();
  seal(10);
  step_until([&] { return view(0).batches_failed == 1; });
  EXPECT_EQ(view(0).records_spooled, 0u);
  EXPECT_EQ(view(0).failures[DeliveryFailure::rejected], 10u);
  drain_now();
  expect_balanced();
}

TEST_F(DropPolicyTest, AReplayThatIsRefusedForGoodIsCountedAndForgotten) {
  FakePublisher& fake = add("p", 8, Mode::away, spooling(), /*queue=*/4);
  delivery_.start();
  seal(10);
  step_until([&] { return view(0).records_spooled == 10; });
  fake.set_mode(Mode::fail);
  step_until([&] { return view(0).spool.failures.total() == 10 && view(0).spool.records == 0; });
  drain_now();
  expect_balanced();
  expect_spool_balanced(view(0));
}

TEST_F(DropPolicyTest, TellsWhoseRecordsWereLost) {
  add("p", 8, Mode::fail, bounds(DropPolicy::drop_newest), /*queue=*/4);
  delivery_.start();
  seal_from("192.0.2.1", 3);
  seal_from("192.0.2.2", 5);
  seal_from("192.0.2.2", 5);
  step_until([&] { return view(0).batches_failed == 3; });
  const PublisherView v = view(0);
  ASSERT_EQ(v.losses.size(), 2u);
  EXPECT_EQ(v.losses[0].exporter.to_string(), "192.0.2.2");
  EXPECT_EQ(v.losses[0].records[DeliveryFailure::rejected], 10u);
  EXPECT_EQ(v.losses[1].exporter.to_string(), "192.0.2.1");
  EXPECT_EQ(v.losses[1].records[DeliveryFailure::rejected], 3u);
  drain_now();
}

// ---- the journal ----

TEST(RunJournal, SaysWhatAKilledRunHadNotSettled) {
  TemporaryFolder folder;
  const std::string path = (folder / "run");
  RoleScope role(control_thread);
  {
    auto journal = RunJournal::open(path);
    ASSERT_TRUE(journal) << journal.error().message;
    EXPECT_FALSE((*journal)->lost_before());
    (*journal)->note({10, 1000}, {7, 650});
  }  // without end(): killed
  {
    auto journal = RunJournal::open(path);
    ASSERT_TRUE(journal);
    ASSERT_TRUE((*journal)->lost_before());
    EXPECT_EQ((*journal)->lost_before()->batches, 3u);
    EXPECT_EQ((*journal)->lost_before()->records, 350u);
    (*journal)->note({5, 5}, {0, 0});
    (*journal)->end();
  }
  auto journal = RunJournal::open(path);
  ASSERT_TRUE(journal);
  EXPECT_FALSE((*journal)->lost_before());
}

TEST(RunJournal, SaysNothingOfAKilledRunThatHadSettledAll) {
  TemporaryFolder folder;
  const std::string path = (folder / "run");
  RoleScope role(control_thread);
  {
    auto journal = RunJournal::open(path);
    ASSERT_TRUE(journal) << journal.error().message;
    (*journal)->note({10, 1000}, {10, 1000});
  }  // without end(): killed
  auto journal = RunJournal::open(path);
  ASSERT_TRUE(journal);
  EXPECT_FALSE((*journal)->lost_before());
}

/// Such as one whose address another program has: it is opened, and then the start fails.
TEST(RunJournal, IsLeftAsItWasByAStartThatFails) {
  TemporaryFolder folder;
  const std::string path = (folder / "run");
  RoleScope role(control_thread);
  ASSERT_TRUE(RunJournal::open(path));
  EXPECT_FALSE((*RunJournal::open(path))->lost_before()) << "nothing ran";
  (*RunJournal::open(path))->note({10, 1000}, {7, 650});  // and was killed
  for (int start = 0; start < 2; ++start) {
    auto journal = RunJournal::open(path);
    ASSERT_TRUE(journal);
    ASSERT_TRUE((*journal)->lost_before()) << "start " << start;
    EXPECT_EQ((*journal)->lost_before()->records, 350u);
  }
}

TEST(RunJournal, TakesAFileThatIsNoneOfOursForNew) {
  TemporaryFolder folder;
  const std::string path = (folder / "run");
  std::ofstream(path) << "something else";
  auto journal = RunJournal::open(path);
  ASSERT_TRUE(journal) << journal.error().message;
  EXPECT_FALSE((*journal)->lost_before());
  EXPECT_FALSE(RunJournal::open((folder / "none/run")));
}

}  // namespace
}  // namespace weir::control
