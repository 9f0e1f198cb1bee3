// publishers_fixture.h — The program on one kernel socket, with the publishers that a test names.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/ports.h"
#include "support/process.h"

namespace weir {

using nlohmann::json;
using test::built;
using test::eventually;
using test::Process;

class PublishersTest : public ::testing::Test {
 protected:
  std::unique_ptr<Process> start(const std::string& publishers) {
    auto weir = start_without_waiting(publishers);
    EXPECT_TRUE(eventually([&] { return run_ctl({"ready"}) == 0 || !weir->is_running(); }));
    EXPECT_TRUE(weir->is_running()) << weir->err();
    return weir;
  }
  /// For publishers whose destination is not there: weir listens when its control socket answers.
  std::unique_ptr<Process> start_without_waiting(const std::string& publishers) {
    const std::string path = folder_ / "weir.yaml";
    std::ofstream(path) << "listeners: [{protocol: netflow, listen_addr: '127.0.0.1:" << port_
                        << "', buffer_size: 4MiB}]\ncontrol_socket: {path: " << control_socket()
                        << "}\nstate_dir: \"\"\npublishers:\n"
                        << publishers;
    auto weir = std::make_unique<Process>(
        folder_, std::vector<std::string>{built("weir"), "run", "-c", path});
    EXPECT_TRUE(eventually([&] { return ledger().is_object() || !weir->is_running(); }));
    return weir;
  }
  std::string control_socket() const { return folder_ / "control.sock"; }
  int run_ctl(std::vector<std::string> arguments, std::string* out = nullptr) {
    arguments.insert(arguments.begin(), {built("weirctl"), "--socket", control_socket()});
    Process ctl(folder_, std::move(arguments));
    const int status = ctl.wait();
    if (out != nullptr) *out = ctl.out();
    return status;
  }
  json ledger() {
    std::string out;
    run_ctl({"--json", "ledger"}, &out);
    return json::parse(out, nullptr, false);
  }
  uint64_t acknowledged(size_t publisher) {
    const json l = ledger();
    if (!l.is_object()) return 0;
    return l["publishers"][publisher]["records"]["acknowledged"].get<uint64_t>();
  }
  /// Sends generated flows; how many.
  uint64_t generate(int count, int flows) {
    Process generator(folder_, {built("weir"), "generate", "--to", "127.0.0.1:" + std::to_string(port_),
                                "--protocol", "v5", "--count", std::to_string(count), "--flows",
                                std::to_string(flows), "--rate", "5000", "--json"});
    EXPECT_EQ(generator.wait(), 0) << generator.err();
    return json::parse(generator.out()).at("records").get<uint64_t>();
  }
  /// Of whole lines of flows; a line that is none fails the test.
  static uint64_t flows_in(const std::string& file) { return flows_of(test::contents_of(file)); }
  static uint64_t flows_of(const std::string& text) {
    std::istringstream lines(text);
    uint64_t count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      EXPECT_EQ(json::parse(line, nullptr, false).value("type", ""), "NETFLOW_V5") << line;
    }
    return count;
  }

  test::TemporaryFolder folder_;
  uint16_t port_ = test::free_udp_port();
};

}  // namespace weir
