// What cannot work of collectors that are to get datagrams is said beforehand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/replica_check.h"
#include "replica_collector.h"
#include "support.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(ReplicaCheck, RefusesWhatWouldComeBack) {
  const auto is_own = [](const IpAddress& address) {
    return address == *IpAddress::parse("192.0.2.10") ? DestinationKind::own : DestinationKind::elsewhere;
  };
  DataPlaneConfig config;
  config.pipeline = netflow_pipeline();
  config.socket_ports = {{.name = "any", .address = {}, .port = 2055},
                         {.name = "one", .address = *IpAddress::parse("192.0.2.11"), .port = 6343},
                         {.name = "tcp", .address = {}, .port = 4739, .transport = Transport::tcp}};
  config.dpdk_ports = {{.name = "p0", .device = "net_null0"}};
  config.dpdk_ports[0].exception = {.interface = "weir0", .addresses = {{*IpAddress::parse("203.0.113.2"), 24}}};
  const auto targets = [&](const std::vector<SocketAddress>& all, const Rights& rights = {}) {
    config.replicas.clear();
    for (const SocketAddress& to : all) config.replicas.push_back({.to = to, .listeners = {}, .spoof_source = true});
    std::vector<size_t> found;
    for (const ReplicaTrouble& t : find_replica_trouble(config, rights, is_own)) found.push_back(t.target);
    return found;
  };
  EXPECT_THAT(targets({at("192.0.2.10", 2055), at("192.0.2.10", 2056), at("192.0.2.11", 6343), at("192.0.2.20", 2055),
                       at("203.0.113.2", kNetflowPort), at("192.0.2.10", 4739)}),
              ElementsAre(0u, 2u, 4u));
  EXPECT_THAT(find_replica_trouble(config, {}, is_own)[0].what, HasSubstr("round for ever"));
  // Another collector on this machine: no device ever sees what goes there. And IPv4's wildcard hears no IPv6.
  config.socket_ports = {{.name = "v4", .address = IpAddress::from_v4(0u), .port = 2055}};
  const auto all_own = [](const IpAddress&) { return DestinationKind::own; };
  config.replicas = {{.to = at("127.0.0.1", kNetflowPort == 2055 ? 2056 : kNetflowPort), .listeners = {}}, {.to = at("::1", 2055), .listeners = {}}};
  EXPECT_THAT(find_replica_trouble(config, {}, all_own), IsEmpty());
  config.replicas = {{.to = at("127.0.0.1", 2055), .listeners = {}}};
  EXPECT_THAT(find_replica_trouble(config, {}, all_own), SizeIs(1));
  EXPECT_THAT(targets({at("192.0.2.20", 2055)}, Rights{.net_raw = false}), SizeIs(1));
  EXPECT_THAT(find_replica_trouble(config, Rights{.net_raw = false}, is_own)[0].what, HasSubstr("CAP_NET_RAW"));
  EXPECT_THAT(targets({at("192.0.2.20", 2055)}), IsEmpty());
}

TEST(ReplicaCheck, RefusesWhatIsNoCollector) {
  const auto kinds = [](const IpAddress& address) {
    if (address == *IpAddress::parse("192.0.2.255")) return DestinationKind::broadcast;
    if (address == *IpAddress::parse("ff02::1")) return DestinationKind::multicast;
    return DestinationKind::elsewhere;
  };
  const struct {
    const char* address;
    uint16_t port;
    const char* says;
  } cases[] = {{"192.0.2.20", 0, "no collector's address and port"},
               {"0.0.0.0", 2055, "no collector's address and port"},
               {"::", 2055, "no collector's address and port"},
               {"192.0.2.255", 2055, "a broadcast address"},
               {"ff02::1", 2055, "a multicast address"},
               {"fe80::1", 2055, "means nothing without an interface"}};
  for (const auto& c : cases) {
    DataPlaneConfig config;
    config.replicas = {{.to = at(c.address, c.port), .listeners = {}}};
    const auto found = find_replica_trouble(config, {}, kinds);
    ASSERT_THAT(found, SizeIs(1)) << c.address;
    EXPECT_THAT(found[0].what, HasSubstr(c.says));
  }
  DataPlaneConfig config;
  for (uint16_t port = 1; port <= 9; ++port) config.replicas.push_back({.to = at("192.0.2.20", port), .listeners = {}});
  EXPECT_THAT(find_replica_trouble(config, {}, kinds).at(0).what, HasSubstr("9 targets, limit 8"));
  config.replicas.resize(8);
  EXPECT_THAT(find_replica_trouble(config, {}, kinds), IsEmpty());
  config.replicas[7].to.port = 3;
  const auto twice = find_replica_trouble(config, {}, kinds);
  ASSERT_THAT(twice, SizeIs(1));
  EXPECT_EQ(twice[0].target, 7u);
  EXPECT_THAT(twice[0].what, HasSubstr("twice"));
}

TEST(DestinationKind, IsWhatTheKernelSays) {
  const auto kind = [](const char* address) { return destination_kind(*IpAddress::parse(address)); };
  EXPECT_EQ(kind("127.0.0.1"), DestinationKind::own);
  EXPECT_EQ(kind("127.3.2.1"), DestinationKind::own);
  EXPECT_EQ(kind("198.51.100.1"), DestinationKind::elsewhere);
  EXPECT_EQ(kind("2001:db8:77::1"), DestinationKind::elsewhere);
  EXPECT_EQ(kind("224.0.0.1"), DestinationKind::multicast);
  EXPECT_EQ(kind("239.1.2.3"), DestinationKind::multicast);
  EXPECT_EQ(kind("ff02::1"), DestinationKind::multicast);
  if (!can_make_namespaces()) GTEST_SKIP() << "needs root and ip(8)";
  in_child([&] {
    between_two_networks([] { return 0; }, [&](int) {
      // Where any address may be bound, none is ours for that.
      std::system("sysctl -w net.ipv4.ip_nonlocal_bind=1 >/dev/null 2>&1");
      std::system("ip addr add 192.0.2.12/24 dev wire");
      for (const char* own : {"192.0.2.10", "192.0.2.12", "2001:db8::10", "::1"}) EXPECT_EQ(kind(own), DestinationKind::own) << own;
      for (const char* broadcast : {"192.0.2.255", "255.255.255.255"})
        EXPECT_EQ(kind(broadcast), DestinationKind::broadcast) << broadcast;
      for (const char* other : {"192.0.2.20", "2001:db8::20", "203.0.113.1"})
        EXPECT_EQ(kind(other), DestinationKind::elsewhere) << other;
    });
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
