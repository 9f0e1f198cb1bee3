#include "dataplane/gathering.h"

#include <gtest/gtest.h>

namespace weir::dataplane {
namespace {

/// The pause after packets that came at that rate for a while.
uint64_t pause_at(uint64_t packets_per_second, uint64_t longest_ns) {
  Gathering gathering;
  uint64_t now_ns = 7 * kNsPerSec;
  gathering.pause_ns(now_ns, longest_ns);
  gathering.took(static_cast<unsigned>(packets_per_second / 100));
  return gathering.pause_ns(now_ns += kNsPerSec / 100, longest_ns);
}

TEST(Gathering, LetsABurstGatherWherePacketsAreMany) {
  EXPECT_EQ(pause_at(100'000, kPauseMaxNs), kBurst * 10 * kNsPerUs);
  EXPECT_EQ(pause_at(20'000, kPauseMaxNs), kPauseMaxNs) << "no longer than that";
  EXPECT_EQ(pause_at(20'000, 200 * kNsPerUs), 200 * kNsPerUs) << "nor than the queue holds";
}

TEST(Gathering, DelaysNoPacketThatWouldBeTakenAlone) {
  EXPECT_EQ(pause_at(1'000, kPauseMaxNs), 0u);
  EXPECT_EQ(pause_at(20'000, 60 * kNsPerUs), 0u) << "one in that time";
  Gathering gathering;
  EXPECT_EQ(gathering.pause_ns(kNsPerSec, kPauseMaxNs), 0u);
  gathering.took(1);
  EXPECT_EQ(gathering.pause_ns(10 * kNsPerSec, kPauseMaxNs), 0u) << "the first for long";
  EXPECT_EQ(gathering.pause_ns(10 * kNsPerSec + 1, kPauseMaxNs), 0u) << "none";
}

TEST(Gathering, DoesNotSleepWhereABurstIsThereBefore) {
  EXPECT_EQ(pause_at(2'000'000, kPauseMaxNs), 0u);
  EXPECT_GT(pause_at(600'000, kPauseMaxNs), 0u);
  EXPECT_EQ(pause_at(100'000, kPauseMinNs - 1), 0u) << "a queue that holds too little";
}

// A backlog comes in several turns: the last of them says nothing of the rate.
TEST(Gathering, GoesByAllThatCameSinceTheLastPause) {
  Gathering gathering;
  uint64_t now_ns = kNsPerSec;
  gathering.pause_ns(now_ns, kPauseMaxNs);
  for (int turn = 0; turn < 3; ++turn) gathering.took(kBurst);
  gathering.took(4);
  EXPECT_EQ(gathering.pause_ns(now_ns += kNsPerMs, kPauseMaxNs), 320 * kNsPerUs) << "100 in a millisecond";
  gathering.took(2);
  EXPECT_EQ(gathering.pause_ns(now_ns += kNsPerMs, kPauseMaxNs), kPauseMaxNs) << "they are forgotten";
}

TEST(Gathering, EndsLongBeforeAFloodHasFilledAQueue) {
  EXPECT_EQ(longest_pause_of_buffer_ns(16u << 20), kPauseMaxNs);
  EXPECT_EQ(longest_pause_of_buffer_ns(425'984), 106'496u) << "of a kernel that grants no more: a quarter at 8 Gbit/s";
  EXPECT_EQ(longest_pause_of_ring_ns(2048), 512 * kNsPerUs) << "a quarter at a million frames a second";
  EXPECT_EQ(longest_pause_of_ring_ns(1u << 30), kPauseMaxNs);
}

}  // namespace
}  // namespace weir::dataplane
