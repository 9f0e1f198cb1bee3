// Publishers come, change and go between two batches: nothing is lost that could be delivered, and all is counted.
#include <gmock/gmock.h>

#include "delivery_fixture.h"
#include "support/process.h"

namespace weir::control {
namespace {

using ::testing::ElementsAre;
using test::TemporaryFolder;

class PublisherChangeTest : public DeliveryTest {
 protected:
  static std::unique_ptr<FakePublisher> fake(Mode mode, size_t window = 2) {
    return std::make_unique<FakePublisher>(window, mode);
  }
  static uint64_t soon() { return steady_clock_ns(); }
  static uint64_t later() { return steady_clock_ns() + 60 * kNsPerSec; }

  PublisherBounds spooling(const char* folder = "spool") {
    PublisherBounds made;
    made.policy = DropPolicy::spool;
    outbound::SpoolConfig config;
    config.dir = folder_ / folder;
    config.sync = outbound::SpoolSync::never;
    auto spool = outbound::Spool::open(config);
    EXPECT_TRUE(spool) << spool.error().message;
    auto journal = RunJournal::open(config.dir + "/run");
    EXPECT_TRUE(journal) << journal.error().message;
    made.spool = std::make_unique<SpoolThread>("p", std::move(*spool),
                                               outbound::Addressing({"uuid", 7}, {"flows.raw.netflow"}), kBuffers, waker_);
    made.journal = std::move(*journal);
    return made;
  }
  static PublisherBounds spooling_on() {
    PublisherBounds bounds;
    bounds.policy = DropPolicy::spool;
    return bounds;
  }
  void expect_spool_balanced(const PublisherView& p) {
    const SpoolView& s = p.spool;
    EXPECT_EQ(s.records_restored + p.records_spooled,
              s.records_replayed + s.failures.total() + s.records_expired + s.records_damaged + s.records + s.records_left);
  }
  void seal_and_see(const char* name, uint64_t acknowledged, int batches = 1) {
    for (int i = 0; i < batches; ++i) {
      seal(10);
      step_until([&] { return row(name).records_waiting == 0 && row(name).records_in_flight == 0; });
    }
    EXPECT_EQ(row(name).records_acknowledged, acknowledged);
    expect_balanced();
  }

  TemporaryFolder folder_;
};

TEST_F(PublisherChangeTest, OneThatComesGetsWhatIsSealedFromThenOnAndNeverOwedWhatWasBefore) {
  add("a", 2, Mode::acknowledge);
  delivery_.start();
  seal_and_see("a", 30, 3);
  change_at(later(), wanted("a", nullptr), wanted("b", fake(Mode::acknowledge)));
  EXPECT_TRUE(delivery_.has_changed_over()) << "nobody went";
  seal_and_see("b", 20, 2);
  EXPECT_EQ(row("b").records_absent, 30u);
  step_until([&] { return row("a").records_acknowledged == 50; });
  EXPECT_EQ(row("a").records_absent, 0u);
  expect_balanced();
  drain_now();
}

TEST_F(PublisherChangeTest, OneThatGoesDeliversWhatItHasAndItsTotalsGoOnWhenItComesBack) {
  add("a", 4, Mode::acknowledge);
  FakePublisher& slow = add("b", 2, Mode::hold);
  delivery_.start();
  seal(10);
  seal(10);
  step_until([&] { return row("b").batches_in_flight == 2 && row("a").records_acknowledged == 20; });
  change_at(later(), wanted("a", nullptr));
  EXPECT_EQ(row("b").state, PublisherState::draining);
  EXPECT_TRUE(delivery_.is_busy("b"));
  seal_and_see("a", 30);
  EXPECT_EQ(row("b").records_in_flight, 20u) << "it gets nothing more";
  EXPECT_EQ(row("b").records_absent, 10u);

  slow.set_mode(Mode::acknowledge);
  step_until([&] { return delivery_.has_changed_over(); });
  EXPECT_EQ(row("b").state, PublisherState::gone);
  EXPECT_EQ(row("b").records_acknowledged, 20u);
  seal_and_see("a", 40);
  EXPECT_EQ(row("b").records_absent, 20u);

  EXPECT_FALSE(delivery_.is_busy("b"));
  change_at(later(), wanted("b", fake(Mode::acknowledge)), wanted("a", nullptr));
  seal_and_see("b", 30);
  EXPECT_EQ(row("b").state, PublisherState::running);
  EXPECT_EQ(row("b").records_absent, 20u);
  EXPECT_EQ(view(0).name, "b") << "in the order of the configuration";
  drain_now();
  expect_balanced();
}

TEST_F(PublisherChangeTest, WhatOneThatGoesCannotBringAwayByTheDeadlineIsCountedAsLost) {
  add("a", 4, Mode::acknowledge);
  add("dead", 1, Mode::hold);
  delivery_.start();
  for (int i = 0; i < 3; ++i) seal(10);
  step_until([&] { return row("dead").records_in_flight == 30 && row("a").records_acknowledged == 30; });
  change_at(soon(), wanted("a", nullptr));
  step_until([&] { return delivery_.has_changed_over(); });
  const PublisherView gone = row("dead");
  EXPECT_EQ(gone.state, PublisherState::gone);
  EXPECT_EQ(gone.failures[DeliveryFailure::shutdown_deadline], 30u);
  EXPECT_EQ(gone.records_failed, 30u);
  seal_and_see("a", 40);
  EXPECT_EQ(row("dead").records_absent, 10u);
  drain_now();
}

TEST_F(PublisherChangeTest, WithASpoolItStaysOnDiskForWhoeverComesBackUnderItsName) {
  add("a", 4, Mode::acknowledge);
  add("dead", 1, Mode::hold, spooling(), 4);
  delivery_.start();
  for (int i = 0; i < 3; ++i) seal(10);  // the third goes to disk at once
  step_until([&] {
    const PublisherView dead = row("dead");
    return dead.records_in_flight + dead.records_spooled == 30 && row("a").records_acknowledged == 30;
  });
  change_at(soon(), wanted("a", nullptr));
  step_until([&] { return delivery_.has_changed_over(); });
  EXPECT_EQ(row("dead").failures.total(), 0u);
  EXPECT_EQ(row("dead").records_spooled, 30u);
  EXPECT_EQ(row("dead").spool.records, 30u);
  expect_spool_balanced(row("dead"));
  EXPECT_FALSE(outbound::Spool::is_taken(folder_ / "spool"));

  change_at(later(), wanted("a", nullptr), wanted("dead", fake(Mode::acknowledge), spooling()));
  step_until([&] { return row("dead").spool.records_replayed == 30; });
  step_until([&] { return row("dead").spool.records == 0; });
  EXPECT_FALSE(row("dead").spool.was_killed) << "it went as it should";
  expect_spool_balanced(row("dead"));
  EXPECT_EQ(row("dead").spool.records_left, 30u);
  seal_and_see("dead", 10);
  drain_now();
  expect_balanced();
}

TEST_F(PublisherChangeTest, AKillWhileOneDrainsCostsWhatItHadAndNothingThatCameLater) {
  add("a", 8, Mode::acknowledge);
  FakePublisher& dead = add("dead", 8, Mode::hold, spooling(), 4);
  delivery_.start();
  seal(10);
  step_until([&] { return row("dead").records_in_flight == 10 && row("a").records_acknowledged == 10; });
  change_at(later(), wanted("a", nullptr));
  seal_and_see("a", 40, 3);
  std::filesystem::copy_file(folder_ / "spool/run", folder_ / "run");  // as a kill would leave it
  const auto journal = RunJournal::open(folder_ / "run");
  ASSERT_TRUE(journal);
  ASSERT_TRUE((*journal)->lost_before());
  EXPECT_EQ((*journal)->lost_before()->batches, 1u);
  EXPECT_EQ((*journal)->lost_before()->records, 10u);
  dead.set_mode(Mode::acknowledge);
  step_until([&] { return delivery_.has_changed_over(); });
  drain_now();
}

TEST_F(PublisherChangeTest, WhatTheOneBeforeHasNotDeliveredIsTheNextOnesInOrder) {
  FakePublisher& before = add("a", 2, Mode::hold);
  const auto sequences_before = before.kept_sequences();
  add("other", 8, Mode::acknowledge);
  delivery_.start();
  for (int i = 0; i < 3; ++i) seal(10);  // as many as each of two may hold
  step_until([&] { return view(0).batches_in_flight == 3 && before.in_flight() == 2; });
  auto next = fake(Mode::acknowledge, 8);
  const auto sequences = next->kept_sequences();
  change_at(soon(), wanted("a", std::move(next)), wanted("other", nullptr));
  EXPECT_TRUE(row("a").is_handing_over);
  EXPECT_TRUE(delivery_.is_busy("a"));
  step_until([&] { return row("a").records_acknowledged == 30 && delivery_.has_changed_over(); });
  step_until([&] { return row("other").records_acknowledged == 30; });  // else it has no room for another
  EXPECT_EQ(row("a").failures.total(), 0u) << "nothing is lost by the change";
  EXPECT_THAT(*sequences_before, ElementsAre(1, 2));
  EXPECT_THAT(*sequences, ElementsAre(1, 2, 3)) << "they may be there already, and have their ids";
  seal_and_see("a", 40);
  step_until([&] { return row("other").records_acknowledged == 40; });
  drain_now();
}

TEST_F(PublisherChangeTest, WhatIsInFlightWithAHealthyOneIsAcknowledgedThereOnce) {
  FakePublisher& before = add("a", 2, Mode::hold);
  delivery_.start();
  for (int i = 0; i < 2; ++i) seal(10);
  step_until([&] { return before.in_flight() == 2; });
  auto next = fake(Mode::acknowledge, 8);
  const auto sequences = next->kept_sequences();
  change_at(later(), wanted("a", std::move(next)));
  seal(10);
  for (int i = 0; i < 20; ++i) delivery_.step();
  EXPECT_EQ(row("a").records_in_flight, 30u) << "it waits for those before it";
  before.set_mode(Mode::acknowledge);
  step_until([&] { return row("a").records_acknowledged == 30; });
  step_until([&] { return delivery_.has_changed_over(); });
  EXPECT_THAT(*sequences, ElementsAre(3));
  drain_now();
}

TEST_F(PublisherChangeTest, TwoThatWriteToOnePlaceDoSoOneAfterTheOther) {
  delivery_.start();
  auto first = fake(Mode::hold, 1);
  FakePublisher& before = *first;
  change_at(later(), wanted("a", std::move(first), {}, "file x"));
  seal(10);
  step_until([&] { return before.in_flight() == 1; });
  // Of another name, even.
  auto next = fake(Mode::acknowledge);
  const auto sequences = next->kept_sequences();
  change_at(later(), wanted("b", std::move(next), {}, "file x"));
  seal(10);
  for (int i = 0; i < 50; ++i) delivery_.step();
  EXPECT_EQ(row("b").records_in_flight, 10u);
  EXPECT_EQ(row("a").state, PublisherState::draining);
  before.set_mode(Mode::acknowledge);
  step_until([&] { return row("b").records_acknowledged == 10; });
  EXPECT_THAT(*sequences, ElementsAre(2));
  EXPECT_EQ(row("a").state, PublisherState::gone);
  drain_now();
  expect_balanced();
}

TEST_F(PublisherChangeTest, BoundsAndPolicyChangeWithoutItsThread) {
  FakePublisher& slow = add("a", 1, Mode::hold, /*records_max=*/10);
  const auto sequences = slow.kept_sequences();
  delivery_.start();
  seal(10);
  seal(10);
  step_until([&] { return view(0).records_dropped == 10; });
  PublisherBounds more;
  more.records_max = 30;
  change_at(later(), wanted("a", nullptr, std::move(more)));
  EXPECT_TRUE(delivery_.has_changed_over());
  seal(10);
  seal(10);
  step_until([&] { return view(0).records_in_flight == 30; });
  EXPECT_EQ(view(0).records_max, 30u);
  PublisherBounds blocks;
  blocks.policy = DropPolicy::block;
  blocks.records_max = 30;
  change_at(later(), wanted("a", nullptr, std::move(blocks)));
  seal(10);
  for (int i = 0; i < 20; ++i) delivery_.step();
  EXPECT_EQ(view(0).records_waiting, 10u) << "it stays with its core";
  slow.set_mode(Mode::acknowledge);
  step_until([&] { return view(0).records_acknowledged == 40; });
  EXPECT_EQ(view(0).records_dropped, 10u);
  drain_now();
  expect_balanced();
  EXPECT_THAT(*sequences, ElementsAre(1, 3, 4, 5));
}

TEST_F(PublisherChangeTest, ASpoolThatIsGivenUpKeepsWhatItHasAndTheNextTakesItUp) {
  FakePublisher& away = add("a", 2, Mode::away, spooling(), 4);
  delivery_.start();
  for (int i = 0; i < 3; ++i) seal(10);
  step_until([&] { return view(0).records_spooled == 30 && view(0).records_in_flight == 0; });
  change_at(later(), wanted("a", nullptr));  // drop_newest from now on
  step_until([&] { return delivery_.has_changed_over(); });
  EXPECT_EQ(view(0).spool.records_left, 30u);
  expect_spool_balanced(view(0));
  away.set_mode(Mode::acknowledge);
  seal_and_see("a", 10);
  change_at(later(), wanted("a", nullptr, spooling()));
  step_until([&] { return view(0).spool.records_replayed == 30 && view(0).spool.records == 0; });
  expect_spool_balanced(view(0));
  EXPECT_FALSE(view(0).spool.was_killed);
  drain_now();
  expect_balanced();
}

TEST_F(PublisherChangeTest, ASpoolThatIsMovedLeavesWhatItHasWhereItIs) {
  FakePublisher& away = add("a", 2, Mode::away, spooling("first"), 4);
  delivery_.start();
  seal(10);
  step_until([&] { return view(0).records_spooled == 10 && view(0).records_in_flight == 0; });
  change_at(later(), wanted("a", nullptr, spooling("second")));
  seal(10);
  step_until([&] { return delivery_.has_changed_over() && view(0).records_spooled == 20; });
  away.set_mode(Mode::acknowledge);
  step_until([&] { return view(0).spool.records_replayed == 10 && view(0).spool.records == 0; });
  EXPECT_EQ(view(0).spool.records_left, 10u);
  EXPECT_EQ(view(0).spool.dir, folder_ / "second");
  EXPECT_FALSE(outbound::Spool::is_taken(folder_ / "first"));
  expect_spool_balanced(view(0));
  drain_now();
  expect_balanced();
}

TEST_F(PublisherChangeTest, LimitsOfASpoolChangeWhileItIsOpen) {
  add("a", 2, Mode::away, spooling(), 4);
  delivery_.start();
  seal(10);
  step_until([&] { return view(0).records_spooled == 10; });
  PublisherChange smaller = wanted("a", nullptr, spooling_on());
  smaller.spool_limits = outbound::SpoolLimits{.octets_max = 64, .sync = outbound::SpoolSync::never};
  change_at(later(), std::move(smaller));
  EXPECT_EQ(view(0).spool.octets_max, 64u);
  seal(10);
  step_until([&] { return view(0).failures[DeliveryFailure::too_large] == 10; });
  drain_now();
  expect_spool_balanced(view(0));
  expect_balanced();
}

TEST_F(PublisherChangeTest, OneThatHangsIsNamedAndHoldsUpNobody) {
  FakePublisher& hung = add("a", 2, Mode::hang);
  delivery_.start();
  seal(10);
  change_at(soon(), wanted("a", fake(Mode::acknowledge)));
  seal(10);
  step_until([&] { return row("a").records_acknowledged >= 10; });
  EXPECT_TRUE(row("a").is_handing_over);
  EXPECT_FALSE(delivery_.has_changed_over());
  delivery_.begin_drain(soon());
  step_until([&] { return row("a").records_in_flight <= 10; });
  EXPECT_FALSE(delivery_.drained());
  EXPECT_THAT(delivery_.unfinished(), ElementsAre("a"));
  hung.set_mode(Mode::hold);
  step_until([&] { return delivery_.drained(); });
  expect_balanced();
}

TEST_F(PublisherChangeTest, AStopWhileOneHandsOverLosesWhatNeitherDelivered) {
  FakePublisher& before = add("a", 2, Mode::hold);
  delivery_.start();
  for (int i = 0; i < 3; ++i) seal(10);
  step_until([&] { return before.in_flight() == 2; });
  change_at(later(), wanted("a", fake(Mode::hold)));
  seal(10);
  drain_now();
  EXPECT_EQ(row("a").failures[DeliveryFailure::shutdown_deadline], 40u);
  expect_balanced();
}

TEST_F(PublisherChangeTest, NamesThatAreGoneAreBounded) {
  add("a", 2, Mode::acknowledge);
  delivery_.start();
  for (size_t i = 0; i < kGonePublishersMax + 3; ++i) {
    const std::string name = "passing" + std::to_string(i);
    change_at(later(), wanted("a", nullptr), wanted(name.c_str(), fake(Mode::acknowledge)));
    seal_and_see(name.c_str(), 10);
    change_at(later(), wanted("a", nullptr));
    step_until([&] { return delivery_.has_changed_over(); });
  }
  const auto rows = delivery_.views(steady_clock_ns());
  EXPECT_EQ(rows.size(), 1 + kGonePublishersMax);
  for (const PublisherView& r : rows) EXPECT_NE(r.name, "passing0");
  expect_balanced();
  drain_now();
}

}  // namespace
}  // namespace weir::control
