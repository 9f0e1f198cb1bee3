#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "dataplane/receive_core.h"

namespace weir::dataplane {
namespace {

using ::testing::ElementsAre;

TEST(FairTurn, BeginsWhereTheLastOneBrokeOff) {
  int things[] = {0, 1, 2};
  std::vector<int*> all = {&things[0], &things[1], &things[2]};
  FairTurn turn;
  std::vector<int> taken;
  const auto take_up_to = [&](size_t most) {
    taken.clear();
    turn.over(all, [&](int thing) {
      if (taken.size() == most) return false;
      taken.push_back(thing);
      return true;
    });
    return taken;
  };
  EXPECT_THAT(take_up_to(9), ElementsAre(0, 1, 2)) << "each once";
  EXPECT_THAT(take_up_to(1), ElementsAre(0));
  EXPECT_THAT(take_up_to(1), ElementsAre(1));
  EXPECT_THAT(take_up_to(2), ElementsAre(2, 0));
  EXPECT_THAT(take_up_to(9), ElementsAre(1, 2, 0));
  EXPECT_THAT(take_up_to(0), ElementsAre());
  EXPECT_THAT(take_up_to(1), ElementsAre(1)) << "it was not passed over";
  all.pop_back();
  EXPECT_THAT(take_up_to(9), ElementsAre(0, 1)) << "where it would begin is gone";
  all.clear();
  EXPECT_THAT(take_up_to(9), ElementsAre());
}

}  // namespace
}  // namespace weir::dataplane
