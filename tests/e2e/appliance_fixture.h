// appliance_fixture.h — The programs as a user runs them: weir with a configuration, weirctl, and a nats-server.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "support/nats_server.h"
#include "support/ports.h"
#include "support/process.h"

namespace weir {

using nlohmann::json;
using test::eventually;
using test::free_udp_port;
using test::NatsServer;
using test::Process;
using test::TemporaryFolder;

/// From 127.0.0.66: another exporter than the one that `weir generate` is.
inline void send_udp(uint16_t port, const std::vector<std::string>& payloads) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(0x7F000042);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (const std::string& payload : payloads) {
    sendto(fd, payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&address),
           sizeof address);
  }
  close(fd);
}

class ApplianceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (NatsServer::binary().empty()) GTEST_SKIP() << "nats-server is not installed";
    ASSERT_TRUE(nats_.start());
  }

  std::string weir() const { return test::built("weir"); }

  /// A configuration with a kernel socket on `port_`, and what the test adds.
  std::string write_config(const std::string& more = "", const std::string& ports = "") {
    const std::string path = folder_ / "weir.yaml";
    std::ofstream out(path);
    out << "ports:\n"
        << (ports.empty() ? "  - {name: host, kind: socket, address: 127.0.0.1}\n" : ports)
        << "listeners:\n"
        << "  - {name: netflow, port: " << port_
        << ", subject: flows.raw.netflow, buffer_size: 4194304}\n"
        << "nats_url: " << nats_.url() << "\n"
        << "stream_max_bytes: 256MiB\n"  // fits where the temporary folder is small
        << "state_dir: " << (folder_ / "state") << "\n"
        << "control_socket: {path: " << control_socket() << "}\n"
        << more;
    return path;
  }
  std::string control_socket() const { return folder_ / "control.sock"; }

  std::unique_ptr<Process> start(const std::string& more = "", const std::string& ports = "") {
    auto process = std::make_unique<Process>(
        folder_, std::vector<std::string>{weir(), "run", "-c", write_config(more, ports)});
    EXPECT_TRUE(eventually([&] { return ctl({"ready"}).status == 0 || !process->is_running(); }));
    EXPECT_TRUE(process->is_running()) << process->err();
    return process;
  }

  struct Answer {
    int status;
    std::string out;
    std::string err;
  };
  Answer run(std::vector<std::string> arguments, std::vector<std::string> environment = {}) {
    Process process(folder_, std::move(arguments), std::move(environment));
    const int status = process.wait();
    return {status, process.out(), process.err()};
  }
  Answer ctl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {test::built("weirctl"), "--socket", control_socket()});
    return run(std::move(arguments));
  }
  json ledger() { return json::parse(ctl({"--json", "ledger"}).out, nullptr, false); }
  uint64_t acknowledged() {
    const json l = ledger();
    return l.is_object() ? l["publishers"][0]["records"]["acknowledged"].get<uint64_t>() : 0;
  }

  /// Sends generated flows to the listener, or to another port; returns the records sent.
  uint64_t generate(const std::string& protocol, int count, int flows, int rate = 5000,
                    uint16_t port = 0) {
    const std::string to = "127.0.0.1:" + std::to_string(port == 0 ? port_ : port);
    const Answer answer = run({weir(), "generate", "--to", to,
                               "--protocol", protocol, "--count", std::to_string(count), "--flows",
                               std::to_string(flows), "--rate", std::to_string(rate), "--json"});
    EXPECT_EQ(answer.status, 0) << answer.err;
    return json::parse(answer.out).at("records").get<uint64_t>();
  }

  /// Every record of the stream, as JSON lines.
  std::vector<json> read_stream() {
    const Answer answer = run({weir(), "read", "--stream", "events", "--all", "--format", "json"},
                              {"NATS_URL=" + nats_.url()});
    EXPECT_EQ(answer.status, 0) << answer.err;
    std::vector<json> records;
    std::istringstream lines(answer.out);
    for (std::string line; std::getline(lines, line);) records.push_back(json::parse(line));
    return records;
  }

  void expect_books_balance(const json& l) {
    EXPECT_EQ(l["balanced"], true) << l["discrepancies"];
    const json& records = l["publishers"][0]["records"];
    EXPECT_EQ(l["records"]["encoded"].get<uint64_t>(),
              records["acknowledged"].get<uint64_t>() + records["failed"].get<uint64_t>() +
                  records["dropped"].get<uint64_t>() + records["in_flight"].get<uint64_t>() +
                  records["waiting"].get<uint64_t>());
  }

  TemporaryFolder folder_;
  NatsServer nats_;
  uint16_t port_ = free_udp_port();
};

}  // namespace weir
