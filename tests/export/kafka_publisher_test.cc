#include "export/kafka_publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <set>
#include <thread>

#include "base/clock.h"
#include "support/kafka_cluster.h"
#include "support/publisher_driver.h"

namespace weir::outbound {
namespace {

using test::BatchBox;
using test::KafkaCluster;
using test::KafkaStored;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kTopic = "flows.raw.netflow";
constexpr const char* kOtherTopic = "flows.raw.sflow";

class KafkaPublisherTest : public test::PublisherDriver<KafkaPublisher> {
 protected:
  void SetUp() override { std::signal(SIGPIPE, SIG_IGN); }

  KafkaPublisherConfig config(const std::string& brokers) const {
    KafkaPublisherConfig c;
    c.kafka.brokers = brokers;
    // Quicker than a real cluster would want it.
    c.kafka.options = {{"reconnect.backoff.ms", "20"}, {"reconnect.backoff.max.ms", "200"},
                       {"retry.backoff.ms", "10"},     {"queue.buffering.max.ms", "1"},
                       {"topic.metadata.refresh.interval.ms", "500"}};
    c.subjects = {kTopic, kOtherTopic};
    c.identity = kIdentity;
    c.retry_first_ms = 5;
    c.retry_max_ms = 40;
    return c;
  }
  /// Every batch that was submitted is stored once, under its own id, with its own octets.
  void expect_each_stored_once(const KafkaCluster& cluster) {
    std::map<std::string, std::string> stored;
    for (const KafkaStored& m : cluster.read_all()) {
      EXPECT_TRUE(stored.emplace(m.headers.at("Weir-Msg-Id"), m.payload).second)
          << m.headers.at("Weir-Msg-Id") << " is stored twice";
    }
    EXPECT_EQ(stored.size(), boxes_.size());
    for (const BatchBox& box : boxes_) EXPECT_TRUE(stored[id_of(box)] == box.octets) << id_of(box);
  }
};

class KafkaDeliveryTest : public KafkaPublisherTest {
 protected:
  void SetUp() override {
    KafkaPublisherTest::SetUp();
    cluster_.create_topic(kTopic);
    cluster_.create_topic(kOtherTopic);
  }
  KafkaCluster cluster_{3};
};

TEST_F(KafkaDeliveryTest, StoresBatchesUnderTheirSubjectsWithWhatTheyAre) {
  make(config(cluster_.addresses()));
  submit(10);
  ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
  EXPECT_EQ(ledger_.acknowledged, 10u);
  expect_each_stored_once(cluster_);
  size_t others = 0;
  for (const KafkaStored& m : cluster_.read_all()) {
    others += m.topic == kOtherTopic ? 1 : 0;
    EXPECT_EQ(m.headers.at("Weir-Framing"), "batch");
    EXPECT_EQ(m.headers.at("Weir-Compression"), "none");
    EXPECT_EQ(m.headers.at("Weir-Records"), "3");
    EXPECT_FALSE(m.headers.contains("Weir-Kind"));
  }
  EXPECT_EQ(others, 5u);
  EXPECT_EQ(publisher_->counters().messages.value(), 10u);
  EXPECT_EQ(publisher_->counters().acknowledgements.value(), 10u);
  EXPECT_TRUE(poll_until([&] { return publisher_->counters().connected.value() == 1; }));
  EXPECT_THAT(publisher_->last_error(), IsEmpty());
  drain(0);
}

TEST_F(KafkaDeliveryTest, SingleFramingIsAMessageARecord) {
  auto c = config(cluster_.addresses());
  c.framing = Framing::single;
  c.window_messages = 7;
  make(c);
  submit(4, 25);
  ASSERT_TRUE(poll_until_settled());
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, 4u);
  std::map<std::string, std::string> stored;
  for (const KafkaStored& m : cluster_.read_all()) {
    EXPECT_EQ(m.headers.at("Weir-Framing"), "single");
    EXPECT_EQ(m.headers.at("Weir-Records"), "1");
    EXPECT_TRUE(stored.emplace(m.headers.at("Weir-Msg-Id"), m.payload).second);
  }
  EXPECT_EQ(stored.size(), 100u);
  for (const BatchBox& box : boxes_) {
    for (int i = 0; i < box.flows.flows_size(); ++i) {
      EXPECT_TRUE(stored[id_of(box) + "." + std::to_string(i)] == box.flows.flows(i).SerializeAsString());
    }
  }
}

TEST_F(KafkaDeliveryTest, DividesABatchThatExceedsTheLargestMessage) {
  auto c = config(cluster_.addresses());
  c.kafka.options.emplace_back("message.max.bytes", "4096");
  make(c);
  submit(1, 200);
  ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, 1u);
  std::map<unsigned long, KafkaStored> parts;
  for (KafkaStored& m : cluster_.read_all()) {
    EXPECT_LE(m.payload.size(), 4096u);
    const std::string& id = m.headers.at("Weir-Msg-Id");
    ASSERT_TRUE(id.starts_with(id_of(boxes_[0]) + "."));
    // .<first record>-<last>
    parts[std::stoul(id.substr(id_of(boxes_[0]).size() + 1))] = std::move(m);
  }
  EXPECT_GT(parts.size(), 2u);
  std::string all;
  unsigned long records = 0;
  for (const auto& [number, part] : parts) {
    all += part.payload;
    records += std::stoul(part.headers.at("Weir-Records"));
  }
  EXPECT_TRUE(all == boxes_[0].octets) << "parts are FlowBatches that together are the batch";
  EXPECT_EQ(records, 200u);
}

TEST_F(KafkaDeliveryTest, CompressedMessagesAreOfTheirOwnOctets) {
  auto c = config(cluster_.addresses());
  c.framing = Framing::delimited;
  c.compression = Compression::zstd;
  make(c);
  submit(20, 50);
  ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, 20u);
  std::map<std::string, std::string> stored;
  for (const KafkaStored& m : cluster_.read_all()) {
    EXPECT_EQ(m.headers.at("Weir-Framing"), "delimited");
    EXPECT_EQ(m.headers.at("Weir-Compression"), "zstd");
    const auto batch = unframe({reinterpret_cast<const uint8_t*>(m.payload.data()), m.payload.size()},
                               Framing::delimited, Compression::zstd);
    ASSERT_TRUE(batch);
    stored[m.headers.at("Weir-Msg-Id")].assign(batch->begin(), batch->end());
  }
  for (const BatchBox& box : boxes_) EXPECT_TRUE(stored[id_of(box)] == box.octets);
}

TEST_F(KafkaDeliveryTest, WhatIsReplayedGoesUnderItsOwnIdAndSubject) {
  make(config(cluster_.addresses()));
  const ReplayedAs as{"of-another-run.7", kOtherTopic};
  BatchBox& box = boxes_.emplace_back(1, 2);
  box.batch.replayed_as = &as;
  {
    const RoleScope role(publisher_thread);
    ASSERT_TRUE(publisher_->submit(box.batch, ledger_));
  }
  ASSERT_TRUE(poll_until_settled());
  drain(0);
  const auto stored = cluster_.read_all();
  ASSERT_EQ(stored.size(), 1u);
  EXPECT_EQ(stored[0].topic, kOtherTopic);
  EXPECT_EQ(stored[0].headers.at("Weir-Msg-Id"), as.id);
}

TEST_F(KafkaDeliveryTest, TheExporterIsTheKeyWhereABatchHasOne) {
  auto c = config(cluster_.addresses());
  c.subjects = {"flows.raw.netflow-{exporter}", kOtherTopic};
  c.topic = kTopic;
  make(c);
  boxes_.emplace_back(1, 1, 0).batch.exporter = IpAddress::from_v4(0xC0000207u);
  boxes_.emplace_back(2, 1, 1).batch.exporter = IpAddress::from_v4(0xC0000208u);  // only of the first record
  {
    const RoleScope role(publisher_thread);
    for (BatchBox& box : boxes_) ASSERT_TRUE(publisher_->submit(box.batch, ledger_));
  }
  ASSERT_TRUE(poll_until_settled());
  drain(0);
  std::map<std::string, std::string> keys;
  for (const KafkaStored& m : cluster_.read_all()) keys[m.headers.at("Weir-Msg-Id")] = m.key;
  EXPECT_EQ(keys[id_of(boxes_[0])], "192-0-2-7");
  EXPECT_EQ(keys[id_of(boxes_[1])], "");
}

TEST_F(KafkaDeliveryTest, ARecordThatIsLargerThanAnyMessageFailsItsBatch) {
  auto c = config(cluster_.addresses());
  c.kafka.options.emplace_back("message.max.bytes", "1100");
  make(c);
  BatchBox& box = boxes_.emplace_back(1, 1);
  box.flows.mutable_flows(0)->set_server_name(std::string(2000, 'x'));
  box.octets = box.flows.SerializeAsString();
  box.batch.data = reinterpret_cast<uint8_t*>(box.octets.data());
  box.batch.octets = static_cast<uint32_t>(box.octets.size());
  {
    const RoleScope role(publisher_thread);
    ASSERT_TRUE(publisher_->submit(box.batch, ledger_));
  }
  ASSERT_TRUE(poll_until_settled());
  EXPECT_EQ(ledger_.failures[DeliveryFailure::too_large], 1u);
  EXPECT_THAT(publisher_->last_error(), HasSubstr("message.max.bytes, 1100"));
  drain(0);
}

// The cluster that is pretended here takes a later batch where the one before was refused, and librdkafka concludes from the later
// one's acknowledgement that the earlier is stored, as a broker's order of sequences has it: no two may be under way.
TEST_F(KafkaDeliveryTest, LosesNothingAndDoublesNothingWhileBrokersRefuse) {
  KafkaPublisherConfig c = config(cluster_.addresses());
  c.kafka.options.emplace_back("max.in.flight.requests.per.connection", "1");
  make(c);
  const std::vector<rd_kafka_resp_err_t> errors = {
      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,      RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
      RD_KAFKA_RESP_ERR_NO_ERROR,                 RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
      RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
  };
  for (int round = 0; round < 4; ++round) {
    cluster_.fail_produce(errors);
    submit(50);
    ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
  }
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, 200u);
  expect_each_stored_once(cluster_);
}

TEST_F(KafkaDeliveryTest, LosesNothingWhileConnectionsBreak) {
  make(config(cluster_.addresses()));
  for (int round = 0; round < 4; ++round) {
    cluster_.fail_produce({RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR__TRANSPORT,
                           RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR__TRANSPORT});
    submit(50);
    ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
  }
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, 200u);
  // What was stored when its connection broke is sent again under the same sequence number, by which a
  // broker would know it, but not the one that is pretended here.
  std::map<std::string, std::string> stored;
  for (const KafkaStored& m : cluster_.read_all()) {
    const auto [other, is_new] = stored.emplace(m.headers.at("Weir-Msg-Id"), m.payload);
    EXPECT_TRUE(is_new || other->second == m.payload);
  }
  EXPECT_EQ(stored.size(), boxes_.size());
  for (const BatchBox& box : boxes_) EXPECT_TRUE(stored[id_of(box)] == box.octets) << id_of(box);
}

TEST_F(KafkaDeliveryTest, SurvivesAllBrokersGoingAndComing) {
  make(config(cluster_.addresses()));
  submit(50);
  ASSERT_TRUE(poll_until_settled());
  cluster_.set_down();
  submit(100);
  ASSERT_TRUE(poll_until([&] {
    return publisher_->counters().connected.value() == 0 && !publisher_->last_error().empty();
  }));
  EXPECT_EQ(publisher_->in_flight(), 100u);
  cluster_.set_up();
  ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
  EXPECT_TRUE(poll_until([&] { return publisher_->counters().connected.value() == 1; }));
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, 150u);
  expect_each_stored_once(cluster_);
}

TEST_F(KafkaDeliveryTest, GivesBackWhatWaitsTooLongForBrokersThatAreAway) {
  make(config(cluster_.addresses()));
  publisher_->set_patience(1 * kNsPerSec);
  submit(50);
  ASSERT_TRUE(poll_until_settled());
  cluster_.set_down();
  submit(64);
  ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
  EXPECT_EQ(ledger_.acknowledged, 50u);
  EXPECT_EQ(ledger_.failed, 64u);
  for (const auto& [why, count] : ledger_.failures) EXPECT_FALSE(is_final(why)) << name_of(why);

  // They come again from where they were kept, and all others with them.
  cluster_.set_up();
  ledger_ = {};
  {
    const RoleScope role(publisher_thread);
    for (size_t i = 50; i < boxes_.size(); ++i) {
      while (!publisher_->submit(boxes_[i].batch, ledger_)) publisher_->poll(20, ledger_);
    }
  }
  publisher_->set_patience(kPatientForEver);
  ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
  EXPECT_EQ(ledger_.acknowledged, 64u);
  expect_each_stored_once(cluster_);
}

TEST_F(KafkaDeliveryTest, MakesAProducerAnewThatCanDoNothingAnyMore) {
  make(config(cluster_.addresses()));
  submit(5);
  ASSERT_TRUE(poll_until_settled());
  // What idempotence cannot repair is fatal for a producer.
  cluster_.fail_produce({RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                         RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER});
  submit(50);
  ASSERT_TRUE(poll_until_settled()) << publisher_->last_error();
  EXPECT_GE(publisher_->counters().reconnects.value(), 1u);
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, 55u);
  expect_each_stored_once(cluster_);
}

TEST_F(KafkaDeliveryTest, ADefiniteNoIsTheAnswerAfterSomeTries) {
  make(config(cluster_.addresses()));
  submit(1);
  ASSERT_TRUE(poll_until_settled());
  cluster_.fail_produce(std::vector<rd_kafka_resp_err_t>(5, RD_KAFKA_RESP_ERR_POLICY_VIOLATION));
  submit(1);
  ASSERT_TRUE(poll_until_settled());
  EXPECT_EQ(ledger_.failures[DeliveryFailure::rejected], 1u);
  EXPECT_THAT(publisher_->last_error(), HasSubstr(std::string("topic ") + kOtherTopic + ": "));
  EXPECT_THAT(publisher_->last_error(), HasSubstr("Policy"));
  submit(2);
  ASSERT_TRUE(poll_until_settled());
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, 3u);
  EXPECT_THAT(publisher_->last_error(), IsEmpty());
}

TEST_F(KafkaDeliveryTest, WaitsForTheRightToWrite) {
  make(config(cluster_.addresses()));
  cluster_.fail_produce(std::vector<rd_kafka_resp_err_t>(
      8, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED));
  submit(10);
  ASSERT_TRUE(poll_until([&] { return !publisher_->last_error().empty(); }));
  EXPECT_THAT(publisher_->last_error(), HasSubstr("authorization"));
  ASSERT_TRUE(poll_until_settled());
  drain(0);
  EXPECT_EQ(ledger_.acknowledged, 10u);
  expect_each_stored_once(cluster_);
}

TEST_F(KafkaDeliveryTest, GivesUpTheRestAtTheDrainsDeadline) {
  make(config(cluster_.addresses()));
  submit(20);
  ASSERT_TRUE(poll_until_settled());
  cluster_.set_down();
  submit(200);
  drain(200);
  EXPECT_EQ(ledger_.acknowledged, 20u);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::shutdown_deadline], 200u);
}

TEST_F(KafkaDeliveryTest, DeliversWhatIsInFlightBeforeTheDrainsDeadline) {
  make(config(cluster_.addresses()));
  cluster_.fail_produce({RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS});
  submit(100);
  drain(60'000);
  EXPECT_EQ(ledger_.acknowledged, 100u);
  expect_each_stored_once(cluster_);
}

TEST_F(KafkaPublisherTest, IsThereBeforeItsBrokers) {
  make(config("127.0.0.1:1"));
  submit(3);
  ASSERT_TRUE(poll_until([&] { return !publisher_->last_error().empty(); }));
  EXPECT_THAT(publisher_->last_error(), HasSubstr("127.0.0.1:1"));
  EXPECT_EQ(publisher_->counters().connected.value(), 0u);
  EXPECT_EQ(publisher_->in_flight(), 3u);
  drain(50);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::shutdown_deadline], 3u);
}

TEST_F(KafkaPublisherTest, TakesNoMoreThanItsWindow) {
  auto c = config("127.0.0.1:1");
  c.window_batches = 3;
  make(c);
  submit(3);
  BatchBox more(99, 1);
  {
    const RoleScope role(publisher_thread);
    EXPECT_FALSE(publisher_->submit(more.batch, ledger_));
  }
  drain(0);
}

TEST_F(KafkaPublisherTest, AWaitEndsWhenThereIsSomethingToSubmit) {
  make(config("127.0.0.1:1"));
  submit(1);
  std::atomic<bool> has_ended{false};
  std::thread waiting([&] {
    const RoleScope role(publisher_thread);
    publisher_->poll(600'000, ledger_);
    has_ended = true;
  });
  while (!has_ended) {
    publisher_->wake();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  waiting.join();
  drain(0);
}

TEST_F(KafkaPublisherTest, RefusesOptionsInTheLibrarysWords) {
  const auto message = [&](const char* name, const char* value) {
    auto c = config("127.0.0.1:1");
    c.kafka.options = {{name, value}};
    const auto made = KafkaPublisher::make(c);
    return made ? std::string("taken") : made.error().message;
  };
  EXPECT_EQ(message("linger.ms", "20"), "taken");
  EXPECT_EQ(message("compression.codec", "lz4"), "taken");
  EXPECT_THAT(message("no.such.thing", "1"), HasSubstr("No such configuration property: \"no.such.thing\""));
  EXPECT_THAT(message("linger.ms", "-5"), HasSubstr("linger.ms"));
  EXPECT_THAT(message("compression.codec", "rar"), HasSubstr("Invalid value"));
  EXPECT_THAT(message("acks", "1"), HasSubstr("cannot be changed"));
  EXPECT_THAT(message("bootstrap.servers", "x"), HasSubstr("is the key brokers"));
  // Each may be right and both be wrong together.
  EXPECT_THAT(message("max.in.flight", "100"), HasSubstr("max.in.flight"));
  EXPECT_THAT(message("ssl.ca.location", "/nonexistent/ca.pem"), HasSubstr("taken"));
  auto c = config("127.0.0.1:1");
  c.kafka.options = {{"security.protocol", "ssl"}, {"ssl.ca.location", "/nonexistent/ca.pem"}};
  const auto made = KafkaPublisher::make(c);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("ssl.ca.location"));
}

TEST(KafkaNames, TopicsOfSubjects) {
  EXPECT_EQ(kafka_topic("{subject}", "flows.raw.netflow"), "flows.raw.netflow");
  EXPECT_EQ(kafka_topic("weir.{subject}.v1", "flows.raw.netflow"), "weir.flows.raw.netflow.v1");
  EXPECT_EQ(kafka_topic("weir.flows", "flows.raw.netflow"), "weir.flows");
  EXPECT_EQ(kafka_topic("{subject}", "flows.raw/ä:1"), "flows.raw____1");
  EXPECT_EQ(kafka_topic("{subject}", std::string(300, 'a')).size(), 249u);
}

TEST(KafkaNames, SecretsAmongOptions) {
  for (const char* secret : {"sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem",
                             "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config"}) {
    EXPECT_TRUE(kafka_option_is_secret(secret)) << secret;
  }
  for (const char* open : {"sasl.username", "sasl.mechanisms", "ssl.key.location", "linger.ms"}) {
    EXPECT_FALSE(kafka_option_is_secret(open)) << open;
  }
}

}  // namespace
}  // namespace weir::outbound
