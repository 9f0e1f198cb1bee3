#include "dataplane/naps.h"

#include <gtest/gtest.h>

#include <algorithm>

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

/// So many octets of a wire: preamble, Ethernet header, check sequence and gap are among them.
constexpr double wire_octets(double ip_octets) { return 8 + 14 + ip_octets + 4 + 12; }
constexpr double ring_holds_ns(uint64_t frames, double ip_octets, double gbps) {
  return static_cast<double>(frames) * wire_octets(ip_octets) * 8 / gbps;
}
constexpr double kFull = 1500, kSmallest = 20 + 8 + 24 + 48;  // NetFlow v5 with one record

TEST(Naps, AreNoLongerThanARingHoldsFullDatagramsAtLineRate) {
  const struct {
    uint32_t link_gbps;
    double core_gbps;
    uint64_t frames_min;  // with fewer a nap is 1 ms all the same
  } cases[] = {{1, 10, 1024}, {10, 10, 1024}, {25, 25, 2560}, {100, 25, 2560}};
  for (const auto& c : cases) {
    for (uint64_t frames = c.frames_min; frames <= 32'768; frames += 64) {
      const uint64_t nap_ns = long_nap_of_ring_ns(frames, c.link_gbps);
      ASSERT_LE(static_cast<double>(nap_ns), ring_holds_ns(frames, kFull, c.core_gbps)) << frames << " at " << c.link_gbps;
      ASSERT_LE(nap_ns, kLongNapMaxNs);
    }
    EXPECT_EQ(long_nap_of_ring_ns(64, c.link_gbps), kNapMaxNs);
    EXPECT_EQ(long_nap_of_ring_ns(UINT32_MAX, c.link_gbps), kLongNapMaxNs);
  }
  EXPECT_EQ(long_nap_of_ring_ns(1024, 10), 1'007'616u);
  EXPECT_EQ(long_nap_of_ring_ns(4096, 10), 4'030'464u);
  EXPECT_EQ(long_nap_of_ring_ns(4096, 25), 1'612'184u);
  EXPECT_GT(static_cast<double>(long_nap_of_ring_ns(1024, 25)), ring_holds_ns(1024, kFull, 25)) << "docs/PORTS.md says so";
}

/// Of the smallest datagrams no ring holds as many as a line brings in a nap. What comes all at once after a shorter silence
/// than this test has is in the ring when the core looks.
TEST(Naps, AreAtMostAQuarterOfTheSilenceBefore) {
  for (const uint64_t frames : {uint64_t{1024}, uint64_t{4096}}) {
    Sleeper core;
    core.naps.set_long_nap(long_nap_of_ring_ns(frames, 10));
    const uint64_t began_ns = core.now_ns;
    while (core.now_ns < began_ns + 2 * kSilenceNs) {
      const uint64_t silence_ns = core.now_ns - began_ns;
      const uint64_t nap_ns = core.nap();
      ASSERT_LE(nap_ns, std::max(kNapMinNs, silence_ns / 4)) << silence_ns;
      for (const double gbps : {10., 25., 100.}) {
        const double holds_ns = ring_holds_ns(frames, kSmallest, gbps);
        if (static_cast<double>(kNapMinNs) > holds_ns || static_cast<double>(silence_ns) > 4 * holds_ns) continue;
        ASSERT_LE(static_cast<double>(nap_ns), holds_ns) << "at " << gbps << " after " << silence_ns;
      }
    }
  }
  EXPECT_NEAR(ring_holds_ns(1024, kSmallest, 10), 113'000, 1000) << "docs/PORTS.md says so";
  EXPECT_NEAR(ring_holds_ns(1024, kSmallest, 25), 45'200, 100);
  EXPECT_NEAR(ring_holds_ns(1024, kSmallest, 100), 11'300, 100);
}

TEST(Naps, WithoutMoreRoomStayAsTheyAreHoweverLongNothingComes) {
  Sleeper core;
  core.naps_within(10 * kSilenceNs);
  EXPECT_EQ(core.nap(), kNapMaxNs);
}

}  // namespace
}  // namespace weir::dataplane::testing
