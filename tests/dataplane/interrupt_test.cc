// `idle: interrupt`, over a TAP in a network namespace of the test's own, and where there are no interrupts. Needs root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <dlfcn.h>

#include <atomic>
#include <cerrno>

#include "two_hosts.h"

namespace {
std::atomic<int> g_arming_fails_with{0};
}  // namespace

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

DataPlaneConfig collector(const std::string& device, IdlePolicy idle) {
  DataPlaneConfig config;
  config.idle = idle;
  config.eal.memory_mb = 128;
  config.eal.log = [](EalLogLevel, std::string_view) {};
  config.dpdk_ports.push_back({.name = "wire", .device = device});
  config.pipeline = netflow_pipeline();
  config.pipeline.batcher.buffers = 256;
  return config;
}

/// What leaves this host by the TAP comes to the collector.
int sender_by_tap() {
  const bool is_laid = TwoHosts::here("ip link set tap9 up") && TwoHosts::here("ip addr add 192.0.2.1/24 dev tap9") &&
                       TwoHosts::here("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev tap9 nud permanent");
  return is_laid ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
}

bool send_to_collector(int fd) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(kNetflowPort);
  inet_pton(AF_INET, "192.0.2.2", &to.sin_addr);
  const lab::Octets payload = v5_datagram(1);
  return sendto(fd, payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) ==
         static_cast<ssize_t>(payload.size());
}

/// How often it fell asleep in half a second of nothing.
uint64_t sleeps_when_idle(DataPlane& plane) {
  const auto& sleeps = plane.pipeline(0).counters().sleeps;
  const uint64_t before = sleeps.value();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  return sleeps.value() - before;
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
    const auto began = std::chrono::steady_clock::now();
    for (uint64_t i = 1; i <= kDatagrams; ++i) {  // each finds it asleep
      ASSERT_TRUE(send_to_collector(fd));
      ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == i; })) << "datagram " << i;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(kDatagrams * 50))
        << "its own waits are of 100 ms: these would have ended them";
    EXPECT_LT(sleeps_when_idle(*plane), 50u) << "five waits of 100 ms, and what the kernel says on a new interface";
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
    sleeps_when_idle(*plane);  // what the kernel says on a new interface
    EXPECT_LT(sleeps_when_idle(*plane), 50u) << "five waits of 100 ms";
    for (uint64_t i = 0; i < 200; ++i) ASSERT_TRUE(send_to_collector(fd));
    EXPECT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == 220; })) << datagrams(*plane);
    close(fd);
  });
}

/// Naps are counted, not timed: a machine that is busy makes them fewer.
TEST(Interrupt, ARingWithoutIsLookedAtLessOftenAfterASecondOfNothing) {
  in_child([] {
    const auto plane = started(collector("net_ring0", IdlePolicy::adaptive));
    ASSERT_NE(plane, nullptr);
    uint64_t sleeps = ~uint64_t{0};
    for (int i = 0; i < 40 && sleeps > 130; ++i) sleeps = sleeps_when_idle(*plane);
    EXPECT_LE(sleeps, 130u) << "half a second has a hundred of 5 ms";
    EXPECT_GT(sleeps, 10u) << "who fills the ring tells nobody";
  });
}

/// Who waited for it would leave what comes for up to 100 ms.
TEST(Interrupt, ThatCannotBeArmedIsNotWaitedFor) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    g_arming_fails_with = -EIO;
    const auto plane = started(collector("net_tap0,iface=tap9", IdlePolicy::interrupt));
    ASSERT_NE(plane, nullptr);
    EXPECT_GT(sleeps_when_idle(*plane), 60u);
    g_arming_fails_with = 0;
    sleeps_when_idle(*plane);
    EXPECT_LT(sleeps_when_idle(*plane), 50u) << "it is tried each time";
  });
}

TEST(Interrupt, ADeviceWithoutSaysSoAndIsLookedAtInNaps) {
  in_child([] {
    const auto plane = started(collector("net_ring0", IdlePolicy::interrupt));
    ASSERT_NE(plane, nullptr);
    EXPECT_THAT(stats(*plane).note, HasSubstr("no interrupts on receiving (")) << stats(*plane).note;
    EXPECT_THAT(stats(*plane).note, HasSubstr("in naps of up to 5 ms, as idle: adaptive does"));
    EXPECT_GT(sleeps_when_idle(*plane), 60u);
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
