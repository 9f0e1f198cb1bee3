#include "store/retention_clock.h"

#include <gtest/gtest.h>

#include "store/schema.h"
#include "store_database.h"

namespace weir::store {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kDay = 24 * 3600 * kSecond;
constexpr int64_t kNow = 20'400 * kDay;

RetentionClock begun(int64_t wall = kNow) { return {{"boot", 1000, wall, 0}, "boot", wall, 1000}; }

TEST(RetentionClock, GoesWithAClockThatIsRight) {
  RetentionClock clock = begun();
  for (int64_t s = 1; s <= 100; ++s) clock.advance(kNow + s * kSecond, 1000 + s * kSecond);
  EXPECT_EQ(clock.now(), kNow + 100 * kSecond);
  EXPECT_EQ(clock.passed(), kNow + 100 * kSecond);
  EXPECT_EQ(clock.behind(), 0);
}

TEST(RetentionClock, AJumpOfTheWallClockMovesItByAQuarterOfWhatPasses) {
  RetentionClock clock = begun();
  clock.advance(kNow + 4000 * kDay, 1000);
  EXPECT_EQ(clock.now(), kNow);
  clock.advance(kNow + 4000 * kDay, 1000 + 400 * kSecond);
  EXPECT_EQ(clock.now(), kNow + 500 * kSecond);
  EXPECT_EQ(clock.passed(), kNow + 400 * kSecond);
  clock.advance(kNow - kDay, 1000 + 401 * kSecond);  // set back: nothing is older than it says
  EXPECT_EQ(clock.now(), kNow - kDay);
  EXPECT_EQ(clock.passed(), kNow + 401 * kSecond);
}

TEST(RetentionClock, AProgramThatIsStartedAgainGainsNothing) {
  RetentionClock::State state = begun().state();
  for (int i = 1; i <= 100; ++i) state = RetentionClock(state, "boot", kNow + 4000 * kDay, 1000 + i * kSecond).state();
  const RetentionClock clock(state, "boot", kNow + 4000 * kDay, 1000 + 101 * kSecond);
  EXPECT_EQ(clock.now(), kNow + 101 * kSecond);
}

TEST(RetentionClock, AMachineThatIsStartedGainsWhatItWasOffButADayAtMost) {
  const RetentionClock::State state = begun().state();
  EXPECT_EQ(RetentionClock(state, "next", kNow + 300 * kSecond, 5).now(), kNow + 300 * kSecond);
  EXPECT_EQ(RetentionClock(state, "next", kNow + 30 * kDay, 5).now(), kNow + kDay);
  EXPECT_EQ(RetentionClock(state, "next", kNow - 30 * kDay, 5).passed(), kNow);
}

TEST(RetentionClock, IsKeptInTheDatabase) {
  StoreDatabase store;
  const auto first = load_clock(*store.connection, kNow);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->passed_micros, kNow);  // nothing there says otherwise
  ASSERT_TRUE(save_clock(*store.connection, {"boot", 7, 8, 9}));
  const auto state = load_clock(*store.connection, kNow);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->boot, "boot");
  EXPECT_EQ(state->steady_micros, 7);
  EXPECT_EQ(state->passed_micros, 8);
  EXPECT_EQ(state->caught_up_micros, 9);
}

TEST(RetentionClock, AnOlderStoreBeginsWithItsNewestHourAndNotWithOneThatCannotBe) {
  StoreDatabase store;
  const int64_t hours[] = {hour_of(kNow), hour_of(kNow + 9000 * kDay)};
  ASSERT_TRUE(open_hours(*store.connection, hours));
  EXPECT_EQ(load_clock(*store.connection, kNow + 4000 * kDay)->passed_micros, (hours[0] + 1) * kMicrosPerHour + 7 * kDay);
  EXPECT_EQ(load_clock(*store.connection, kNow + kDay)->passed_micros, kNow + kDay);
}

}  // namespace
}  // namespace weir::store
