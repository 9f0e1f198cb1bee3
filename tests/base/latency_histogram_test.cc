#include "base/latency_histogram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace weir {
namespace {

TEST(LatencyHistogram, TellsEveryTimeToASixteenth) {
  for (uint64_t ns = 0; ns < (uint64_t{1} << 40); ns = ns < 64 ? ns + 1 : ns + ns / 7) {
    LatencyHistogram h;
    h.add(ns);
    h.add(uint64_t{1} << 41);  // so that the largest does not bound what is told
    const uint64_t told = h.quantile_ns(0.5);
    EXPECT_GE(told, ns);
    EXPECT_LE(told - ns, ns / 16) << ns;
  }
}

TEST(LatencyHistogram, TellsQuantilesLikeASortedList) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> times(14, 2);
  std::vector<uint64_t> all;
  LatencyHistogram h;
  for (int i = 0; i < 10'000; ++i) {
    all.push_back(static_cast<uint64_t>(times(random)));
    h.add(all.back());
  }
  std::sort(all.begin(), all.end());
  for (const double q : {0.5, 0.9, 0.99, 0.999}) {
    const auto exact = static_cast<double>(all[static_cast<size_t>(q * 10'000) - 1]);
    EXPECT_NEAR(static_cast<double>(h.quantile_ns(q)), exact, exact / 16 + 1) << q;
  }
  EXPECT_EQ(h.max_ns(), all.back());
  EXPECT_EQ(h.quantile_ns(1), all.back());
  EXPECT_EQ(h.count(), all.size());
}

TEST(LatencyHistogram, CountsUpToABound) {
  LatencyHistogram h;
  for (const uint64_t ms : {1, 2, 3, 400, 5000}) h.add(ms * 1'000'000);
  EXPECT_EQ(h.count_up_to(0), 0u);
  EXPECT_EQ(h.count_up_to(10'000'000), 3u);
  EXPECT_EQ(h.count_up_to(1'000'000'000), 4u);
  EXPECT_EQ(h.count_up_to(UINT64_MAX), 5u);
}

TEST(LatencyHistogram, OfNothingSaysNothing) {
  const LatencyHistogram h;
  EXPECT_EQ(h.quantile_ns(0.99), 0u);
  EXPECT_EQ(h.max_ns(), 0u);
}

TEST(LatencyHistogram, AddsUp) {
  LatencyHistogram a, b;
  a.add(10);
  b.add(1'000'000);
  a += b;
  EXPECT_EQ(a.count(), 2u);
  EXPECT_EQ(a.sum_ns(), 1'000'010u);
  EXPECT_EQ(a.max_ns(), 1'000'000u);
  EXPECT_EQ(a.quantile_ns(0.5), 10u);
}

}  // namespace
}  // namespace weir
