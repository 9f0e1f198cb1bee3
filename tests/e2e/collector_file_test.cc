// collector_file_test.cc — The file of the collector that is replaced, as it is, drives `weir run`: exports
// sent to its ports are read back from the stream by a reader that knows nothing but FlowMessage.
//
// Changed in the file: the server's name and port, the listeners' and the metrics' addresses, and the two
// places of files. The environment says where state and control socket go, since the file does not.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "export/jetstream_reader.h"
#include "flow.pb.h"
#include "support/captures.h"
#include "support/certificates.h"
#include "support/collector_file.h"
#include "support/nats_server.h"
#include "support/nkeys.h"
#include "support/payloads.h"
#include "support/ports.h"
#include "support/program.h"

namespace weir {
namespace {

using test::eventually;
using test::free_udp_port;
using test::NatsServer;
using test::Process;
using test::with;
using testing::AllOf;
using testing::HasSubstr;
using namespace std::chrono_literals;

class CollectorFileTest : public testing::Test {
 protected:
  void SetUp() override {
    if (NatsServer::binary().empty()) GTEST_SKIP() << "nats-server is not installed";
    const std::string certificates = folder_ / "certs";
    std::filesystem::create_directory(certificates);
    put("certs/root.pem", authority_.pem());
    const auto server = authority_.issue();
    put("server.pem", server.certificate);
    put("server-key.pem", server.key);
    test::CertificateWish wish;
    wish.name = "flow-collector";
    wish.hosts.clear();
    wish.usage = "clientAuth";
    const auto own = authority_.issue(wish);
    put("certs/flow-collector.pem", own.certificate);
    put("certs/flow-collector-key.pem", own.key);
    put("platform.creds", operator_.credentials());
    // Both at once, as installations have it: a certificate, and a user's JWT.
    nats_.set_extra(operator_.server_configuration() + "tls { cert_file: \"" +
                    (folder_ / "server.pem") + "\", key_file: \"" + (folder_ / "server-key.pem") +
                    "\", ca_file: \"" + (folder_ / "certs/root.pem") +
                    "\", verify: true, timeout: 5 }\njetstream { store_dir: \"" +
                    (nats_.folder() / "js").string() + "\", max_file_store: 20GB }\n");
    ASSERT_TRUE(nats_.start());
  }

  void put(const std::string& name, const std::string& text) const {
    test::write_file(folder_ / name, text);
    ::chmod((folder_ / name).c_str(), 0600);
  }

  std::string write_configuration() const {
    std::string text = test::kCollectorFile;
    text = with(text, "nats://nats:4222", "nats://localhost" + nats_.url().substr(16));
    text = with(text, "/etc/weir/creds/platform.creds", folder_ / "platform.creds");
    text = with(text, "0.0.0.0:2055", "127.0.0.1:" + std::to_string(netflow_));
    text = with(text, "0.0.0.0:6343", "127.0.0.1:" + std::to_string(sflow_));
    text = with(text, "/etc/weir/certs", folder_ / "certs");
    text = with(text, "0.0.0.0:50046", "127.0.0.1:0");
    put("flow-collector.json", text);
    return folder_ / "flow-collector.json";
  }
  std::vector<std::string> environment() const {
    return {"WEIR_STATE_DIR=" + (folder_ / "state"),
            "WEIR_CONTROL_SOCKET_PATH=" + (folder_ / "control.sock")};
  }

  static void send(uint16_t port, const std::vector<test::Payload>& payloads) {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (const test::Payload& payload : payloads) {
      ::sendto(fd, payload.octets.data(), payload.octets.size(), 0,
               reinterpret_cast<sockaddr*>(&address), sizeof address);
    }
    ::close(fd);
  }

  /// By subject; every message must be one FlowMessage and nothing else.
  std::map<std::string, std::vector<flowpb::FlowMessage>> read_stream() const {
    std::map<std::string, std::vector<flowpb::FlowMessage>> flows;
    outbound::ReaderConfig config;
    config.nats.urls = {"nats://localhost" + nats_.url().substr(16)};
    config.nats.creds_file = folder_ / "platform.creds";
    config.nats.tls = {outbound::TlsMode::mtls, folder_ / "certs/root.pem",
                       folder_ / "certs/flow-collector.pem",
                       folder_ / "certs/flow-collector-key.pem", ""};
    auto reader = outbound::JetStreamReader::open(config);
    if (!reader) return flows;  // the stream is not there yet
    const uint64_t end = steady_clock_ns() + 60 * kNsPerSec;
    while ((*reader)->pending() > 0 && steady_clock_ns() < end) {
      const auto next = (*reader)->next(200);
      if (!next || !*next) continue;
      flowpb::FlowMessage flow;
      EXPECT_TRUE(flow.ParseFromString((*next)->payload));
      EXPECT_TRUE(flow.GetReflection()->GetUnknownFields(flow).empty()) << flow.ShortDebugString();
      flows[(*next)->subject].push_back(std::move(flow));
    }
    return flows;
  }

  test::TemporaryFolder folder_;
  test::Authority authority_;
  test::NatsOperator operator_;
  NatsServer nats_{{}, NatsServer::JetStream::off};
  uint16_t netflow_ = free_udp_port();
  uint16_t sflow_ = free_udp_port();
};

TEST_F(CollectorFileTest, DrivesTheAppliance) {
  Process weir(folder_, {test::built("weir"), "run", "-c", write_configuration()}, environment());
  ASSERT_TRUE(eventually([&] {
    return weir.err().find("listening for sflow") != std::string::npos || !weir.is_running();
  }));
  ASSERT_TRUE(weir.is_running()) << weir.err();
  EXPECT_THAT(weir.err(), HasSubstr("one FlowMessage a message"));

  size_t netflow = 0;
  size_t sflow = 0;
  const auto made = test::run_program({test::built("weir"), "generate", "--to",
                                       "127.0.0.1:" + std::to_string(netflow_), "--protocol", "v5",
                                       "--count", "20", "--flows", "15", "--rate", "1000"});
  ASSERT_EQ(made.status, 0) << made.err;
  netflow += 20 * 15;
  if (const auto captures = test::captures_folder(); !captures.empty()) {
    const auto path = captures / "Graylog2-graylog-plugin-netflow/netflow9.pcap";
    const auto payloads = test::read_payloads(path);
    ASSERT_TRUE(payloads && !payloads->empty());
    send(netflow_, *payloads);
    const auto decoded = test::run_program({test::built("weir"), "decode", path.string()});
    ASSERT_EQ(decoded.status, 0) << decoded.err;
    const size_t records = test::lines_of(decoded.out).size();
    ASSERT_GT(records, 0u);
    netflow += records;
    const auto samples = test::read_payloads(captures / "Preetam-sflow/flow_samples_2.dump");
    ASSERT_TRUE(samples && samples->size() == 1);
    send(sflow_, *samples);
    sflow += 2;
  }
  const auto count = [this](const std::string& subject) { return read_stream()[subject].size(); };
  ASSERT_TRUE(eventually([&] { return count("flows.raw.netflow") == netflow &&
                                      count("flows.raw.sflow") == sflow; }, 60s))
      << count("flows.raw.netflow") << " of " << netflow << ", " << count("flows.raw.sflow")
      << " of " << sflow << "\n" << weir.err();
  for (const auto& [subject, flows] : read_stream()) {
    for (const flowpb::FlowMessage& flow : flows) {
      const bool is_sflow = flow.type() == flowpb::SFLOW_5;
      EXPECT_EQ(subject, is_sflow ? "flows.raw.sflow" : "flows.raw.netflow");
      EXPECT_GT(flow.time_received_ns(), 0u);
      EXPECT_EQ(flow.sampler_address().size(), 4u);
    }
  }
  // `weir read` is told by options what the configuration says.
  std::vector<std::string> reading{test::built("weir"), "read", "--all", "--format", "none",
                                   "--summary", "--server",
                                   "tls://localhost" + nats_.url().substr(16), "--tlsca",
                                   folder_ / "certs/root.pem", "--creds",
                                   folder_ / "platform.creds"};
  const auto refused = test::run_program(reading);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("certificate"));
  reading.insert(reading.end(), {"--tlscert", folder_ / "certs/flow-collector.pem", "--tlskey",
                                 folder_ / "certs/flow-collector-key.pem"});
  const auto read = test::run_program(reading);
  EXPECT_EQ(read.status, 0) << read.err;
  EXPECT_THAT(read.err, HasSubstr(std::to_string(netflow + sflow)));
  EXPECT_EQ(weir.terminate(), 0) << weir.err();
}

TEST_F(CollectorFileTest, LosesNothingWhileItsCertificateIsRenewed) {
  Process weir(folder_, {test::built("weir"), "run", "-c", write_configuration()}, environment());
  ASSERT_TRUE(eventually([&] {
    return weir.err().find("listening for sflow") != std::string::npos || !weir.is_running();
  }));
  const auto ctl = [&](const std::string& what) {
    return test::run_program({test::built("weirctl"), "--socket", folder_ / "control.sock",
                              "--json", what})
        .out;
  };
  const auto reconnects = [&] {
    const auto ledger = nlohmann::json::parse(ctl("status"), nullptr, false);
    if (!ledger.is_object()) return uint64_t{0};
    for (const auto& publisher : ledger["publishers"]) {
      if (publisher["kind"] == "jetstream") return publisher["reconnects"].get<uint64_t>();
    }
    return uint64_t{0};
  };
  size_t sent = 0;
  const auto generate = [&] {
    const auto made = test::run_program({test::built("weir"), "generate", "--to",
                                         "127.0.0.1:" + std::to_string(netflow_), "--protocol", "v5",
                                         "--count", "100", "--flows", "10", "--rate", "500"});
    ASSERT_EQ(made.status, 0) << made.err;
    sent += 1000;
  };
  generate();
  test::CertificateWish wish;
  wish.usage = "clientAuth";
  const auto renewed = authority_.issue(wish);
  put("certs/flow-collector.pem", renewed.certificate);
  put("certs/flow-collector-key.pem", renewed.key);
  ASSERT_TRUE(eventually([&] {
    generate();
    return reconnects() == 1 || HasFatalFailure();
  }, 60s)) << ctl("status");
  generate();
  const auto stored = [this] { return read_stream()["flows.raw.netflow"].size(); };
  ASSERT_TRUE(eventually([&] { return stored() >= sent; }, 60s)) << stored() << " of " << sent;
  EXPECT_EQ(stored(), sent);
  EXPECT_EQ(weir.terminate(), 0) << weir.err();
  const std::string said = "publisher jetstream: renewed certificates or credentials were taken up";
  const size_t at = weir.err().find(said);
  ASSERT_NE(at, std::string::npos) << weir.err();
  EXPECT_EQ(weir.err().find(said, at + 1), std::string::npos) << "once";
}

TEST_F(CollectorFileTest, IsCheckedWithItsFiles) {
  const std::string path = write_configuration();
  const auto check = [&] {
    std::vector<std::string> arguments{"env"};
    for (const std::string& variable : environment()) arguments.push_back(variable);
    arguments.insert(arguments.end(), {test::built("weir"), "check", "-c", path});
    return test::run_program(arguments);
  };
  auto checked = check();
  EXPECT_EQ(checked.status, 0) << checked.err;
  EXPECT_THAT(checked.out, AllOf(HasSubstr("single"), HasSubstr(" over mutual TLS, stream events")));
  std::filesystem::remove(folder_ / "certs/root.pem");
  checked = check();
  EXPECT_EQ(checked.status, 1);
  EXPECT_THAT(checked.err, HasSubstr("security.tls.ca_file: CA file " + (folder_ / "certs/root.pem") +
                                     ": No such file"));
}

}  // namespace
}  // namespace weir
