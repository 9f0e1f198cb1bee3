#include "dataplane/timekeeper.h"

#include <gtest/gtest.h>

#include <thread>

namespace weir::dataplane::testing {
namespace {

/// Clocks that stand where they are put, and say how often they were asked.
struct MadeClocks {
  static inline uint64_t now_ticks, now_steady_ns, now_wall_ns;
  static inline unsigned asked;
  static uint64_t ticks() noexcept { return now_ticks; }
  static uint64_t steady_ns() noexcept { return ++asked, now_steady_ns; }
  static uint64_t wall_ns() noexcept { return ++asked, now_wall_ns; }

  static void pass(uint64_t ns) {
    now_ticks += 3 * ns;
    now_steady_ns += ns;
    now_wall_ns += ns;
  }
  static ClockReading read() { return {now_ticks, now_steady_ns, now_wall_ns, 50}; }
};

class CoreClockTest : public ::testing::Test {
 protected:
  void keep(unsigned readings = 1) {
    for (unsigned i = 0; i < readings; ++i) {
      MadeClocks::pass(kKeepEveryNs);
      keeper_.take(MadeClocks::read());
    }
  }
  void look() {
    MadeClocks::asked = 0;
    clock_.look();
  }
  /// They follow from rates in whole numbers.
  static void expect_near(uint64_t a, uint64_t b) { EXPECT_LT(a > b ? a - b : b - a, kNsPerUs) << a << " " << b; }

  struct Begin {
    Begin() {
      MadeClocks::now_ticks = 9'000'000'000;
      MadeClocks::now_steady_ns = 5'000 * kNsPerSec;
      MadeClocks::now_wall_ns = 1'700'000'000 * kNsPerSec;
    }
  } begin_;  // before the core's first look
  Timekeeper keeper_{true};
  BasicCoreClock<MadeClocks> clock_{keeper_};
};

TEST_F(CoreClockTest, AsksTheKernelUntilTicksAreTrustedAndThenNoMore) {
  keep(ClockDiscipline::kAgreeingMin / 2);
  look();
  EXPECT_GT(MadeClocks::asked, 0u);
  expect_near(clock_.wall_ns(), MadeClocks::now_wall_ns);
  keep(20);
  look();
  EXPECT_EQ(MadeClocks::asked, 2u) << "once for new lines: does this CPU have the same ticks?";
  MadeClocks::pass(12'345'678);
  look();
  EXPECT_EQ(MadeClocks::asked, 0u);
  expect_near(clock_.steady_ns(), MadeClocks::now_steady_ns);
  expect_near(clock_.wall_ns(), MadeClocks::now_wall_ns);
}

TEST_F(CoreClockTest, AStepIsSeenWithinAReadingAndStateAgesOn) {
  keep(20);
  look();
  const Moment before = clock_.now();
  for (const int64_t step_s : {7200, -14'400}) {
    MadeClocks::now_wall_ns += static_cast<uint64_t>(step_s) * kNsPerSec;
    keep();
    look();
    expect_near(clock_.wall_ns(), MadeClocks::now_wall_ns);
  }
  expect_near(clock_.now().aged_ns - before.aged_ns, 2 * kKeepEveryNs);
  EXPECT_EQ(keeper_.aged_offset_ns(), clock_.now().aged_ns - clock_.steady_ns());
}

TEST_F(CoreClockTest, TheFirstLookAfterALongIdlenessIsByTheClockAsItStandsThen) {
  keep(20);
  look();
  // Nothing came for an hour, in which the clock was set twice. The core took part in none of the readings.
  for (const int64_t step_s : {-86'400, 3600}) {
    MadeClocks::now_wall_ns += static_cast<uint64_t>(step_s) * kNsPerSec;
    keep(18'000);
  }
  MadeClocks::pass(kKeepEveryNs / 2);
  look();
  EXPECT_EQ(MadeClocks::asked, 2u) << "once for new lines";
  expect_near(clock_.wall_ns(), MadeClocks::now_wall_ns);
  expect_near(clock_.steady_ns(), MadeClocks::now_steady_ns);
  // The same where nobody kept the lines meanwhile: the machine slept.
  MadeClocks::pass(3600 * kNsPerSec);
  MadeClocks::now_wall_ns += 7 * kNsPerSec;
  look();
  expect_near(clock_.wall_ns(), MadeClocks::now_wall_ns);
}

TEST_F(CoreClockTest, AsksTheKernelWhereTheLinesAreTooOldOrTicksJumped) {
  keep(20);
  MadeClocks::pass(2 * kLineNsMax);
  look();
  EXPECT_GT(MadeClocks::asked, 0u);
  expect_near(clock_.steady_ns(), MadeClocks::now_steady_ns);
  expect_near(clock_.wall_ns(), MadeClocks::now_wall_ns);
  keep(20);
  look();
  look();
  EXPECT_EQ(MadeClocks::asked, 0u);
  MadeClocks::now_ticks = 17;
  look();
  EXPECT_GT(MadeClocks::asked, 0u);
  expect_near(clock_.steady_ns(), MadeClocks::now_steady_ns);
}

TEST_F(CoreClockTest, TicksThatStandStillAreLeftAfterTheNextReading) {
  keep(20);
  MadeClocks::now_steady_ns += kKeepEveryNs;
  MadeClocks::now_wall_ns += kKeepEveryNs;
  keeper_.take(MadeClocks::read());
  look();
  EXPECT_GT(MadeClocks::asked, 0u);
  expect_near(clock_.steady_ns(), MadeClocks::now_steady_ns);
}

TEST_F(CoreClockTest, AsksTheKernelWhereThisCpusTicksAreNotThoseOfTheControlThreads) {
  keep(20);
  for (const int64_t apart_ns : {20'000'000, -20'000'000}) {
    const auto apart = static_cast<uint64_t>(3 * apart_ns);
    MadeClocks::now_ticks += apart;
    for (int looks = 0; looks < 3; ++looks) {
      MadeClocks::pass(kNsPerMs);
      look();
      EXPECT_GT(MadeClocks::asked, 0u);
      expect_near(clock_.steady_ns(), MadeClocks::now_steady_ns);
      expect_near(clock_.wall_ns(), MadeClocks::now_wall_ns);
    }
    MadeClocks::now_ticks -= apart;
    keep();
  }
  look();
  look();
  EXPECT_EQ(MadeClocks::asked, 0u) << "they are the same again";
}

TEST_F(CoreClockTest, SteadyTimeNeverGoesBack) {
  keep(20);
  MadeClocks::pass(kKeepEveryNs);
  MadeClocks::now_ticks += 300'000;  // 100 us too fast
  look();
  const uint64_t before_ns = clock_.steady_ns();
  MadeClocks::now_ticks -= 300'000;
  look();
  EXPECT_EQ(clock_.steady_ns(), before_ns);
}

/// This machine's own clocks, whatever they are.
TEST(Timekeeper, KeepsCoresOnTheKernelsClocks) {
  Timekeeper keeper;
  CoreClock clock(keeper);
  const RoleScope role(control_thread);
  uint64_t before_ns = 0;
  for (int i = 0; i < 1500; ++i) {
    keeper.step(steady_clock_ns());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const uint64_t from_ns = steady_clock_ns();
    clock.look();
    const uint64_t to_ns = steady_clock_ns();
    ASSERT_GE(clock.steady_ns(), before_ns);
    ASSERT_GE(clock.steady_ns() + kNsPerMs, from_ns);
    ASSERT_LE(clock.steady_ns(), to_ns + kNsPerMs);
    before_ns = clock.steady_ns();
  }
  const uint64_t before_wall_ns = wall_clock_ns();
  clock.look();
  const uint64_t after_wall_ns = wall_clock_ns();
  EXPECT_GT(clock.wall_ns() + 100 * kNsPerMs, before_wall_ns);
  EXPECT_LT(clock.wall_ns(), after_wall_ns + 100 * kNsPerMs);
  EXPECT_EQ(keeper.stats().losses, 0u);
  if (SystemClocks::has_even_ticks()) {
    EXPECT_EQ(keeper.stats().trouble, TickTrouble::none);
  } else {
    EXPECT_EQ(keeper.stats().trouble, TickTrouble::not_invariant);
  }
}

}  // namespace
}  // namespace weir::dataplane::testing
