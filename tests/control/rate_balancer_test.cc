#include "control/rate_balancer.h"

#include <gtest/gtest.h>

#include <numeric>

namespace weir::control {
namespace {

using Shares = std::vector<uint64_t>;

TEST(RateBalancer, GivesEachCoreWhatItIsOffered) {
  RateBalancer balancer(1000);
  EXPECT_EQ(balancer.shares({0, 0}), (Shares{500, 500}));
  EXPECT_EQ(balancer.shares({300, 100}), (Shares{725, 275}));
  EXPECT_EQ(balancer.shares({300, 500}), (Shares{50, 950})) << "since the last look";
}

TEST(RateBalancer, NeverGivesMoreThanTheLimit) {
  RateBalancer balancer(1'000'000);
  Shares offered(7);
  for (uint64_t turn = 1; turn < 100; ++turn) {
    for (size_t i = 0; i < offered.size(); ++i) offered[i] += turn * i * 37 % 1013;
    const Shares shares = balancer.shares(offered);
    EXPECT_LE(std::accumulate(shares.begin(), shares.end(), uint64_t{0}), 1'000'000u);
  }
}

TEST(RateBalancer, LeavesNoCoreWithNothing) {
  RateBalancer balancer(3);
  for (const uint64_t share : balancer.shares({1000, 0, 0, 0})) EXPECT_GE(share, 1u);
}

TEST(RateBalancer, IsOffWithoutALimit) { EXPECT_TRUE(RateBalancer(0).is_off()); }

}  // namespace
}  // namespace weir::control
