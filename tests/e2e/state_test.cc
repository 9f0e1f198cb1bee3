// state_test.cc — Templates and sampling rates survive the end of weir, orderly or not: data that comes
// right after the next start is decoded at once.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/clock.h"
#include "lab/message_builder.h"
#include "support/hanging_file.h"
#include "support/ports.h"
#include "support/process.h"

namespace weir {
namespace {

using nlohmann::json;
using test::eventually;
using namespace std::chrono_literals;
using test::free_udp_port;
using test::Process;

class StateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(config()) << "listeners:\n  - {name: netflow, listen_addr: \"127.0.0.1:" << port_
                            << "\"}\npublishers:\n  - {kind: stdout}\n"
                            << "buffer_bytes: 64MiB\nstate_dir: " << (folder_ / "state")
                            << "\nstate_interval_secs: 1\ncontrol_socket: {path: " << socket_path()
                            << "}\n";
  }
  std::string config() const { return folder_ / "weir.yaml"; }
  std::string socket_path() const { return folder_ / "control.sock"; }
  std::string file() const { return folder_ / "state/decoder_state"; }

  std::unique_ptr<Process> start() {
    auto weir = std::make_unique<Process>(
        folder_, std::vector<std::string>{test::built("weir"), "run", "-c", config()});
    EXPECT_TRUE(eventually([&] { return !status().is_null() || !weir->is_running(); }));
    EXPECT_TRUE(weir->is_running()) << weir->err();
    return weir;
  }
  /// Null while nobody answers.
  json get(const std::string& what) {
    Process ctl(folder_, {test::built("weirctl"), "--socket", socket_path(), "--json", what});
    return ctl.wait() == 0 ? json::parse(ctl.out()) : json();
  }
  json status() { return get("status"); }

  /// Each call comes from another port.
  void send(const lab::Octets& datagram) const {
    const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::sendto(fd, datagram.data(), datagram.size(), 0, reinterpret_cast<sockaddr*>(&to),
                       sizeof to),
              static_cast<ssize_t>(datagram.size()));
    ::close(fd);
  }
  static lab::NetflowV9Builder v9() {
    return lab::NetflowV9Builder{}
        .unix_secs(static_cast<uint32_t>(wall_clock_ns() / kNsPerSec))
        .source_id(7);
  }
  void send_definitions() const {
    using namespace lab;
    send(v9().templates({{.id = 256, .fields = {{8, 4}, {12, 4}, {1, 4}, {48, 1}}}})
             .options_templates({{.id = 300, .scopes = {{1, 4}}, .fields = {{48, 1}, {50, 4}}}})
             .data(300, {{u32(0), u8(3), u32(1000)}})
             .build());
  }
  void send_data(uint32_t bytes) const {
    using namespace lab;
    send(v9().data(256, {{ipv4("192.0.2.1"), ipv4("192.0.2.2"), u32(bytes), u8(3)}}).build());
  }
  static std::vector<json> records(const Process& weir) {
    std::vector<json> all;
    std::istringstream lines(weir.out());
    for (std::string line; std::getline(lines, line);) all.push_back(json::parse(line));
    return all;
  }
  static void expect_record(Process& weir, uint32_t bytes) {
    ASSERT_TRUE(eventually([&] { return records(weir).size() == 1; })) << weir.err();
    const json record = records(weir)[0];
    EXPECT_EQ(record["bytes"], bytes);
    EXPECT_EQ(record["src_addr"], "192.0.2.1");
    EXPECT_EQ(record["sampling_rate"], 1000);
    EXPECT_EQ(record["observation_domain_id"], 7);
  }

  test::TemporaryFolder folder_;
  uint16_t port_ = free_udp_port();
};

TEST_F(StateTest, DataIsDecodedAtOnceAfterAnOrderlyEnd) {
  {
    auto weir = start();
    send_definitions();
    send_data(1);
    expect_record(*weir, 1);
    EXPECT_EQ(weir->terminate(), 0) << weir->err();
    EXPECT_NE(weir->err().find("2 templates and 1 sampling rates of 1 exporters saved"),
              std::string::npos)
        << weir->err();
  }
  auto weir = start();
  EXPECT_NE(weir->err().find("2 templates and 1 sampling rates of 1 exporters"), std::string::npos)
      << weir->err();
  const json before = status()["state_kept"];
  EXPECT_EQ(before["loaded"]["templates"], 2);
  EXPECT_EQ(before["restored"]["templates"], 0) << "until the exporter is heard of";
  send_data(2);
  expect_record(*weir, 2);
  ASSERT_TRUE(eventually([&] { return status()["state_kept"]["restored"]["templates"] == 2; }));
  EXPECT_EQ(status()["state_kept"]["restored"]["rates"], 1);
  EXPECT_EQ(get("ledger")["sets"]["outcomes"]["waiting_for_template"], 0);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(StateTest, DataIsDecodedAtOnceAfterASuddenEnd) {
  {
    auto weir = start();
    send_definitions();
    ASSERT_TRUE(eventually([&] {
      const json saved = status()["state_kept"]["saved"];
      return saved.is_object() && saved["templates"] == 2 && saved["rates"] == 1;
    })) << status().dump(2);
    weir->signal(SIGKILL);
    EXPECT_EQ(weir->wait(), -SIGKILL);
  }
  {
    // A run in which the exporter is silent, and that is killed too.
    auto weir = start();
    weir->signal(SIGKILL);
    weir->wait();
  }
  auto weir = start();
  send_data(3);
  expect_record(*weir, 3);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(StateTest, AFileSystemThatHangsDoesNotHoldUpTheEnd) {
  std::filesystem::create_directory(folder_ / "state");
  const test::HangingFile state(file() + ".new");
  const test::HangingFile names(folder_ / "state/exporter_names.new");
  std::ofstream(config(), std::ios::app) << "shutdown_deadline_ms: 1000\n";
  auto weir = start();
  send_definitions();
  send_data(1);
  expect_record(*weir, 1);
  std::this_thread::sleep_for(1500ms);  // the save at the interval hangs too
  send_data(2);
  EXPECT_TRUE(eventually([&] { return records(*weir).size() == 2; })) << "it goes on meanwhile";
  EXPECT_EQ(weir->terminate(20s), 1) << weir->err();
  EXPECT_NE(weir->err().find("state: a write below state_dir hangs"), std::string::npos)
      << weir->err();
  EXPECT_NE(weir->err().find("names: a write below state_dir hangs"), std::string::npos);
  EXPECT_NE(weir->err().find("stopped: "), std::string::npos);
  EXPECT_EQ(weir->err().find("were not delivered"), std::string::npos);
}

TEST_F(StateTest, ADamagedFileIsIgnoredAndKeptAside) {
  {
    auto weir = start();
    send_definitions();
    send_data(1);
    expect_record(*weir, 1);
    EXPECT_EQ(weir->terminate(), 0) << weir->err();
  }
  std::string octets = test::contents_of(file());
  ASSERT_FALSE(octets.empty());
  octets[octets.size() / 2] = static_cast<char>(octets[octets.size() / 2] ^ 4);
  std::ofstream(file(), std::ios::binary) << octets;
  auto weir = start();
  EXPECT_NE(weir->err().find("damaged"), std::string::npos) << weir->err();
  EXPECT_EQ(test::contents_of(file() + ".ignored"), octets);
  EXPECT_TRUE(status()["state_kept"]["loaded"].is_null());
  send_data(2);
  ASSERT_TRUE(
      eventually([&] { return get("ledger")["sets"]["outcomes"]["waiting_for_template"] == 1; }));
  send_definitions();
  ASSERT_TRUE(eventually([&] { return records(*weir).size() == 1; }));
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

}  // namespace
}  // namespace weir
