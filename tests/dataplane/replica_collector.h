// replica_collector.h — Another collector, in this network or in one behind a wire. Needs root and ip(8) for the second.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/socket_address.h"
#include "support/udp_collector.h"

namespace weir::dataplane::testing {

using Collector = test::UdpCollector;

inline SocketAddress at(const std::string& address, uint16_t port) { return {*IpAddress::parse(address), port}; }

/// This process's network is a new one, with 192.0.2.10 and 2001:db8::10; behind a wire is another, with .20 and ::20, in
/// which `body` may make sockets.
template <class There, class Here>
void between_two_networks(There there, Here here) {
  const auto run = [](const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; };
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  const int ours = open("/proc/self/ns/net", O_RDONLY);
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  const int theirs = open("/proc/self/ns/net", O_RDONLY);  // not closed by ip(8)
  ASSERT_EQ(setns(ours, CLONE_NEWNET), 0);
  ASSERT_TRUE(run("ip link set lo up") && run("ip link add wire type veth peer name end") &&
              run(fmt::format("ip link set end netns /proc/self/fd/{}", theirs)) && run("ip link set wire up") &&
              run("ip addr add 192.0.2.10/24 dev wire") && run("ip addr add 2001:db8::10/64 dev wire nodad"));
  ASSERT_EQ(setns(theirs, CLONE_NEWNET), 0);
  ASSERT_TRUE(run("ip link set lo up") && run("ip link set end up") && run("ip addr add 192.0.2.20/24 dev end") &&
              run("ip addr add 2001:db8::20/64 dev end nodad"));
  run("sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.end.rp_filter=0");
  auto collectors = there();
  ASSERT_EQ(setns(ours, CLONE_NEWNET), 0);
  here(collectors);
  close(ours);
  close(theirs);
}

}  // namespace weir::dataplane::testing
