#include "dataplane/naps.h"

#include <gtest/gtest.h>

namespace weir::dataplane::testing {
namespace {

/// Naps as a core takes them, each over when it was to be.
struct Sleeper {
  Naps naps;
  uint64_t now_ns = 77 * kNsPerSec;
  uint64_t nap() {
    const uint64_t ns = naps.next_ns(now_ns);
    now_ns += ns;
    return ns;
  }
  uint64_t naps_within(uint64_t ns) {
    uint64_t count = 0;
    for (const uint64_t until_ns = now_ns + ns; now_ns < until_ns; ++count) nap();
    return count;
  }
};

TEST(Naps, GrowWhileNothingComesAndAreLongAfterASilence) {
  Sleeper core;
  core.naps.set_long_nap(5 * kNsPerMs);
  EXPECT_EQ(core.nap(), kNapMinNs);
  uint64_t before_ns = kNapMinNs;
  const uint64_t began_ns = core.now_ns;
  while (core.now_ns < began_ns + kSilenceNs - kNapMaxNs) {
    const uint64_t ns = core.nap();
    ASSERT_GE(ns, before_ns);
    ASSERT_LE(ns, kNapMaxNs) << "something came a moment ago, and more may";
    before_ns = ns;
  }
  EXPECT_EQ(before_ns, kNapMaxNs);
  core.naps_within(2 * kNapMaxNs);
  EXPECT_EQ(core.nap(), 5 * kNsPerMs);
  EXPECT_EQ(core.naps_within(kNsPerSec), 200u) << "a second's wakes: 30 us each are 0.6 % of a core";
  core.naps.begin_anew();
  EXPECT_EQ(core.nap(), kNapMinNs) << "something came";
  EXPECT_GT(core.naps_within(kSilenceNs / 2), 500u);
}

TEST(Naps, AreNoLongerThanARingHoldsWhatComesAtLineRate) {
  constexpr double kFramesPerSec = 10e9 / 8 / (1500 + 14 + 4 + 8 + 12);  // of full datagrams at 10 Gbit/s
  for (uint64_t frames = 1024; frames <= 32'768; frames += 64) {
    const uint64_t nap_ns = long_nap_of_ring_ns(frames);
    ASSERT_LE(static_cast<double>(nap_ns) * kFramesPerSec / 1e9, static_cast<double>(frames)) << frames;
    ASSERT_LE(nap_ns, kLongNapMaxNs);
  }
  EXPECT_EQ(long_nap_of_ring_ns(64), kNapMaxNs);
  EXPECT_EQ(long_nap_of_ring_ns(1024), 1'007'616u);
  EXPECT_EQ(long_nap_of_ring_ns(4096), 4'030'464u);
  EXPECT_EQ(long_nap_of_ring_ns(UINT32_MAX), kLongNapMaxNs);
}

TEST(Naps, WithoutMoreRoomStayAsTheyAreHoweverLongNothingComes) {
  Sleeper core;
  core.naps_within(10 * kSilenceNs);
  EXPECT_EQ(core.nap(), kNapMaxNs);
}

}  // namespace
}  // namespace weir::dataplane::testing
