#include "dataplane/device_stamps.h"

#include <gtest/gtest.h>

namespace weir::dataplane::testing {
namespace {

constexpr uint64_t kWall = 1'700'000'000 * kNsPerSec;

/// A NIC's clock of 78.125 MHz: 12.8 ns a tick.
class DeviceStampsTest : public ::testing::Test {
 protected:
  uint64_t ticks_at(uint64_t ns) const { return 4'000 + ns * 10 / 128; }
  void keep(unsigned readings) {
    for (unsigned i = 0; i < readings; ++i) {
      now_ns_ += kKeepEveryNs;
      clock_.take({ticks_at(now_ns_), now_ns_, kWall + now_ns_ + offset_ns_, 2000});
    }
    stamps_.look();
  }
  Moment now() const { return {kWall + now_ns_ + offset_ns_, 7}; }
  static void expect_near(uint64_t a, uint64_t b) { EXPECT_LT(a > b ? a - b : b - a, kNsPerUs) << a << " " << b; }

  uint64_t now_ns_ = 0;
  uint64_t offset_ns_ = 0;
  DeviceClock clock_;
  StampReader stamps_;
};

TEST_F(DeviceStampsTest, TicksBecomeWallTimeOnceTheirRateIsKnown) {
  stamps_.use(StampKind::ticks, &clock_);
  keep(3);
  EXPECT_EQ(stamps_.time_of(ticks_at(now_ns_ - 5 * kNsPerUs), now()).wall_ns, now().wall_ns);
  EXPECT_EQ(stamps_.used() + stamps_.refused(), 0u) << "they are not known yet, which is not their fault";
  keep(20);
  const Moment at = stamps_.time_of(ticks_at(now_ns_ - 5 * kNsPerMs), now());
  expect_near(at.wall_ns, now().wall_ns - 5 * kNsPerMs);
  EXPECT_EQ(at.aged_ns, 7u) << "a device knows nothing of what state ages by";
  EXPECT_EQ(stamps_.used(), 1u);
}

TEST_F(DeviceStampsTest, AStepOfTheWallClockIsFollowed) {
  stamps_.use(StampKind::ticks, &clock_);
  keep(20);
  offset_ns_ = 3600 * kNsPerSec;
  keep(1);
  expect_near(stamps_.time_of(ticks_at(now_ns_), now()).wall_ns, now().wall_ns);
  EXPECT_EQ(stamps_.refused(), 0u);
}

TEST_F(DeviceStampsTest, AStampThatCannotBeIsCountedAndTheBurstsTimeStandsIn) {
  stamps_.use(StampKind::ticks, &clock_);
  keep(20);
  for (const uint64_t stamp : {uint64_t{0}, ~uint64_t{0}, ticks_at(now_ns_ + 10 * kNsPerMs), ticks_at(now_ns_ - 2 * kNsPerSec)})
    EXPECT_EQ(stamps_.time_of(stamp, now()).wall_ns, now().wall_ns) << stamp;
  EXPECT_EQ(stamps_.refused(), 4u);
  EXPECT_EQ(stamps_.used(), 0u);
}

TEST_F(DeviceStampsTest, NanosecondsSinceTheEpochAreTakenWhereTheyAreCredible) {
  stamps_.use(StampKind::epoch);
  stamps_.look();
  EXPECT_EQ(stamps_.time_of(kWall - 800, Moment(kWall, 7)).wall_ns, kWall - 800);
  EXPECT_EQ(stamps_.time_of(kWall + 800, Moment(kWall, 7)).wall_ns, kWall + 800) << "clocks differ a little";
  EXPECT_EQ(stamps_.time_of(12'345, Moment(kWall, 7)).wall_ns, kWall) << "nobody has set that clock";
  EXPECT_EQ(stamps_.used(), 2u);
  EXPECT_EQ(stamps_.refused(), 1u);
}

TEST_F(DeviceStampsTest, ACapturesTimesAreWhateverTheyAreAndStateAgesByThem) {
  stamps_.use(StampKind::file);
  const Moment at = stamps_.time_of(1'000'000, Moment(kWall, 7));
  EXPECT_EQ(at.wall_ns, kNsPerSec);
  EXPECT_EQ(at.aged_ns, kNsPerSec);
}

}  // namespace
}  // namespace weir::dataplane::testing
