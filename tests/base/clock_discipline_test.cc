#include "base/clock_discipline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

namespace weir {
namespace {

constexpr uint64_t kInterval = 100 * kNsPerMs;

/// A machine whose true time is `now_ns`, and whose clocks go as they are told to.
struct MadeMachine {
  double now_ns = 0;
  double ticks = 5e12;
  double ticks_per_ns = 2.6;
  double steady_ns = 77e9;
  double kernel_rate = 1;  // what NTP makes of both of the kernel's clocks
  double offset_ns = 1.7e18;
  uint64_t width_ns = 100;

  void pass(uint64_t ns) {
    now_ns += static_cast<double>(ns);
    ticks += ticks_per_ns * static_cast<double>(ns);
    steady_ns += kernel_rate * static_cast<double>(ns);
  }
  uint64_t wall() const { return static_cast<uint64_t>(steady_ns) + static_cast<uint64_t>(offset_ns); }
  ClockReading read() const {
    return {.ticks = static_cast<uint64_t>(ticks), .steady_ns = static_cast<uint64_t>(steady_ns), .wall_ns = wall(), .width_ns = width_ns};
  }
};

class Disciplined : public ::testing::Test {
 protected:
  void run(unsigned readings, uint64_t interval_ns = kInterval) {
    for (unsigned i = 0; i < readings; ++i) {
      machine.pass(interval_ns);
      clock.take(machine.read());
    }
  }
  /// How far the lines are from the machine's clocks, at any moment of the next interval; their time never goes back.
  double worst_steady_ns(unsigned looks = 10) {
    double worst = 0;
    uint64_t before = 0;
    for (unsigned i = 0; i < looks; ++i) {
      machine.pass(kInterval / looks);
      const uint64_t since = static_cast<uint64_t>(machine.ticks) - clock.lines().ticks;
      EXPECT_TRUE(clock.lines().reach(since));
      const uint64_t at = clock.lines().steady_at(since);
      EXPECT_GE(at, before);
      before = at;
      worst = std::max(worst, std::fabs(static_cast<double>(at) - machine.steady_ns));
    }
    clock.take(machine.read());
    return worst;
  }
  double wall_error_ns() const {
    const uint64_t since = static_cast<uint64_t>(machine.ticks) - clock.lines().ticks;
    return static_cast<double>(static_cast<int64_t>(clock.lines().wall_at(since) - machine.wall()));
  }

  MadeMachine machine;
  ClockDiscipline clock{/*has_even_ticks=*/true};
};

TEST_F(Disciplined, TicksAreGoneByOnceTheyHaveAgreedForASecond) {
  run(1);
  EXPECT_EQ(clock.lines().ticks_max, 0u);
  EXPECT_EQ(clock.trouble(), TickTrouble::measuring);
  run(ClockDiscipline::kAgreeingMin - 1);
  EXPECT_EQ(clock.lines().ticks_max, 0u);
  run(1);
  EXPECT_NE(clock.lines().ticks_max, 0u);
  EXPECT_EQ(clock.trouble(), TickTrouble::none);
  EXPECT_LT(worst_steady_ns(), 1000);
  EXPECT_LT(std::fabs(wall_error_ns()), 1000);
}

TEST_F(Disciplined, ACpuThatDoesNotPromiseEvenTicksIsNotTrustedAndStepsAreSeenAllTheSame) {
  clock = ClockDiscipline(false);
  run(30);
  EXPECT_EQ(clock.lines().ticks_max, 0u);
  EXPECT_EQ(clock.trouble(), TickTrouble::not_invariant);
  machine.offset_ns += 3e9;
  run(1);
  EXPECT_EQ(clock.steps(), 1u);
  EXPECT_NEAR(static_cast<double>(clock.last_step_ns()), 3e9, 1000);
  const uint64_t then_ns = clock.last_step_steady_ns();
  EXPECT_GT(then_ns, 0u);
  run(30);
  EXPECT_EQ(clock.last_step_steady_ns(), then_ns);
}

TEST_F(Disciplined, TicksThatDriftAreFollowed) {
  run(20);
  for (int i = 0; i < 200; ++i) {
    machine.ticks_per_ns *= 1 + 1e-6;  // 10 ppm a second: far more than a crystal
    ASSERT_LT(worst_steady_ns(), 5000);
  }
  EXPECT_EQ(clock.losses(), 0u);
  EXPECT_EQ(clock.steps(), 0u);
}

TEST_F(Disciplined, ASlewIsFollowedWithoutAJumpAndIsNoStep) {
  run(20);
  machine.kernel_rate = 1 + 500e-6;  // adjtime's
  EXPECT_LT(worst_steady_ns(), 60'000);
  for (int i = 0; i < 50; ++i) worst_steady_ns();
  EXPECT_LT(worst_steady_ns(), 2000);
  machine.kernel_rate = 1 - 0.08;  // chrony's hardest
  EXPECT_LT(worst_steady_ns(), 10e6);
  for (int i = 0; i < 60; ++i) worst_steady_ns();
  EXPECT_LT(worst_steady_ns(), 50'000);
  EXPECT_LT(std::fabs(wall_error_ns()), 50'000);
  EXPECT_EQ(clock.losses(), 0u);
  EXPECT_EQ(clock.steps(), 0u);
}

TEST_F(Disciplined, AStepOfTheWallClockIsTakenAsOneAtTheNextReadingAndSteadyTimeKnowsNothingOfIt) {
  run(20);
  for (const double step_ns : {3600e9, -7200e9, 1.5e6, -2e6}) {
    const uint64_t steps = clock.steps();
    machine.offset_ns += step_ns;
    EXPECT_LT(worst_steady_ns(), 1000);
    EXPECT_EQ(clock.steps(), steps + 1);
    EXPECT_NEAR(static_cast<double>(clock.last_step_ns()), step_ns, 1000);
    EXPECT_LT(std::fabs(wall_error_ns()), 1000);
    run(5);
    EXPECT_EQ(clock.steps(), steps + 1);
    EXPECT_LT(std::fabs(wall_error_ns()), 1000);
  }
  EXPECT_EQ(clock.losses(), 0u);
}

TEST_F(Disciplined, AnOffsetThatCreepsIsFollowedAndNoStep) {
  run(20);
  for (int i = 0; i < 100; ++i) {
    machine.offset_ns += 20'000;
    run(1);
    ASSERT_LT(std::fabs(wall_error_ns()), 30'000);
  }
  EXPECT_EQ(clock.steps(), 0u);
}

TEST_F(Disciplined, TicksThatStopAreNotGoneByUntilTheyAgreeAgain) {
  run(20);
  const double rate = machine.ticks_per_ns;
  machine.ticks_per_ns = 0;
  run(1);
  EXPECT_EQ(clock.lines().ticks_max, 0u);
  EXPECT_EQ(clock.trouble(), TickTrouble::disagrees);
  EXPECT_EQ(clock.losses(), 1u);
  run(30);
  EXPECT_EQ(clock.lines().ticks_max, 0u);
  EXPECT_EQ(clock.losses(), 1u);
  machine.ticks_per_ns = rate;
  run(ClockDiscipline::kAgreeingMin + 1);
  EXPECT_EQ(clock.trouble(), TickTrouble::none);
  EXPECT_LT(worst_steady_ns(), 1000);
}

TEST_F(Disciplined, TicksThatJumpEitherWayAreALossAndSoAreThoseAtHalfTheirRate) {
  run(20);
  machine.ticks += 1e12;  // another host's, after a migration
  run(1);
  EXPECT_EQ(clock.losses(), 1u);
  run(20);
  EXPECT_EQ(clock.trouble(), TickTrouble::none);
  machine.ticks -= 4e12;
  run(1);
  EXPECT_EQ(clock.losses(), 2u);
  run(20);
  machine.ticks_per_ns /= 2;
  run(1);
  EXPECT_EQ(clock.losses(), 3u);
  run(20);
  EXPECT_EQ(clock.trouble(), TickTrouble::none);
}

TEST_F(Disciplined, TicksThatAreLostAgainAndAgainAreGivenUp) {
  for (unsigned i = 0; i < ClockDiscipline::kLossesMax; ++i) {
    run(20);
    machine.ticks += 1e12;
    run(1);
  }
  EXPECT_EQ(clock.trouble(), TickTrouble::given_up);
  run(40);
  EXPECT_EQ(clock.lines().ticks_max, 0u);
}

TEST_F(Disciplined, LinesThatAreTooOldReachNoFurther) {
  run(20);
  machine.pass(kLineNsMax / 2);
  EXPECT_TRUE(clock.lines().reach(static_cast<uint64_t>(machine.ticks) - clock.lines().ticks));
  machine.pass(kLineNsMax);
  EXPECT_FALSE(clock.lines().reach(static_cast<uint64_t>(machine.ticks) - clock.lines().ticks));
  // Ticks that were set back are as far away.
  EXPECT_FALSE(clock.lines().reach(uint64_t{5} - clock.lines().ticks));
}

TEST_F(Disciplined, AKeeperThatStoodStillGoesOnFromWhereTheClocksAre) {
  run(20);
  machine.kernel_rate = 1 + 500e-6;
  run(1, 5 * kNsPerSec);
  EXPECT_EQ(clock.losses(), 0u);
  EXPECT_LT(worst_steady_ns(), 1000);
}

TEST_F(Disciplined, ReadingsThatTookLongSayNothingOfTicks) {
  run(20);
  const ClockLines before = clock.lines();
  machine.width_ns = 5 * kNsPerMs;
  machine.pass(kInterval);
  ClockReading torn = machine.read();
  torn.ticks += 10'000'000;
  clock.take(torn);
  EXPECT_EQ(clock.lines().ticks, before.ticks);
  EXPECT_EQ(clock.losses(), 0u);
}

TEST_F(Disciplined, StampsBeforeAndAfterTheLinesBecomeWallTime) {
  run(20);
  const auto stamp = static_cast<uint64_t>(machine.ticks);
  const uint64_t wall_ns = machine.wall();
  machine.pass(kInterval / 2);
  clock.take(machine.read());
  EXPECT_NEAR(static_cast<double>(clock.lines().wall_of(stamp)), static_cast<double>(wall_ns), 1000);
  EXPECT_NEAR(static_cast<double>(clock.lines().wall_of(stamp + 260'000'000)), static_cast<double>(wall_ns + kInterval), 1000);
  EXPECT_EQ(clock.lines().wall_of(stamp + 100'000'000'000), 0u);
  EXPECT_EQ(clock.lines().wall_of(0), 0u);
}

TEST(ClockBoard, AReaderHasWholeLinesOnly) {
  ClockBoard board;
  std::atomic<bool> is_over{false};
  std::atomic<bool> is_seen{false};
  uint64_t last = 0;  // the thread's, until it has ended
  std::thread writer([&] {
    // On a busy machine it may be through before the reader has looked once.
    while (last < 200'000 || (!is_seen && last < 100'000'000)) {
      const uint64_t i = ++last;
      board.publish({i, i, i, i, i, i});
    }
    is_over = true;
  });
  ClockLines lines;
  uint64_t seen = 0;
  uint64_t others = 0;
  while (!is_over) {
    const uint64_t before = lines.ticks;
    board.take(seen, lines);
    others += lines.ticks != before;
    if (others != 0) is_seen = true;
    ASSERT_TRUE(lines.ticks == lines.ticks_max && lines.ticks == lines.steady_ns && lines.ticks == lines.wall_ns &&
                lines.ticks == lines.steady_rate && lines.ticks == lines.wall_rate);
    ASSERT_GE(lines.ticks, before);
  }
  writer.join();
  board.take(seen, lines);
  EXPECT_EQ(lines.ticks, last);
  EXPECT_GT(others, 0u);
}

}  // namespace
}  // namespace weir
