// What the host sends by the appliance's own interface: it goes out as fast as it comes, or is counted where the kernel had to drop it.
// Over a veth pair into another network namespace. Needs root.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/if_xdp.h>
#include <sys/stat.h>

#include <bit>
#include <cstdio>
#include <fstream>

#include "dataplane/driver_sockets.h"
#include "two_hosts.h"

namespace weir::dataplane::testing {
namespace {

constexpr uint16_t kNobodysPort = 3055;

/// By weir0, which has 192.0.2.2/24.
class HostSender {
 public:
  HostSender() : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(kNobodysPort);
    inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  }
  ~HostSender() { close(fd_); }
  /// ECONNREFUSED is about an earlier one.
  void send() const {
    const uint8_t payload[100] = {};
    while (::send(fd_, payload, sizeof payload, 0) < 0) {
    }
  }

 private:
  const int fd_;
};

std::unique_ptr<DataPlane> appliance(uint32_t to_wire_per_second) {
  DataPlaneConfig config = xdp_collector();
  config.dpdk_ports[0].exception = {.interface = "weir0",
                                    .addresses = {{*IpAddress::parse("192.0.2.2"), 24}},
                                    .to_wire_per_second = to_wire_per_second};
  return started(config);
}

ExceptionStats of(DataPlane& plane) { return *stats(plane).exception; }

TEST(ExceptionToTheWire, CountsWhatTheKernelDropsBeyondTheLimit) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    constexpr uint64_t kSent = 5000, kQueue = 1000;  // a TAP's, unless somebody sets another
    auto plane = appliance(100);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    ASSERT_TRUE(run_until(*plane, collected, [&] { return hosts.there("ping -n -c1 -W1 192.0.2.2"); }));
    const HostSender host;
    for (uint64_t i = 0; i < kSent; ++i) host.send();
    const ExceptionStats e = of(*plane);
    EXPECT_GT(e.dropped, kSent - kQueue - 500);
    EXPECT_GE(e.sent + e.not_sent + e.dropped + kQueue, kSent) << "some are in no counter";
    // They stay in the books when the interface is gone.
    ASSERT_TRUE(hosts.here("ip link delete weir0"));
    EXPECT_GE(of(*plane).dropped, e.dropped);
    stop(*plane, collected);
  });
}

TEST(ExceptionToTheWire, CountsOnlyWhatWasDroppedSinceItTookTheInterface) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    ASSERT_TRUE(hosts.here("ip tuntap add weir0 mode tap"));  // it outlives us
    in_child([&hosts] {
      auto plane = appliance(100);
      ASSERT_NE(plane, nullptr);
      Collected collected;
      ASSERT_TRUE(run_until(*plane, collected, [&] { return hosts.there("ping -n -c1 -W1 192.0.2.2"); }));
      const HostSender host;
      for (uint64_t i = 0; i < 3000; ++i) host.send();
      EXPECT_GT(of(*plane).dropped, 0u);
      stop(*plane, collected);
    });
    in_child([] {
      auto again = appliance(0);
      ASSERT_NE(again, nullptr);
      EXPECT_EQ(of(*again).dropped, 0u);
      Collected collected;
      stop(*again, collected);
    });
  });
}

// The driver sends from the pool that it receives with, and its buffers come round: each has to be one that the kernel takes.
TEST(ExceptionToTheWire, EveryFrameThatCountsAsSentArrives) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    auto plane = appliance(0);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    ASSERT_TRUE(run_until(*plane, collected, [&] { return hosts.there("ping -n -c1 -W1 192.0.2.2"); }));
    const int reader = hosts.socket_there(AF_INET, SOCK_DGRAM, 0);
    const int octets = 32 << 20;
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(kNobodysPort);
    ASSERT_EQ(setsockopt(reader, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets), 0);
    ASSERT_EQ(bind(reader, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    uint64_t arrived = 0;
    const auto read_all = [&] {
      for (uint8_t payload[200]; recv(reader, payload, sizeof payload, MSG_DONTWAIT) > 0;) ++arrived;
    };
    const HostSender host;
    constexpr uint64_t kFrames = 20'000, kTogether = 200;  // the pool has fewer, and queues on the way hold so many
    for (uint64_t sent = 0; sent < kFrames; sent += kTogether) {
      const uint64_t before = of(*plane).sent;
      for (uint64_t i = 0; i < kTogether; ++i) host.send();
      ASSERT_TRUE(run_until(*plane, collected, [&] { return of(*plane).sent >= before + kTogether; })) << "after " << sent;
      read_all();
    }
    run_until(*plane, collected, [&] { return read_all(), arrived >= kFrames; });
    EXPECT_EQ(arrived, kFrames);
    EXPECT_EQ(of(*plane).dropped, 0u);
    EXPECT_EQ(of(*plane).not_sent, 0u);
    close(reader);
    stop(*plane, collected);
  });
}

/// Has the driver's socket send a frame from where it has no memory.
void send_from_nowhere(int socket) {
  struct stat status {};
  xdp_mmap_offsets offsets{};
  socklen_t octets = sizeof offsets;
  ASSERT_EQ(fstat(socket, &status), 0);
  ASSERT_EQ(getsockopt(socket, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &octets), 0);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long from = 0, to = 0, at = 0, inode = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %*s %lx %*s %lu", &from, &to, &at, &inode) != 4) continue;
    if (inode != status.st_ino || at != XDP_PGOFF_TX_RING) continue;
    auto* const ring = reinterpret_cast<uint8_t*>(from);
    auto* const producer = reinterpret_cast<uint32_t*>(ring + offsets.tx.producer);
    auto* const places = reinterpret_cast<xdp_desc*>(ring + offsets.tx.desc);
    const uint64_t size = std::bit_floor((to - from - offsets.tx.desc) / sizeof(xdp_desc));
    places[*producer % size] = {.addr = uint64_t{1} << 40, .len = 60, .options = 0};
    __atomic_store_n(producer, *producer + 1, __ATOMIC_RELEASE);
    sendto(socket, nullptr, 0, MSG_DONTWAIT, nullptr, 0);
    return;
  }
  FAIL() << "the driver's ring was not found";
}

TEST(ExceptionToTheWire, CountsWhatTheKernelDoesNotTakeFromTheDriver) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    auto plane = appliance(0);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    ASSERT_TRUE(run_until(*plane, collected, [&] { return hosts.there("ping -n -c1 -W1 192.0.2.2"); }));
    const uint64_t sent = of(*plane).sent;
    EXPECT_GE(sent, 2u) << "ARP and the answer";
    EXPECT_EQ(of(*plane).invalid, 0u);
    const std::vector<int> sockets = open_sockets(AF_XDP);
    ASSERT_EQ(sockets.size(), 1u);
    for (int i = 0; i < 50; ++i) HostSender().send();  // some of it still under way
    // The driver does not know that its ring went on: what the host sends afterwards would be sent from anywhere.
    ASSERT_TRUE(hosts.here("ip link set weir0 down"));
    const auto& empty_polls = plane->pipeline(0).counters().empty_polls;
    const uint64_t polls = empty_polls.value();
    ASSERT_TRUE(run_until(*plane, collected, [&] { return empty_polls.value() > polls + 100; })) << "what it had sent before is not on its way";
    send_from_nowhere(sockets[0]);
    EXPECT_TRUE(run_until(*plane, collected, [&] { return of(*plane).invalid == 1; }));
    EXPECT_GE(of(*plane).sent, sent) << "what was told does not fall";
    stop(*plane, collected);
    EXPECT_EQ(of(*plane).invalid, 1u) << "nor is it forgotten with the socket";
  });
}

TEST(ExceptionToTheWire, IsNotBoundedAsWhatGoesToTheKernelIs) {
  SKIP_WITHOUT_ROOT();
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "25,000 frames a second are too many with sanitizers";
#endif
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    auto plane = appliance(0);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    ASSERT_TRUE(run_until(*plane, collected, [&] { return hosts.there("ping -n -c1 -W1 192.0.2.2"); }));
    const HostSender host;
    constexpr uint64_t kRate = 25'000;  // 10,000 go to the kernel
    constexpr int kTries = 10;          // others may want this machine's CPUs, too
    std::string said;
    bool is_right = false;
    for (int i = 0; i < kTries && !is_right; ++i) {
      const uint64_t dropped = of(*plane).dropped, before = of(*plane).sent, begin_ns = steady_clock_ns();
      uint64_t sent = 0, elapsed_ns = 0;
      while ((elapsed_ns = steady_clock_ns() - begin_ns) < kNsPerSec / 2) {
        for (; sent < elapsed_ns * kRate / kNsPerSec; ++sent) host.send();
        usleep(200);
      }
      run_until(*plane, collected, [&] { return of(*plane).sent - before + of(*plane).dropped - dropped >= sent; });
      is_right = of(*plane).dropped == dropped;
      said += fmt::format("{} of {} dropped\n", of(*plane).dropped - dropped, sent);
    }
    EXPECT_TRUE(is_right) << said;
    EXPECT_EQ(of(*plane).not_sent, 0u);
    stop(*plane, collected);
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
