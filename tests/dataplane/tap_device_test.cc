// net_tap, whose interface the driver makes and somebody deletes, in a network namespace of the test's own. Needs root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/thread_rights.h"
#include "tap_collector.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kDevice = "net_tap0,iface=tap9,mac=02:00:00:00:00:02";

/// A datagram, by an interface that has no addresses yet.
void expect_arrival(DataPlane& plane, Collected& collected) {
  const int fd = sender_by_tap();
  ASSERT_GE(fd, 0);
  const uint64_t before = datagrams(plane);
  ASSERT_TRUE(send_to_collector(fd));
  EXPECT_TRUE(run_until(plane, collected, [&] { return datagrams(plane) == before + 1; }));
  close(fd);
}

void with_tap(const std::string& device, uint16_t queues, const std::function<void(DataPlane&, Collected&)>& expect) {
  in_child([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    DataPlaneConfig config = collector(device, IdlePolicy::adaptive);
    config.dpdk_ports[0].queues = queues;
    const auto plane = started(config);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    expect(*plane, collected);
    stop(*plane, collected);
    expect_ledger(*plane);
  });
}

class TapDevice : public ::testing::TestWithParam<uint16_t> {};

TEST_P(TapDevice, IsMadeAgainWhereSomebodyDeletesIt) {
  SKIP_WITHOUT_ROOT();
  with_tap(kDevice, GetParam(), [](DataPlane& plane, Collected& collected) {
    expect_arrival(plane, collected);
    EXPECT_THAT(stats(plane).note, Not(HasSubstr("deleted")));
    for (const char* times : {"(1)", "(2)", "(3)"}) {
      ASSERT_TRUE(TwoHosts::here("ip link delete tap9"));
      const PortStats meanwhile = stats(plane);
      EXPECT_EQ(meanwhile.trouble, "interface tap9 was deleted, and is made again");
      EXPECT_FALSE(meanwhile.link_up);
      const PortStats after = stats(plane);
      EXPECT_EQ(after.trouble, "");
      EXPECT_TRUE(after.link_up);
      EXPECT_THAT(after.note, HasSubstr(std::string("its interface was deleted, and made again ") + times));
      EXPECT_TRUE(TwoHosts::here("ip link show tap9 | grep 02:00:00:00:00:02"));
      expect_arrival(plane, collected);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Queues, TapDevice, ::testing::Values(1, 3));

TEST(TapDeviceRights, ItSaysWhyItIsNotMadeAgain) {
  SKIP_WITHOUT_ROOT();
  with_tap(kDevice, 1, [](DataPlane& plane, Collected& collected) {
    ASSERT_TRUE(give_up_capabilities());
    ASSERT_TRUE(TwoHosts::here("ip link delete tap9"));
    const uint64_t slept = sum(plane, [](Pipeline& p) { return p.counters().sleeps.value(); });
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(stats(plane).trouble, "interface tap9 is gone, and making it again needs CAP_NET_ADMIN: restart");
      EXPECT_FALSE(stats(plane).link_up);
    }
    EXPECT_TRUE(run_until(plane, collected, [&] { return sum(plane, [](Pipeline& p) { return p.counters().sleeps.value(); }) > slept; }));
    // Whoever may makes it for us.
    ASSERT_TRUE(TwoHosts::here("ip tuntap add tap9 mode tap multi_queue user 0"));
    stats(plane);
    ASSERT_TRUE(TwoHosts::here("ip link set tap9 address 02:00:00:00:00:02 up"));
    EXPECT_EQ(stats(plane).trouble, "");
    expect_arrival(plane, collected);
  });
}

TEST(TapDeviceLink, ItSaysThatItIsDown) {
  SKIP_WITHOUT_ROOT();
  with_tap(kDevice, 1, [](DataPlane& plane, Collected& collected) {
    ASSERT_TRUE(TwoHosts::here("ip link set tap9 down"));
    EXPECT_EQ(stats(plane).trouble, "interface tap9 is down");
    EXPECT_FALSE(stats(plane).link_up);
    ASSERT_TRUE(TwoHosts::here("ip link set tap9 up"));
    EXPECT_EQ(stats(plane).trouble, "");
    expect_arrival(plane, collected);
    ASSERT_TRUE(TwoHosts::here("ip link set tap9 down && ip link set tap9 name tap8 && ip link set tap8 up"));
    EXPECT_THAT(stats(plane).trouble, HasSubstr("interface tap9 is gone"));
    ASSERT_TRUE(TwoHosts::here("ip link set tap8 down && ip link set tap8 name tap9 && ip link set tap9 up"));
    EXPECT_EQ(stats(plane).trouble, "");
    expect_arrival(plane, collected);
  });
}

TEST(OtherSide, WhoIsNotThereIsSaid) {
  in_child([] {
    TemporaryFolder folder;
    const auto plane = started(collector("net_vhost0,iface=" + folder.file("vhost.sock"), IdlePolicy::adaptive));
    ASSERT_NE(plane, nullptr);
    EXPECT_FALSE(stats(*plane).link_up);
    EXPECT_EQ(stats(*plane).trouble, "nobody is connected to it");
    Collected collected;
    stop(*plane, collected);
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
