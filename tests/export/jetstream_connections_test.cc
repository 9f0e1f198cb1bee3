// Several connections of one publisher against a real nats-server: all are used, and one that is away strands nothing.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nats/nats.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "export/jetstream_publisher.h"
#include "export/jetstream_reader.h"
#include "support/nats_server.h"
#include "support/publisher_driver.h"
#include "support/web_client.h"

/// What is called before each message is given to nats.c.
static std::function<void()> before_publish;

// In place of the library's, which it calls.
extern "C" natsStatus natsConnection_PublishMsg(natsConnection* nc, natsMsg* message) {
  if (before_publish) before_publish();
  static const auto real = reinterpret_cast<decltype(&natsConnection_PublishMsg)>(dlsym(RTLD_NEXT, "natsConnection_PublishMsg"));
  return real(nc, message);
}

namespace weir::outbound {
namespace {

using test::NatsServer;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class JetStreamConnectionsTest : public test::PublisherDriver<JetStreamPublisher> {
 protected:
  void SetUp() override {
    if (NatsServer::binary().empty()) GTEST_SKIP() << "nats-server is not installed";
  }

  static JetStreamConfig config_for(const NatsServer& server, uint32_t connections) {
    JetStreamConfig config;
    config.nats.urls = {server.url()};
    config.nats.connect_timeout_ms = 500;
    config.nats.ping_interval_ms = 500;
    config.nats.reconnect_wait_ms = 50;
    config.nats.reconnect_jitter_ms = 20;
    config.stream.max_bytes = 256 << 20;
    config.subjects = {"flows.raw.netflow", "flows.raw.sflow"};
    config.identity = kIdentity;
    config.connections = connections;
    config.window_batches = 16;
    config.publish_timeout_ms = 1500;
    return config;
  }

  bool connected(uint64_t connections) {
    return poll_until([&] { return publisher_->counters().connected.value() == connections; });
  }

  static auto read(const NatsServer& server) {
    ReaderConfig config;
    config.nats.urls = {server.url()};
    config.stream = "events";
    config.subject = "flows.>";
    return JetStreamReader::open(config);
  }

  /// Every batch is in the stream, and none twice.
  void expect_all_stored_once(const NatsServer& server) {
    ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
    ledger_.expect_balance(boxes_.size());
    EXPECT_EQ(ledger_.failed, 0u);
    auto reader = read(server);
    ASSERT_TRUE(reader) << reader.error().message;
    std::map<std::string, int> stored;
    while ((*reader)->pending() > 0) {
      auto next = (*reader)->next(2000);
      ASSERT_TRUE(next) << next.error().message;
      ASSERT_TRUE(*next) << "the stream has fewer messages than it says";
      ++stored[(*next)->id];
    }
    EXPECT_EQ(stored.size(), boxes_.size());
    for (const auto& [id, times] : stored) EXPECT_EQ(times, 1) << id;
  }
};

/// Messages that the server has from each of its clients of this name, as its monitoring says.
std::vector<uint64_t> messages_of_clients(uint16_t port, const std::string& name) {
  const auto answer = test::fetch({.url = "http://127.0.0.1:" + std::to_string(port) + "/connz"});
  std::vector<uint64_t> messages;
  const auto page = nlohmann::json::parse(answer.body);
  for (const auto& connection : page.at("connections")) {
    if (connection.value("name", "") == name) messages.push_back(connection.at("in_msgs").get<uint64_t>());
  }
  return messages;
}

TEST_F(JetStreamConnectionsTest, ShareTheBatches) {
  const uint16_t port = NatsServer::free_port();
  NatsServer server("http: \"127.0.0.1:" + std::to_string(port) + "\"");
  ASSERT_TRUE(server.start());
  make(config_for(server, 3));
  ASSERT_TRUE(connected(3));
  submit(300);
  ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
  EXPECT_THAT(publisher_->remark(), IsEmpty());
  const auto messages = messages_of_clients(port, "weir");
  ASSERT_EQ(messages.size(), 3u);
  for (const uint64_t of_one : messages) EXPECT_GE(of_one, 10u) << "each has its part of 300";
  expect_all_stored_once(server);
}

TEST_F(JetStreamConnectionsTest, HaveOneWindowTogether) {
  NatsServer server;  // never started
  JetStreamConfig config = config_for(server, 3);
  config.window_batches = 7;
  make(config);
  submit(7);
  EXPECT_EQ(publisher_->in_flight(), 7u);
  test::BatchBox one_more(8, 3);
  {
    const RoleScope role(publisher_thread);
    EXPECT_FALSE(publisher_->submit(one_more.batch, ledger_));
  }
  drain(300);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::shutdown_deadline], 7u);
}

TEST_F(JetStreamConnectionsTest, StoreEachBatchOnceThoughTheServerIsKilled) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  make(config_for(server, 3));
  ASSERT_TRUE(connected(3));
  for (int round = 0; round < 2; ++round) {
    submit(200);
    ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
    server.pause();  // what follows has no answer when it dies, and fits the window
    submit(10);
    server.kill();
    ASSERT_TRUE(connected(0));
    EXPECT_THAT(publisher_->last_error(), HasSubstr("NATS connection lost"));
    EXPECT_THAT(publisher_->remark(), IsEmpty()) << "all are away: that is no remark";
    ASSERT_TRUE(server.start());
    submit(200);
    ASSERT_TRUE(connected(3));
  }
  expect_all_stored_once(server);
  EXPECT_THAT(publisher_->last_error(), IsEmpty());
  EXPECT_GT(publisher_->counters().retries.value(), 0u);
}

TEST_F(JetStreamConnectionsTest, DeliverOverThoseThatThereAre) {
  // Two of four are turned away for as long as they try.
  NatsServer server("max_connections: 2");
  ASSERT_TRUE(server.start());
  make(config_for(server, 4));
  submit(16);  // into all four, before any of them is connected
  ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
  ASSERT_TRUE(connected(2));
  submit(200);
  ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
  EXPECT_THAT(publisher_->last_error(), IsEmpty()) << "it delivers";
  EXPECT_THAT(publisher_->remark(), HasSubstr("of 4: NATS server "));

  server.kill();
  server.set_extra("");
  ASSERT_TRUE(server.start());
  ASSERT_TRUE(connected(4));
  ASSERT_TRUE(poll_until([&] { return publisher_->remark().empty(); })) << publisher_->remark();
  expect_all_stored_once(server);
}

TEST_F(JetStreamConnectionsTest, DeliverTheRestOfWhatOneThatStaysAwayHasDeliveredInPart) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  JetStreamConfig config = config_for(server, 2);
  config.framing = Framing::single;
  config.window_messages = 8;  // of a batch's 400
  make(config);
  ASSERT_TRUE(connected(2));
  submit(4, 400);
  ASSERT_TRUE(poll_until([&] { return publisher_->counters().acknowledgements.value() > 40; }));
  ASSERT_EQ(ledger_.acknowledged, 0u) << "each batch is stored in part";
  server.kill();
  ASSERT_TRUE(connected(0));
  server.set_extra("max_connections: 1");
  ASSERT_TRUE(server.start());
  ASSERT_TRUE(poll_until_settled()) << publisher_->last_error() << publisher_->remark();
  EXPECT_EQ(ledger_.acknowledged, 4u);
  publisher_.reset();

  server.kill();  // its one connection may not be free again yet
  server.set_extra("");
  ASSERT_TRUE(server.start());
  auto reader = read(server);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ((*reader)->pending(), 1600u) << "each record once";
}

TEST_F(JetStreamConnectionsTest, HandNothingRoundWhenTheLastOneGoesMeanwhile) {
  NatsServer server("max_connections: 1");  // not started yet
  make(config_for(server, 2));
  submit(16);  // eight into each
  size_t published = 0;
  // The first beyond its own eight is one that the other handed over.
  before_publish = [&] {
    if (++published != 9) return;
    server.kill();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));  // the library notices
  };
  ASSERT_TRUE(server.start());
  ASSERT_TRUE(poll_until([&] { return published >= 9; }));
  before_publish = nullptr;
  ASSERT_TRUE(connected(0)) << "and it goes on";
  server.set_extra("");
  ASSERT_TRUE(server.start());
  expect_all_stored_once(server);
}

TEST_F(JetStreamConnectionsTest, TellOfAStreamThatDoesNotTakeWhatOneOfThemSent) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  const JetStreamConfig config = config_for(server, 2);
  auto client = NatsClient::make(config.nats);
  ASSERT_TRUE(client && (*client)->connect());
  ASSERT_TRUE((*client)->request("$JS.API.STREAM.CREATE.events",
                                 R"({"name": "events", "subjects": ["flows.raw.*"], "discard": "new", "max_msgs": 3,
                                     "storage": "file", "num_replicas": 1})",
                                 2000));
  make(config);
  ASSERT_TRUE(connected(2));
  submit(4);
  ASSERT_TRUE(poll_until([&] { return publisher_->in_flight() == 1 && !publisher_->last_error().empty(); }));
  EXPECT_THAT(publisher_->last_error(), HasSubstr("maximum messages exceeded")) << "one connection has met it";
  EXPECT_THAT(publisher_->remark(), IsEmpty());
  drain(100);
}

}  // namespace
}  // namespace weir::outbound
