#include "dataplane/naps.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace weir::dataplane::testing {
namespace {

/// Naps as a core takes them, each over when it was to be.
struct Sleeper {
  Naps naps;
  uint64_t longest_ns = kNapMaxNs;
  uint64_t now_ns = 77 * kNsPerSec;
  uint64_t nap() {
    const uint64_t ns = naps.next_ns(now_ns, longest_ns);
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
  core.longest_ns = 5 * kNsPerMs;
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

double nap_ns(uint64_t frames, uint32_t mbps) { return static_cast<double>(long_nap_of_ring_ns(frames, mbps)); }

TEST(Naps, AreNoLongerThanARingHoldsFullDatagramsAtTheLinksRate) {
  for (const uint32_t mbps : {10u, 100u, 1000u, 2500u, 10'000u, 25'000u, 40'000u, 50'000u, 100'000u, 200'000u}) {
    for (uint64_t frames = 64; frames <= 32'768; frames += 64) {
      const uint64_t ns = long_nap_of_ring_ns(frames, mbps);
      ASSERT_LE(ns, kLongNapMaxNs);
      ASSERT_GE(ns, kNapMinNs);
      if (ns == kNapMinNs) continue;
      const double holds_ns = ring_holds_ns(frames, kFull, mbps / 1000.);
      ASSERT_LE(nap_ns(frames, mbps), 0.8 * holds_ns) << frames << " at " << mbps;
      if (ns == kLongNapMaxNs) continue;
      ASSERT_GT(nap_ns(frames, mbps), 0.79 * holds_ns) << "each wake costs, too: " << frames << " at " << mbps;
    }
    EXPECT_EQ(long_nap_of_ring_ns(uint64_t{1} << 40, mbps), kLongNapMaxNs);
  }
  EXPECT_EQ(long_nap_of_ring_ns(1024, 0), kLongNapMaxNs) << "no link at all";
  EXPECT_NEAR(nap_ns(1024, 10'000), 1'008'000, 1000) << "docs/PORTS.md says so, as what follows";
  EXPECT_NEAR(nap_ns(1024, 25'000), 403'000, 1000);
  EXPECT_NEAR(nap_ns(1024, 100'000), 101'000, 1000);
  EXPECT_NEAR(nap_ns(4096, 10'000), 4'032'000, 1000);
  EXPECT_NEAR(nap_ns(4096, 25'000), 1'613'000, 1000);
  EXPECT_NEAR(nap_ns(4096, 100'000), 403'000, 1000);
}

TEST(Naps, AreShortFromTheFirstWhereTheRingIs) {
  Sleeper core;
  core.longest_ns = 100 * kNsPerUs;
  core.naps_within(kSilenceNs);
  EXPECT_EQ(core.nap(), 100 * kNsPerUs);
  core.longest_ns = 5 * kNsPerMs;  // the link is another
  EXPECT_EQ(core.nap(), 5 * kNsPerMs);
  core.naps.begin_anew();
  core.longest_ns = 100 * kNsPerUs;
  for (int i = 0; i < 1000; ++i) ASSERT_LE(core.nap(), 100 * kNsPerUs);
}

/// A thousand wakes a second, or nearly, whatever the NIC.
TEST(Naps, AreAMillisecondWhereTheNumberOfDescriptorsIsLeftToUs) {
  for (const uint32_t mbps : {0u, 10u, 1000u, 10'000u}) EXPECT_EQ(descriptors_for(mbps), 1024) << mbps;
  EXPECT_EQ(descriptors_for(20'000), 2048);
  for (const uint32_t mbps : {25'000u, 40'000u, 100'000u, 200'000u, UINT32_MAX}) EXPECT_EQ(descriptors_for(mbps), 4096) << mbps;
  for (const uint32_t mbps : {1000u, 10'000u, 20'000u, 25'000u, 40'000u})
    EXPECT_GE(long_nap_of_ring_ns(descriptors_for(mbps), mbps), kNapMaxNs) << mbps;
}

/// Of the smallest datagrams no ring holds as many as a line brings in a nap. What comes all at once after a shorter silence
/// than this test has is in the ring when the core looks.
TEST(Naps, AreAtMostAQuarterOfTheSilenceBefore) {
  for (const uint64_t frames : {uint64_t{1024}, uint64_t{4096}}) {
    Sleeper core;
    core.longest_ns = long_nap_of_ring_ns(frames, 10'000);
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
