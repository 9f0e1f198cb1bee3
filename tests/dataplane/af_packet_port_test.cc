// net_af_packet over a veth pair, in a network namespace of the test's own. Needs root.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <fstream>

#include "support.h"

namespace weir::dataplane::testing {
namespace {

using packet::FrameVerdict;
using ::testing::HasSubstr;
using ::testing::Not;

#define SKIP_WITHOUT_ROOT()   \
  if (!can_make_namespaces()) \
  GTEST_SKIP() << "needs root and ip(8): a network namespace and a veth pair"

bool run(const char* command) { return std::system(command) == 0; }

/// In a namespace of its own: `port` has no address and is the collector's; datagrams to 192.0.2.2
/// leave by `exporter` and arrive there. Nothing else is on the wire.
class Wire {
 public:
  bool lay(const char* exporter_mtu) {
    if (unshare(CLONE_NEWNET) != 0) return false;
    allow_ipv6(false);
    const std::string mtu = exporter_mtu;
    return run("ip link add port type veth peer name exporter") &&
           run(("ip link set port up mtu " + mtu).c_str()) &&
           run(("ip link set exporter up mtu " + mtu).c_str()) &&
           run("ip addr add 192.0.2.1/24 dev exporter") &&
           run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev exporter nud permanent") &&
           open_sender();
  }
  ~Wire() {
    if (fd_ >= 0) close(fd_);
  }

  /// One datagram over IPv6, which the kernel cuts where it is longer than the wire's frames. First the wire
  /// has no IPv6, or the kernel's own messages would be on it.
  bool send_by_ipv6(const lab::Octets& payload) const {
    allow_ipv6(true);
    if (!run("ip addr replace 2001:db8::1/64 dev exporter nodad && ip neigh replace 2001:db8::2 lladdr "
             "02:00:00:00:00:02 dev exporter nud permanent"))
      return false;
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(kNetflowPort);
    inet_pton(AF_INET6, "2001:db8::2", &to.sin6_addr);
    const ssize_t sent = sendto(fd, payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
    close(fd);
    return sent == static_cast<ssize_t>(payload.size());
  }
  bool send(const lab::Octets& payload, const char* collector = "192.0.2.2") const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(kNetflowPort);
    inet_pton(AF_INET, collector, &to.sin_addr);
    return sendto(fd_, payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&to),
                  sizeof to) == static_cast<ssize_t>(payload.size());
  }
  /// From another source port each time.
  bool send_as_new_exporter(const lab::Octets& payload) {
    close(fd_);
    return open_sender() && send(payload);
  }
  /// What this host itself sends to another collector by the port's own interface.
  bool send_out_of_port(const lab::Octets& payload) const {
    return run("ip addr replace 198.51.100.1/24 dev port && ip neigh replace 198.51.100.9 lladdr "
               "02:00:00:00:00:09 dev port nud permanent") &&
           send(payload, "198.51.100.9");
  }
  /// Somebody wants frames for all addresses.
  bool is_promiscuous() const { return !run("ip -d link show port | grep -w 'promiscuity 0'"); }

 private:
  static void allow_ipv6(bool allowed) {
    for (const char* which : {"all", "default", "port", "exporter"}) {
      std::ofstream(std::string("/proc/sys/net/ipv6/conf/") + which + "/disable_ipv6") << (allowed ? "0" : "1");
    }
  }
  bool open_sender() {
    fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int octets = 8 << 20;
    return fd_ >= 0 && setsockopt(fd_, SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof octets) == 0;
  }
  int fd_ = -1;
};

std::unique_ptr<DataPlane> created(const std::string& device, uint16_t queues = 1) {
  const RoleScope role(control_thread);
  DataPlaneConfig config;
  config.eal.memory_mb = 128;
  config.eal.log = [](EalLogLevel, std::string_view) {};
  config.dpdk_ports.push_back({.name = "wire", .device = device, .queues = queues});
  config.pipeline = netflow_pipeline();
  config.pipeline.batcher.buffers = 256;
  Result<std::unique_ptr<DataPlane>> plane = DataPlane::create(config);
  EXPECT_TRUE(plane) << plane.error().message;
  return plane ? std::move(*plane) : nullptr;
}

void start(DataPlane& plane) {
  const RoleScope role(control_thread);
  const Result<void> started = plane.start();
  ASSERT_TRUE(started) << started.error().message;
}

PortStats stats(DataPlane& plane) {
  const RoleScope role(control_thread);
  return plane.port_stats().at(0);
}

/// A v9 datagram that decodes only if all of it is there: 12 octets a record.
lab::Octets large_datagram(size_t records) {
  return lab::NetflowV9Builder{}
      .unix_secs(1'700'000'000)
      .templates({{.id = 256, .fields = {{8, 4}, {12, 4}, {1, 4}}}})
      .data(256, std::vector<lab::Record>(
                     records, {lab::ipv4("192.0.2.1"), lab::ipv4("198.51.100.2"), lab::u32(1500)}))
      .build();
}

TEST(TapPort, DoesNotSayThatItsQueuesAreSpreadByAddress) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    const auto plane = created("net_tap0", 2);
    ASSERT_NE(plane, nullptr);
    EXPECT_THAT(stats(*plane).note, HasSubstr("no RSS on addresses"));
  });
}

TEST(AfPacketPort, TakesEveryDatagramFromTheWire) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    Wire wire;
    ASSERT_TRUE(wire.lay("1500"));
    auto plane = created("net_af_packet0,iface=port");
    ASSERT_NE(plane, nullptr);
    start(*plane);
    EXPECT_TRUE(wire.is_promiscuous());
    Collected collected;
    constexpr uint64_t kRounds = 20, kDatagrams = 200;
    for (uint64_t round = 1; round <= kRounds;
         ++round) {  // with quiet times, in which the core waits
      for (uint64_t i = 0; i < kDatagrams; ++i) ASSERT_TRUE(wire.send(v5_datagram(30)));
      ASSERT_TRUE(
          run_until(*plane, collected, [&] { return datagrams(*plane) == round * kDatagrams; }));
    }
    EXPECT_GT(plane->pipeline(0).counters().sleeps.value(), 0u);
    EXPECT_TRUE(stats(*plane).link_up);
    stop(*plane, collected);
    EXPECT_EQ(collected.records, kRounds * kDatagrams * 30);
    const PortStats port = stats(*plane);
    EXPECT_EQ(port.driver, "net_af_packet");
    EXPECT_EQ(port.packets, kRounds * kDatagrams);
    EXPECT_EQ(port.missed, 0u);
    EXPECT_FALSE(wire.is_promiscuous());
    expect_ledger(*plane);
  });
}

TEST(AfPacketPort, ReceivesJumboFramesWholeAndCountsWhatTheRingCuts) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    Wire wire;
    ASSERT_TRUE(wire.lay("9000"));
    auto plane = created("net_af_packet0,iface=port");
    ASSERT_NE(plane, nullptr);
    start(*plane);
    Collected collected;
    ASSERT_TRUE(wire.send(large_datagram(740)));  // about 8,900 octets: one frame
    ASSERT_TRUE(run_until(*plane, collected, [&] { return frames(*plane) == 1; }));
    // Fragments that the kernel puts together, longer than a frame of the ring: cut, and counted.
    ASSERT_TRUE(wire.send(large_datagram(4000)));
    ASSERT_TRUE(run_until(*plane, collected, [&] { return frames(*plane) == 2; }));
    stop(*plane, collected);
    EXPECT_EQ(collected.records, 740u);
    EXPECT_EQ(plane->pipeline(0).counters().verdicts[FrameVerdict::udp].value(), 1u);
    EXPECT_EQ(plane->pipeline(0).counters().verdicts[FrameVerdict::truncated_ip].value(), 1u);
  });
}

TEST(AfPacketPort, PutsTogetherWhatTheKernelLeavesInFragments) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    Wire wire;
    ASSERT_TRUE(wire.lay("1500"));
    auto plane = created("net_af_packet0,iface=port");
    ASSERT_NE(plane, nullptr);
    start(*plane);
    Collected collected;
    // Of a router's own making: the sending kernel cuts it. Both go up to 64 KiB.
    ASSERT_TRUE(wire.send_by_ipv6(large_datagram(740)));
    ASSERT_TRUE(wire.send_by_ipv6(large_datagram(5400)));
    ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == 2; }));
    stop(*plane, collected);
    EXPECT_EQ(collected.records, 740u + 5400u);
    const dataplane::Ledger ledger = plane->pipeline(0).ledger();
    EXPECT_EQ(ledger.reassembled[FrameVerdict::udp], 2u);
    EXPECT_GE(ledger.verdicts[FrameVerdict::fragment], 7u + 45u);
    EXPECT_THAT(ledger.discrepancies(), ::testing::IsEmpty());
  });
}

TEST(AfPacketPort, CountsWhatTheKernelDroppedBeforeUs) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    Wire wire;
    ASSERT_TRUE(wire.lay("1500"));
    auto plane = created("net_af_packet0,iface=port,framecnt=256");
    ASSERT_NE(plane, nullptr);
    constexpr uint64_t kSent = 1000;  // more than the ring holds, and nobody takes them yet
    for (uint64_t i = 0; i < kSent; ++i) ASSERT_TRUE(wire.send(v5_datagram(1)));
    start(*plane);
    Collected collected;
    ASSERT_TRUE(run_until(*plane, collected, [&] {
      return stats(*plane).packets + stats(*plane).missed.value_or(0) == kSent;
    }));
    EXPECT_GT(stats(*plane).missed.value_or(0), 0u);
    EXPECT_GT(frames(*plane), 0u);
    stop(*plane, collected);
    const PortStats port = stats(*plane);
    EXPECT_EQ(port.packets + port.missed.value_or(0), kSent)
        << "also after the driver closed its socket";
    EXPECT_EQ(port.packets, frames(*plane));
  });
}

TEST(AfPacketPort, ServesEachQueueOnACoreOfItsOwn) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    Wire wire;
    ASSERT_TRUE(wire.lay("1500"));
    auto plane = created("net_af_packet0,iface=port", 2);
    ASSERT_NE(plane, nullptr);
    ASSERT_EQ(plane->cores().size(), 2u);
    EXPECT_THAT(stats(*plane).note, HasSubstr("no RSS on addresses"));
    start(*plane);
    Collected collected;
    constexpr uint64_t kSent = 500;
    for (uint64_t i = 0; i < kSent; ++i) ASSERT_TRUE(wire.send(v5_datagram(2)));
    ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == kSent; }));
    stop(*plane, collected);
    EXPECT_EQ(collected.records, 2 * kSent);
    expect_ledger(*plane);
  });
}

TEST(AfPacketPort, ServesAllQueuesThatTheDeviceTextAsksFor) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    Wire wire;
    ASSERT_TRUE(wire.lay("1500"));
    auto plane = created("net_af_packet0,iface=port,qpairs=2");
    ASSERT_NE(plane, nullptr);
    EXPECT_EQ(plane->cores().size(), 1u);
    EXPECT_EQ(plane->cores()[0].serves, "wire queue 0, wire queue 1");
    EXPECT_THAT(stats(*plane).note, Not(HasSubstr("several cores")));
    start(*plane);
    Collected collected;
    constexpr uint64_t kSent = 200;  // over both queues
    for (uint64_t i = 0; i < kSent; ++i) ASSERT_TRUE(wire.send_as_new_exporter(v5_datagram(2)));
    ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == kSent; }));
    stop(*plane, collected);
    EXPECT_EQ(collected.records, 2 * kSent);
    EXPECT_EQ(stats(*plane).missed, 0u);
    expect_ledger(*plane);
  });
}

TEST(AfPacketPort, LeavesWhatTheHostItselfSends) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    Wire wire;
    ASSERT_TRUE(wire.lay("1500"));
    auto plane = created("net_af_packet0,iface=port", 2);
    ASSERT_NE(plane, nullptr);
    EXPECT_THAT(stats(*plane).note, Not(HasSubstr("this host itself sends")));
    start(*plane);
    Collected collected;
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(wire.send_out_of_port(v5_datagram(1)));
    for (int i = 0; i < 7; ++i) ASSERT_TRUE(wire.send(v5_datagram(1)));
    ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) >= 7; }));
    stop(*plane, collected);
    EXPECT_EQ(stats(*plane).packets, 7u);
    EXPECT_EQ(collected.records, 7u);
  });
}

TEST(AfPacketPort, OutlivesItsInterfaceGoingDownAndUp) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    Wire wire;
    ASSERT_TRUE(wire.lay("1500"));
    auto plane = created("net_af_packet0,iface=port");
    ASSERT_NE(plane, nullptr);
    start(*plane);
    Collected collected;
    ASSERT_TRUE(wire.send(v5_datagram(1)));
    ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == 1; }));
    ASSERT_TRUE(run("ip link set port down"));
    const uint64_t sleeps = plane->pipeline(0).counters().sleeps.value();
    ASSERT_TRUE(run_until(*plane, collected, [&] {
      return plane->pipeline(0).counters().sleeps.value() > sleeps + 2;
    }));
    EXPECT_FALSE(stats(*plane).link_up);
    EXPECT_EQ(stats(*plane).trouble, "interface port is down");
    ASSERT_TRUE(run("ip link set port up"));
    ASSERT_TRUE(run_until(*plane, collected,
                          [&] { return wire.send(v5_datagram(1)) && datagrams(*plane) > 1; }));
    EXPECT_TRUE(stats(*plane).link_up);
    EXPECT_EQ(stats(*plane).trouble, "");
    stop(*plane, collected);
    expect_ledger(*plane);
  });
}

TEST(AfPacketPort, SaysWhenItsInterfaceIsGoneOrMadeAnew) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    Wire wire;
    ASSERT_TRUE(wire.lay("1500"));
    auto plane = created("net_af_packet0,iface=port");
    ASSERT_NE(plane, nullptr);
    start(*plane);
    Collected collected;
    ASSERT_TRUE(wire.send(v5_datagram(1)));
    ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == 1; }));
    ASSERT_TRUE(run("ip link delete port"));
    EXPECT_FALSE(stats(*plane).link_up);
    EXPECT_EQ(stats(*plane).trouble, "interface port is gone");
    ASSERT_TRUE(run("ip link add port type veth peer name other"));
    ASSERT_TRUE(run("ip link set port up"));
    EXPECT_FALSE(stats(*plane).link_up);
    EXPECT_EQ(stats(*plane).trouble,
              "interface port was made anew: restart to receive from it");
    stop(*plane, collected);
    expect_ledger(*plane);
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
