// net_af_xdp over a veth pair with our own XDP program. Needs root.
#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/placement.h"
#include "two_hosts.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// The kernel's own addresses on the interface that the port takes datagrams from.
bool give_kernel_addresses(const TwoHosts& hosts) {
  return hosts.here("ip addr add 192.0.2.2/24 dev port") && hosts.here("ip addr add 2001:db8::2/64 dev port nodad");
}

bool has_program(const TwoHosts& hosts) { return hosts.here("ip link show port | grep -w prog/xdp"); }
/// The interface takes frames for other MAC addresses, as somebody asked for, by flag or not.
bool is_promiscuous(const TwoHosts& hosts) { return !hosts.here("ip -d link show port | grep -w 'promiscuity 0'"); }

TEST(AfXdpPort, TakesItsListenersDatagramsAndLeavesTheKernelTheRest) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    ASSERT_TRUE(give_kernel_addresses(hosts));
    auto plane = started(xdp_collector());
    ASSERT_NE(plane, nullptr);
    EXPECT_TRUE(has_program(hosts));
    KernelSocket of_listener(kNetflowPort), other(9'999);
    Collected collected;
    constexpr uint64_t kEach = 200;
    for (uint64_t i = 0; i < kEach; ++i) {
      ASSERT_TRUE(hosts.send(v5_datagram(3)));
      ASSERT_TRUE(hosts.send(v5_datagram(1), 9'999));
      ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == i + 1; }));
    }
    EXPECT_TRUE(hosts.there("ping -n -c3 -i0.05 -W5 192.0.2.2")) << "ARP and ICMP are the kernel's";
    EXPECT_TRUE(hosts.there("ping -n -c3 -i0.05 -W5 2001:db8::2")) << "as is neighbour discovery";
    EXPECT_TRUE(run_until(*plane, collected, [&] { return other.received() == kEach; }));
    EXPECT_EQ(of_listener.received(), 0u);
    // Longer than a frame: nobody but Weir gets the parts.
    ASSERT_TRUE(hosts.send(long_export(500)));
    EXPECT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == kEach + 1; }));
    stop(*plane, collected);
    EXPECT_EQ(collected.records, 3 * kEach + 500);
    EXPECT_EQ(plane->pipeline(0).ledger().verdicts[packet::FrameVerdict::not_ip], 0u);
    EXPECT_EQ(plane->pipeline(0).ledger().no_listener, 0u);
    EXPECT_FALSE(has_program(hosts));
    expect_ledger(*plane);
  });
}

TEST(AfXdpPort, LeavesTheKernelItsOwnFragments) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    ASSERT_TRUE(give_kernel_addresses(hosts));
    auto plane = started(xdp_collector());
    ASSERT_NE(plane, nullptr);
    Collected collected;
    KernelSocket host(9'999);
    constexpr uint64_t kRounds = 20, kOctets = 4000, kRecords = 500;
    for (uint64_t i = 1; i <= kRounds; ++i) {
      ASSERT_TRUE(hosts.send(long_export(kRecords)));
      ASSERT_TRUE(hosts.send(lab::zeros(kOctets), 9'999));
      ASSERT_TRUE(hosts.send6(lab::zeros(kOctets), 9'999));
      ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == i && host.received() == 2 * i; }))
          << i << ": " << datagrams(*plane) << " and " << host.received();
    }
    EXPECT_EQ(host.octets(), 2 * kRounds * kOctets);
    EXPECT_TRUE(hosts.there("ping -n -s 4000 -c3 -i0.05 -W5 192.0.2.2"));
    EXPECT_TRUE(hosts.there("ping -n -s 4000 -c3 -i0.05 -W5 2001:db8::2"));
    stop(*plane, collected);
    EXPECT_EQ(collected.records, kRounds * kRecords);
    const Ledger ledger = plane->pipeline(0).ledger();
    EXPECT_EQ(ledger.frames, ledger.verdicts[packet::FrameVerdict::fragment]) << "nothing else came to us";
    EXPECT_EQ(ledger.fragments.total(), ledger.fragments[packet::FragmentOutcome::joined]);
    EXPECT_EQ(ledger.no_listener, 0u);
    expect_ledger(*plane);
  });
}

TEST(AfXdpPort, LeavesTheKernelFragmentsThatComeBeforeTheirFirstFromWhoDoesNotExport) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    ASSERT_TRUE(hosts.here("ip link set port address 02:00:00:00:00:42"));
    ASSERT_TRUE(give_kernel_addresses(hosts));
    StandingClock clock;  // no fragment waits too long but where it is to
    auto plane = started(xdp_collector());
    ASSERT_NE(plane, nullptr);
    Collected collected;
    KernelSocket host(9'999);
    const RawSender wire(hosts);
    // The first fragment last; how many there were.
    const auto send_backwards = [&](const char* source, uint16_t port, const lab::Octets& payload) {
      const lab::UdpEnds ends = {source, "192.0.2.2", 40'000, port};
      const auto pieces = lab::fragment_packets(ends, 77, lab::udp_segment(ends, payload), 1448);
      for (size_t i = pieces.size(); i-- > 0;) {
        lab::Octets frame = lab::ethernet(lab::kEtherTypeIpv4, pieces[i]);
        std::copy_n(lab::Octets{2, 0, 0, 0, 0, 0x42}.begin(), 6, frame.begin());
        EXPECT_TRUE(wire.send(frame));
      }
      return pieces.size();
    };
    ASSERT_TRUE(hosts.send(v5_datagram(1)));
    ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == 1; }));
    for (uint64_t i = 1; i <= 5; ++i) {
      send_backwards("192.0.2.9", 9'999, lab::zeros(4000));
      ASSERT_TRUE(run_until(*plane, collected, [&] { return host.received() == i; })) << i;
    }
    const size_t pieces = send_backwards("192.0.2.1", kNetflowPort, long_export(500));
    EXPECT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == 2; })) << "of an exporter: in any order";
    EXPECT_EQ(frames(*plane), 1 + pieces) << "none of the host's came to us";
    // What an exporter sends to the host so is lost to it, and counted: the first goes to the kernel, the others came to us.
    const size_t of_host = send_backwards("192.0.2.1", 9'999, lab::zeros(4000));
    const auto expired = [&] { return plane->pipeline(0).ledger().fragments[packet::FragmentOutcome::expired]; };
    EXPECT_TRUE(run_until(*plane, collected, [&] { return frames(*plane) == pieces + of_host; }));
    EXPECT_EQ(expired(), 0u);
    clock.pass(3 * kNsPerSec);
    EXPECT_TRUE(run_until(*plane, collected, [&] { return expired() == of_host - 1; }));
    ASSERT_TRUE(hosts.send(lab::zeros(4000), 9'999));
    EXPECT_TRUE(run_until(*plane, collected, [&] { return host.received() == 6; })) << "in their order they are the host's, as anybody's";
    stop(*plane, collected);
    EXPECT_EQ(host.received(), 6u);
    EXPECT_EQ(collected.records, 501u);
    expect_ledger(*plane);
  });
}

TEST(AfXdpPort, FollowsItsListenersWhenTheyChange) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    ASSERT_TRUE(give_kernel_addresses(hosts));
    DataPlaneConfig config = xdp_collector();
    auto plane = started(config);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    KernelSocket first(kNetflowPort), second(9'995);
    ASSERT_TRUE(hosts.send(v5_datagram(1)));
    ASSERT_TRUE(hosts.send(v5_datagram(1), 9'995));
    ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == 1 && second.received() == 1; }));

    config.pipeline.listeners[0].port = 0;
    config.pipeline.listeners.push_back({.name = "other", .port = 9'995, .route = {}, .rules = {}});
    const auto settled = [&] {
      const RoleScope role(control_thread);
      return plane->settle_change();
    };
    {
      const RoleScope role(control_thread);
      const Result<void> changed = plane->change(config);
      ASSERT_TRUE(changed) << changed.error().message;
    }
    ASSERT_TRUE(run_until(*plane, collected, settled));
    ASSERT_TRUE(hosts.send(v5_datagram(1)));
    ASSERT_TRUE(hosts.send(v5_datagram(1), 9'995));
    EXPECT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == 2 && first.received() == 1; }));
    EXPECT_EQ(second.received(), 1u);
    stop(*plane, collected);
  });
}

/// Makes that map of this process one that only the kernel may write to.
bool freeze_map(const std::string& name) {
  for (int fd = 3; fd < 1024; ++fd) {
    bpf_map_info info{};
    uint32_t octets = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &octets) == 0 && info.name == name) return bpf_map_freeze(fd) == 0;
  }
  return false;
}

TEST(AfXdpPort, SaysThatAPortWhichIsListenedToNoMoreIsStillKeptFromTheKernel) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    DataPlaneConfig config = xdp_collector();
    auto plane = started(config);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    EXPECT_THAT(stats(*plane).note, Not(HasSubstr("UDP port")));
    EXPECT_THAT(stats(*plane).note, HasSubstr("copies frames: no zero copy")) << "a veth has none for who receives by copies";
    ASSERT_TRUE(freeze_map("weir_ports"));
    config.pipeline.listeners[0].port = 0;
    {
      const RoleScope role(control_thread);
      ASSERT_TRUE(plane->change(config));
    }
    ASSERT_TRUE(run_until(*plane, collected, [&] {
      const RoleScope role(control_thread);
      return plane->settle_change();
    }));
    EXPECT_THAT(stats(*plane).note, HasSubstr("interface port: XDP UDP port 2055 is kept from the kernel still: "));
    stop(*plane, collected);
  });
}

TEST(AfXdpPort, LeavesNothingBehindHoweverItEnds) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    const pid_t child = fork();
    if (child == 0) {
      const auto plane = started(xdp_collector());
      _exit(plane != nullptr && has_program(hosts) && is_promiscuous(hosts) && kill(getpid(), SIGKILL) == 0 ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    Collected nothing;
    const uint64_t give_up_ns = steady_clock_ns() + 60 * kNsPerSec;
    while (has_program(hosts) && steady_clock_ns() < give_up_ns) usleep(10'000);
    EXPECT_FALSE(has_program(hosts));
    EXPECT_FALSE(is_promiscuous(hosts));
    // What others left, or an older Weir, goes when the driver starts.
    ASSERT_TRUE(hosts.here("ip link set port promisc on"));
    DataPlaneConfig config = xdp_collector();
    config.dpdk_ports[0].promiscuous = false;
    auto plane = started(config);
    ASSERT_NE(plane, nullptr) << "the next one starts";
    EXPECT_FALSE(is_promiscuous(hosts));
    stop(*plane, nothing);
  });
}

TEST(AfXdpPort, ServesEachQueueOfAVethByAPortOfItsOwn) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay(2));
    ASSERT_TRUE(give_kernel_addresses(hosts));
    DataPlaneConfig config = xdp_collector();
    config.dpdk_ports = {{.name = "a", .device = "net_af_xdp0,iface=port,start_queue=0,queue_count=1"},
                         {.name = "b", .device = "net_af_xdp1,iface=port,start_queue=1,queue_count=1"}};
    auto plane = started(config);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    // The sender's CPU is the queue.
    constexpr uint64_t kEach = 100;
    uint64_t sent = 0;
    for (const unsigned cpu : usable_cpus()) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
      for (uint64_t i = 0; i < kEach; ++i) {
        ASSERT_TRUE(hosts.send(v5_datagram(1)));
        ++sent;
        ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == sent; })) << "CPU " << cpu;
      }
    }
    stop(*plane, collected);
    EXPECT_EQ(collected.records, sent);
  });
}

/// Of a veth, which has no combined ones.
bool set_queues(int fd, const char* interface, uint32_t receive, uint32_t send) {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request{};
  std::strcpy(request.ifr_name, interface);
  request.ifr_data = reinterpret_cast<char*>(&channels);
  if (ioctl(fd, SIOCETHTOOL, &request) != 0) return false;
  channels.cmd = ETHTOOL_SCHANNELS;
  channels.rx_count = receive;
  channels.tx_count = send;
  return ioctl(fd, SIOCETHTOOL, &request) == 0;
}

TEST(AfXdpPort, SaysWhenItsInterfaceHasMoreQueuesThanAreServed) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay(2));
    const int here = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), there = hosts.socket_there(AF_INET, SOCK_DGRAM, 0);
    ASSERT_TRUE(set_queues(there, "exporter", 2, 1));
    ASSERT_TRUE(set_queues(here, "port", 1, 2));
    const auto plane = started(xdp_collector());
    ASSERT_NE(plane, nullptr);
    EXPECT_EQ(stats(*plane).trouble, "");
    ASSERT_TRUE(set_queues(here, "port", 2, 2));
    EXPECT_THAT(stats(*plane).trouble, HasSubstr("interface port has 2 receive queues now, and had 1 when Weir began"));
    EXPECT_TRUE(stats(*plane).link_up) << "the host is reached as before, and others' datagrams come";
    ASSERT_TRUE(set_queues(here, "port", 1, 2));
    EXPECT_EQ(stats(*plane).trouble, "");
    close(here);
    close(there);
  });
}

TEST(AfXdpPort, SaysWhenAnotherProgramIsOnTheInterface) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    const pid_t other = fork();
    if (other == 0) {
      const auto plane = started(xdp_collector());
      _exit(plane == nullptr ? 1 : (pause(), 0));
    }
    const uint64_t give_up_ns = steady_clock_ns() + 60 * kNsPerSec;
    while (!has_program(hosts) && steady_clock_ns() < give_up_ns) usleep(10'000);
    const RoleScope role(control_thread);
    const auto plane = DataPlane::create(xdp_collector());
    EXPECT_FALSE(plane);
    EXPECT_THAT(plane ? "nothing" : plane.error().message, HasSubstr("port wire: net_af_xdp0: another XDP program is on interface port"));
    kill(other, SIGKILL);
    waitpid(other, nullptr, 0);
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
