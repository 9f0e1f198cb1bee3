#include "control/machine/machine_check.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/socket_address.h"
#include "control/state/state_lock.h"
#include "export/spool.h"
#include "support/ports.h"
#include "support/process.h"

namespace weir::control {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

dataplane::Machine machine() {
  dataplane::Machine m;
  m.memory_octets = 4ull << 30;
  m.memory_free_octets = 2ull << 30;
  m.cpus = {0, 1};
  m.may_use_cpu = [](unsigned cpu) { return cpu < 2; };
  return m;
}

class MachineCheck : public testing::Test {
 protected:
  /// With a listener on DPDK ports or a kernel socket, and nothing that this machine may not have.
  std::string file(const std::string& more, bool with_listener = true) const {
    return (with_listener ? std::string("listeners: [{protocol: netflow, listen_addr: '127.0.0.1:" +
                                        std::to_string(test::free_udp_port()) + "'}]\n")
                          : std::string()) +
           (more.find("state_dir") == std::string::npos ? "state_dir: \"\"\n" : "") +
           (more.find("control_socket") == std::string::npos ? "control_socket: {path: \"\"}\n" : "") +
           more;
  }
  Result<std::vector<std::string>> check(const std::string& text, InUse in_use = InUse::refuse) const {
    const auto loaded = read_config(text, "w.yaml", {});
    EXPECT_TRUE(loaded) << loaded.error().message;
    if (!loaded) return loaded.error();
    return check_machine(*loaded, machine(), in_use);
  }

  test::TemporaryFolder folder_;
};

TEST_F(MachineCheck, AcceptsWhatTheMachineHas) {
  const auto checked = check(file("state_dir: " + (folder_ / "a/b/state") + "\ncontrol_socket: {path: " +
                                  (folder_ / "control.sock") + "}\nmetrics_addr: 127.0.0.1:0\n"));
  ASSERT_TRUE(checked) << checked.error().message;
  EXPECT_THAT(*checked, IsEmpty());
  EXPECT_NE(access((folder_ / "a").c_str(), F_OK), 0) << "nothing is made";
}

TEST_F(MachineCheck, RefusesWithPlaceKeyAndValue) {
  std::ofstream(folder_ / "file") << "x";
  const struct {
    std::string text;
    std::string error;
  } cases[] = {
      {"ports:\n  - {device: 'net_pcap0,rx_pcap=/nowhere/a.pcap'}",
       "w.yaml:5:14: ports[0].device: /nowhere/a.pcap: No such file"},
      {"ports: [{kind: socket}, {device: net_null0, mbufs: 10}]",
       "w.yaml:4:52: ports[1].mbufs: 10 are too few"},
      {"ports: [{device: net_null0, data_room_bytes: 100}]", "ports[0].data_room_bytes: data room of 100"},
      {"ports: [{device: net_null0, lcores: [3]}]", "ports[0].lcores: CPU 3 cannot be used here"},
      {"ports: [{device: net_null0}]\neal: {main_lcore: 9}", "w.yaml:5:19: eal.main_lcore: CPU 9 cannot"},
      {"ports: [{device: net_null0}]\neal: {hugepages: true}",
       "w.yaml:5:18: eal.hugepages: this machine has none"},
      {"ports: [{device: net_null0, queues: 8, lcores: [0], mbufs: 65535}]", "eal.memory_mb: 256 MiB, and"},
      {"ports: [{device: net_null0}]\neal: {memory_mb: 8192}", "eal.memory_mb: 8192 MiB asked"},
      {"buffer_bytes: 8GiB", "w.yaml:4:15: buffer_bytes: 8GiB are more than this machine has (4GiB)"},
      {"limits: {template_octets_total: 8GiB}", "limits.template_octets_total: 8GiB are more"},
      {"limits: {pending_octets_total: 8GiB}", "limits.pending_octets_total: 8GiB are more"},
      {"limits: {name_octets_total: 5GiB}", "limits.name_octets_total: 5GiB are more"},
      {"ports: [{device: net_null0, queues: 8}]\nlimits: {fragmented_datagrams: 16384}",
       "limits.fragmented_datagrams: 9396MiB are more"},
      {"buffer_bytes: 3GiB\nlimits: {template_octets_total: 2GiB}",
       "buffer_bytes: 3GiB, with buffer_bytes, limits and eal.memory_mb together"},
      {"control_socket: {path: /tmp/" + std::string(120, 'x') + "}", "control_socket.path: /tmp/xxx"},
      {"control_socket: {path: /nowhere/at/all.sock}",
       "w.yaml:3:24: control_socket.path: /nowhere/at/all.sock: "},
      {"control_socket: {path: " + (folder_ / "file") + "}", "exists and is not a socket"},
      {"control_socket: {path: " + (folder_ / "c.sock") + ", group: weir-none}",
       "control_socket.group: group weir-none does not exist"},
      {"metrics_addr: 192.0.2.1:9", "w.yaml:4:15: metrics_addr: 192.0.2.1:9: Cannot assign"},
      {"state_dir: " + (folder_ / "file") + "/below", "state_dir: "},
      {"state_dir: " + (folder_ / "file"), "is not a folder; allowed: a folder that can be written"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const auto checked = check(file(c.text));
    ASSERT_FALSE(checked);
    EXPECT_THAT(checked.error().message, HasSubstr(c.error));
    EXPECT_EQ(std::count(checked.error().message.begin(), checked.error().message.end(), '\n'), 0)
        << "one mistake, one line: " << checked.error().message;
  }
}

TEST_F(MachineCheck, RefusesFoldersThatMayNotBeWrittenAndGroupsOfOthers) {
  ASSERT_EQ(mkdir((folder_ / "shut").c_str(), 0555), 0);
  ASSERT_EQ(chmod((folder_ / "").c_str(), 0755), 0);
  const std::string theirs = folder_ / "theirs/jetstream";
  std::filesystem::create_directories(theirs);
  ASSERT_EQ(chmod(theirs.c_str(), 0777), 0);
  std::ofstream(theirs + "/cursor") << "";
  ASSERT_EQ(chmod((theirs + "/cursor").c_str(), 0444), 0);
  const bool is_root = geteuid() == 0;  // who may write everywhere
  constexpr uid_t kNobody = 65'534;
  if (is_root) {
    ASSERT_EQ(seteuid(kNobody), 0);
  }
  const auto state = check(file("state_dir: " + (folder_ / "shut/state")));
  const auto spool = check(file("drop_policy: spool\nspool: {dir: " + (folder_ / "shut") + "}\n"));
  const auto others = check(file("drop_policy: spool\nspool: {dir: " + (folder_ / "theirs") + "}\n"));
  const auto socket = check(file("control_socket: {path: " + (folder_ / "shut/c.sock") + "}"));
  const auto group = check(file("control_socket: {path: /tmp/weir-nobodys.sock, group: daemon}"));
  if (is_root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  ASSERT_FALSE(state);
  EXPECT_THAT(state.error().message, HasSubstr("Permission denied"));
  ASSERT_FALSE(spool);
  EXPECT_THAT(spool.error().message, HasSubstr("spool.dir: " + (folder_ / "shut/jetstream") + ": "));
  ASSERT_FALSE(others);
  EXPECT_THAT(others.error().message, HasSubstr("/cursor: Permission denied"));
  ASSERT_FALSE(socket);
  EXPECT_THAT(socket.error().message, HasSubstr("Permission denied"));
  ASSERT_FALSE(group);
  EXPECT_THAT(group.error().message, HasSubstr("control_socket.group: who runs weir is no member of group daemon"));
}

TEST_F(MachineCheck, OnlyWarnsOfWhatARunningWeirHolds) {
  const int taken = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(taken, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  socklen_t length = sizeof address;
  ASSERT_EQ(getsockname(taken, reinterpret_cast<sockaddr*>(&address), &length), 0);
  const std::string text = file(fmt::format("listeners:\n  - {{port: {}}}\nports: [{{kind: socket, address: "
                                            "127.0.0.1}}]\n",
                                            ntohs(address.sin_port)),
                                false);
  const auto warned = check(text, InUse::warn);
  ASSERT_TRUE(warned) << warned.error().message;
  EXPECT_THAT(*warned, ElementsAre(AllOf(HasSubstr("w.yaml:4:12: listeners[0].port: "),
                                         HasSubstr("in use by another program (now;"))));
  const auto refused = check(text, InUse::refuse);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("w.yaml:4:12: listeners[0].port: "));
  close(taken);
  EXPECT_TRUE(check(text, InUse::refuse));
}

TEST_F(MachineCheck, OnlyWarnsOfStateThatARunningWeirKeeps) {
  const std::string text = file("state_dir: " + (folder_ / "state"));
  {
    const auto lock = StateLock::take(folder_ / "state");
    ASSERT_TRUE(lock) << lock.error().message;
    const auto warned = check(text, InUse::warn);
    ASSERT_TRUE(warned) << warned.error().message;
    EXPECT_THAT(*warned, ElementsAre(AllOf(HasSubstr("w.yaml:3:12: state_dir: "), HasSubstr("another weir keeps"))));
    EXPECT_FALSE(check(text, InUse::refuse));
  }
  EXPECT_TRUE(check(text, InUse::refuse));
}

// What `weir run` finds when it opens a spool, said before it does.
TEST_F(MachineCheck, LooksAtSpoolsAndLeavesNothingThere) {
  const auto text = [&](const std::string& dir, const std::string& more = "") {
    return file("drop_policy: spool\nspool: {dir: " + dir + "}\n" + more);
  };
  const auto new_folder = check(text(folder_ / "a/spools"));
  ASSERT_TRUE(new_folder) << new_folder.error().message;
  EXPECT_NE(access((folder_ / "a").c_str(), F_OK), 0) << "nothing is made";

  std::ofstream(folder_ / "file") << "x";
  const auto no_folder = check(
      text(folder_ / "file", "publishers: [{kind: stdout, name: a}, {kind: jetstream, name: b}]\n"));
  ASSERT_FALSE(no_folder);
  EXPECT_THAT(no_folder.error().message,
              AllOf(HasSubstr("w.yaml:5:14: spool.dir: " + (folder_ / "file/a") + ": " + (folder_ / "file") +
                              " is not a folder; allowed: a folder that can be written"),
                    Not(HasSubstr("file/b"))))
      << "one mistake, one line";

  // Without spool.dir it is below state_dir.
  ASSERT_EQ(mkdir((folder_ / "state").c_str(), 0755), 0);
  std::ofstream(folder_ / "state/spool") << "x";
  const auto below = check(file("drop_policy: spool\nstate_dir: " + (folder_ / "state") + "\n"));
  ASSERT_FALSE(below);
  EXPECT_THAT(below.error().message, HasSubstr("state_dir: " + (folder_ / "state/spool/jetstream") + ": "));
}

TEST_F(MachineCheck, OnlyWarnsOfASpoolThatARunningWeirHas) {
  const std::string text = file("drop_policy: spool\nspool: {dir: " + (folder_ / "spools") + "}\n");
  {
    outbound::SpoolConfig config;
    config.dir = folder_ / "spools/jetstream";
    const auto spool = outbound::Spool::open(config);
    ASSERT_TRUE(spool) << spool.error().message;
    const auto warned = check(text, InUse::warn);
    ASSERT_TRUE(warned) << warned.error().message;
    EXPECT_THAT(*warned, ElementsAre(AllOf(HasSubstr("w.yaml:5:14: spool.dir: "),
                                           HasSubstr("another weir has its spool there"))));
    EXPECT_FALSE(check(text, InUse::refuse));
  }
  EXPECT_TRUE(check(text, InUse::refuse));
}

TEST_F(MachineCheck, WarnsOfCoresThatBurnAllThereIs) {
  const auto checked = check(file("ports: [{device: net_null0, queues: 2}]\nidle: poll\n"));
  ASSERT_TRUE(checked) << checked.error().message;
  EXPECT_THAT(*checked, ElementsAre(HasSubstr("idle: poll: 2 receive cores burn all 2 CPUs")));
}

}  // namespace
}  // namespace weir::control
