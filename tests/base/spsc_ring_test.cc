#include "base/spsc_ring.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
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

TEST(SpscRing, TakesOfABurstWhatThereIsRoomForAndGivesWhatThereIs) {
  SpscRing<int> ring(4);
  const int six[] = {1, 2, 3, 4, 5, 6};
  EXPECT_TRUE(ring.has_room(4));
  EXPECT_FALSE(ring.has_room(5));
  EXPECT_EQ(ring.push_burst(std::span(six).first(3)), 3u);
  EXPECT_EQ(ring.push_burst(std::span(six).subspan(3)), 1u) << "4 of 4, 5, 6";
  EXPECT_EQ(ring.push_burst(six), 0u);
  EXPECT_FALSE(ring.has_room(1));
  int out[3] = {};
  EXPECT_EQ(ring.pop_burst(out), 3u);
  EXPECT_TRUE(out[0] == 1 && out[1] == 2 && out[2] == 3);
  EXPECT_TRUE(ring.has_room(3));
  EXPECT_EQ(ring.push_burst(std::span(six).subspan(4)), 2u) << "beyond the end of the array";
  EXPECT_EQ(ring.pop_burst(out), 3u);
  EXPECT_TRUE(out[0] == 4 && out[1] == 5 && out[2] == 6);
  EXPECT_EQ(ring.pop_burst(out), 0u);
  EXPECT_EQ(ring.size_approx(), 0u);
}

TEST(SpscRing, KeepsOrderAndEveryItemOfBurstsBetweenTwoThreads) {
  constexpr uint64_t kItems = 200'000;
  SpscRing<uint64_t> ring(64);
  std::thread producer([&] {
    uint64_t burst[24];
    for (uint64_t next = 0; next < kItems;) {
      const size_t wanted = std::min<uint64_t>(1 + next % std::size(burst), kItems - next);
      for (size_t i = 0; i < wanted; ++i) burst[i] = next + i;
      const size_t pushed = ring.push_burst(std::span(burst, wanted));
      next += pushed;
      if (pushed == 0) std::this_thread::yield();
    }
  });
  for (uint64_t expected = 0; expected < kItems;) {
    uint64_t items[17];
    const size_t count = ring.pop_burst(items);
    if (count == 0) std::this_thread::yield();
    for (size_t i = 0; i < count; ++i) ASSERT_EQ(items[i], expected++);
  }
  producer.join();
  EXPECT_EQ(ring.size_approx(), 0u);
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
