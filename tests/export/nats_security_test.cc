// TLS, mutual TLS and credentials against a real nats-server: what connects, what is refused and in which
// words, and certificates that are replaced while batches are under way.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nats/nats.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "base/clock.h"
#include "export/jetstream_publisher.h"
#include "export/jetstream_reader.h"
#include "export/meta_publisher.h"
#include "export/nats_options.h"
#include "support/batches.h"
#include "support/certificates.h"
#include "support/nats_server.h"
#include "support/nkeys.h"
#include "support/program.h"

namespace weir::outbound {
namespace {

using test::Authority;
using test::BatchBox;
using test::CertificateWish;
using test::NatsKey;
using test::NatsServer;
using test::OutcomeLedger;
using test::write_file;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr uint64_t kPatienceNs = 60 * kNsPerSec;
const RunIdentity kIdentity{"6f1c0c54-8e2e-4d0a-9a55-0d9c1b8d2f10", 1'700'000'000};

class NatsSecurityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (NatsServer::binary().empty()) GTEST_SKIP() << "nats-server is not installed";
    write(ca(), authority_.pem());
    CertificateWish wish;
    wish.name = "weir";
    wish.hosts.clear();
    wish.usage = "clientAuth";
    write_pair("client", authority_.issue(wish));
    serve(CertificateWish{});
  }

  std::string ca() const { return folder_ / "root.pem"; }
  std::string file(const std::string& name) const { return folder_ / name; }
  static void write(const std::string& path, const std::string& text) {
    // As tools do it: written aside, then put in the place of the old.
    write_file(path + ".new", text);
    ::chmod((path + ".new").c_str(), 0600);
    std::filesystem::rename(path + ".new", path);
  }
  void write_pair(const std::string& name, const test::CertificatePair& pair) const {
    write(file(name + ".pem"), pair.certificate);
    write(file(name + "-key.pem"), pair.key);
  }
  /// The server's own certificate, for its next start.
  void serve(const CertificateWish& wish) const { write_pair("server", authority_.issue(wish)); }

  /// What makes a server speak TLS: with `verify`, only to whom its CA knows.
  std::string tls_block(const std::string& more = "") const {
    return "tls { cert_file: \"" + file("server.pem") + "\", key_file: \"" +
           file("server-key.pem") + "\", ca_file: \"" + ca() + "\", timeout: 5, " + more + " }\n";
  }

  JetStreamConfig config_for(const NatsServer& server, TlsMode mode) const {
    JetStreamConfig config;
    config.nats = nats_for(server, mode);
    config.stream.max_bytes = 256 << 20;
    config.subjects = {"flows.raw.netflow"};
    config.identity = kIdentity;
    config.window_batches = 32;
    config.publish_timeout_ms = 1500;
    config.api_timeout_ms = 1000;
    return config;
  }
  NatsConfig nats_for(const NatsServer& server, TlsMode mode) const {
    NatsConfig nats;
    nats.urls = {server.url()};
    nats.connect_timeout_ms = 1000;
    nats.ping_interval_ms = 500;
    nats.reconnect_wait_ms = 50;
    nats.reconnect_jitter_ms = 20;
    nats.tls.mode = mode;
    if (mode != TlsMode::none) nats.tls.ca_file = ca();
    if (mode == TlsMode::mtls) {
      nats.tls.cert_file = file("client.pem");
      nats.tls.key_file = file("client-key.pem");
    }
    return nats;
  }

  void open(const JetStreamConfig& config) {
    auto made = JetStreamPublisher::make(config);
    ASSERT_TRUE(made) << made.error().message;
    publisher_ = std::move(*made);
  }
  void submit(uint32_t records) {
    BatchBox& box = boxes_.emplace_back(boxes_.size() + 1, records);
    const RoleScope role(publisher_thread);
    const uint64_t end = steady_clock_ns() + kPatienceNs;
    while (!publisher_->submit(box.batch, ledger_)) {
      ASSERT_LT(steady_clock_ns(), end) << publisher_->last_error();
      publisher_->poll(10, ledger_);
    }
  }
  void poll_until(const std::function<bool()>& done) {
    const RoleScope role(publisher_thread);
    const uint64_t end = steady_clock_ns() + kPatienceNs;
    while (!done()) {
      ASSERT_LT(steady_clock_ns(), end) << publisher_->last_error();
      publisher_->poll(10, ledger_);
    }
  }
  void settle() {
    poll_until([&] { return publisher_->in_flight() == 0; });
    ledger_.expect_balance(boxes_.size());
  }
  /// One batch to the stream and back.
  void expect_delivery(const JetStreamConfig& config) {
    open(config);
    submit(5);
    settle();
    EXPECT_EQ(ledger_.acknowledged, boxes_.size());
    EXPECT_THAT(publisher_->last_error(), IsEmpty());
    EXPECT_EQ(records_in_stream(config.nats), boxes_.size() * 5);
  }
  /// No batch gets through; what is said then.
  std::string trouble_of(const JetStreamConfig& config) {
    open(config);
    submit(5);
    poll_until([&] { return !publisher_->last_error().empty(); });
    EXPECT_EQ(ledger_.acknowledged, 0u);
    const std::string said = publisher_->last_error();
    const RoleScope role(publisher_thread);
    const std::atomic<uint64_t> now = steady_clock_ns();
    publisher_->drain(now, ledger_);
    ledger_ = {};
    boxes_.clear();
    return said;
  }

  static size_t records_in_stream(const NatsConfig& nats, size_t* messages = nullptr) {
    ReaderConfig config;
    config.nats = nats;
    auto reader = JetStreamReader::open(config);
    EXPECT_TRUE(reader) << reader.error().message;
    if (!reader) return 0;
    size_t records = 0;
    const uint64_t end = steady_clock_ns() + kPatienceNs;
    while ((*reader)->pending() > 0 && steady_clock_ns() < end) {
      auto next = (*reader)->next(200);
      if (!next || !*next) continue;
      flowpb::FlowBatch flows;
      EXPECT_TRUE(parse_flows(**next, flows));
      records += static_cast<size_t>(flows.flows_size());
      if (messages != nullptr) ++*messages;
    }
    return records;
  }

  test::TemporaryFolder folder_;
  Authority authority_;
  std::deque<BatchBox> boxes_;
  OutcomeLedger ledger_;
  std::unique_ptr<JetStreamPublisher> publisher_;
};

// ── what connects ────────────────────────────────────────────────────────────────────────────────

TEST_F(NatsSecurityTest, DeliversOverTls) {
  NatsServer server(tls_block());
  ASSERT_TRUE(server.start());
  expect_delivery(config_for(server, TlsMode::tls));
}

TEST_F(NatsSecurityTest, DeliversOverMutualTlsWithAChain) {
  const Authority middle = authority_.below("a CA below");
  CertificateWish wish;
  wish.usage = "clientAuth";
  auto pair = middle.issue(wish);
  pair.certificate += middle.pem();
  write_pair("client", pair);
  NatsServer server(tls_block("verify: true"));
  ASSERT_TRUE(server.start());
  expect_delivery(config_for(server, TlsMode::mtls));
}

TEST_F(NatsSecurityTest, TakesTheServerNameThatItIsTold) {
  CertificateWish wish;
  wish.hosts = "DNS:nats.example.net";
  serve(wish);
  NatsServer server(tls_block());
  ASSERT_TRUE(server.start());
  JetStreamConfig config = config_for(server, TlsMode::tls);
  EXPECT_THAT(trouble_of(config), AllOf(HasSubstr("names another host"),
                                        HasSubstr("security.server_name")));
  config.nats.tls.server_name = "nats.example.net";
  expect_delivery(config);
}

TEST_F(NatsSecurityTest, DeliversWithEachKindOfCredentials) {
  const NatsKey key(NatsKey::Kind::user);
  const test::NatsOperator nats_operator;
  const std::string odd = "p\"a\\ss\tw{o}rd";
  write(file("weir.nk"), key.seed() + "\n");
  write(file("weir.creds"), nats_operator.credentials());
  const struct {
    const char* name;
    std::string server;
    std::function<void(NatsConfig&)> who;
  } cases[] = {
      {"user", "authorization { user: weir, password: \"p\\\"a\\\\ss\\tw{o}rd\" }\n",
       [&](NatsConfig& c) {
         c.user = "weir";
         c.password = odd;
       }},
      {"token", "authorization { token: \"s3\\\"cret\" }\n",
       [](NatsConfig& c) { c.token = "s3\"cret"; }},
      {"user in the URL", "authorization { user: weir, password: dam }\n",
       [](NatsConfig& c) { c.urls[0].insert(7, "weir:dam@"); }},
      {"NKey", "authorization { users: [ { nkey: " + key.public_key() + " } ] }\n",
       [&](NatsConfig& c) { c.nkey_file = file("weir.nk"); }},
      {"credentials", nats_operator.server_configuration(),
       [&](NatsConfig& c) { c.creds_file = file("weir.creds"); }},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    NatsServer server(c.server + tls_block());
    ASSERT_TRUE(server.start());
    JetStreamConfig config = config_for(server, TlsMode::tls);
    EXPECT_THAT(trouble_of(config), HasSubstr("Authorization"));
    c.who(config.nats);
    expect_delivery(config);
    boxes_.clear();
    ledger_ = {};
  }
}

TEST_F(NatsSecurityTest, EverySignatureIsTaken) {
  // One of 256 begins with a zero octet, and the client library sends no such one.
  const NatsKey key(NatsKey::Kind::user);
  write(file("weir.nk"), key.seed() + "\n");
  NatsServer server("authorization { users: [ { nkey: " + key.public_key() + " } ] }\n");
  ASSERT_TRUE(server.start());
  NatsConfig config = config_for(server, TlsMode::none).nats;
  config.nkey_file = file("weir.nk");
  for (int i = 0; i < 600; ++i) {
    auto client = NatsClient::make(config);
    ASSERT_TRUE(client) << client.error().message;
    const auto connected = (*client)->connect();
    ASSERT_TRUE(connected) << "connection " << i << ": " << connected.error().message;
  }
}

TEST_F(NatsSecurityTest, PublishesTablesOverMutualTls) {
  NatsServer server(tls_block("verify: true"));
  ASSERT_TRUE(server.start());
  MetaConfig config;
  config.nats = nats_for(server, TlsMode::mtls);
  config.stream.name = "flow_meta";
  config.stream.subjects = {"flows.meta.*"};
  config.stream.max_bytes = 1 << 20;
  auto made = MetaPublisher::make(config);
  ASSERT_TRUE(made) << made.error().message;
  struct Sink final : MetaOutcomeSink {
    void on_meta_outcome(MetaMessage&, bool is_acknowledged) override {
      acknowledged += is_acknowledged ? 1 : 0;
    }
    int acknowledged = 0;
  } sink;
  MetaMessage message{"flows.meta.192-0-2-1", "id.1", "x"};
  const RoleScope role(publisher_thread);
  ASSERT_TRUE((*made)->submit(message));
  const uint64_t end = steady_clock_ns() + kPatienceNs;
  while (sink.acknowledged == 0) {
    ASSERT_LT(steady_clock_ns(), end) << (*made)->last_error();
    (*made)->poll(10, sink);
  }
}

TEST_F(NatsSecurityTest, TrustsTheSystemsCasOnlyWhereNoneIsGiven) {
  write(file("stranger.pem"), Authority("another CA").pem());
  ::setenv("SSL_CERT_FILE", ca().c_str(), 1);  // what this system trusts, from now on
  NatsServer server(tls_block());
  ASSERT_TRUE(server.start());
  JetStreamConfig config = config_for(server, TlsMode::tls);
  config.nats.tls.ca_file = file("stranger.pem");
  EXPECT_THAT(trouble_of(config), HasSubstr("is not of a CA of " + file("stranger.pem")));
  config.nats.tls.ca_file.clear();
  expect_delivery(config);
  ::unsetenv("SSL_CERT_FILE");
}

TEST_F(NatsSecurityTest, KnowsAServerByItsIpv6Address) {
  CertificateWish wish;
  wish.hosts = "IP:2001:db8::1,DNS:localhost";
  serve(wish);
  NatsServer server(tls_block());
  server.set_address("[::]");
  ASSERT_TRUE(server.start());
  JetStreamConfig config = config_for(server, TlsMode::tls);
  config.nats.urls = {"nats://[::1]" + server.url().substr(16)};
  EXPECT_THAT(trouble_of(config), HasSubstr("names another host than that address"));
  server.kill();
  wish.hosts = "IP:::1";
  serve(wish);
  ASSERT_TRUE(server.start());
  expect_delivery(config);
}

// ── what is refused, and how that is said ────────────────────────────────────────────────────────

TEST_F(NatsSecurityTest, SaysWhyAConnectionCannotBe) {
  const Authority stranger("another CA");
  write(file("stranger.pem"), stranger.pem());
  write_pair("strange", stranger.issue());
  CertificateWish over;
  over.until_s = -60;
  CertificateWish early;
  early.from_s = 3600;
  CertificateWish elsewhere;
  elsewhere.hosts = "DNS:elsewhere.example.net";
  const struct {
    const char* name;
    CertificateWish server;
    std::string block;  // empty: no TLS
    TlsMode mode;
    std::function<void(NatsConfig&)> change;
    std::vector<std::string> words;
  } cases[] = {
      {"no TLS offered", {}, "", TlsMode::tls, [](auto&) {}, {"the server offers no TLS"}},
      {"no TLS offered, tls:// and a password", {}, "", TlsMode::tls,
       [](NatsConfig& c) {
         c.urls[0] = "tls" + c.urls[0].substr(4);
         c.urls[0].insert(6, "weir:geheim@");
       },
       {"the server offers no TLS", "tls://***@127.0.0.1"}},
      {"another CA", {}, tls_block(), TlsMode::tls,
       [&](NatsConfig& c) { c.tls.ca_file = file("stranger.pem"); },
       {"the server's certificate (/CN=localhost", "is not of a CA of " + file("stranger.pem")}},
      {"a CA that the system does not know", {}, tls_block(), TlsMode::tls,
       [](NatsConfig& c) { c.tls.ca_file.clear(); }, {"is not of a CA that this system trusts"}},
      {"TLS demanded, none configured", {}, tls_block(), TlsMode::none, [](auto&) {},
       {"the server demands TLS: set security.mode"}},
      {"expired server", over, tls_block(), TlsMode::tls, [](auto&) {},
       {"the server's certificate has expired (/CN=localhost)"}},
      {"server from the future", early, tls_block(), TlsMode::tls, [](auto&) {},
       {"the server's certificate is not valid yet"}},
      {"another host", elsewhere, tls_block(), TlsMode::tls, [](auto&) {}, {"names another host"}},
      {"another name", {}, tls_block(), TlsMode::tls,
       [](NatsConfig& c) { c.tls.server_name = "nats.example.net"; },
       {"names another host than nats.example.net"}},
      {"no client certificate", {}, tls_block("verify: true"), TlsMode::tls, [](auto&) {},
       {"security.mode mtls"}},
      {"a client certificate of another CA", {}, tls_block("verify: true"), TlsMode::mtls,
       [&](NatsConfig& c) {
         c.tls.cert_file = file("strange.pem");
         c.tls.key_file = file("strange-key.pem");
       },
       {"our certificate"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    serve(c.server);
    NatsServer server(c.block);
    ASSERT_TRUE(server.start());
    JetStreamConfig config = config_for(server, c.mode);
    c.change(config.nats);
    const std::string said = trouble_of(config);
    for (const std::string& word : c.words) EXPECT_THAT(said, HasSubstr(word));
    EXPECT_THAT(said, AllOf(HasSubstr("NATS server "), Not(HasSubstr("geheim"))));
    // A reader is told the same.
    ReaderConfig reading;
    reading.nats = config.nats;
    const auto reader = JetStreamReader::open(reading);
    ASSERT_FALSE(reader);
    for (const std::string& word : c.words) EXPECT_THAT(reader.error().message, HasSubstr(word));
  }
}

/// Greets as a server that wants TLS does, and then says nothing.
class SilentServer {
 public:
  SilentServer() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(fd_, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(fd_, 8);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      for (int peer = ::accept(fd_, nullptr, nullptr); peer >= 0;
           peer = ::accept(fd_, nullptr, nullptr)) {
        const std::string info =
            "INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"proto\":1,\"headers\":true,"
            "\"max_payload\":1048576,\"tls_required\":true}\r\n";
        static_cast<void>(::send(peer, info.data(), info.size(), MSG_NOSIGNAL));
        peers_.push_back(peer);
      }
    });
  }
  ~SilentServer() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
    for (const int peer : peers_) ::close(peer);
  }
  std::string url() const { return "nats://127.0.0.1:" + std::to_string(port_); }

 private:
  int fd_;
  uint16_t port_ = 0;
  std::vector<int> peers_;
  std::thread thread_;
};

TEST_F(NatsSecurityTest, WaitsNotForEverForASilentHandshake) {
  const SilentServer silent;
  NatsConfig config = nats_for(NatsServer(), TlsMode::tls);
  config.urls = {silent.url()};
  config.connect_timeout_ms = 300;
  auto client = NatsClient::make(config);
  ASSERT_TRUE(client);
  const auto connected = (*client)->connect();
  ASSERT_FALSE(connected);
  EXPECT_THAT(connected.error().message, HasSubstr("no answer to the TLS handshake within 300 ms"));
}

TEST_F(NatsSecurityTest, RefusesFilesThatCannotBeUsedBeforeItConnects) {
  JetStreamConfig config = config_for(NatsServer(), TlsMode::mtls);
  write_pair("other", authority_.issue());
  config.nats.tls.key_file = file("other-key.pem");
  auto made = JetStreamPublisher::make(config);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("does not belong to the certificate in"));
  config.nats.tls = {};
  config.nats.nkey_file = file("nowhere.nk");
  made = JetStreamPublisher::make(config);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("nowhere.nk: No such file"));
}

// ── files that change ────────────────────────────────────────────────────────────────────────────

class CertificateRenewalTest : public NatsSecurityTest {
 protected:
  /// Keeps batches under way until `done`; returns when it is.
  void publish_until(const std::function<bool()>& done) {
    const uint64_t end = steady_clock_ns() + kPatienceNs;
    while (!done()) {
      ASSERT_LT(steady_clock_ns(), end) << publisher_->last_error();
      submit(20);
      const RoleScope role(publisher_thread);
      publisher_->poll(1, ledger_);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  void expect_all_stored_once(const NatsConfig& nats) {
    settle();
    EXPECT_EQ(ledger_.acknowledged, boxes_.size());
    EXPECT_EQ(ledger_.failed, 0u);
    size_t messages = 0;
    EXPECT_EQ(records_in_stream(nats, &messages), boxes_.size() * 20);
    EXPECT_EQ(messages, boxes_.size());
  }
};

TEST_F(CertificateRenewalTest, UnderLoadLosesAndRepeatsNothing) {
  NatsServer server(tls_block("verify: true"));
  ASSERT_TRUE(server.start());
  const JetStreamConfig config = config_for(server, TlsMode::mtls);
  open(config);
  publish_until([&] { return ledger_.acknowledged > 100; });
  EXPECT_EQ(publisher_->counters().reconnects.value(), 0u);
  for (uint64_t round = 1; round <= 2; ++round) {
    CertificateWish wish;
    wish.name = "weir, renewed";
    write_pair("client", authority_.issue(wish));
    publish_until([&] { return publisher_->counters().reconnects.value() == round; });
    publish_until([&] { return publisher_->counters().renewals.value() == round; });
    const size_t before = ledger_.acknowledged;
    publish_until([&] { return ledger_.acknowledged > before + 100; });
  }
  expect_all_stored_once(config.nats);
  EXPECT_EQ(publisher_->counters().retries.value(), 0u) << "answers are waited for";
  EXPECT_THAT(publisher_->last_error(), IsEmpty());
}

TEST_F(CertificateRenewalTest, LeavesTheOldConnectionToItsAnswers) {
  NatsServer server(tls_block());
  ASSERT_TRUE(server.start());
  const NatsConfig config = nats_for(server, TlsMode::tls);
  const auto options = make_nats_options(config);
  ASSERT_TRUE(options);
  natsConnection* raw = nullptr;
  natsSubscription* asked = nullptr;
  ASSERT_EQ(natsConnection_Connect(&raw, options->get()), NATS_OK);
  ASSERT_EQ(natsConnection_SubscribeSync(&asked, raw, "slow"), NATS_OK);
  ASSERT_EQ(natsConnection_Flush(raw), NATS_OK);

  auto client = NatsClient::make(config);
  ASSERT_TRUE(client && (*client)->connect());
  ASSERT_EQ((*client)->publish("slow", 7, {}, {}), Sent::sent);
  natsMsg* question = nullptr;
  ASSERT_EQ(natsSubscription_NextMsg(&question, asked, 10'000), NATS_OK);
  write(ca(), authority_.pem());
  const uint64_t end = steady_clock_ns() + kPatienceNs;
  while ((*client)->renewals() == 0) {
    ASSERT_LT(steady_clock_ns(), end);
    (*client)->keep_fresh(steady_clock_ns());
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  (*client)->keep_fresh(steady_clock_ns());
  ASSERT_EQ(natsConnection_PublishString(raw, natsMsg_GetReply(question), "late"), NATS_OK);
  const NatsReply reply = (*client)->next_reply(10'000);
  ASSERT_TRUE(reply);
  uint64_t token = 0;
  EXPECT_TRUE(NatsClient::token_of(reply, token));
  EXPECT_EQ(token, 7u);
  EXPECT_EQ((*client)->disconnects(), 0u);
  natsMsg_Destroy(question);
  natsSubscription_Destroy(asked);
  natsConnection_Destroy(raw);
}

TEST_F(CertificateRenewalTest, ThatIsBadLeavesTheConnectionAndSaysSo) {
  NatsServer server(tls_block("verify: true"));
  ASSERT_TRUE(server.start());
  const JetStreamConfig config = config_for(server, TlsMode::mtls);
  const auto good = authority_.issue();
  write_pair("client", good);
  open(config);
  publish_until([&] { return ledger_.acknowledged > 10; });
  write(file("client.pem"), authority_.issue().certificate);  // its key is not there yet
  publish_until([&] { return !publisher_->last_error().empty(); });
  EXPECT_THAT(publisher_->last_error(),
              AllOf(HasSubstr("does not belong to the certificate"), HasSubstr("goes on")));
  const size_t before = ledger_.acknowledged;
  publish_until([&] { return ledger_.acknowledged > before + 50; });
  EXPECT_EQ(publisher_->counters().reconnects.value(), 0u);
  EXPECT_EQ(publisher_->counters().renewals.value(), 0u);
  write_pair("client", good);
  publish_until([&] { return publisher_->last_error().empty(); });
  EXPECT_EQ(publisher_->counters().reconnects.value(), 1u);
  expect_all_stored_once(config.nats);
}

TEST_F(CertificateRenewalTest, IsTakenWhenAServerComesBackThatKnowsOnlyTheNewOnes) {
  NatsServer server(tls_block("verify: true"));
  ASSERT_TRUE(server.start());
  const JetStreamConfig config = config_for(server, TlsMode::mtls);
  open(config);
  publish_until([&] { return ledger_.acknowledged > 20; });
  server.kill();
  poll_until([&] { return publisher_->counters().connected.value() == 0; });
  submit(20);
  const Authority next("the next CA");
  write(ca(), next.pem());
  write_pair("server", next.issue());
  write_pair("client", next.issue());
  ASSERT_TRUE(server.start());
  publish_until([&] { return publisher_->counters().connected.value() == 1; });
  EXPECT_EQ(publisher_->counters().renewals.value(), 1u);
  expect_all_stored_once(config.nats);
}

TEST_F(CertificateRenewalTest, IsTakenByAReaderTooThatMissesNothing) {
  NatsServer server(tls_block("verify: true"));
  ASSERT_TRUE(server.start());
  const JetStreamConfig config = config_for(server, TlsMode::mtls);
  open(config);
  submit(20);
  settle();
  ReaderConfig reading;
  reading.nats = config.nats;
  auto reader = JetStreamReader::open(reading);
  ASSERT_TRUE(reader) << reader.error().message;
  auto message = (*reader)->next(1000);
  ASSERT_TRUE(message && *message);
  server.kill();
  const Authority next("the next CA");
  write(ca(), next.pem());
  write_pair("server", next.issue());
  write_pair("client", next.issue());
  ASSERT_TRUE(server.start());
  open(config);
  for (int i = 0; i < 3; ++i) submit(20);
  settle();
  size_t messages = 1;
  const uint64_t end = steady_clock_ns() + kPatienceNs;
  while (messages < 4 && steady_clock_ns() < end) {
    message = (*reader)->next(1000);
    ASSERT_TRUE(message) << message.error().message;
    messages += *message ? 1 : 0;
  }
  EXPECT_EQ(messages, 4u);
}

TEST_F(CertificateRenewalTest, IsSaidToBeNeededWhenTheServerIsRenewedWrongly) {
  NatsServer server(tls_block());
  ASSERT_TRUE(server.start());
  const JetStreamConfig config = config_for(server, TlsMode::tls);
  open(config);
  submit(20);
  settle();
  server.kill();
  poll_until([&] { return publisher_->counters().connected.value() == 0; });
  CertificateWish over;
  over.until_s = -60;
  serve(over);
  ASSERT_TRUE(server.start());
  poll_until([&] {
    return publisher_->last_error().find("the server's certificate has expired") !=
           std::string::npos;
  });
  submit(20);
  server.kill();
  serve(CertificateWish{});
  ASSERT_TRUE(server.start());
  expect_all_stored_once(config.nats);
}

}  // namespace
}  // namespace weir::outbound
