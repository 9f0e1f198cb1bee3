// How many descriptors a ring has: what the device's speed wants, and memory holds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/link_speed.h"
#include "dataplane/naps.h"
#include "dataplane/port_plan.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::ElementsAre;

TEST(LinkSpeed, IsTheLinksAndOfOneThatIsDownTheFastestItMayComeUpAt) {
  constexpr uint32_t kFixed = 1, k1G = 1 << 5, k10G = 1 << 8, k25G = 1 << 10, k100G = 1 << 14;  // RTE_ETH_LINK_SPEED_*
  EXPECT_EQ(fastest_mbps(k1G | k10G), 10'000u);
  EXPECT_EQ(fastest_mbps(kFixed | k25G | k10G), 25'000u);
  EXPECT_EQ(fastest_mbps(k100G), 100'000u);
  EXPECT_EQ(fastest_mbps(UINT32_MAX), 200'000u);
  EXPECT_EQ(fastest_mbps(0), kUnknownMbps);
  EXPECT_EQ(link_mbps(true, 10'000, 100'000), 10'000u);
  EXPECT_EQ(link_mbps(false, 10'000, 100'000), 100'000u);
  EXPECT_EQ(link_mbps(true, 0, 100'000), 25'000u) << "it tells none";
  EXPECT_EQ(link_mbps(true, UINT32_MAX, 100'000), 25'000u) << "it does not know";
  EXPECT_EQ(link_mbps(true, 0, 10'000), 10'000u);
  EXPECT_EQ(link_mbps(false, UINT32_MAX, 100'000), 100'000u);
}

DpdkPort pci(uint16_t queues = 1, uint16_t descriptors = 0, uint32_t mbufs = 0) {
  return {.name = "p", .device = "0000:01:00.0", .queues = queues, .rx_descriptors = descriptors, .mbufs = mbufs};
}
std::vector<uint16_t> most(std::vector<DpdkPort> ports, uint32_t memory_mb = 256) {
  EalConfig eal;
  eal.memory_mb = memory_mb;
  return rx_descriptors_max(ports, eal);
}

TEST(Descriptors, AreTheOperatorsOrAsManyAsMemoryHoldsOfAPciDevice) {
  EXPECT_THAT(most({pci(), pci(1, 512), {.name = "tap", .device = "net_tap0"}}), ElementsAre(4096, 512, 1024));
  EXPECT_THAT(most({pci(1, 0, 4095)}), ElementsAre(2048)) << "its rings could not be filled";
  EXPECT_THAT(most({pci(1, 0, 100)}), ElementsAre(1024)) << "which is refused elsewhere";
  EXPECT_THAT(most({pci(1, 0, 8191)}), ElementsAre(4096));
}

/// What is there is shared by all, and what `weir check` finds enough for the least is enough for what is chosen.
TEST(Descriptors, LeaveAQuarterOfMemoryWhateverTheQueues) {
  uint16_t before = kRxDescriptorsMax;
  bool is_less = false;
  for (uint16_t queues = 1; queues < 64; ++queues) {
    DpdkPort port = pci(queues);
    const uint16_t now = most({port}).front();
    ASSERT_LE(now, before) << queues;
    is_less |= now < before;
    before = now;
    if (now == kRxDescriptors) continue;
    port.rx_descriptors = now;
    ASSERT_LE(memory_octets(port, false), (uint64_t{256} << 20) / 4 * 3) << queues;
  }
  EXPECT_TRUE(is_less);
  EXPECT_EQ(before, kRxDescriptors);
  EXPECT_THAT(most({pci(1)}, 4), ElementsAre(1024));
}

}  // namespace
}  // namespace weir::dataplane::testing
