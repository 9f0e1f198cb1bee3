// The kernel runs the program over frames that we give it. Needs root.
#include "dataplane/xdp_program.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "packet/frame.h"
#include "support.h"

namespace weir::dataplane::testing {
namespace {

using lab::Octets;

constexpr uint16_t kOtherPort = 53;

class XdpProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: BPF programs";
  }
  ~XdpProgram() override { close_all(); }
  void close_all() {
    for (const int fd : {program_, maps_.sockets, maps_.exporters, maps_.of_others, maps_.ports})
      if (fd >= 0) close(fd);
  }

  /// Sockets of AF_XDP need a device; the loopback stands in for that of queue 0.
  void make(XdpScope scope) {
    maps_.ports = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ports", 4, 4, 65'536, nullptr);
    maps_.of_others = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "of_others", sizeof(XdpDatagram), 4, kXdpDatagramsMax, nullptr);
    maps_.exporters = bpf_map_create(BPF_MAP_TYPE_ARRAY, "exporters", 4, 4, kXdpSources, nullptr);
    maps_.sockets = bpf_map_create(BPF_MAP_TYPE_DEVMAP, "sockets", 4, 4, 4, nullptr);
    ASSERT_GE(maps_.ports, 0);
    ASSERT_GE(maps_.of_others, 0);
    ASSERT_GE(maps_.exporters, 0);
    ASSERT_GE(maps_.sockets, 0);
    const uint32_t port = kNetflowPort, yes = 1, queue = 0, loopback = 1;
    ASSERT_EQ(bpf_map_update_elem(maps_.ports, &port, &yes, BPF_ANY), 0);
    ASSERT_EQ(bpf_map_update_elem(maps_.sockets, &queue, &loopback, BPF_ANY), 0);
    const std::vector<bpf_insn> code = xdp_program(scope, maps_);
    static char log[65'536];
    bpf_prog_load_opts options{};
    options.sz = sizeof options;
    options.log_level = 1;
    options.log_size = sizeof log;
    options.log_buf = log;
    program_ = bpf_prog_load(BPF_PROG_TYPE_XDP, "weir", "Apache-2.0", code.data(), code.size(), &options);
    ASSERT_GE(program_, 0) << log;
  }
  uint32_t run(const Octets& frame) const {
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.data_in = frame.data();
    options.data_size_in = static_cast<uint32_t>(frame.size());
    options.repeat = 1;
    EXPECT_EQ(bpf_prog_test_run_opts(program_, &options), 0) << errno;
    return options.retval;
  }

  XdpMaps maps_;
  int program_ = -1;
};

lab::UdpEnds ends(const char* src, const char* dst, uint16_t port) {
  return {.src = src, .dst = dst, .src_port = 40'000, .dst_port = port};
}
Octets v4(uint16_t port, lab::Ipv4Header header = {}) {
  header.src = "192.0.2.1";
  header.dst = "192.0.2.2";
  return lab::ipv4_packet(header, lab::udp_segment(ends("192.0.2.1", "192.0.2.2", port), lab::zeros(24)));
}
Octets segment6(uint16_t port) { return lab::udp_segment(ends("2001:db8::1", "2001:db8::2", port), lab::zeros(24)); }
Octets v6(uint8_t next_header, const Octets& rest) {
  return lab::ipv6_packet({.src = "2001:db8::1", .dst = "2001:db8::2", .next_header = next_header}, rest);
}
Octets ether4(const Octets& packet) { return lab::ethernet(lab::kEtherTypeIpv4, packet); }
Octets ether6(const Octets& packet) { return lab::ethernet(lab::kEtherTypeIpv6, packet); }
Octets padded(Octets octets, size_t to) {
  octets.resize(std::max(octets.size(), to));
  return octets;
}

TEST_F(XdpProgram, GivesListenersTheirDatagramsAndTheKernelTheRest) {
  make(XdpScope::listeners);
  constexpr uint16_t kPort = kNetflowPort;
  const Octets hops = lab::zeros(6);
  const struct {
    const char* what;
    Octets frame;
    uint32_t verdict;
  } cases[] = {
      {"IPv4", ether4(v4(kPort)), XDP_REDIRECT},
      {"IPv4, another port", ether4(v4(kOtherPort)), XDP_PASS},
      {"IPv4 with options", ether4(v4(kPort, {.options = lab::zeros(8)})), XDP_REDIRECT},
      {"IPv4 with options, another port", ether4(v4(kOtherPort, {.options = lab::zeros(40)})), XDP_PASS},
      {"the port of a TCP segment", ether4(v4(kPort, {.proto = lab::kProtoTcp})), XDP_PASS},
      {"ping", ether4(v4(kPort, {.proto = 1})), XDP_PASS},
      {"first fragment", ether4(v4(kPort, {.flags_and_offset = 0x2000})), XDP_REDIRECT},
      {"last fragment", ether4(v4(kOtherPort, {.flags_and_offset = 0x0064})), XDP_REDIRECT},
      {"not to be fragmented", ether4(v4(kOtherPort, {.flags_and_offset = 0x4000})), XDP_PASS},
      {"fragment of a ping", ether4(v4(kPort, {.proto = 1, .flags_and_offset = 0x2000})), XDP_PASS},
      {"one tag", lab::ethernet(lab::kTpid8021q, lab::vlan(5, lab::kEtherTypeIpv4, v4(kPort))), XDP_REDIRECT},
      {"two tags",
       lab::ethernet(lab::kTpid8021ad, lab::vlan(5, lab::kTpid8021q, lab::vlan(6, lab::kEtherTypeIpv4, v4(kPort)))),
       XDP_REDIRECT},
      {"one tag, another port", lab::ethernet(lab::kTpid8021q, lab::vlan(5, lab::kEtherTypeIpv4, v4(kOtherPort))),
       XDP_PASS},
      {"IPv6", ether6(v6(lab::kProtoUdp, segment6(kPort))), XDP_REDIRECT},
      {"IPv6, another port", ether6(v6(lab::kProtoUdp, segment6(kOtherPort))), XDP_PASS},
      {"IPv6 with options",
       ether6(v6(lab::kProtoHopByHop, lab::ipv6_extension(lab::kProtoDestinationOptions, hops,
                                                          lab::ipv6_extension(lab::kProtoUdp, lab::zeros(14), segment6(kPort))))),
       XDP_REDIRECT},
      {"IPv6 with options, another port",
       ether6(v6(lab::kProtoHopByHop, lab::ipv6_extension(lab::kProtoUdp, hops, segment6(kOtherPort)))), XDP_PASS},
      {"IPv6 fragment", ether6(v6(lab::kProtoFragment, lab::ipv6_fragment({.offset_octets = 1448}, lab::zeros(64)))),
       XDP_REDIRECT},
      {"IPv6 fragment of a ping", ether6(v6(lab::kProtoFragment, lab::ipv6_fragment({.next_header = 58}, lab::zeros(64)))),
       XDP_PASS},
      {"neighbour solicitation", ether6(v6(58, lab::zeros(24))), XDP_PASS},
      {"ARP", lab::ethernet(lab::kEtherTypeArp, lab::zeros(46)), XDP_PASS},
      {"LLDP", lab::ethernet(0x88cc, lab::zeros(46)), XDP_PASS},
  };
  for (const auto& c : cases) EXPECT_EQ(run(c.frame), c.verdict) << c.what;
}

TEST_F(XdpProgram, LeavesTheKernelTheFragmentsOfItsDatagrams) {
  make(XdpScope::listeners);
  // A fragment of the datagram `id`: the first of one for that port, or a later one.
  const auto first4 = [](uint16_t id, uint16_t port) { return v4(port, {.id = id, .flags_and_offset = 0x2000}); };
  const auto later4 = [](uint16_t id) { return v4(0, {.id = id, .flags_and_offset = 0x0064}); };
  const auto first6 = [](uint32_t id, uint16_t port) {
    return ether6(v6(lab::kProtoFragment, lab::ipv6_fragment({.more = 1, .id = id}, segment6(port))));
  };
  const auto later6 = [](uint32_t id) {
    return ether6(v6(lab::kProtoFragment, lab::ipv6_fragment({.offset_octets = 1448, .id = id}, lab::zeros(64))));
  };
  // Their source exports.
  ASSERT_EQ(run(ether4(v4(kNetflowPort))), uint32_t{XDP_REDIRECT});
  ASSERT_EQ(run(ether6(v6(lab::kProtoUdp, segment6(kNetflowPort)))), uint32_t{XDP_REDIRECT});
  EXPECT_EQ(run(ether4(first4(1, kOtherPort))), uint32_t{XDP_PASS});
  EXPECT_EQ(run(ether4(later4(1))), uint32_t{XDP_PASS});
  EXPECT_EQ(run(ether4(later4(1))), uint32_t{XDP_PASS}) << "as many as there are";
  EXPECT_EQ(run(ether4(later4(2))), uint32_t{XDP_REDIRECT}) << "of one whose first has not come";
  EXPECT_EQ(run(ether4(first4(2, kNetflowPort))), uint32_t{XDP_REDIRECT});
  EXPECT_EQ(run(ether4(later4(2))), uint32_t{XDP_REDIRECT});
  EXPECT_EQ(run(ether4(first4(1, kNetflowPort))), uint32_t{XDP_REDIRECT}) << "identifications come round";
  EXPECT_EQ(run(ether4(later4(1))), uint32_t{XDP_REDIRECT});

  EXPECT_EQ(run(first6(1, kOtherPort)), uint32_t{XDP_PASS});
  EXPECT_EQ(run(later6(1)), uint32_t{XDP_PASS});
  EXPECT_EQ(run(later6(0x10001)), uint32_t{XDP_REDIRECT});
  EXPECT_EQ(run(first6(0x10001, kNetflowPort)), uint32_t{XDP_REDIRECT});
  EXPECT_EQ(run(later6(0x10001)), uint32_t{XDP_REDIRECT});
  EXPECT_EQ(run(first6(1, kNetflowPort)), uint32_t{XDP_REDIRECT});
  EXPECT_EQ(run(later6(1)), uint32_t{XDP_REDIRECT});
  // Behind other headers, and one that fragments nothing (RFC 6946).
  const Octets options = lab::ipv6_extension(lab::kProtoFragment, lab::zeros(6), lab::ipv6_fragment({.more = 1, .id = 3}, segment6(kOtherPort)));
  EXPECT_EQ(run(ether6(v6(lab::kProtoHopByHop, options))), uint32_t{XDP_PASS});
  EXPECT_EQ(run(later6(3)), uint32_t{XDP_PASS});
  EXPECT_EQ(run(ether6(v6(lab::kProtoFragment, lab::ipv6_fragment({.id = 4}, segment6(kNetflowPort))))), uint32_t{XDP_REDIRECT});
  EXPECT_EQ(run(ether6(v6(lab::kProtoFragment, lab::ipv6_fragment({.id = 4}, segment6(kOtherPort))))), uint32_t{XDP_PASS});

  const auto in_vlan = [](uint16_t vlan, const Octets& packet) {
    return lab::ethernet(lab::kTpid8021q, lab::vlan(vlan, lab::kEtherTypeIpv4, packet));
  };
  EXPECT_EQ(run(in_vlan(5, first4(7, kOtherPort))), uint32_t{XDP_PASS});
  EXPECT_EQ(run(in_vlan(6, later4(7))), uint32_t{XDP_REDIRECT}) << "another's";
  EXPECT_EQ(run(ether4(later4(7))), uint32_t{XDP_REDIRECT});
  EXPECT_EQ(run(in_vlan(0x6005, later4(7))), uint32_t{XDP_PASS}) << "of another priority";
}

/// Whoever has sent to a listener exports, and of who has not, what comes before its first fragment is the kernel's.
TEST_F(XdpProgram, LeavesTheKernelFragmentsThatComeBeforeTheirFirstFromWhoDoesNotExport) {
  const Octets extended = lab::ipv6_extension(lab::kProtoUdp, lab::zeros(6), segment6(kNetflowPort));
  const struct {
    const char* what;
    Octets later;       // of a datagram whose first has not come
    Octets for_other;   // the source sends to another port
    Octets for_listener;
    Octets of_another;  // as `later`, from another source
  } cases[] = {
      {"IPv4", ether4(v4(0, {.id = 1, .flags_and_offset = 0x0064})), ether4(v4(kOtherPort)), ether4(v4(kNetflowPort)),
       ether4(lab::ipv4_packet({.src = "192.0.2.3", .dst = "192.0.2.2", .id = 1, .flags_and_offset = 0x0064}, lab::zeros(32)))},
      {"IPv4, first fragment", ether4(v4(0, {.id = 1, .flags_and_offset = 0x0064})),
       ether4(v4(kOtherPort, {.id = 2, .flags_and_offset = 0x2000})), ether4(v4(kNetflowPort, {.id = 3, .flags_and_offset = 0x2000})),
       ether4(lab::ipv4_packet({.src = "198.51.100.1", .dst = "192.0.2.2", .id = 1, .flags_and_offset = 0x0064}, lab::zeros(32)))},
      {"IPv6", ether6(v6(lab::kProtoFragment, lab::ipv6_fragment({.offset_octets = 1448, .id = 1}, lab::zeros(64)))),
       ether6(v6(lab::kProtoUdp, segment6(kOtherPort))), ether6(v6(lab::kProtoHopByHop, extended)),
       ether6(lab::ipv6_packet({.src = "2001:db8:1::1", .dst = "2001:db8::2", .next_header = lab::kProtoFragment},
                               lab::ipv6_fragment({.offset_octets = 1448, .id = 1}, lab::zeros(64))))},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    close_all();
    make(XdpScope::listeners);
    EXPECT_EQ(run(c.later), uint32_t{XDP_PASS});
    EXPECT_EQ(run(c.for_other), uint32_t{XDP_PASS});
    EXPECT_EQ(run(c.later), uint32_t{XDP_PASS}) << "to another port is no export";
    EXPECT_EQ(run(c.for_listener), uint32_t{XDP_REDIRECT});
    EXPECT_EQ(run(c.later), uint32_t{XDP_REDIRECT});
    EXPECT_EQ(run(c.of_another), uint32_t{XDP_PASS});
  }
}

TEST_F(XdpProgram, AFloodOfFirstFragmentsLeavesTheNewestOfThemKnown) {
  make(XdpScope::listeners);
  ASSERT_EQ(run(ether6(v6(lab::kProtoUdp, segment6(kNetflowPort)))), uint32_t{XDP_REDIRECT});
  const auto fragment = [](uint32_t id, uint16_t offset) {
    return ether6(v6(lab::kProtoFragment, lab::ipv6_fragment({.offset_octets = offset, .more = 1, .id = id}, segment6(kOtherPort))));
  };
  for (uint32_t id = 1; id <= 2 * kXdpDatagramsMax; ++id) {
    ASSERT_EQ(run(fragment(id, 0)), uint32_t{XDP_PASS});
    ASSERT_EQ(run(fragment(id, 1448)), uint32_t{XDP_PASS}) << id;
  }
  EXPECT_EQ(run(fragment(1, 1448)), uint32_t{XDP_REDIRECT}) << "long gone";
}

TEST_F(XdpProgram, LeavesFramesThatEndTooSoonToTheKernel) {
  make(XdpScope::listeners);
  for (const Octets& whole : {ether4(v4(kNetflowPort)), ether6(v6(lab::kProtoUdp, segment6(kNetflowPort)))}) {
    const size_t ports_end = whole.size() - 24 - 4;
    for (size_t octets = 14; octets <= whole.size(); ++octets) {
      EXPECT_EQ(run(Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(octets))),
                octets < ports_end ? uint32_t{XDP_PASS} : uint32_t{XDP_REDIRECT})
          << octets;
    }
  }
}

TEST_F(XdpProgram, GivesEverythingWhereTheKernelHasAnotherWay) {
  make(XdpScope::everything);
  for (const Octets& frame : {ether4(v4(kOtherPort)), lab::ethernet(lab::kEtherTypeArp, lab::zeros(46)), padded({}, 60)})
    EXPECT_EQ(run(frame), uint32_t{XDP_REDIRECT});
}

TEST_F(XdpProgram, PassesWhatComesOnAQueueWithoutSocket) {
  make(XdpScope::listeners);
  const uint32_t queue = 0;
  ASSERT_EQ(bpf_map_delete_elem(maps_.sockets, &queue), 0);
  EXPECT_EQ(run(ether4(v4(kNetflowPort))), uint32_t{XDP_PASS});
}

}  // namespace
}  // namespace weir::dataplane::testing
