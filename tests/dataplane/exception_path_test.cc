// The appliance's own address by the device that it receives from: over a veth pair into another network namespace,
// whose kernel knows of nothing else to speak to. Needs root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/byte_order.h"
#include "dataplane/plane_check.h"
#include "exception_appliance.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::HasSubstr;
using Outcome = ExceptionOutcome;

constexpr uint64_t kPatientNs = 60 * kNsPerSec;  // fragments wait: who sends them, or is sent them, may be held up

void expect_answers_while_export_arrives(uint16_t workers) {
  in_child([workers] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    ExceptionConfig exception = with_addresses();
    exception.addresses.push_back({*IpAddress::parse("192.0.2.3"), 24});
    exception.addresses.push_back({*IpAddress::parse("2001:db8::3"), 64});
    DataPlaneConfig config = appliance(exception);
    config.dpdk_ports[0].workers = workers;
    auto plane = started(config);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    // Nobody but the appliance's own kernel can answer for 192.0.2.2: its interface has this address, the wire none.
    ASSERT_TRUE(is_found(hosts, *plane, collected, "ping -n -c1 -W1 192.0.2.2"));
    ASSERT_TRUE(is_found(hosts, *plane, collected, "ping -n -c1 -W1 2001:db8::2"));
    ExportStream exports(hosts, *plane);
    std::atomic<bool> all_answered = false;
    std::thread pings([&] {
      // Addresses that the other side has yet to find.
      all_answered = hosts.there("ping -n -c20 -i0.05 -W5 192.0.2.3") && hosts.there("ping -n -c20 -i0.05 -W5 2001:db8::3") &&
                     hosts.there("ping -n -s 4000 -c3 -i0.05 -W5 192.0.2.2");
    });
    EXPECT_TRUE(run_until(*plane, collected, [&] { return all_answered && exports.sent() > 1000; }));
    pings.join();
    const uint64_t sent = exports.stop();
    EXPECT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == sent; })) << "some were lost";
    stop(*plane, collected);
    EXPECT_EQ(collected.records, sent);
    EXPECT_EQ(stats(*plane).missed, 0u);
    EXPECT_EQ(stats(*plane).exception->not_sent, 0u);
    EXPECT_GE(stats(*plane).exception->sent, 40u);
    expect_books(*plane);
    expect_ledger(*plane);
    if (workers == 0) return;
    EXPECT_EQ(plane->pipeline(0).counters().datagrams.value(), 0u);
    EXPECT_GT(plane->pipeline(0).counters().exceptions[Outcome::passed].value(), 40u) << "who receives serves the kernel";
  });
}

TEST(ExceptionPath, AnswersNeighboursAndPingWhileExportArrives) {
  SKIP_WITHOUT_ROOT();
  expect_answers_while_export_arrives(0);
}

TEST(ExceptionPath, AnswersLikewiseWhereWorkersDecode) {
  SKIP_WITHOUT_ROOT();
  expect_answers_while_export_arrives(2);
}

void expect_fragments_of_both(uint16_t workers) {
  in_child([workers] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    DataPlaneConfig config = appliance(with_addresses());
    config.dpdk_ports[0].workers = workers;
    config.pipeline.reassembly.timeout_ns = kPatientNs;
    auto plane = started(config);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    ASSERT_TRUE(is_found(hosts, *plane, collected, "ping -n -c1 -W1 192.0.2.2"));
    ASSERT_TRUE(is_found(hosts, *plane, collected, "ping -n -c1 -W1 2001:db8::2"));
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
    ASSERT_TRUE(hosts.send(lab::zeros(60'000), 9'999));
    EXPECT_TRUE(run_until(*plane, collected, [&] { return host.received() == 2 * kRounds + 1; }));
    EXPECT_TRUE(hosts.there("ping -n -s 20000 -c3 -i0.05 -W5 192.0.2.2"));
    EXPECT_TRUE(hosts.there("ping -n -s 20000 -c3 -i0.05 -W5 2001:db8::2"));
    stop(*plane, collected);
    EXPECT_EQ(collected.records, kRounds * kRecords);
    EXPECT_EQ(sum(*plane, [](Pipeline& p) { return p.ledger().fragments[packet::FragmentOutcome::no_listener]; }),
              2 * kRounds * 3 + 41);
    EXPECT_EQ(outcome(*plane, Outcome::joined), 0u);
    expect_books(*plane);
    expect_ledger(*plane);
  });
}

TEST(ExceptionPath, GivesTheHostItsFragmentsBesideThoseOfExport) {
  SKIP_WITHOUT_ROOT();
  expect_fragments_of_both(0);
}

TEST(ExceptionPath, GivesTheHostItsFragmentsWhereWorkersDecode) {
  SKIP_WITHOUT_ROOT();
  expect_fragments_of_both(2);
}

TEST(ExceptionPath, CarriesTcpBothWays) {
  SKIP_WITHOUT_ROOT();
  with_appliance(with_addresses(), [](const TwoHosts& hosts, DataPlane&, Collected&) {
    const int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(179);
    ASSERT_EQ(bind(listening, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    ASSERT_EQ(listen(listening, 1), 0);
    constexpr size_t kOctets = 2'000'000;
    bool is_sent = false;
    std::thread client([&] {
      is_sent = hosts.there("bash -c 'head -c 2000000 /dev/zero >/dev/tcp/192.0.2.2/179'");
    });
    const int fd = accept(listening, nullptr, nullptr);
    ASSERT_GE(fd, 0);
    size_t received = 0;
    char octets[4096];
    for (ssize_t n; (n = read(fd, octets, sizeof octets)) > 0;) received += static_cast<size_t>(n);
    client.join();
    EXPECT_TRUE(is_sent);
    EXPECT_EQ(received, kOctets);
    close(fd);
    close(listening);
  });
}

TEST(ExceptionPath, TakesSessionsAtItsOwnAddressesAlthoughTheyComeAfterTheSockets) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    ASSERT_TRUE(hosts.here("ip link set lo up"));  // a kernel that has never had an address binds to any
    DataPlaneConfig config = appliance(with_addresses());
    constexpr uint16_t kPort = 4739;
    for (const char* address : {"192.0.2.2", "2001:db8::2"})
      for (const Transport transport : {Transport::udp, Transport::tcp})
        config.socket_ports.push_back({.name = address,
                                       .address = *IpAddress::parse(address),
                                       .port = kPort,
                                       .listener = {0},
                                       .transport = transport,
                                       .address_comes_later = true});
    {
      DataPlaneConfig mistyped = config;
      mistyped.socket_ports[1].address_comes_later = false;
      const auto found = try_sockets(mistyped);
      ASSERT_EQ(found.size(), 1u);
      EXPECT_THAT(found[0].what, HasSubstr("TCP 192.0.2.2:4739: Cannot assign requested address (no interface has it, nor"));
    }
    auto plane = started(config);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    ASSERT_TRUE(is_found(hosts, *plane, collected, "ping -n -c1 -W1 192.0.2.2"));
    ASSERT_TRUE(is_found(hosts, *plane, collected, "ping -n -c1 -W1 2001:db8::2"));
    const lab::Octets message = lab::IpfixBuilder{}
                                    .export_time(1'700'000'000)
                                    .templates({{.id = 256, .fields = {{8, 4}, {1, 4}}}})
                                    .data(256, std::vector<lab::Record>(5, {lab::u32(1), lab::u32(100)}))
                                    .build();
    const auto session = [&](int family, const sockaddr* to, socklen_t octets) {
      const int fd = hosts.socket_there(family, SOCK_STREAM, 0);
      EXPECT_EQ(connect(fd, to, octets), 0) << std::strerror(errno);
      EXPECT_EQ(::send(fd, message.data(), message.size(), MSG_NOSIGNAL), static_cast<ssize_t>(message.size()));
      return fd;
    };
    sockaddr_in to4{};
    to4.sin_family = AF_INET;
    to4.sin_port = htons(kPort);
    inet_pton(AF_INET, "192.0.2.2", &to4.sin_addr);
    sockaddr_in6 to6{};
    to6.sin6_family = AF_INET6;
    to6.sin6_port = htons(kPort);
    inet_pton(AF_INET6, "2001:db8::2", &to6.sin6_addr);
    const int v4 = session(AF_INET, reinterpret_cast<const sockaddr*>(&to4), sizeof to4);
    const int v6 = session(AF_INET6, reinterpret_cast<const sockaddr*>(&to6), sizeof to6);
    EXPECT_TRUE(run_until(*plane, collected, [&] { return records_decoded(*plane) == 10; })) << records_decoded(*plane);
    close(v4);
    close(v6);
    stop(*plane, collected);
    expect_books(*plane);
  });
}

TEST(ExceptionPath, LetsNoFloodOfOtherFramesTakeRoomFromExport) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    ExceptionConfig exception = with_addresses();
    exception.frames_per_second = 100;
    auto plane = started(appliance(exception));
    ASSERT_NE(plane, nullptr);
    Collected collected;
    ASSERT_TRUE(is_found(hosts, *plane, collected, "ping -n -c1 -W1 192.0.2.2"));
    constexpr uint64_t kFlood = 20'000, kEach = 4;  // others for each datagram of export
    const lab::Octets payload = v5_datagram(1);
    uint64_t sent = 0, flooded = 0;
    const auto is_taken = [&] {
      return outcome(*plane, Outcome::rate_limited) + outcome(*plane, Outcome::no_room) +
                 outcome(*plane, Outcome::passed) + datagrams(*plane) + 64 >= sent + flooded;
    };
    while (flooded < kFlood) {
      for (uint64_t i = 0; i < kEach; ++i) flooded += hosts.send(payload, 9) ? 1 : 0;
      sent += hosts.send(payload) ? 1 : 0;
      ASSERT_TRUE(run_until(*plane, collected, is_taken));
    }
    EXPECT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) == sent; })) << "some were lost";
    EXPECT_GT(outcome(*plane, Outcome::rate_limited), kFlood / 2);
    // Whoever does not know it yet finds it in the middle of this.
    EXPECT_TRUE(hosts.there("ip neigh flush dev exporter"));
    EXPECT_TRUE(is_found(hosts, *plane, collected, "ping -n -c1 -W1 192.0.2.2"));
    stop(*plane, collected);
    EXPECT_EQ(collected.records, sent);
    EXPECT_EQ(stats(*plane).missed, 0u);
    expect_books(*plane);
  });
}

/// Frames on the exporter's end of the wire, as the kernel sees them: without their outer tag, which comes beside.
class RawWire {
 public:
  explicit RawWire(const TwoHosts& hosts) : fd_(hosts.socket_there(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL))) {
    ifreq request{};
    std::strcpy(request.ifr_name, "exporter");
    const int yes = 1;
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ALL);
    EXPECT_EQ(ioctl(fd_, SIOCGIFINDEX, &request), 0);
    at.sll_ifindex = request.ifr_ifindex;
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    EXPECT_EQ(setsockopt(fd_, SOL_PACKET, PACKET_AUXDATA, &yes, sizeof yes), 0);
  }
  ~RawWire() { close(fd_); }

  void send(const lab::Octets& frame) const {
    EXPECT_EQ(::send(fd_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }
  /// Whether an ARP reply has come in that VLAN by now.
  bool has_reply(uint16_t vlan) const {
    uint8_t frame[2048];
    alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(tpacket_auxdata))];
    for (;;) {
      iovec part{frame, sizeof frame};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      const ssize_t octets = recvmsg(fd_, &message, 0);
      if (octets < 0) return false;
      const cmsghdr* const header = CMSG_FIRSTHDR(&message);
      if (header == nullptr || header->cmsg_type != PACKET_AUXDATA) continue;
      tpacket_auxdata beside{};
      std::memcpy(&beside, CMSG_DATA(header), sizeof beside);
      const bool is_arp_reply = octets >= 42 && load_be16(frame + 12) == ETH_P_ARP && load_be16(frame + 20) == ARPOP_REPLY;
      if (is_arp_reply && beside.tp_vlan_tci == vlan) return true;
    }
  }

 private:
  int fd_;
};

/// Who has 192.0.2.2? Tell 192.0.2.1.
lab::Octets arp_request() {
  const lab::Octets us = {2, 0, 0, 0, 0, 1};
  lab::Octets arp = {0, 1, 8, 0, 6, 4, 0, ARPOP_REQUEST};
  for (const lab::Octets& part : {us, lab::Octets{192, 0, 2, 1}, lab::zeros(6), lab::Octets{192, 0, 2, 2}, lab::zeros(18)})
    arp.insert(arp.end(), part.begin(), part.end());
  return arp;
}
lab::Octets to_all(lab::Octets frame) {
  std::fill(frame.begin(), frame.begin() + 6, uint8_t{0xff});
  std::copy_n(lab::Octets{2, 0, 0, 0, 0, 1}.begin(), 6, frame.begin() + 6);
  return frame;
}

TEST(ExceptionPath, SpeaksInItsVlanOnly) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    ExceptionConfig exception = with_addresses();
    exception.vlan = 7;
    auto plane = started(appliance(exception));
    ASSERT_NE(plane, nullptr);
    Collected collected;
    const RawWire wire(hosts);
    const uint64_t before = outcome(*plane, Outcome::other_vlan);
    wire.send(to_all(lab::ethernet(lab::kEtherTypeArp, arp_request())));
    wire.send(to_all(lab::ethernet(lab::kTpid8021q, lab::vlan(8, lab::kEtherTypeArp, arp_request()))));
    ASSERT_TRUE(run_until(*plane, collected, [&] { return outcome(*plane, Outcome::other_vlan) >= before + 2; }));
    EXPECT_FALSE(wire.has_reply(0) || wire.has_reply(8));
    wire.send(to_all(lab::ethernet(lab::kTpid8021q, lab::vlan(7, lab::kEtherTypeArp, arp_request()))));
    EXPECT_TRUE(run_until(*plane, collected, [&] { return wire.has_reply(7); }));
    stop(*plane, collected);
    expect_books(*plane);
  });
}

void expect_datagrams_whose_first_fragment_came_last(uint16_t workers) {
  in_child([workers] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    ASSERT_TRUE(hosts.here("ip link set port address 02:00:00:00:00:42"));
    DataPlaneConfig config = appliance(with_addresses());
    config.dpdk_ports[0].workers = workers;
    config.pipeline.reassembly.timeout_ns = kPatientNs;
    auto plane = started(config);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    ASSERT_TRUE(is_found(hosts, *plane, collected, "ping -n -c1 -W1 192.0.2.2"));
    ASSERT_TRUE(is_found(hosts, *plane, collected, "ping -n -c1 -W1 2001:db8::2"));
    KernelSocket host(9'999);
    const RawWire wire(hosts);
    const lab::UdpEnds ends4 = {"192.0.2.1", "192.0.2.2", 40'000, 9'999}, ends6 = {"2001:db8::1", "2001:db8::2", 40'000, 9'999};
    uint64_t sent = 0, octets = 0;
    for (const lab::UdpEnds& ends : {ends4, ends6}) {
      const uint16_t type = ends.src.value.is_v4() ? lab::kEtherTypeIpv4 : lab::kEtherTypeIpv6;
      for (const size_t size : {size_t{1600}, size_t{4000}, size_t{65'000}}) {
        auto pieces = lab::fragment_packets(ends, 77, lab::udp_segment(ends, lab::filled(size, 0x33)), 1448);
        for (size_t i = pieces.size(); i-- > 0;) {
          lab::Octets frame = lab::ethernet(type, pieces[i]);
          std::copy_n(lab::Octets{2, 0, 0, 0, 0, 0x42}.begin(), 6, frame.begin());
          wire.send(frame);
        }
        ++sent;
        octets += size;
        EXPECT_TRUE(run_until(*plane, collected, [&] { return host.received() == sent; })) << size << " octets";
      }
    }
    EXPECT_EQ(host.octets(), octets);
    stop(*plane, collected);
    EXPECT_EQ(sum(*plane, [](Pipeline& p) { return p.ledger().no_listener; }), sent);
    EXPECT_EQ(outcome(*plane, Outcome::joined), 0u);
    expect_books(*plane);
  });
}

TEST(ExceptionPath, GivesTheHostWhatItPutTogetherWhereTheFirstFragmentCameLast) {
  SKIP_WITHOUT_ROOT();
  expect_datagrams_whose_first_fragment_came_last(0);
}

TEST(ExceptionPath, GivesTheHostWhatWorkersPutTogether) {
  SKIP_WITHOUT_ROOT();
  expect_datagrams_whose_first_fragment_came_last(2);
}

}  // namespace
}  // namespace weir::dataplane::testing
