// The kernel's interface for what is no export traffic: what it is given, what it keeps, and what it follows. Over a veth pair into another
// network namespace. Needs root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/thread_rights.h"
#include "dataplane/plane_check.h"
#include "dataplane/tap_interface.h"
#include "exception_appliance.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::HasSubstr;

TEST(ExceptionInterface, HasTheDevicesMacAddressAndTheSettingsThatWereAsked) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    ASSERT_TRUE(hosts.here("ip link set port address 02:00:00:00:00:42"));
    ExceptionConfig exception = with_addresses();
    exception.mtu = 1400;
    auto plane = started(appliance(exception));
    ASSERT_NE(plane, nullptr);
    EXPECT_TRUE(hosts.here("ip link show weir0 | grep 02:00:00:00:00:42"));
    EXPECT_TRUE(hosts.here("ip link show weir0 | grep 'mtu 1400'"));
    EXPECT_TRUE(hosts.here("ip addr show weir0 | grep 'inet 192.0.2.2/24'"));
    EXPECT_TRUE(hosts.here("ip addr show weir0 | grep 'inet6 2001:db8::2/64'"));
    Collected collected;
    stop(*plane, collected);
    plane.reset();
    EXPECT_FALSE(hosts.here("ip link show weir0")) << "it goes with us";
  });
}

// What a device takes is seen by the interface that follows it.
TEST(ExceptionInterface, HasTheMtuThatItsDeviceWasAskedFor) {
  SKIP_WITHOUT_ROOT();
  for (const uint16_t mtu : {uint16_t{0}, uint16_t{9000}}) {
    in_child([mtu] {
      ASSERT_EQ(unshare(CLONE_NEWNET), 0);
      DataPlaneConfig config = xdp_collector();
      config.dpdk_ports = {{.name = "wire", .device = "net_ring0", .exception = {.interface = "weir0"}, .mtu = mtu}};
      auto plane = started(config);
      ASSERT_NE(plane, nullptr);
      EXPECT_TRUE(TwoHosts::here(fmt::format("ip link show weir0 | grep 'mtu {} '", mtu == 0 ? 1500 : mtu)));
      Collected collected;
      stop(*plane, collected);
    });
  }
}

TEST(ExceptionInterface, TakesOverAnInterfaceThatAScriptHasMade) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    ASSERT_TRUE(hosts.here("ip tuntap add weir0 mode tap"));
    ASSERT_TRUE(hosts.here("ip addr add 192.0.2.2/24 dev weir0"));
    auto plane = started(appliance({.interface = "weir0", .addresses = {{*IpAddress::parse("192.0.2.2"), 24}}}));
    ASSERT_NE(plane, nullptr);
    Collected collected;
    EXPECT_TRUE(is_found(hosts, *plane, collected, "ping -n -c1 -W1 192.0.2.2"));
    stop(*plane, collected);
    plane.reset();
    EXPECT_TRUE(hosts.here("ip addr show weir0 | grep 'inet 192.0.2.2/24'")) << "it stays";
  });
}

TEST(ExceptionInterface, SaysWhenItIsDownAndIsMadeAgainWhereSomebodyDeletesIt) {
  SKIP_WITHOUT_ROOT();
  with_appliance(with_addresses(), [](const TwoHosts& hosts, DataPlane& plane, Collected& collected) {
    ASSERT_TRUE(is_found(hosts, plane, collected, "ping -n -c1 -W1 192.0.2.2"));
    EXPECT_EQ(stats(plane).exception->trouble, "");
    ASSERT_TRUE(hosts.here("ip link set weir0 down"));
    EXPECT_EQ(stats(plane).exception->trouble, "interface weir0 is down");
    const uint64_t refused = stats(plane).exception->refused;
    ASSERT_TRUE(run_until(plane, collected, [&] {
      return hosts.send(v5_datagram(1), 9) && stats(plane).exception->refused > refused;
    }));
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(hosts.here("ip link delete weir0"));
      ASSERT_TRUE(hosts.send(v5_datagram(1), 9));
      EXPECT_EQ(stats(plane).exception->trouble, "interface weir0 was deleted, and is made again");
      EXPECT_EQ(stats(plane).exception->trouble, "");
      EXPECT_THAT(stats(plane).note, HasSubstr("interface weir0 was deleted, and made again: routes that it had are to be set again"));
      EXPECT_TRUE(is_found(hosts, plane, collected, "ping -n -c1 -W1 192.0.2.2"));
      EXPECT_TRUE(is_found(hosts, plane, collected, "ping -n -c1 -W1 2001:db8::2"));
    }
    const uint64_t before = datagrams(plane);
    ASSERT_TRUE(hosts.send(v5_datagram(1)));
    EXPECT_TRUE(run_until(plane, collected, [&] { return datagrams(plane) == before + 1; }));
  });
}

TEST(ExceptionInterface, IsTakenFromWhoMayMakeItAgain) {
  SKIP_WITHOUT_ROOT();
  with_appliance(with_addresses(), [](const TwoHosts& hosts, DataPlane& plane, Collected& collected) {
    const auto octets = TapInterface::mac_of("weir0");
    ASSERT_TRUE(octets);
    const std::string mac = fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", (*octets)[0], (*octets)[1], (*octets)[2], (*octets)[3], (*octets)[4], (*octets)[5]);
    ASSERT_TRUE(give_up_capabilities());
    ASSERT_TRUE(hosts.here("ip link delete weir0"));
    EXPECT_EQ(stats(plane).exception->trouble,
              "interface weir0 is gone, and making it again needs CAP_NET_ADMIN: ip tuntap add weir0 mode tap user USER; or restart");
    ASSERT_TRUE(hosts.here("ip tuntap add weir0 mode tap user 0"));
    EXPECT_EQ(stats(plane).exception->trouble, "interface weir0 was deleted, and is made again: interface weir0 is down");
    ASSERT_TRUE(hosts.here("ip link set weir0 up"));
    EXPECT_THAT(stats(plane).exception->trouble, HasSubstr("interface weir0 has another MAC address than its device: ip link set weir0 address " + mac));
    ASSERT_TRUE(hosts.here("ip link set weir0 address " + mac));
    EXPECT_THAT(stats(plane).exception->trouble, HasSubstr("interface weir0 has lost its address 192.0.2.2/24"));
    ASSERT_TRUE(hosts.here("ip addr add 192.0.2.2/24 dev weir0 && ip addr add 2001:db8::2/64 dev weir0"));
    EXPECT_EQ(stats(plane).exception->trouble, "");
    EXPECT_TRUE(is_found(hosts, plane, collected, "ping -n -c1 -W1 192.0.2.2"));
  });
}

/// IPv6 addresses go when somebody sets an interface down and up again, and nobody would be found by them any more.
TEST(ExceptionInterface, GivesItsInterfaceTheAddressesAgainThatItLost) {
  SKIP_WITHOUT_ROOT();
  with_appliance(with_addresses(), [](const TwoHosts& hosts, DataPlane& plane, Collected& collected) {
    const auto has_address = [&] { return hosts.here("ip addr show dev weir0 | grep -w 2001:db8::2/64"); };
    ASSERT_TRUE(has_address());
    ASSERT_TRUE(hosts.here("ip link set weir0 down && ip link set weir0 up"));
    ASSERT_FALSE(has_address());
    EXPECT_EQ(stats(plane).exception->trouble, "");
    EXPECT_TRUE(has_address());
    EXPECT_TRUE(is_found(hosts, plane, collected, "ping -n -c1 -W1 2001:db8::2"));
    ASSERT_TRUE(give_up_capabilities());
    EXPECT_EQ(stats(plane).exception->trouble, "");
    ASSERT_TRUE(hosts.here("ip addr del 2001:db8::2/64 dev weir0"));
    EXPECT_EQ(stats(plane).exception->trouble,
              "interface weir0 has lost its address 2001:db8::2/64: ip addr add 2001:db8::2/64 dev weir0");
    ASSERT_TRUE(hosts.here("ip addr add 2001:db8::2/64 dev weir0"));
    EXPECT_EQ(stats(plane).exception->trouble, "");
  });
}

TEST(ExceptionInterface, FollowsTheWireThatIsBehindIt) {
  SKIP_WITHOUT_ROOT();
  with_appliance(with_addresses(), [](const TwoHosts& hosts, DataPlane& plane, Collected& collected) {
    EXPECT_TRUE(run_until(plane, collected, [&] { return stats(plane).link_up; }));
    EXPECT_FALSE(hosts.here("ip link show weir0 | grep NO-CARRIER"));
    ASSERT_TRUE(hosts.there("ip link set exporter down"));
    EXPECT_TRUE(run_until(plane, collected, [&] {
      return !stats(plane).link_up && hosts.here("ip link show weir0 | grep NO-CARRIER");
    }));
    ASSERT_TRUE(hosts.there("ip link set exporter up"));
    EXPECT_TRUE(run_until(plane, collected, [&] {
      return stats(plane).link_up && !hosts.here("ip link show weir0 | grep NO-CARRIER");
    }));
  });
}

/// Frames that the wire does not take any more would be lost, and longer ones that it takes now never be sent.
TEST(ExceptionInterface, FollowsTheMtuOfTheDevice) {
  SKIP_WITHOUT_ROOT();
  with_appliance(with_addresses(), [](const TwoHosts& hosts, DataPlane& plane, Collected& collected) {
    const auto becomes = [&](const char* of_device, const char* of_ours) {
      return hosts.here(std::string("ip link set port mtu ") + of_device) && stats(plane).exception->trouble.empty() &&
             hosts.here(std::string("ip link show weir0 | grep -w 'mtu ") + of_ours + "'");
    };
    EXPECT_TRUE(is_found(hosts, plane, collected, "ping -n -c1 -W1 -M do -s 1472 192.0.2.2"));
    EXPECT_TRUE(becomes("1400", "1400"));
    EXPECT_FALSE(hosts.there("ping -n -c1 -W1 -M do -s 1472 192.0.2.2")) << "its answer is longer";
    EXPECT_TRUE(is_found(hosts, plane, collected, "ping -n -c1 -W1 -M do -s 1372 192.0.2.2"));
    ASSERT_TRUE(hosts.there("ip link set exporter mtu 3000"));
    EXPECT_TRUE(becomes("3000", "3000"));
    EXPECT_TRUE(is_found(hosts, plane, collected, "ping -n -c1 -W1 -M do -s 2972 192.0.2.2"));
    EXPECT_EQ(stats(plane).exception->too_long, 0u);
    EXPECT_TRUE(becomes("1280", "1280"));
    EXPECT_TRUE(becomes("1500", "1500"));
    ASSERT_TRUE(hosts.here("ip link set weir0 mtu 1450"));
    EXPECT_EQ(stats(plane).exception->trouble, "");
    EXPECT_TRUE(hosts.here("ip link show weir0 | grep -w 'mtu 1450'")) << "what somebody has set is left alone";
    ASSERT_TRUE(give_up_capabilities());
    ASSERT_TRUE(hosts.here("ip link set port mtu 1400"));
    EXPECT_EQ(stats(plane).exception->trouble,
              "interface weir0 has another MTU than its device has now: ip link set weir0 mtu 1400");
    ASSERT_TRUE(hosts.here("ip link set weir0 mtu 1400"));
    EXPECT_EQ(stats(plane).exception->trouble, "");
    ASSERT_TRUE(hosts.here("ip link set port mtu 9000"));
    EXPECT_THAT(stats(plane).exception->trouble, HasSubstr("interface weir0 has another MTU than"));
    ASSERT_TRUE(hosts.here("ip link set weir0 mtu 3506"));
    EXPECT_EQ(stats(plane).exception->trouble, "interface weir0 has an MTU of 3506, and its device now one of 9000: restart to have that");
  });
}

TEST(ExceptionInterface, FollowsTheMtuOfTheDeviceUpToItsOwn) {
  SKIP_WITHOUT_ROOT();
  ExceptionConfig exception = with_addresses();
  exception.mtu = 1400;
  with_appliance(exception, [](const TwoHosts& hosts, DataPlane& plane, Collected&) {
    for (const auto& [of_device, of_ours] : {std::pair{"1300", "1300"}, {"3000", "1400"}}) {
      ASSERT_TRUE(hosts.here(std::string("ip link set port mtu ") + of_device));
      EXPECT_EQ(stats(plane).exception->trouble, "");
      EXPECT_TRUE(hosts.here(std::string("ip link show weir0 | grep -w 'mtu ") + of_ours + "'")) << of_device;
    }
  });
}

TEST(ExceptionInterface, RefusesWhatCannotGoToTheKernelAndBack) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    const auto why = [](DataPlaneConfig config) {
      const auto found = find_trouble(config, Machine::look());
      return found.empty() ? "nothing" : found.front().to_error(config).message;
    };
    const auto on = [](const char* device, const char* interface) {
      DataPlaneConfig config = appliance({.interface = interface});
      config.dpdk_ports[0].device = device;
      return config;
    };
    EXPECT_EQ(why(on("net_af_xdp0,iface=port", "weir0")), "nothing");
    EXPECT_EQ(why(on("net_af_xdp0,iface=port", "port")),
              "port wire: exception: interface port is there already, and is no TAP");
    EXPECT_THAT(why(on("net_af_packet0,iface=port", "weir0")), HasSubstr("the kernel has all frames of port anyway"));
    EXPECT_THAT(why(on("net_null0", "weir0")), HasSubstr("net_null is no network"));
    EXPECT_EQ(why(on("net_tap0,iface=weir0", "weir0")), "port wire: exception: interface weir0 is the device's own: name another");
    DataPlaneConfig two = on("net_tap0", "weir0");
    two.dpdk_ports.push_back({.name = "other", .device = "net_tap1", .exception = {.interface = "weir0"}});
    EXPECT_EQ(why(two), "port other: exception: interface weir0 is port wire's already");
    const RoleScope role(control_thread);
    const auto too_long = DataPlane::create(appliance({.interface = "weir0", .mtu = 9000}));
    ASSERT_FALSE(too_long);
    EXPECT_EQ(too_long.error().message, "port wire: exception.mtu: 9000 is more than the device's, 1500");
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
