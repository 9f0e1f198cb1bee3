// `idle: interrupt`, over a TAP in a network namespace of the test's own, and where there are no interrupts. Needs root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <dlfcn.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>

#include "dataplane/naps.h"
#include "tap_collector.h"

namespace {
std::atomic<int> g_arming_fails_with{0};
std::atomic<uint32_t> g_link_mbps{0};

/// rte_eth_link, as rte_ethdev.h has it.
struct Link {
  uint32_t mbps;
  uint16_t is_duplex : 1, is_negotiated : 1, is_up : 1;
};
}  // namespace

/// Stands before DPDK's own: a link of another speed, where a test says one.
extern "C" int rte_eth_link_get_nowait(uint16_t port, Link* link);
extern "C" int rte_eth_link_get_nowait(uint16_t port, Link* link) {
  using Get = int (*)(uint16_t, Link*);
  static const auto get = reinterpret_cast<Get>(dlsym(RTLD_NEXT, "rte_eth_link_get_nowait"));
  const int rc = get(port, link);
  if (g_link_mbps != 0) {
    link->mbps = g_link_mbps;
    link->is_up = 1;
  }
  return rc;
}

/// Stands before DPDK's own: a device whose interrupts cannot be armed.
extern "C" int rte_eth_dev_rx_intr_enable(uint16_t port, uint16_t queue);
extern "C" int rte_eth_dev_rx_intr_enable(uint16_t port, uint16_t queue) {
  if (g_arming_fails_with != 0) return g_arming_fails_with;
  using Enable = int (*)(uint16_t, uint16_t);
  static const auto enable = reinterpret_cast<Enable>(dlsym(RTLD_NEXT, "rte_eth_dev_rx_intr_enable"));
  return enable(port, queue);
}

namespace weir::dataplane::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const PipelineCounters& counters(DataPlane& plane) { return plane.pipeline(0).counters(); }

/// Until it has lain down `times` more, whatever that takes here.
bool sleeps_more(DataPlane& plane, Collected& collected, uint64_t times) {
  const uint64_t until = counters(plane).sleeps.value() + times;
  return run_until(plane, collected, [&] { return counters(plane).sleeps.value() >= until; });
}

/// With nothing to do it waits, and only a frame wakes it before its time; the kernel says something on a new interface now and
/// then.
void expect_waits(DataPlane& plane, Collected& collected) {
  const uint64_t naps = counters(plane).naps.value(), wakes = counters(plane).wakes.value(), came = frames(plane);
  EXPECT_TRUE(sleeps_more(plane, collected, 5));
  EXPECT_EQ(counters(plane).naps.value(), naps);
  const uint64_t woken = counters(plane).wakes.value() - wakes;
  EXPECT_TRUE(run_until(plane, collected, [&] { return frames(plane) - came + 1 >= woken; })) << woken;
}

TEST(Interrupt, WakesACoreForEachDatagramAndLetsItSleepOtherwise) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    const auto plane = started(collector("net_tap0,iface=tap9", IdlePolicy::interrupt));
    ASSERT_NE(plane, nullptr);
    EXPECT_THAT(stats(*plane).note, Not(HasSubstr("interrupts")));
    const int fd = sender_by_tap();
    ASSERT_GE(fd, 0);
    Collected collected;
    constexpr uint64_t kDatagrams = 50;
    for (uint64_t i = 1; i <= kDatagrams; ++i) {
      const uint64_t slept = counters(*plane).sleeps.value();
      ASSERT_TRUE(send_to_collector(fd));
      ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == i && counters(*plane).sleeps.value() > slept; }))
          << "datagram " << i;
    }
    // One that comes just as a wait of its own accord ends finds it awake.
    EXPECT_GT(counters(*plane).wakes.value(), kDatagrams / 2);
    expect_waits(*plane, collected);
    // A burst is more than one interrupt's.
    for (uint64_t i = 0; i < 200; ++i) ASSERT_TRUE(send_to_collector(fd));
    EXPECT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == kDatagrams + 200; })) << datagrams(*plane);
    close(fd);
  });
}

TEST(Interrupt, OfATapIsItsOwnDescriptorWhichAdaptiveWaitsOnToo) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    const auto plane = started(collector("net_tap0,iface=tap9", IdlePolicy::adaptive));
    ASSERT_NE(plane, nullptr);
    EXPECT_THAT(stats(*plane).note, Not(HasSubstr("interrupts")));
    const int fd = sender_by_tap();
    ASSERT_GE(fd, 0);
    Collected collected;
    for (uint64_t i = 1; i <= 20; ++i) {
      ASSERT_TRUE(send_to_collector(fd));
      ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == i; })) << "datagram " << i;
    }
    expect_waits(*plane, collected);
    for (uint64_t i = 0; i < 200; ++i) ASSERT_TRUE(send_to_collector(fd));
    EXPECT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == 220; })) << datagrams(*plane);
    close(fd);
  });
}

/// As long as each was to be: how long it was is the machine's to say.
bool naps_of(DataPlane& plane, Collected& collected, uint64_t ns) {
  uint64_t naps = counters(plane).naps.value(), nap_ns = counters(plane).nap_ns.value();
  return run_until(plane, collected, [&] {
    const uint64_t more = counters(plane).naps.value() - naps;
    if (more < 5) return false;
    const uint64_t more_ns = counters(plane).nap_ns.value() - nap_ns;
    naps += more;
    nap_ns += more_ns;
    return more_ns == more * ns;
  });
}

TEST(Interrupt, ARingWithoutIsLookedAtLessOftenAfterASecondOfNothing) {
  in_child([] {
    const auto plane = started(collector("net_ring0", IdlePolicy::adaptive));
    ASSERT_NE(plane, nullptr);
    Collected collected;
    EXPECT_TRUE(naps_of(*plane, collected, kLongNapMaxNs)) << "who fills the ring tells nobody, and sees when it is full";
  });
}

/// A TAP whose interrupts cannot be armed.
void with_deaf_tap(const std::function<void(DataPlane&, Collected&)>& expect) {
  in_child([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    g_arming_fails_with = -EIO;
    const auto plane = started(collector("net_tap0,iface=tap9", IdlePolicy::interrupt));
    ASSERT_NE(plane, nullptr);
    Collected collected;
    expect(*plane, collected);
  });
}

/// Who waited for it would leave what comes for up to 100 ms.
TEST(Interrupt, ThatCannotBeArmedIsNotWaitedFor) {
  SKIP_WITHOUT_ROOT();
  with_deaf_tap([](DataPlane& plane, Collected& collected) {
    EXPECT_TRUE(sleeps_more(plane, collected, 100));
    EXPECT_GT(counters(plane).naps.value(), 60u);
    g_arming_fails_with = 0;
    EXPECT_TRUE(sleeps_more(plane, collected, 2)) << "it is tried each time";
    expect_waits(plane, collected);
  });
}

/// What can come during a nap depends on what the link has become.
TEST(Interrupt, ThatThereIsNoneOfIsMadeUpForByNapsOfTheLinksSpeed) {
  SKIP_WITHOUT_ROOT();
  with_deaf_tap([](DataPlane& plane, Collected& collected) {
    constexpr uint64_t kTapFrames = 500;  // that wait for us at most
    for (const uint32_t mbps : {25'000u, 1000u, 100'000u}) {
      g_link_mbps = mbps;
      stats(plane);
      EXPECT_TRUE(naps_of(plane, collected, long_nap_of_ring_ns(kTapFrames, mbps))) << mbps;
    }
  });
}

TEST(Interrupt, ADeviceWithoutSaysSoAndIsLookedAtInNaps) {
  in_child([] {
    const auto plane = started(collector("net_ring0", IdlePolicy::interrupt));
    ASSERT_NE(plane, nullptr);
    EXPECT_THAT(stats(*plane).note, HasSubstr("no interrupts on receiving (")) << stats(*plane).note;
    EXPECT_THAT(stats(*plane).note, HasSubstr("in naps of up to 5 ms, as idle: adaptive does"));
    Collected collected;
    EXPECT_TRUE(sleeps_more(*plane, collected, 60));
    EXPECT_GE(counters(*plane).naps.value(), 60u);
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
