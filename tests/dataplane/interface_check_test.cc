// The kernel's interfaces under the ports: here they are made up, but for one test.
#include "dataplane/interface_check.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <map>

#include "dataplane/plane_check.h"
#include "support.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// nic: four combined queues, as most NICs have; veth: two, of which none is combined.
std::optional<InterfaceFacts> lookup(const std::string& name) {
  static const std::map<std::string, InterfaceFacts> known = {
      {"nic", {.receive_queues = 4, .combined_queues = 4}},
      {"veth", {.receive_queues = 2}},
      {"one", {}},
      {"jumbo", {.mtu = 9000}},
      {"most", {.mtu = 3506}},
      {"stripping", {.hides_vlan_tags = true}},
      {"other", {}},
      {"lo", {.is_loopback = true}}};
  const auto found = known.find(name);
  return found == known.end() ? std::nullopt : std::optional(found->second);
}

std::vector<InterfaceTrouble> trouble(std::vector<DpdkPort> ports) {
  for (size_t i = 0; i < ports.size(); ++i) ports[i].name = fmt::format("p{}", i);
  return find_interface_trouble(ports, lookup);
}

TEST(InterfaceCheck, RefusesTwoPortsThatMakeTheSame) {
  const struct {
    const char* first;
    const char* second;
    const char* what;
  } cases[] = {
      {"net_tap0,iface=weir9", "net_tap1,iface=weir9", "net_tap1: interface weir9 is port p0's already"},
      {"net_vhost0,iface=/a", "net_vhost1,iface=/a,queues=2", "net_vhost1: socket /a is port p0's already"},
      {"net_memif0,socket=/a,id=1", "net_memif1,id=1,socket=/a", "net_memif1: socket /a with id 1 is port p0's already"},
      {"net_memif0", "net_memif1,id=0", "net_memif1: socket of the driver with id 0 is port p0's already"}};
  for (const auto& c : cases) {
    const auto found = trouble({{.device = c.first}, {.device = c.second}});
    ASSERT_EQ(found.size(), 1u) << c.what;
    EXPECT_EQ(found[0].port, 1u);
    EXPECT_EQ(found[0].what, c.what);
  }
  EXPECT_THAT(trouble({{.device = "net_tap0"}, {.device = "net_tap1"}}), IsEmpty());
  EXPECT_THAT(trouble({{.device = "net_memif0,socket=/a,id=1"}, {.device = "net_memif1,socket=/a,id=2"}}), IsEmpty());
  EXPECT_THAT(trouble({{.device = "net_vhost0,iface=/a"}, {.device = "net_vhost1,iface=/b"}}), IsEmpty());
}

TEST(InterfaceCheck, NotesThatPortsOfOneInterfaceSplitAnExporter) {
  std::vector<DpdkPort> ports = {{.device = "net_af_xdp0,iface=veth,start_queue=0"},
                                 {.device = "net_af_xdp1,iface=veth,start_queue=1"},
                                 {.device = "net_af_xdp2,iface=one"}};
  const auto notes = find_interface_notes(ports);
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_EQ(notes[1].port, 1u);
  EXPECT_THAT(notes[0].what, HasSubstr("other ports serve other queues of veth: one exporter's datagrams may meet several cores"));
  for (size_t i : {0u, 1u}) {
    ports[i].workers = 2;
    ports[i].worker_lcores = {1, i == 0 ? 2u : 3u};
  }
  EXPECT_EQ(find_interface_notes(ports).size(), 2u) << "each exporter has a worker in each port";
  ports[1].worker_lcores = ports[0].worker_lcores;
  EXPECT_THAT(find_interface_notes(ports), IsEmpty());
}

TEST(InterfaceCheck, RefusesAnXdpPortWhoseFramesFitIntoNoPage) {
  const auto found = trouble({{.device = "net_af_xdp0,iface=jumbo"}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0].what, HasSubstr("net_af_xdp0: interface jumbo has an MTU of 9000"));
  EXPECT_THAT(found[0].what, HasSubstr("ip link set dev jumbo mtu 1500"));
  EXPECT_THAT(trouble({{.device = "net_af_xdp0,iface=most"}}), IsEmpty());
  EXPECT_THAT(trouble({{.device = "net_af_packet0,iface=jumbo"}}), IsEmpty());
}

/// A frame of another's VLAN would be one without a tag.
TEST(InterfaceCheck, RefusesToGoByVlanTagsThatAnXdpPortDoesNotSee) {
  const DpdkPort of_all = {.device = "net_af_xdp0,iface=stripping"};
  DpdkPort of_some = of_all, with_host = of_all, elsewhere = of_all;
  of_some.vlans = {0};
  with_host.exception.interface = "weir0";
  EXPECT_THAT(trouble({of_all}), IsEmpty());
  EXPECT_THAT(trouble({with_host}), IsEmpty()) << "frames go to the host as they are";
  with_host.exception.vlan = 7;
  const std::pair<DpdkPort, const char*> cases[] = {{of_some, "and vlans goes by them"}, {with_host, "and exception.vlan goes by them"}};
  for (const auto& [port, what] : cases) {
    const auto found = trouble({port});
    ASSERT_EQ(found.size(), 1u) << what;
    EXPECT_THAT(found[0].what, HasSubstr("interface stripping takes VLAN tags off before AF_XDP sees them, " + std::string(what) +
                                         ": ethtool -K stripping rxvlan off"));
  }
  for (const char* device : {"net_af_xdp0,iface=one", "net_af_packet0,iface=stripping"}) {
    elsewhere.device = device;
    elsewhere.vlans = {0};
    EXPECT_THAT(trouble({elsewhere}), IsEmpty()) << device;
  }
}

TEST(InterfaceCheck, AsksForAllReceiveQueuesOfAnXdpPort) {
  EXPECT_THAT(trouble({{.device = "net_af_xdp0,iface=one"}}), IsEmpty());
  EXPECT_THAT(trouble({{.device = "net_af_xdp0,iface=nic", .queues = 4}}), IsEmpty());
  EXPECT_THAT(trouble({{.device = "net_af_xdp0,iface=nic,queue_count=4"}}), IsEmpty());
  EXPECT_THAT(trouble({{.device = "net_af_xdp0,iface=nic,start_queue=1,queue_count=3"},
                       {.device = "net_af_xdp1,iface=nic"}}),
              IsEmpty());
  EXPECT_THAT(trouble({{.device = "net_af_xdp0,iface=veth,start_queue=0"},
                       {.device = "net_af_xdp1,iface=veth,start_queue=1"}}),
              IsEmpty());
  const struct {
    std::vector<DpdkPort> ports;
    size_t port;
    const char* what;
  } cases[] = {
      {{{.device = "net_af_xdp0,iface=veth"}},
       0,
       "net_af_xdp0: interface veth has 2 receive queues and 1 of them would be served: what comes on "
       "the others is not received (ethtool -L veth rx 1; or a port for each queue"},
      {{{.device = "net_null0"}, {.device = "net_af_xdp0,iface=nic", .queues = 2}},
       1,
       "has 4 receive queues and 2 of them would be served: what comes on the others is not received "
       "(ethtool -L nic combined 1; or queues: 4)"},
      {{{.device = "net_af_xdp0,iface=one,start_queue=5"}}, 0, "queues 5 to 5 are asked, interface one has 1"},
      {{{.device = "net_af_xdp0,iface=nic,start_queue=4294967295"}}, 0, "interface nic has 4"},
      {{{.device = "net_af_xdp0,iface=nic,queue_count=5"}}, 0, "queues 0 to 4 are asked, interface nic has 4"},
      {{{.device = "net_af_xdp0,iface=veth", .queues = 2}}, 0, "interface veth has 0 combined ones"},
      {{{.device = "net_af_xdp0,iface=one"}, {.device = "net_af_xdp1,iface=one"}},
       1,
       "queue 0 of interface one is served by port p0 already"},
      {{{.device = "net_af_xdp0,iface=lo"}}, 0, "is the loopback"},
      {{{.device = "net_af_xdp0,iface=none"}}, 0, "net_af_xdp0: no interface none"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    const auto found = trouble(c.ports);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].port, c.port);
    EXPECT_THAT(found[0].what, HasSubstr(c.what));
  }
}

TEST(InterfaceCheck, RefusesExceptionsWhereTwoPortsShareAnInterface) {
  const ExceptionConfig weir0{.interface = "weir0"}, weir1{.interface = "weir1"};
  const std::string first = "net_af_xdp0,iface=veth,start_queue=0", second = "net_af_xdp1,iface=veth,start_queue=1";
  const struct {
    ExceptionConfig of_first, of_second;
    size_t port;  // about which it is
    const char* other;
  } cases[] = {{weir0, {}, 0, "interface veth is port p1's too"},
               {{}, weir1, 1, "interface veth is port p0's too"},
               {weir0, weir1, 0, "interface veth is port p1's too"}};
  for (const auto& c : cases) {
    const auto found = trouble({{.device = first, .exception = c.of_first}, {.device = second, .exception = c.of_second}});
    ASSERT_EQ(found.size(), 1u) << c.other;
    EXPECT_EQ(found[0].port, c.port);
    EXPECT_THAT(found[0].what, HasSubstr(c.other));
    EXPECT_THAT(found[0].what, HasSubstr("what comes for the host on the others is lost (one port, and one receive queue: "
                                         "ethtool -L veth rx 1; or no exception)"));
  }
  EXPECT_THAT(trouble({{.device = first}, {.device = second}}), IsEmpty());
  EXPECT_THAT(trouble({{.device = "net_af_xdp0,iface=one", .exception = weir0}, {.device = "net_af_xdp1,iface=other"}}), IsEmpty());
  EXPECT_THAT(trouble({{.device = "net_af_xdp0,iface=nic", .queues = 4, .exception = weir0}}), IsEmpty());
  const auto nic = trouble({{.device = "net_af_xdp0,iface=nic", .queues = 2, .exception = weir0},
                            {.device = "net_af_xdp1,iface=nic,start_queue=2", .queues = 2}});
  ASSERT_EQ(nic.size(), 1u);
  EXPECT_THAT(nic[0].what, HasSubstr("(one port with queues: 4; or no exception)"));
}

TEST(InterfaceCheck, RefusesToCountWhatComesTwice) {
  EXPECT_THAT(trouble({{.device = "net_af_packet0,iface=one"}, {.device = "net_af_packet1,iface=other"},
                       {.device = "net_tap0,iface=one"}, {.device = "net_vhost0,iface=one"}}),
              IsEmpty());
  for (const char* second : {"net_af_packet1,iface=one", "net_pcap1,iface=one", "net_pcap1,rx_iface_in=one"}) {
    const auto found = trouble({{.device = "net_af_packet0,iface=one"}, {.device = second}});
    ASSERT_EQ(found.size(), 1u) << second;
    EXPECT_EQ(found[0].port, 1u);
    EXPECT_THAT(found[0].what, HasSubstr("interface one is read by port p0 already"));
  }
  const auto found = trouble({{.device = "net_pcap0,rx_iface=one,rx_iface_in=one"}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0].what, HasSubstr("named twice"));
}

TEST(InterfaceCheck, ReadsFromTheKernelHowManyQueuesThereAre) {
  EXPECT_FALSE(interface_facts("weir-none"));
  EXPECT_FALSE(interface_facts("a-name-that-is-too-long"));
  EXPECT_FALSE(interface_facts(""));
  if (!can_make_namespaces()) GTEST_SKIP() << "needs root and ip(8): a network namespace and a veth pair";
  in_child([] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    ASSERT_EQ(std::system("ip link add port numrxqueues 3 numtxqueues 3 type veth peer name exporter"), 0);
    ASSERT_TRUE(interface_facts("port"));
    EXPECT_EQ(interface_facts("port")->receive_queues, 3u);
    EXPECT_EQ(interface_facts("port")->combined_queues, 0u);
    EXPECT_FALSE(interface_facts("port")->is_loopback);
    ASSERT_TRUE(interface_facts("lo"));
    EXPECT_TRUE(interface_facts("lo")->is_loopback);
    EXPECT_EQ(interface_facts("lo")->receive_queues, 1u);

    DataPlaneConfig config;
    config.dpdk_ports = {{.name = "wire", .device = "net_af_xdp0,iface=port"}};
    const auto found = find_trouble(config, Machine::look());
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].key, PlaneKey::device);
    EXPECT_THAT(found[0].what, HasSubstr("has 3 receive queues"));
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
