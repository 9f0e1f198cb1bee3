#include "control/stop_deadline.h"

#include <gtest/gtest.h>

namespace weir::control {
namespace {

TEST(StopDeadline, IsOverWhenItsTimeIs) {
  StopDeadline deadline(100, [] { return false; });
  EXPECT_FALSE(deadline.is_over(99, 5));
  EXPECT_TRUE(deadline.is_over(100, 5));
  EXPECT_FALSE(deadline.was_hurried());
}

TEST(StopDeadline, IsBroughtForwardByASecondRequest) {
  bool is_asked = false;
  StopDeadline deadline(100, [&] { return std::exchange(is_asked, false); });
  EXPECT_FALSE(deadline.is_over(10, 5));
  is_asked = true;
  EXPECT_FALSE(deadline.is_over(20, 5));
  EXPECT_TRUE(deadline.was_hurried());
  EXPECT_EQ(deadline.ns(), 25u);
  EXPECT_TRUE(deadline.is_over(25, 5));
  is_asked = true;
  deadline.is_over(90, 50);
  EXPECT_EQ(deadline.ns(), 25u) << "never put off";
}

TEST(StopDeadline, IsOverAtOnceWithoutGrace) {
  StopDeadline deadline(100, [] { return true; });
  EXPECT_TRUE(deadline.is_over(1, 0));
}

}  // namespace
}  // namespace weir::control
