// rights_test.cc — Root starts it, and it runs as another user: what it has opened, and what it opens then.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/ports.h"
#include "support/process.h"

namespace weir {
namespace {

using nlohmann::json;
using test::built;
using test::eventually;
using test::Process;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uid_t kNobody = 65534;

class RightsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    ASSERT_EQ(chmod((folder_ / ".").c_str(), 0755), 0);
    ASSERT_EQ(mkdir(out().c_str(), 0755), 0);
    ASSERT_EQ(chown(out().c_str(), kNobody, kNobody), 0);
  }
  std::string out() const { return folder_ / "out"; }
  std::string flows() const { return out() + "/flows.json"; }
  std::string control_socket() const { return folder_ / "run/control.sock"; }
  std::string config() const { return folder_ / "weir.yaml"; }

  /// Flows go to a file, and to a broker that is away: those are spooled.
  void write_config(const std::string& ports, const std::string& listeners, const std::string& more_publishers = "") const {
    std::ofstream(config()) << "user: \"65534\"\ngroup: \"65534\"\neal: {memory_mb: 256}\nports: [" << ports << "]\nlisteners: [" << listeners << "]\n"
                            << "nats_url: nats://127.0.0.1:1\nspool: {dir: " << (folder_ / "spool") << "}\n"
                            << "publishers:\n  - {name: file, kind: file, path: " << flows() << "}\n"
                            << "  - {name: away, kind: jetstream, drop_policy: spool, channel_size: 1000}\n"
                            << more_publishers << "state_dir: " << (folder_ / "state") << "\nstate_interval_secs: 1\n"
                            << "control_socket: {path: " << control_socket() << "}\n";
  }
  std::string ctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {built("weirctl"), "--socket", control_socket()});
    Process ctl(folder_, std::move(arguments));
    ctl.wait();
    return ctl.out() + ctl.err();
  }
  json status() const { return json::parse(ctl({"--json", "status"}), nullptr, false); }
  /// Of these words, when it listens.
  std::unique_ptr<Process> start(std::vector<std::string> words) const {
    auto weir = std::make_unique<Process>(folder_, std::move(words));
    EXPECT_TRUE(eventually([&] { return status().is_object() || !weir->is_running(); }));
    EXPECT_TRUE(weir->is_running()) << weir->err();
    return weir;
  }
  size_t lines() const {
    const std::string text = test::contents_of(flows());
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }
  /// Nobody's, but for what the control thread keeps.
  static void expect_no_rights(pid_t pid, const std::string& kept) {
    size_t count = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
      const std::string text = test::contents_of(task.path() / "status");
      const bool is_control = task.path().filename() == std::to_string(pid);
      EXPECT_THAT(text, HasSubstr("\nUid:\t65534\t65534\t65534\t65534\n"));
      EXPECT_THAT(text, HasSubstr("\nGid:\t65534\t65534\t65534\t65534\n"));
      EXPECT_THAT(text, HasSubstr("\nCapEff:\t" + (is_control ? kept : std::string(16, '0')) + "\n"));
      EXPECT_THAT(text, HasSubstr("\nCapPrm:\t" + (is_control ? kept : std::string(16, '0')) + "\n"));
      EXPECT_THAT(text, HasSubstr("\nNoNewPrivs:\t1\n"));
      ++count;
    }
    EXPECT_GE(count, 4u);
  }
  static uid_t owner_of(const std::string& path) {
    struct stat found {};
    return stat(path.c_str(), &found) == 0 ? found.st_uid : UINT32_MAX;
  }
  bool generate(const std::vector<std::string>& before, const std::string& to) const {
    std::vector<std::string> words = before;
    for (const char* word : {"generate", "--protocol", "v9", "--count", "20", "--flows", "5", "--rate", "2000", "--to"}) {
      if (word == std::string("generate")) words.push_back(built("weir"));
      words.push_back(word);
    }
    words.push_back(to);
    Process generator(folder_, std::move(words));
    return generator.wait() == 0;
  }
  /// As often as it takes: flows go by UDP.
  bool arrives(const std::vector<std::string>& before, const std::string& to) const {
    const size_t had = lines();
    return generate(before, to) && eventually([&] { return lines() > had; }, std::chrono::seconds(5));
  }

  /// A network namespace that ends with its last process.
  struct Namespace {
    std::vector<std::string> words;  // that begin a command there
    explicit Namespace(pid_t pid) : words{"nsenter", "-t", std::to_string(pid), "-n"} {}
    bool here(const std::string& command) const {
      std::string all;
      for (const std::string& word : words) all += word + " ";
      return std::system((all + command).c_str()) == 0;
    }
  };
  /// In one of its own, where those commands come before it.
  std::unique_ptr<Process> start_behind(const std::string& commands) const {
    return start({"unshare", "-n", "sh", "-c", "ip link set lo up && " + commands + " && exec " + built("weir") + " run -c " + config()});
  }
  /// `port` has no address, and exporters are at the other end.
  static std::string wire(const std::string& queues = "") {
    return "ip link add port " + queues + " type veth peer name exporter " + queues + " && ip link set port up && "
           "ip link set exporter up && ip addr add 192.0.2.1/24 dev exporter && "
           "ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev exporter nud permanent";
  }
  /// The other end of the wire is set down and up again, and receiving goes on.
  void expect_it_comes_back(const Namespace& there) const {
    ASSERT_TRUE(there.here("ip link set exporter down"));
    EXPECT_TRUE(eventually([&] { return status()["ports"][0]["trouble"] != ""; }));
    ASSERT_TRUE(there.here("ip link set exporter up"));
    ASSERT_TRUE(there.here("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev exporter nud permanent"));
    EXPECT_TRUE(eventually([&] { return status()["ports"][0]["trouble"] == ""; }));
    EXPECT_TRUE(arrives(there.words, "192.0.2.2:2055"));
  }

  test::TemporaryFolder folder_;
};

TEST_F(RightsTest, ReceivesKeepsAndReloadsWithoutRoots) {
  const uint16_t port = test::free_udp_port(), later = test::free_udp_port();
  const std::string host = "{name: host, kind: socket, address: 127.0.0.1}";
  const std::string listener = "{name: netflow, buffer_size: 1MiB, port: " + std::to_string(port) + "}";
  write_config(host, listener);
  const auto weir = start({built("weir"), "run", "-c", config()});
  expect_no_rights(weir->pid(), std::string(16, '0'));
  EXPECT_EQ(status()["rights"]["uid"], kNobody);
  EXPECT_EQ(status()["rights"]["given_up"], true);
  EXPECT_TRUE(arrives({}, "127.0.0.1:" + std::to_string(port)));
  expect_no_rights(weir->pid(), std::string(16, '0'));

  EXPECT_EQ(owner_of(control_socket()), kNobody);
  EXPECT_TRUE(eventually([&] { return owner_of(folder_ / "state/decoder_state") == kNobody; }));
  EXPECT_TRUE(eventually([&] {
    const json publishers = status()["publishers"];
    return publishers[1]["spool"].is_object() && publishers[1]["spool"]["records"] > 0;
  })) << status()["publishers"];
  EXPECT_EQ(owner_of(folder_ / "spool"), kNobody);

  write_config(host, listener + ", {name: more, buffer_size: 1MiB, port: " + std::to_string(later) + "}");
  weir->signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return weir->err().find("listening for more") != std::string::npos || status()["ports"].size() == 2; }))
      << weir->err();
  EXPECT_TRUE(arrives({}, "127.0.0.1:" + std::to_string(later)));
  EXPECT_THAT(weir->err(), HasSubstr("(uid 65534, gid 65534), without capabilities"));
  weir->terminate();
  EXPECT_FALSE(std::filesystem::exists(control_socket()));
}

TEST_F(RightsTest, APacketSocketComesBackAfterItsLinkWasLost) {
  write_config("{name: wire, device: 'net_af_packet0,iface=port,framecnt=512'}", "{name: netflow, port: 2055}");
  const auto weir = start_behind(wire());
  const std::string none(16, '0');
  expect_no_rights(weir->pid(), none);
  const Namespace there(weir->pid());
  EXPECT_TRUE(arrives(there.words, "192.0.2.2:2055"));
  EXPECT_EQ(status()["rights"]["kept"], json::array());
  expect_it_comes_back(there);
  expect_no_rights(weir->pid(), none);
  EXPECT_EQ(weir->terminate() >= 0, true);
}

TEST_F(RightsTest, ATapKeepsWhatMakingItAgainNeeds) {
  write_config("{name: wire, device: 'net_tap0,iface=tap9,mac=02:00:00:00:00:02'}", "{name: netflow, port: 2055}");
  const auto weir = start_behind("true");
  expect_no_rights(weir->pid(), "0000000000001000");
  EXPECT_THAT(status()["rights"]["kept"].dump(), HasSubstr("port wire: where somebody deletes its interface it is made again"));
  const Namespace there(weir->pid());
  const auto expect_arrival = [&] {
    ASSERT_TRUE(there.here("ip addr add 192.0.2.1/24 dev tap9"));
    ASSERT_TRUE(there.here("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev tap9 nud permanent"));
    EXPECT_TRUE(arrives(there.words, "192.0.2.2:2055"));
  };
  expect_arrival();
  ASSERT_TRUE(there.here("ip link delete tap9"));
  EXPECT_TRUE(eventually([&] { return status()["ports"][0]["note"].dump().find("was deleted, and made again (1)") != std::string::npos; }));
  EXPECT_TRUE(eventually([&] { return status()["ports"][0]["trouble"] == "" && there.here("ip link show tap9 >/dev/null"); }));
  expect_arrival();
  weir->terminate();
}

TEST_F(RightsTest, AnAfXdpPortNeedsNoneOnceItIsUp) {
  const std::string port = "{name: wire, device: 'net_af_xdp0,iface=port'}", listener = "{name: netflow, port: 2055}";
  write_config(port, listener);
  const auto weir = start_behind(wire("numrxqueues 1 numtxqueues 1"));
  const std::string none(16, '0');
  expect_no_rights(weir->pid(), none);
  // The namespace outlives it, so that one can see what it leaves.
  const Process keeper(folder_, {"nsenter", "-t", std::to_string(weir->pid()), "-n", "sleep", "300"});
  const Namespace there(keeper.pid());
  EXPECT_TRUE(eventually([&] { return there.here("ip -d link show port | grep -w 'name weir' >/dev/null"); }));
  EXPECT_TRUE(arrives(there.words, "192.0.2.2:2055"));
  EXPECT_EQ(status()["rights"]["kept"], json::array());
  EXPECT_EQ(status()["ports"][0]["missed"], 0) << "which the socket is asked for";

  expect_it_comes_back(there);

  write_config(port, listener + ", {name: more, port: 2056}");
  weir->signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return arrives(there.words, "192.0.2.2:2056"); })) << weir->err();
  expect_no_rights(weir->pid(), none);
  EXPECT_EQ(weir->terminate() >= 0, true);
  EXPECT_TRUE(there.here("ip link show port >/dev/null"));
  EXPECT_FALSE(there.here("ip -d link show port | grep -w prog/xdp >/dev/null")) << "its program goes with it";
  EXPECT_THAT(weir->err(), Not(HasSubstr("bpf"))) << "the driver takes off what is gone already";
}

TEST_F(RightsTest, AReloadThatWantsWhatWasGivenUpIsRefusedAndSaysWhatToDo) {
  const uint16_t port = test::free_udp_port();
  const std::string host = "{name: host, kind: socket, address: 127.0.0.1}";
  const std::string listener = "{name: netflow, buffer_size: 1MiB, port: " + std::to_string(port) + "}";
  const auto replicate = [](bool spoofs) {
    return std::string("replicate: [{to: '127.0.0.1:9', spoof_source: ") + (spoofs ? "true" : "false") + "}]\n";
  };
  write_config(host, listener, replicate(false));
  const auto weir = start({built("weir"), "run", "-c", config()});
  write_config(host, listener, replicate(true));
  const std::string said = ctl({"reload"});
  EXPECT_THAT(said, HasSubstr("CAP_NET_RAW: where weir gave that up after its start, restart it"));
  EXPECT_EQ(status()["replicate"][0]["spoof_source"], false) << "what was there goes on: " << status()["replicate"];
  EXPECT_EQ(status()["replicate"].size(), 1u);
  EXPECT_TRUE(arrives({}, "127.0.0.1:" + std::to_string(port)));
  EXPECT_TRUE(eventually([&] { return status()["replicate"][0]["sent"] > 0; })) << status()["replicate"];
  weir->terminate();
}

/// The names of those that may something, but for the control thread.
std::vector<std::string> threads_with_any(pid_t pid) {
  std::vector<std::string> names;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    const std::string text = test::contents_of(task.path() / "status");
    if (task.path().filename() != std::to_string(pid) && text.find("\nCapPrm:\t0000000000000000\n") == std::string::npos)
      names.push_back(text.substr(0, text.find('\n')));
  }
  return names;
}

TEST_F(RightsTest, WhatAReloadStartsHasNothingOfWhatIsKept) {
  const std::string host = "{name: host, kind: socket, address: 127.0.0.1}", listener = "{name: netflow, buffer_size: 1MiB, port: 999}";
  write_config(host, listener);
  const auto weir = start({"unshare", "-n", "sh", "-c", "ip link set lo up && exec " + built("weir") + " run -c " + config()});
  const std::string bind_service = "0000000000000400";
  expect_no_rights(weir->pid(), bind_service);
  const std::string more = "  - {name: second, kind: file, path: " + out() + "/second.json}\n" +
                           "  - {name: third, kind: http, url: 'http://127.0.0.1:1/', drop_policy: spool, channel_size: 1000}\n";
  write_config(host, listener, more);
  weir->signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return status()["publishers"].size() == 4; })) << weir->err();
  EXPECT_TRUE(eventually([&] { return threads_with_any(weir->pid()).empty(); }))
      << ::testing::PrintToString(threads_with_any(weir->pid()));
  expect_no_rights(weir->pid(), bind_service);
  EXPECT_EQ(status()["rights"]["threads_with_more"], json::array());
  EXPECT_EQ(weir->terminate() >= 0, true);
}

TEST_F(RightsTest, NamesWhatTheUserMayNot) {
  write_config("{name: host, kind: socket, address: 127.0.0.1}", "{name: netflow, port: " + std::to_string(test::free_udp_port()) + "}");
  ASSERT_EQ(mkdir((folder_ / "state").c_str(), 0700), 0);  // root's
  for (const char* command : {"check", "run"}) {
    Process weir(folder_, {built("weir"), command, "-c", config()});
    EXPECT_EQ(weir.wait(), 1);
    EXPECT_THAT(weir.err(), HasSubstr("state: Permission denied; allowed: a folder that can be written"));
  }
  ASSERT_EQ(rmdir((folder_ / "state").c_str()), 0);
  Process check(folder_, {built("weir"), "check", "-c", config()});
  EXPECT_EQ(check.wait(), 0) << check.err();
  EXPECT_THAT(check.out(), HasSubstr("runs as 65534 once ports are up, without capabilities"));
}

}  // namespace
}  // namespace weir
