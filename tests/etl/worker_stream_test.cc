// The worker and its streams: consumers that are gone, foreign or old, servers that are killed, and what it cannot publish.
#include <sys/stat.h>

#include <thread>

#include "export/framing.h"
#include "support/certificates.h"
#include "worker_fixture.h"

namespace weir::etl {
namespace {

using outbound::Framing;
using test::eventually;
using test::flow_batch;
using test::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(EtlWorkerTest, CountsWhatTheStreamForgotWhileNobodyWasThere) {
  start(config());
  publish("flows.raw.netflow", flow_batch(0, 1));
  settle(1);
  stop();
  EXPECT_EQ(worker_->view()->source.inputs[0].expired_in_stream, 0u);
  worker_.reset();
  // Nobody is there while five messages come and the stream forgets three of them; the server does not tell the consumer.
  for (uint64_t i = 1; i <= 5; ++i) publish("flows.raw.netflow", flow_batch(i, 1));
  json stream = api("STREAM.INFO.events")["config"];
  stream["max_msgs"] = 2;
  ASSERT_TRUE(api("STREAM.UPDATE.events", stream).contains("config"));
  ASSERT_EQ(messages_in("events"), 2u);
  start(config());
  ASSERT_TRUE(eventually([&] { return books().messages_done == 2; }));
  EXPECT_EQ(worker_->view()->source.inputs[0].expired_in_stream, 3u);
  EXPECT_EQ(numbers_of(events()).size(), 3u);
}

TEST_F(EtlWorkerTest, CountsWhatAPurgeTakesWhileItWaits) {
  EtlConfig c = config();
  c.source.messages_in_hand = 1;
  // Events cannot be stored, so the first message stays in hand while others come and go.
  make_stream("other", "flows.ocsf.network_activity");
  start(c);
  publish("flows.raw.netflow", flow_batch(0, 1));
  ASSERT_TRUE(eventually([&] { return books().messages_in_hand == 1; }));
  for (uint64_t i = 1; i <= 4; ++i) publish("flows.raw.netflow", flow_batch(i, 1));
  ASSERT_TRUE(api("STREAM.PURGE.events").value("success", false));
  publish("flows.raw.netflow", flow_batch(9, 1));
  ASSERT_TRUE(api("STREAM.DELETE.other").value("success", false));
  ASSERT_TRUE(eventually([&] { return books().messages_done == 2; }, std::chrono::seconds(40)));
  EXPECT_EQ(worker_->view()->source.inputs[0].expired_in_stream, 4u);
}

TEST_F(EtlWorkerTest, WaitsForAStreamThatIsNotThereYet) {
  ASSERT_TRUE(api("STREAM.DELETE.events").value("success", false));
  start(config());
  ASSERT_TRUE(eventually([&] { return worker_->view() != nullptr && !worker_->view()->source.trouble.empty(); }));
  ASSERT_TRUE(eventually([&] { return worker_->view()->source.trouble.find("10059") != std::string::npos; }))
      << worker_->view()->source.trouble;
  EXPECT_THAT(worker_->view()->not_ready_because(), HasSubstr("stream events"));
  make_stream("events", "flows.raw.*");
  publish("flows.raw.netflow", flow_batch(0, 2));
  settle(1);
  EXPECT_EQ(numbers_of(events()), run_of(0, 2));
}

TEST_F(EtlWorkerTest, RefusesAConsumerThatIsNotItsOwn) {
  ASSERT_TRUE(api("CONSUMER.DURABLE.CREATE.events.weir-etl-flows-raw-any",
                  {{"stream_name", "events"},
                   {"config", {{"durable_name", "weir-etl-flows-raw-any"}, {"ack_policy", "none"}, {"filter_subject", "flows.raw.*"}}}})
                  .contains("config"));
  start(config());
  ASSERT_TRUE(eventually([&] {
    return worker_->view() != nullptr && worker_->view()->source.trouble.find("nats consumer rm") != std::string::npos;
  }));
  EXPECT_FALSE(worker_->view()->source.inputs[0].is_ready);
}

TEST_F(EtlWorkerTest, RefusesAConsumerThatCannotGiveWhatItAsksFor) {
  for (const json& odd : {json{{"headers_only", true}}, json{{"max_batch", 10}}, json{{"max_expires", 1'000'000'000}}}) {
    json c = {{"durable_name", "weir-etl-flows-raw-any"}, {"ack_policy", "explicit"}, {"filter_subject", "flows.raw.*"}, {"deliver_policy", "all"}};
    c.update(odd);
    ASSERT_TRUE(api("CONSUMER.DURABLE.CREATE.events.weir-etl-flows-raw-any", {{"stream_name", "events"}, {"config", c}}).contains("config"));
    publish("flows.raw.netflow", flow_batch(0, 2));
    start(config());
    const std::string key = odd.begin().key();
    ASSERT_TRUE(eventually([&] { return worker_->view() != nullptr && worker_->view()->source.trouble.find(key) != std::string::npos; }))
        << key << ": " << worker_->view()->source.trouble;
    EXPECT_EQ(books().messages_in, 0u);
    stop();
    ASSERT_TRUE(api("CONSUMER.DELETE.events.weir-etl-flows-raw-any").value("success", false));
  }
}

TEST_F(EtlWorkerTest, GivesAnOlderConsumerOfItsOwnTheNewSettings) {
  ASSERT_TRUE(api("CONSUMER.DURABLE.CREATE.events.weir-etl-flows-raw-any",
                  {{"stream_name", "events"},
                   {"config",
                    {{"durable_name", "weir-etl-flows-raw-any"}, {"ack_policy", "explicit"}, {"filter_subject", "flows.raw.*"},
                     {"max_deliver", 3}, {"ack_wait", 60'000'000'000}, {"deliver_policy", "all"}}}})
                  .contains("config"));
  start(config());
  publish("flows.raw.netflow", flow_batch(0, 2));
  settle(1);
  const json c = consumer()["config"];
  EXPECT_EQ(c["max_deliver"], -1);
  EXPECT_EQ(c["ack_wait"], 2'000'000'000);
  EXPECT_EQ(c["max_ack_pending"], 4096);
}

TEST_F(EtlWorkerTest, GoesOnWhereItWasWhenItsConsumerIsDeleted) {
  start(config());
  for (uint64_t i = 0; i < 5; ++i) publish("flows.raw.netflow", flow_batch(i, 1));
  settle(5);
  ASSERT_TRUE(eventually([&] { return worker_->view()->source.inputs[0].acknowledged_to == 5; }));
  ASSERT_TRUE(api("CONSUMER.DELETE.events.weir-etl-flows-raw-any").value("success", false));
  publish("flows.raw.netflow", flow_batch(5, 1));
  ASSERT_TRUE(eventually([&] { return books().messages_done == 6; }));
  EXPECT_EQ(worker_->view()->source.inputs[0].made, 2u);
  EXPECT_EQ(books().messages_in, 6u) << "what was done is not done again";
  EXPECT_EQ(numbers_of(events()), run_of(0, 6));
}

TEST_F(EtlWorkerTest, TakesAStreamThatWasMadeAnewFromItsStart) {
  start(config());
  for (uint64_t i = 0; i < 5; ++i) publish("flows.raw.netflow", flow_batch(i, 1));
  settle(5);
  ASSERT_TRUE(eventually([&] { return worker_->view()->source.inputs[0].acknowledged_to == 5; }));
  // At once, so that it has more messages than the one before when it is looked at.
  ASSERT_TRUE(api("STREAM.DELETE.events").value("success", false));
  make_stream("events", "flows.raw.*");
  for (uint64_t i = 5; i < 15; ++i) publish("flows.raw.netflow", flow_batch(i, 1), {{"Nats-Msg-Id", "anew" + std::to_string(i)}});
  ASSERT_TRUE(eventually([&] { return books().messages_done == 15; })) << consumer().dump();
  EXPECT_EQ(numbers_of(events()), run_of(0, 15));
  EXPECT_EQ(worker_->view()->source.inputs[0].expired_in_stream, 0u);
}

TEST_F(EtlWorkerTest, SurvivesServersThatAreKilled) {
  start(config());
  uint64_t next = 0;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 40; ++i, next += 100) {
      publish("flows.raw.netflow", flow_batch(next, 100), {{"Nats-Msg-Id", "m" + std::to_string(next)}});
    }
    nats_.kill();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    ASSERT_TRUE(nats_.start());
    connect();
  }
  publish("flows.raw.netflow", flow_batch(next, 100));
  next += 100;
  ASSERT_TRUE(eventually([&] { return is_all_done(); }, std::chrono::seconds(60))) << consumer().dump();
  ASSERT_TRUE(eventually([&] { return books().messages_in_hand == 0; }));
  EXPECT_EQ(books().discrepancy(), "");
  const auto numbers = numbers_of(events());
  const std::set<uint64_t> once(numbers.begin(), numbers.end());
  EXPECT_EQ(once.size(), next);
  EXPECT_EQ(numbers.size(), next);
}

TEST_F(EtlWorkerTest, ShowsItsCertificateOnAllConnections) {
  const test::Authority authority;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    ::chmod((folder_ / name).c_str(), 0600);
  };
  const auto server = authority.issue(), client = authority.issue({.name = "etl", .hosts = "", .usage = "clientAuth"});
  write("ca.pem", authority.pem());
  write("server.pem", server.certificate);
  write("server-key.pem", server.key);
  write("client.pem", client.certificate);
  write("client-key.pem", client.key);
  client_.reset();
  nats_.kill();
  nats_.set_extra("tls { cert_file: \"" + (folder_ / "server.pem") + "\", key_file: \"" + (folder_ / "server-key.pem") +
                  "\", ca_file: \"" + (folder_ / "ca.pem") + "\", verify: true }");
  ASSERT_TRUE(nats_.start());
  tls_ = {outbound::TlsMode::mtls, folder_ / "ca.pem", folder_ / "client.pem", folder_ / "client-key.pem", "localhost"};
  connect();

  EtlConfig c = config();
  c.security = {.mode = SecurityMode::tls, .cert_dir = folder_ / "", .server_name = "localhost", .tls = {"", "", "ca.pem"}};
  start(c);
  ASSERT_TRUE(eventually([&] { return worker_->view() != nullptr && !worker_->view()->source.trouble.empty() &&
                                      worker_->view()->source.trouble != "not connected yet"; }));
  EXPECT_FALSE(worker_->view()->source.is_connected) << "the server asks for certificates";
  stop();
  c.security.mode = SecurityMode::mtls;
  c.security.tls = {"client.pem", "client-key.pem", "ca.pem"};
  c.control_socket.path.clear();
  ASSERT_TRUE(check_files(c)) << check_files(c).error().message;
  start(c);
  publish("flows.raw.netflow", flow_batch(0, 3));
  publish("flows.raw.netflow", "x", {{"Weir-Framing", "avro"}});
  settle(2);
  EXPECT_EQ(numbers_of(events()), run_of(0, 3));
  EXPECT_THAT(dead(), SizeIs(1));
}

TEST_F(EtlWorkerTest, HoldsWhatItCannotPublishAndLosesNothing) {
  EtlConfig c = config();
  c.source.ack_wait_secs = 1;
  make_stream("other", "flows.ocsf.network_activity");
  start(c);
  for (uint64_t i = 0; i < 10; ++i) publish("flows.raw.netflow", flow_batch(i * 10, 10));
  ASSERT_TRUE(eventually([&] { return books().messages_in_hand == 10; }));
  EXPECT_THAT(worker_->view()->not_ready_because(), HasSubstr("belongs to stream other"));
  std::this_thread::sleep_for(std::chrono::milliseconds(3500));  // more than three times ack_wait
  EXPECT_EQ(books().messages_redelivered, 0u) << "they were not held";
  ASSERT_TRUE(api("STREAM.DELETE.other").value("success", false));
  settle(10);
  EXPECT_EQ(numbers_of(events()), run_of(0, 100));
  EXPECT_EQ(books().messages_in, 10u);
}

TEST_F(EtlWorkerTest, LeavesToOthersWhatItCannotFinishWhenItStops) {
  EtlConfig c = config();
  c.shutdown_deadline_ms = 200;
  make_stream("other", "flows.ocsf.network_activity");
  start(c);
  for (uint64_t i = 0; i < 10; ++i) publish("flows.raw.netflow", flow_batch(i * 10, 10));
  ASSERT_TRUE(eventually([&] { return books().messages_in_hand == 10; }));
  stop();
  const EtlBooks b = books();
  EXPECT_EQ(b.discrepancy(), "");
  EXPECT_EQ(b.messages_returned, 10u);
  EXPECT_EQ(b.records_returned, 100u);
  EXPECT_EQ(b.messages_in_hand, 0u);
  ASSERT_TRUE(api("STREAM.DELETE.other").value("success", false));
  start(config());
  settle(10);
  EXPECT_EQ(numbers_of(events()), run_of(0, 100));
}

/// Its own request is open at the server while it stops: what it gives back must not come to it again.
TEST_F(EtlWorkerTest, TakesNothingAgainThatItGivesBackWhenItStops) {
  EtlConfig c = config();
  c.shutdown_deadline_ms = 1500;
  make_stream("other", "flows.ocsf.network_activity");
  start(c);
  for (uint64_t i = 0; i < 20; ++i) publish("flows.raw.netflow", flow_batch(i * 2000, 2000));
  ASSERT_TRUE(eventually([&] { return books().messages_in == 20 && worker_->view()->buffers_free < 2; }));
  stop();
  EXPECT_EQ(books().messages_in, 20u);
  EXPECT_EQ(books().messages_returned, 20u);
  EXPECT_EQ(books().discrepancy(), "");
  ASSERT_TRUE(api("STREAM.DELETE.other").value("success", false));
  start(config());
  ASSERT_TRUE(eventually([&] { return books().messages_done == 20; }, std::chrono::seconds(60)));
  EXPECT_EQ(numbers_of(events()), run_of(0, 40'000));
  EXPECT_THAT(dead(), IsEmpty());
}

/// The server goes on counting those that were delivered twice when a purge has taken them: mostly, by what it was about
/// just then, so this is tried until it does.
TEST_F(EtlWorkerTest, IsCarefulForNobodyWhoIsGone) {
  start(config());
  ASSERT_TRUE(eventually([&] { return consumer().contains("config"); }));
  uint64_t flows = 0;
  const auto publish_some = [&](uint64_t messages) {
    for (uint64_t i = 0; i < messages; ++i) publish("flows.raw.netflow", flow_batch(flows++, 1));
  };
  const auto is_counted = [&] { return consumer()["num_redelivered"] == 3; };
  for (int attempt = 0; attempt < 6; ++attempt) {
    stop();
    publish_some(3);
    ASSERT_TRUE(eventually([&] {
      const json some = {{"batch", 1}, {"expires", 3'000'000'000}};
      for (int i = 0; i < 3; ++i)
        static_cast<void>(client_->request("$JS.API.CONSUMER.MSG.NEXT.events.weir-etl-flows-raw-any", some.dump(), 5000));
      return is_counted();
    }, std::chrono::seconds(30)));
    ASSERT_TRUE(api("STREAM.PURGE.events").value("success", false));
    start(config());
    publish_some(27);
    settle(27);
    EXPECT_FALSE(worker_->view()->is_careful);
    if (is_counted()) break;
  }
  EXPECT_TRUE(is_counted()) << "else this tests nothing";
  publish_some(30);
  settle(57);
  EXPECT_FALSE(worker_->view()->is_careful);
}

TEST_F(EtlWorkerTest, NeverHoldsMoreThanItsBuffers) {
  EtlConfig c = config();
  c.events.buffer_bytes = 4 << 20;
  make_stream("other", "flows.ocsf.network_activity");
  start(c);
  for (uint64_t i = 0; i < 60; ++i) publish("flows.raw.netflow", flow_batch(i * 500, 500));
  ASSERT_TRUE(eventually([&] { return worker_->view() != nullptr && worker_->view()->buffers_free < 2; }));
  EXPECT_EQ(worker_->view()->buffers, 4u);
  const uint64_t held = books().records_in_flight;
  EXPECT_LT(held, 30'000u);
  ASSERT_TRUE(api("STREAM.DELETE.other").value("success", false));
  settle(60);
  EXPECT_EQ(numbers_of(events()), run_of(0, 30'000));
}

}  // namespace
}  // namespace weir::etl
