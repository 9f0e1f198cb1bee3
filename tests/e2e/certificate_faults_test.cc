// certificate_faults_test.cc — A broker that comes back with a certificate that must be refused, and later
// with a good one: what was received meanwhile waits on disk, and arrives once.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <set>

#include "base/clock.h"
#include "e2e/publishers_fixture.h"
#include "export/jetstream_reader.h"
#include "flow.pb.h"
#include "support/certificates.h"
#include "support/nats_server.h"
#include "support/program.h"

namespace weir {
namespace {

using test::Authority;
using test::CertificateWish;
using test::NatsServer;
using testing::HasSubstr;
using namespace std::chrono_literals;

class CertificateFaults : public PublishersTest {
 protected:
  void SetUp() override {
    if (NatsServer::binary().empty()) GTEST_SKIP() << "nats-server is not installed";
    put("root.pem", authority_.pem());
    CertificateWish wish;
    wish.usage = "clientAuth";
    serve("client", authority_.issue(wish));
    serve("server", authority_.issue());
    nats_.set_extra("tls { cert_file: \"" + (folder_ / "server.pem") + "\", key_file: \"" +
                    (folder_ / "server-key.pem") + "\", ca_file: \"" + (folder_ / "root.pem") +
                    "\", verify: true, timeout: 5 }\n");
    ASSERT_TRUE(nats_.start());
  }
  void put(const std::string& name, const std::string& text) const {
    test::write_file(folder_ / name, text);
    ::chmod((folder_ / name).c_str(), 0600);
  }
  void serve(const std::string& name, const test::CertificatePair& pair) const {
    put(name + ".pem", pair.certificate);
    put(name + "-key.pem", pair.key);
  }
  std::string publishers() const {
    return "  - {kind: jetstream}\n"
           "nats_url: " + nats_.url() + "\nsecurity: {mode: mtls, cert_dir: " + (folder_ / "") +
           ", tls: {cert_file: client.pem, key_file: client-key.pem, ca_file: root.pem}}\n"
           "stream_max_bytes: 256MiB\nbatch_size: 100\ndrop_policy: spool\nspool: {dir: " +
           (folder_ / "spool") + "}\n";
  }
  std::string trouble() {
    std::string out;
    run_ctl({"--json", "status"}, &out);
    const json status = json::parse(out, nullptr, false);
    if (!status.is_object()) return {};
    const json& said = status["publishers"][0]["last_error"];
    return said.is_string() ? said.get<std::string>() : std::string();
  }

  void expect_survival(const test::CertificatePair& bad, const std::string& words) {
    auto weir = start(publishers());
    uint64_t sent = generate(50, 20);
    ASSERT_TRUE(eventually([&] { return acknowledged(0) == sent; })) << trouble();
    nats_.kill();
    serve("server", bad);
    ASSERT_TRUE(nats_.start());
    sent += generate(100, 20);
    ASSERT_TRUE(eventually([&] { return trouble().find(words) != std::string::npos; }, 60s))
        << trouble();
    sent += generate(100, 20);
    nats_.kill();
    serve("server", authority_.issue());
    ASSERT_TRUE(nats_.start());
    EXPECT_TRUE(eventually([&] { return acknowledged(0) == sent; }, 90s)) << ledger().dump(2);
    const json books = ledger();
    EXPECT_EQ(books["balanced"], true) << books["discrepancies"];
    EXPECT_EQ(weir->terminate(), 0) << weir->err();

    outbound::ReaderConfig config;
    config.nats.urls = {nats_.url()};
    config.nats.tls = {outbound::TlsMode::mtls, folder_ / "root.pem", folder_ / "client.pem",
                       folder_ / "client-key.pem", ""};
    auto reader = outbound::JetStreamReader::open(config);
    ASSERT_TRUE(reader) << reader.error().message;
    uint64_t stored = 0;
    uint64_t repeated = 0;
    std::set<std::string> ids;
    const uint64_t end = steady_clock_ns() + 60 * kNsPerSec;
    while ((*reader)->pending() > 0 && steady_clock_ns() < end) {
      const auto next = (*reader)->next(200);
      if (!next || !*next) continue;
      flowpb::FlowBatch flows;
      EXPECT_TRUE(outbound::parse_flows(**next, flows));
      stored += static_cast<uint64_t>(flows.flows_size());
      if (!ids.insert((*next)->id).second) ++repeated;
    }
    EXPECT_EQ(stored, sent);
    EXPECT_EQ(repeated, 0u);
    RecordProperty("sent", static_cast<int>(sent));
    RecordProperty("stored", static_cast<int>(stored));
    RecordProperty("stored_twice", static_cast<int>(repeated));
  }

  Authority authority_;
  NatsServer nats_;
};

TEST_F(CertificateFaults, AnExpiredCertificateOfTheBrokerLosesNothing) {
  CertificateWish over;
  over.until_s = -60;
  expect_survival(authority_.issue(over), "the server's certificate has expired");
}

TEST_F(CertificateFaults, AWrongCertificateOfTheBrokerLosesNothing) {
  expect_survival(Authority("another CA").issue(), "is not of a CA of " + (folder_ / "root.pem"));
}

}  // namespace
}  // namespace weir
