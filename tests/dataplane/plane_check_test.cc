// What cannot work is seen before DPDK is started; nothing here starts it.
#include "dataplane/plane_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "dataplane/hugepage_files.h"
#include "support.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Machine machine() {
  Machine m;
  m.memory_octets = 8ull << 30;
  m.memory_free_octets = 4ull << 30;
  m.hugepage_octets = 1ull << 30;
  m.hugepage_free_octets = 512ull << 20;
  m.has_hugetlbfs = true;
  m.cpus = {0, 1};
  m.may_use_cpu = [](unsigned cpu) { return cpu < 2; };
  m.interface = [](const std::string& name) {
    return name == "wire" ? InterfaceFacts{} : interface_facts(name);
  };
  return m;
}

DataPlaneConfig with(DpdkPort port) {
  DataPlaneConfig config;
  port.name = "edge";
  config.dpdk_ports = {std::move(port)};
  config.pipeline = netflow_pipeline();
  return config;
}

PlaneTrouble only_trouble(const DataPlaneConfig& config, const Machine& m = machine()) {
  const auto found = find_trouble(config, m);
  EXPECT_EQ(found.size(), 1u) << (found.size() > 1 ? found[1].what : "nothing");
  return found.empty() ? PlaneTrouble{PlaneKey::count_, 0, "nothing", false} : found[0];
}

/// Everything else that a port needs is open by then.
TEST(PlaneCheck, LeavesRightsOnlyToWhoSetsSomethingBackOrOpensItAgain) {
  for (const char* device : {"net_af_xdp0,iface=wire", "net_af_packet0,iface=wire", "net_tap0,remote=wire", "0000:01:00.0"})
    EXPECT_TRUE(find_lasting_rights(with({.device = device})).empty()) << device;
  const struct {
    const char* device;
    const char* why;
  } cases[] = {{"net_af_xdp0,iface=wire,xdp_prog=/x.o", "xdp_prog="}, {"net_tap0", "it is made again"}};
  for (const auto& c : cases) {
    const auto kept = find_lasting_rights(with({.device = c.device}));
    ASSERT_EQ(kept.size(), 1u);
    EXPECT_EQ(kept[0].capability, 12u) << "CAP_NET_ADMIN";
    EXPECT_THAT(kept[0].why, HasSubstr(c.why));
  }
  DataPlaneConfig config;
  config.socket_ports = {{.name = "low", .port = 999}, {.name = "high", .port = 2055}, {.name = "any", .port = 0}};
  const auto of_sockets = find_lasting_rights(config);
  ASSERT_EQ(of_sockets.size(), 1u);
  EXPECT_EQ(of_sockets[0].capability, 10u) << "CAP_NET_BIND_SERVICE";
}

TEST(PlaneCheck, FindsNothingWrongWithWhatWorks) {
  for (const char* device : {"net_null0", "net_ring0", "net_tap0,iface=weir9", "net_null0,size=1400"})
    EXPECT_THAT(find_trouble(with({.device = device}), machine()), IsEmpty()) << device;
  EXPECT_THAT(find_trouble(with({.device = "net_null0", .mbufs = 63}), machine()), IsEmpty());
  EXPECT_THAT(find_trouble(with({.device = "net_tap0", .rx_descriptors = 256, .mbufs = 320}),
                           machine()),
              IsEmpty());
}

TEST(PlaneCheck, NamesTheKeyAndTheValueOfWhatCannotWork) {
  TemporaryFolder folder;
  const std::string text = folder.file("notes.txt"), empty = folder.file("empty.pcap");
  std::ofstream(text) << "no capture, but longer than the header of one";
  write_capture(empty, {});
  const struct {
    DpdkPort port;
    PlaneKey key;
    const char* what;
  } cases[] = {
      {{.device = ""}, PlaneKey::device, "no device"},
      {{.device = "net_null0", .queues = 0}, PlaneKey::queues, "0 queues"},
      {{.device = "net_null0", .queues = 2000}, PlaneKey::queues, "2000 queues, limit 1024"},
      {{.device = "net_ring0", .queues = 17}, PlaneKey::queues, "17 queues, limit 16"},
      {{.device = "net_pcap0,iface=lo", .queues = 2}, PlaneKey::queues, "2 queues asked, it has 1"},
      {{.device = "net_af_packet0,iface=lo,qpairs=99"}, PlaneKey::queues, "99 queues, limit 16"},
      {{.device = "net_af_packet0,iface=lo,qpairs=3", .queues = 2},
       PlaneKey::queues,
       "queues: 2, and the device text has qpairs=3"},
      {{.device = "net_tap0", .queues = 17}, PlaneKey::queues, "17 queues, limit 16"},
      {{.device = "net_af_packet0,iface=lo", .mtu = 9000}, PlaneKey::device, "mtu: net_af_packet goes by the MTU of its interface"},
      {{.device = "net_null0", .lcores = {0, 1}}, PlaneKey::lcores, "2 lcores for 1 queue"},
      {{.device = "net_null0", .lcores = {7}}, PlaneKey::lcores, "CPU 7 cannot be used here"},
      {{.device = "0000:ff:1f.7"}, PlaneKey::device, "0000:ff:1f.7: no such device"},
      {{.device = "net_pcap0,rx_pcap=/nowhere/at.pcap"}, PlaneKey::device, "/nowhere/at.pcap: No such"},
      {{.device = "net_pcap0,rx_pcap=" + text}, PlaneKey::device, "not a pcap or pcapng file"},
      {{.device = "net_pcap0,rx_pcap=" + empty + ",infinite_rx=1"}, PlaneKey::device, "no packets"},
      {{.device = "net_pcap0,rx_pcap=" + empty, .queues = 2},
       PlaneKey::queues,
       "net_pcap0: 2 queues asked, it has 1"},
      {{.device = "net_pcap0,rx_pcup=x"}, PlaneKey::device, "net_pcap has no argument `rx_pcup`"},
      {{.device = "net_pcap0"}, PlaneKey::device, "rx_pcap=FILE or iface=NAME is missing"},
      {{.device = "net_foo0"}, PlaneKey::device, "net_foo0: no such driver"},
      {{.device = "net_af_packet0"}, PlaneKey::device, "iface=NAME is missing"},
      {{.device = "net_af_packet0,iface=weir-none"}, PlaneKey::device, "no interface weir-none"},
      {{.device = "net_af_xdp0,iface=wire", .rx_descriptors = 1000},
       PlaneKey::rx_descriptors,
       "1000 is not allowed: net_af_xdp wants a power of two"},
      {{.device = "net_null0", .mbufs = 10},
       PlaneKey::mbufs,
       "10 are too few: rings and bursts of net_null need at least 63"},
      {{.device = "net_tap0", .rx_descriptors = 256, .mbufs = 319},
       PlaneKey::mbufs,
       "need at least 320"},
      {{.device = "net_null0", .data_room_octets = 100},
       PlaneKey::data_room,
       "data room of 100 octets, allowed 256 to 65535 with net_null"},
      {{.device = "net_null0,size=1500", .data_room_octets = 1024},
       PlaneKey::data_room,
       "allowed 1628 to 65535"},
      {{.device = "net_null0,size=70000"}, PlaneKey::device, "have no room in a buffer of 65535"},
      {{.device = "net_af_packet0,iface=lo", .data_room_octets = 2048},
       PlaneKey::data_room,
       "allowed 9344 to 65535"},
      {{.device = "net_null0", .mbufs = 66'000},  // a page each
       PlaneKey::memory_mb,
       "256 MiB, and the ports' mbufs take about"},
      {{.device = "net_null0", .mbufs = 1'000'000},
       PlaneKey::memory_mb,
       "256 MiB, and the ports' mbufs take about"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    const PlaneTrouble found = only_trouble(with(c.port));
    EXPECT_EQ(found.key, c.key) << name_of(found.key);
    EXPECT_THAT(found.what, HasSubstr(c.what));
    EXPECT_FALSE(found.may_pass);
  }
}

TEST(PlaneCheck, HoldsMemoryAgainstWhatTheMachineHas) {
  DataPlaneConfig config = with({.device = "net_null0"});
  config.eal.memory_mb = 6 << 10;
  PlaneTrouble found = only_trouble(config);
  EXPECT_EQ(found.key, PlaneKey::memory_mb);
  EXPECT_THAT(found.what, HasSubstr("6144 MiB asked, 4096 MiB available"));
  EXPECT_TRUE(found.may_pass) << "others use it just now";
  config.eal.memory_mb = 9 << 10;
  EXPECT_FALSE(only_trouble(config).may_pass);

  config.eal.hugepages = true;
  config.eal.memory_mb = 256;
  EXPECT_THAT(find_trouble(config, machine()), IsEmpty());
  config.eal.memory_mb = 768;
  found = only_trouble(config);
  EXPECT_THAT(found.what, HasSubstr("512 MiB of hugepages are free"));
  EXPECT_TRUE(found.may_pass);
  Machine after_a_run = machine();
  after_a_run.hugepage_abandoned_octets = 256ull << 20;
  EXPECT_THAT(only_trouble(config, after_a_run).what, HasSubstr("512 MiB of hugepages are free")) << "nobody looks at the files";
  config.eal.file_prefix = "weir";
  EXPECT_THAT(find_trouble(config, after_a_run), IsEmpty()) << "EAL takes them back, whose they were";
  config.eal.file_prefix.clear();
  config.eal.memory_mb = 2048;
  found = only_trouble(config);
  EXPECT_THAT(found.what, HasSubstr("1024 MiB of hugepages are reserved"));
  EXPECT_FALSE(found.may_pass);
  Machine none = machine();
  none.hugepage_octets = none.hugepage_free_octets = 0;
  found = only_trouble(config, none);
  EXPECT_EQ(found.key, PlaneKey::hugepages);
  EXPECT_THAT(found.to_error(config).message, HasSubstr("eal.hugepages: this machine has none"));

  config.eal.memory_mb = 256;
  config.eal.file_prefix = "x";
  none = machine();
  none.has_hugetlbfs = false;
  EXPECT_THAT(only_trouble(config, none).what, HasSubstr("no hugetlbfs is mounted"));
}

/// A regular file system has files and locks as a hugetlbfs has.
TEST(HugepageFiles, AreAbandonedWhereNobodyLocksThem) {
  TemporaryFolder folder, other;
  const auto write = [](const std::string& path) { std::ofstream(path) << std::string(8192, 'x') << std::flush; };
  for (const char* name : {"weirmap_0", "rtemap_1", "weirmap_2", "notes"}) write(folder.file(name));
  write(other.file("weirmap_0"));
  std::ofstream(other.file("mounts")) << "proc /proc proc rw 0 0\nnone " << folder.file("") << " hugetlbfs rw,relatime 0 0\ntmpfs "
                                      << other.file("") << " tmpfs rw 0 0\n";
  const int held = open(folder.file("weirmap_2").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(flock(held, LOCK_SH), 0);
  EXPECT_EQ(abandoned_hugepage_octets(other.file("mounts")), 2u * 8192);
  close(held);
  EXPECT_EQ(abandoned_hugepage_octets(other.file("mounts")), 3u * 8192);
  EXPECT_EQ(abandoned_hugepage_octets(other.file("none")), 0u);
}

TEST(PlaneCheck, NamesTheRightsThatADriverWants) {
  const struct {
    const char* device;
    const char* right;
  } cases[] = {{"net_af_packet0,iface=lo", "CAP_NET_RAW"},
               {"net_pcap0,iface=lo", "CAP_NET_RAW"},
               {"net_tap0", "CAP_NET_ADMIN"},
               {"net_af_xdp0,iface=wire", "CAP_NET_RAW"}};
  Machine none = machine();
  none.rights = {.net_raw = false, .net_admin = false, .bpf = false, .sys_admin = false, .ipc_lock = false};
  for (const auto& c : cases) {
    const PlaneTrouble found = only_trouble(with({.device = c.device}), none);
    EXPECT_EQ(found.key, PlaneKey::device);
    EXPECT_THAT(found.what, HasSubstr(std::string("who runs weir has no ") + c.right)) << c.device;
  }
  EXPECT_THAT(find_trouble(with({.device = "net_ring0"}), none), IsEmpty());

  Machine raw = none;
  raw.rights.net_raw = true;
  EXPECT_THAT(only_trouble(with({.device = "net_af_packet0,iface=lo"}), raw).what,
              HasSubstr("CAP_NET_ADMIN"));
  EXPECT_THAT(find_trouble(with({.device = "net_pcap0,iface=lo"}), raw), IsEmpty());
  Machine admin = raw;
  admin.rights.net_admin = true;
  EXPECT_THAT(only_trouble(with({.device = "net_af_xdp0,iface=wire"}), admin).what,
              HasSubstr("CAP_BPF"));
  TemporaryFolder folder;
  const std::string program = folder.file("program.o");
  std::ofstream(program) << "x";
  const DataPlaneConfig own = with({.device = "net_af_xdp0,iface=wire,xdp_prog=" + program});
  EXPECT_THAT(only_trouble(own, admin).what, HasSubstr("CAP_BPF"));
  admin.rights.bpf = true;
  EXPECT_THAT(find_trouble(own, admin), IsEmpty());
}

TEST(PlaneCheck, HoldsTheRingsAgainstTheMemoryThatMayBeLocked) {
  Machine m = machine();
  m.rights.ipc_lock = false;
  m.rights.memlock_octets = 8 << 20;
  EXPECT_THAT(only_trouble(with({.device = "net_af_packet0,iface=lo"}), m).what,
              AllOf(HasSubstr("36864 KiB of memory are to be locked, and who runs weir may lock 8192 KiB"),
                    HasSubstr("CAP_IPC_LOCK")));
  EXPECT_THAT(only_trouble(with({.device = "net_af_xdp0,iface=wire"}), m).what, HasSubstr("to be locked"));
  EXPECT_THAT(find_trouble(with({.device = "net_af_packet0,iface=lo,framecnt=256"}), m), IsEmpty());
  DataPlaneConfig two = with({.device = "net_af_packet0,iface=lo,framecnt=256"});  // 4.5 MiB each
  two.dpdk_ports.push_back({.name = "second", .device = "net_af_packet1,iface=wire,framecnt=256"});
  const PlaneTrouble found = only_trouble(two, m);
  EXPECT_EQ(found.index, 1u);
  EXPECT_THAT(found.what, HasSubstr("9216 KiB"));
  m.rights.memlock_octets = UINT64_MAX;
  EXPECT_THAT(find_trouble(two, m), IsEmpty());
  m.rights = {.memlock_octets = 0};  // has CAP_IPC_LOCK
  EXPECT_THAT(find_trouble(two, m), IsEmpty());
}

TEST(PlaneCheck, LooksForInterfacesOnlyWhereTheArgumentNamesOne) {
  for (const char* device : {"net_vhost0,iface=/tmp/vhost.sock", "net_tap0,iface=weir9",
                             "net_virtio_user0,path=/tmp/vhost.sock,iface=weir9"})
    EXPECT_THAT(find_trouble(with({.device = device}), machine()), IsEmpty()) << device;
}

TEST(PlaneCheck, RefusesANamedPipeWithoutWaitingForItsWriter) {
  TemporaryFolder folder;
  const std::string pipe = folder.file("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(only_trouble(with({.device = "net_pcap0,rx_pcap=" + pipe})).what, HasSubstr("is a named pipe"));
}

TEST(PlaneCheck, NamesAMainLcoreThatIsNotThere) {
  DataPlaneConfig config = with({.device = "net_null0"});
  config.eal.main_lcore = 5;
  EXPECT_EQ(only_trouble(config).to_error(config).message, "eal.main_lcore: CPU 5 cannot be used here");
}

TEST(PlaneCheck, BoundsKernelSocketsByWhatACoreCanWaitFor) {
  DataPlaneConfig config;
  config.pipeline = netflow_pipeline();
  config.socket_ports.resize(64);
  EXPECT_THAT(find_trouble(config, machine()), IsEmpty());
  config.socket_ports.resize(65);
  EXPECT_THAT(only_trouble(config).what, HasSubstr("65 kernel sockets, limit 64"));
}

TEST(PlaneCheck, TriesSocketsWithoutKeepingThem) {
  DataPlaneConfig config;
  config.pipeline = netflow_pipeline();
  const int taken = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(taken, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  socklen_t octets = sizeof address;
  ASSERT_EQ(getsockname(taken, reinterpret_cast<sockaddr*>(&address), &octets), 0);
  SocketPort port;
  port.name = "netflow";
  port.address = *IpAddress::parse("127.0.0.1");
  port.port = ntohs(address.sin_port);
  config.socket_ports = {port, port};
  config.socket_ports[1].address = *IpAddress::parse("192.0.2.1");
  auto found = try_sockets(config);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_THAT(found[0].what, HasSubstr("in use by another program"));
  EXPECT_TRUE(found[0].may_pass);
  EXPECT_THAT(found[1].what, HasSubstr("assign requested address"));
  EXPECT_FALSE(found[1].may_pass);
  close(taken);
  config.socket_ports.resize(1);
  EXPECT_THAT(try_sockets(config), IsEmpty());
  EXPECT_THAT(try_sockets(config), IsEmpty()) << "it was not kept";
}

TEST(PlaneCheck, KnowsWhatHasAnEnd) {
  EXPECT_EQ(why_without_end(with({.device = "net_pcap0,rx_pcap=a,rx_pcap=b"})), "");
  EXPECT_THAT(why_without_end(with({.device = "net_pcap0,rx_pcap=a,infinite_rx=1"})),
              HasSubstr("for ever"));
  EXPECT_THAT(why_without_end(with({.device = "net_pcap0,iface=lo"})), HasSubstr("replays no file"));
  EXPECT_THAT(why_without_end(with({.device = "net_null0"})), HasSubstr("port edge replays no file"));
  DataPlaneConfig both = with({.device = "net_pcap0,rx_pcap=a"});
  both.socket_ports.resize(1);
  both.socket_ports[0].name = "host";
  EXPECT_THAT(why_without_end(both), HasSubstr("host is a kernel socket"));
}

}  // namespace
}  // namespace weir::dataplane::testing
