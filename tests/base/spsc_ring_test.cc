#include "base/spsc_ring.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>

namespace weir {
namespace {

TEST(SpscRing, RefusesWhenFullAndChangesNothing) {
  SpscRing<int> ring(2);
  EXPECT_TRUE(ring.push(1));
  EXPECT_TRUE(ring.push(2));
  EXPECT_FALSE(ring.push(3));
  EXPECT_EQ(ring.size_approx(), 2u);
  int item = 0;
  EXPECT_TRUE(ring.pop(item));
  EXPECT_EQ(item, 1);
  EXPECT_TRUE(ring.push(3));
  EXPECT_TRUE(ring.pop(item) && item == 2);
  EXPECT_TRUE(ring.pop(item) && item == 3);
  item = 7;
  EXPECT_FALSE(ring.pop(item));
  EXPECT_EQ(item, 7);
}

TEST(SpscRing, RoundsItsCapacityUpToAPowerOfTwo) {
  EXPECT_EQ(SpscRing<int>(0).capacity(), 2u);
  EXPECT_EQ(SpscRing<int>(5).capacity(), 8u);
  EXPECT_EQ(SpscRing<int>(8).capacity(), 8u);
}

TEST(SpscRing, KeepsOrderAndEveryItemBetweenTwoThreads) {
  constexpr uint64_t kItems = 200'000;
  SpscRing<uint64_t> ring(64);
  std::thread producer([&] {
    for (uint64_t i = 0; i < kItems;) {
      if (ring.push(i)) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  for (uint64_t expected = 0; expected < kItems;) {
    uint64_t item = 0;
    if (!ring.pop(item)) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(item, expected);
    ++expected;
  }
  producer.join();
  EXPECT_EQ(ring.size_approx(), 0u);
}

}  // namespace
}  // namespace weir
