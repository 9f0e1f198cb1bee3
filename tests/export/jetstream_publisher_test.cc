// The publisher against a real nats-server. Every test keeps the ledger: submitted = acknowledged +
// failed, each batch reported once.
#include "export/jetstream_publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/clock.h"
#include "export/jetstream_reader.h"
#include "support/batches.h"
#include "support/nats_server.h"

namespace weir::outbound {
namespace {

using test::BatchBox;
using test::NatsServer;
using test::OutcomeLedger;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;

constexpr uint64_t kPatienceNs = 60 * kNsPerSec;  // a hang, not a measure
const RunIdentity kIdentity{"6f1c0c54-8e2e-4d0a-9a55-0d9c1b8d2f10", 1'700'000'000};

std::string id_of(const OutboundBatch& batch) { return Addressing(kIdentity, {"flows.raw.netflow"}).id_of(batch); }

class JetStreamPublisherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (NatsServer::binary().empty()) GTEST_SKIP() << "nats-server is not installed";
  }

  static JetStreamConfig config_for(const NatsServer& server) {
    JetStreamConfig config;
    config.nats.urls = {server.url()};
    config.nats.connect_timeout_ms = 500;
    config.nats.write_deadline_ms = 500;
    config.nats.ping_interval_ms = 500;
    config.nats.reconnect_wait_ms = 50;
    config.nats.reconnect_jitter_ms = 20;
    config.stream.max_bytes = 256 << 20;
    config.subjects = {"flows.raw.netflow", "flows.raw.sflow"};
    config.identity = kIdentity;
    config.window_batches = 16;
    config.publish_timeout_ms = 1500;
    config.api_timeout_ms = 1000;
    return config;
  }

  void open(const JetStreamConfig& config) {
    auto made = JetStreamPublisher::make(config);
    ASSERT_TRUE(made) << made.error().message;
    publisher_ = std::move(*made);
  }

  BatchBox& make_batch(uint32_t records, uint16_t route = 0) {
    return boxes_.emplace_back(boxes_.size() + 1, records, route);
  }

  bool try_submit(OutboundBatch& batch) {
    const RoleScope role(publisher_thread);
    return publisher_->submit(batch, ledger_);
  }
  void poll(int wait_ms) {
    const RoleScope role(publisher_thread);
    publisher_->poll(wait_ms, ledger_);
  }
  void drain(uint64_t deadline_steady_ns) {
    const RoleScope role(publisher_thread);
    const std::atomic<uint64_t> deadline_ns = deadline_steady_ns;
    publisher_->drain(deadline_ns, ledger_);
  }

  void submit(BatchBox& box) {
    const uint64_t end = steady_clock_ns() + kPatienceNs;
    while (!try_submit(box.batch)) {
      ASSERT_LT(steady_clock_ns(), end) << publisher_->last_error();
      poll(10);
    }
    ++submitted_;
    ASSERT_LE(publisher_->in_flight(), 4096u);
  }

  void poll_until(const std::function<bool()>& done) {
    const uint64_t end = steady_clock_ns() + kPatienceNs;
    while (!done()) {
      ASSERT_LT(steady_clock_ns(), end) << publisher_->last_error();
      poll(10);
    }
  }
  void settle() {
    poll_until([&] { return publisher_->in_flight() == 0; });
    ledger_.expect_balance(submitted_);
  }

  static std::vector<StreamMessage> read_all(const NatsServer& server,
                                             const std::string& stream = "events") {
    std::vector<StreamMessage> messages;
    ReaderConfig config;
    config.nats.urls = {server.url()};
    config.stream = stream;
    config.subject = "flows.>";
    auto reader = JetStreamReader::open(config);
    EXPECT_TRUE(reader) << reader.error().message;
    if (!reader) return messages;
    const uint64_t end = steady_clock_ns() + kPatienceNs;
    while ((*reader)->pending() > 0 && steady_clock_ns() < end) {
      auto next = (*reader)->next(200);
      EXPECT_TRUE(next) << next.error().message;
      if (!next) break;
      if (*next) messages.push_back(std::move(**next));
    }
    return messages;
  }

  static uint32_t flows_in(const StreamMessage& message) {
    flowpb::FlowBatch flows;
    EXPECT_TRUE(parse_flows(message, flows));
    return static_cast<uint32_t>(flows.flows_size());
  }

  /// What the stream holds is what was submitted: every record, none twice.
  void expect_stored_exactly(const std::vector<StreamMessage>& messages) const {
    std::map<std::string, int> stored;
    for (const StreamMessage& message : messages) {
      flowpb::FlowBatch flows;
      ASSERT_TRUE(parse_flows(message, flows));
      for (const auto& flow : flows.flows()) ++stored[flow.SerializeAsString()];
    }
    size_t submitted = 0;
    for (const BatchBox& box : boxes_) {
      for (const auto& flow : box.flows.flows()) {
        ++submitted;
        EXPECT_EQ(stored[flow.SerializeAsString()], 1) << flow.ShortDebugString();
      }
    }
    EXPECT_EQ(stored.size(), submitted);
  }

  static Json api(const NatsServer& server, const std::string& operation, const Json& body) {
    NatsConfig config;
    config.urls = {server.url()};
    auto client = NatsClient::make(config);
    EXPECT_TRUE(client && (*client)->connect());
    const auto reply =
        (*client)->request("$JS.API." + operation, body.is_null() ? "" : body.dump(), 5000);
    EXPECT_TRUE(reply && *reply);
    return Json::parse(reply->body());
  }

  std::deque<BatchBox> boxes_;
  OutcomeLedger ledger_;
  size_t submitted_ = 0;
  std::unique_ptr<JetStreamPublisher> publisher_;
};

TEST_F(JetStreamPublisherTest, SaysWhatToDoWhenTheServerHasNoRoomForTheStream) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  JetStreamConfig config = config_for(server);
  config.stream.max_bytes = uint64_t{1} << 60;
  open(config);
  for (int i = 0; i < 100 && publisher_->last_error().find("stream_max_bytes") == std::string::npos;
       ++i) {
    poll(50);
  }
  EXPECT_NE(publisher_->last_error().find("stream_max_bytes (1152921504606846976)"),
            std::string::npos)
      << publisher_->last_error();
  drain(steady_clock_ns());
}

TEST_F(JetStreamPublisherTest, CreatesTheStreamAndDeliversBatchesAsTheyAre) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  open(config_for(server));
  for (uint16_t i = 0; i < 100; ++i) submit(make_batch(25, i % 2));
  settle();
  EXPECT_EQ(ledger_.acknowledged, 100u);
  EXPECT_EQ(ledger_.duplicates, 0u);
  EXPECT_THAT(publisher_->last_error(), IsEmpty());
  EXPECT_EQ(publisher_->counters().connected.value(), 1u);
  EXPECT_EQ(publisher_->counters().messages.value(), 100u);
  EXPECT_EQ(publisher_->counters().acknowledgements.value(), 100u);
  EXPECT_EQ(publisher_->counters().retries.value(), 0u);

  const auto messages = read_all(server);
  ASSERT_EQ(messages.size(), boxes_.size());
  for (size_t i = 0; i < messages.size(); ++i) {
    EXPECT_EQ(messages[i].payload, boxes_[i].octets);
    EXPECT_EQ(messages[i].framing, Framing::batch);
    EXPECT_EQ(messages[i].id, id_of(boxes_[i].batch));
    EXPECT_EQ(messages[i].subject, i % 2 == 0 ? "flows.raw.netflow" : "flows.raw.sflow");
  }
  expect_stored_exactly(messages);

  const Json info = api(server, "STREAM.INFO.events", nullptr);
  EXPECT_EQ(info["config"]["subjects"], (Json{"flows.raw.netflow", "flows.raw.sflow"}));
  EXPECT_EQ(info["config"]["max_bytes"], 256 << 20);
  EXPECT_EQ(info["config"]["storage"], "file");
  EXPECT_EQ(info["config"]["duplicate_window"], 120'000'000'000);
}

TEST_F(JetStreamPublisherTest, SendsTheHeadersThatConsumersReadFramingFrom) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  open(config_for(server));
  submit(make_batch(7));
  settle();
  const Json message = api(server, "STREAM.MSG.GET.events", {{"seq", 1}});
  // The headers come in base64: the line that matters is checked through its encoding's decoder.
  const std::string encoded = message["message"]["hdrs"];
  std::string headers;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : encoded) {
    static const std::string kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t value = kAlphabet.find(c);
    if (value == std::string::npos) break;
    bits = bits << 6 | static_cast<uint32_t>(value);
    if ((count += 6) >= 8) headers += static_cast<char>(bits >> (count -= 8) & 0xFF);
  }
  EXPECT_THAT(headers, HasSubstr("Weir-Framing: batch\r\n"));
  EXPECT_THAT(headers, HasSubstr("Weir-Compression: none\r\n"));
  EXPECT_THAT(headers, HasSubstr("Weir-Records: 7\r\n"));
  EXPECT_THAT(headers, HasSubstr("Nats-Msg-Id: " + id_of(boxes_[0].batch) + "\r\n"));
}

TEST_F(JetStreamPublisherTest, SendsOneMessageARecordWithSingleFraming) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  JetStreamConfig config = config_for(server);
  config.framing = Framing::single;
  config.window_messages = 7;  // less than a batch has records
  open(config);
  for (int i = 0; i < 5; ++i) submit(make_batch(20));
  settle();
  EXPECT_EQ(ledger_.acknowledged, 5u);
  EXPECT_EQ(publisher_->counters().messages.value(), 100u);

  const auto messages = read_all(server);
  ASSERT_EQ(messages.size(), 100u);
  for (uint32_t i = 0; i < messages.size(); ++i) {
    const BatchBox& box = boxes_[i / 20];
    EXPECT_EQ(messages[i].framing, Framing::single);
    EXPECT_EQ(messages[i].id, id_of(box.batch) + "." + std::to_string(i % 20));
    EXPECT_EQ(messages[i].payload, box.flows.flows(static_cast<int>(i % 20)).SerializeAsString());
  }
}

TEST_F(JetStreamPublisherTest, DeliversEveryFramingAndCompressionToItsReader) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  for (const Framing framing :
       {Framing::batch, Framing::single, Framing::delimited, Framing::netflow_record}) {
    for (const Compression compression : {Compression::none, Compression::lz4, Compression::zstd}) {
      SCOPED_TRACE(std::string(name_of(framing)) + " " + std::string(name_of(compression)));
      JetStreamConfig config = config_for(server);
      config.framing = framing;
      config.compression = compression;
      config.stream.name = std::string(name_of(framing)) + "-" + std::string(name_of(compression));
      config.subjects = {"flows.raw." + config.stream.name};
      open(config);
      boxes_.clear();
      ledger_ = {};
      submitted_ = 0;
      for (int i = 0; i < 3; ++i) submit(make_batch(20));
      settle();
      EXPECT_EQ(ledger_.acknowledged, 3u);
      const auto messages = read_all(server, config.stream.name);
      EXPECT_EQ(messages.size(), is_record_a_message(framing) ? 60u : 3u);
      uint32_t records = 0;
      for (const StreamMessage& message : messages) {
        EXPECT_EQ(message.framing, framing);
        records += flows_in(message);
      }
      EXPECT_EQ(records, 60u);
      if (framing != Framing::netflow_record) expect_stored_exactly(messages);
    }
  }
}

TEST_F(JetStreamPublisherTest, PublishesWhatComesFromTheSpoolUnderItsOwnIdAndSubject) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  JetStreamConfig config = config_for(server);
  config.stream.subjects = {"flows.raw.*"};
  open(config);
  const ReplayedAs then{"an.earlier.run.1", "flows.raw.other"};
  BatchBox& box = make_batch(4);
  box.batch.replayed_as = &then;
  submit(box);
  settle();
  const auto messages = read_all(server);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].subject, "flows.raw.other");
  EXPECT_EQ(messages[0].id, "an.earlier.run.1");
}

TEST_F(JetStreamPublisherTest, WritesProtocolAndExporterIntoTheSubject) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  JetStreamConfig config = config_for(server);
  config.subjects = {"flows.raw.{protocol}-{exporter}"};
  open(config);
  BatchBox& box = make_batch(4);
  box.batch.type = FlowType::netflow_v9;
  box.batch.exporter = *IpAddress::parse("192.0.2.7");
  submit(box);
  settle();
  const auto messages = read_all(server);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].subject, "flows.raw.netflow_v9-192-0-2-7");
}

TEST_F(JetStreamPublisherTest, StoresOnceWhatIsSubmittedTwice) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  open(config_for(server));
  submit(make_batch(10));
  settle();
  BatchBox again(1, 10);  // the same id, as after a retry whose answer was lost
  submit(again);
  settle();
  EXPECT_EQ(ledger_.acknowledged, 2u);
  EXPECT_EQ(ledger_.duplicates, 1u);
  EXPECT_EQ(read_all(server).size(), 1u);
}

TEST_F(JetStreamPublisherTest, StoresEachBatchOnceThoughTheServerIsKilledTwice) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  open(config_for(server));
  size_t sent = 0;
  for (int i = 0; i < 600; ++i) {
    submit(make_batch(50));
    ++sent;
    if (i == 200 || i == 400) {
      // Something is in flight when it dies: a batch that comes when it answers nobody any more, or a window full of them.
      server.pause();
      BatchBox& last = make_batch(50);
      bool is_taken = false;
      for (int k = 0; k < 25 && !is_taken; ++k) {
        poll(20);
        is_taken = k >= 5 && try_submit(last.batch);
      }
      submitted_ += is_taken ? 1 : 0;
      server.kill();
      for (int k = 0; k < 5; ++k) poll(20);
      EXPECT_GT(publisher_->in_flight(), 0u);
      ASSERT_TRUE(server.start());
      if (!is_taken) submit(last);
      ++sent;
    }
  }
  settle();
  EXPECT_EQ(ledger_.acknowledged, sent);
  EXPECT_EQ(ledger_.failed, 0u);
  EXPECT_GE(publisher_->counters().reconnects.value(), 2u);
  EXPECT_GT(publisher_->counters().retries.value(), 0u);
  EXPECT_THAT(publisher_->last_error(), IsEmpty());
  const auto messages = read_all(server);
  EXPECT_EQ(messages.size(), sent);
  expect_stored_exactly(messages);
}

TEST_F(JetStreamPublisherTest, SurvivesAStoppedServerWithoutLossOrDuplicates) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  JetStreamConfig config = config_for(server);
  config.window_batches = 128;  // more octets than the socket's buffers take
  open(config);
  for (int i = 0; i < 20; ++i) submit(make_batch(600));
  settle();

  server.pause();
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::seconds(3));
    server.resume();
  });
  for (int i = 0; i < 200; ++i) submit(make_batch(600));
  later.join();
  settle();
  EXPECT_EQ(ledger_.acknowledged, 220u);
  const auto messages = read_all(server);
  EXPECT_EQ(messages.size(), 220u);
  expect_stored_exactly(messages);
}

TEST_F(JetStreamPublisherTest, WaitsForABrokerThatComesLater) {
  NatsServer server;
  open(config_for(server));
  for (int i = 0; i < 10; ++i) submit(make_batch(5));
  for (int i = 0; i < 10; ++i) poll(20);
  EXPECT_EQ(publisher_->counters().connected.value(), 0u);
  EXPECT_THAT(publisher_->last_error(), HasSubstr(server.url()));
  EXPECT_EQ(ledger_.reported.size(), 0u);

  ASSERT_TRUE(server.start());
  settle();
  EXPECT_EQ(ledger_.acknowledged, 10u);
  EXPECT_THAT(publisher_->last_error(), IsEmpty());
  expect_stored_exactly(read_all(server));
}

TEST_F(JetStreamPublisherTest, MakesTheStreamAgainWhenItIsDeletedUnderWay) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  open(config_for(server));
  BatchBox gone(1000, 5);
  submit(gone);
  settle();
  api(server, "STREAM.DELETE.events", nullptr);

  for (int i = 0; i < 30; ++i) submit(make_batch(5));
  settle();
  EXPECT_EQ(ledger_.acknowledged, 31u);
  EXPECT_EQ(publisher_->counters().streams_created.value(), 2u);
  EXPECT_GT(publisher_->counters().negative_acknowledgements.value(), 0u);
  const auto messages = read_all(server);
  EXPECT_EQ(messages.size(), 30u);
  expect_stored_exactly(messages);
}

TEST_F(JetStreamPublisherTest, AddsASubjectThatWasTakenAwayWhileAnotherIsStillTaken) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  open(config_for(server));
  submit(make_batch(5));
  settle();
  Json config = api(server, "STREAM.INFO.events", nullptr)["config"];
  config["subjects"] = {"flows.raw.netflow"};
  api(server, "STREAM.UPDATE.events", config);

  submit(make_batch(5, 1));
  // Acknowledgements of the one subject say nothing of the other.
  poll_until([&] {
    if (!HasFailure() && publisher_->in_flight() < 4) submit(make_batch(5));
    return publisher_->counters().streams_extended.value() == 1;
  });
  settle();
  EXPECT_EQ(ledger_.acknowledged, submitted_);
  expect_stored_exactly(read_all(server));
}

TEST_F(JetStreamPublisherTest, AddsItsSubjectsAndLeavesEveryOtherSettingOfAStream) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  api(server, "STREAM.CREATE.events",
      {{"name", "events"},
       {"subjects", {"logs.>", "flows.raw.sflow"}},
       {"description", "shared with the log pipeline"},
       {"retention", "limits"},
       {"storage", "memory"},
       {"discard", "new"},
       {"max_msgs", 7777},
       {"max_age", 3'600'000'000'001},
       {"num_replicas", 1},
       {"duplicate_window", 30'000'000'000},
       {"deny_delete", true},
       {"allow_direct", true}});
  Json before = api(server, "STREAM.INFO.events", nullptr)["config"];

  open(config_for(server));
  submit(make_batch(5));
  settle();
  EXPECT_EQ(ledger_.acknowledged, 1u);
  EXPECT_EQ(publisher_->counters().streams_created.value(), 0u);
  EXPECT_EQ(publisher_->counters().streams_extended.value(), 1u);
  Json after = api(server, "STREAM.INFO.events", nullptr)["config"];
  EXPECT_EQ(after["subjects"], (Json{"logs.>", "flows.raw.sflow", "flows.raw.netflow"}));
  before.erase("subjects");
  after.erase("subjects");
  EXPECT_EQ(after, before);
}

TEST_F(JetStreamPublisherTest, NamesTheStreamThatOwnsItsSubjectAndTheCommandThatHelps) {
  struct Case {
    Json subjects;
    const char* command;
  };
  const Case cases[] = {
      {{"flows.>"}, "nats stream rm flows"},
      {{"flows.raw.*", "flows.meta.*", "x.y"},
       "nats stream edit flows --subjects=flows.meta.*,x.y"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.command);
    NatsServer server;
    ASSERT_TRUE(server.start());
    api(server, "STREAM.CREATE.flows", {{"name", "flows"}, {"subjects", c.subjects}});
    open(config_for(server));
    ledger_ = {};
    submitted_ = 0;
    submit(make_batch(5));
    poll_until([&] { return !publisher_->last_error().empty(); });
    EXPECT_THAT(publisher_->last_error(), HasSubstr("stream flows"));
    EXPECT_THAT(publisher_->last_error(), HasSubstr(c.command));
    EXPECT_THAT(publisher_->last_error(), HasSubstr("stream_adopt: true"));

    drain(steady_clock_ns() + 200 * kNsPerMs);
    ledger_.expect_balance(1);
    EXPECT_EQ(ledger_.failures[DeliveryFailure::shutdown_deadline], 1u);
    const Json info = api(server, "STREAM.INFO.flows", nullptr);
    EXPECT_EQ(info["state"]["messages"], 0);
    EXPECT_EQ(info["config"]["subjects"], c.subjects);
  }
}

TEST_F(JetStreamPublisherTest, PublishesIntoTheOwningStreamOnlyWhenToldTo) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  api(server, "STREAM.CREATE.flows", {{"name", "flows"}, {"subjects", {"flows.>"}}});
  JetStreamConfig config = config_for(server);
  config.stream.overlap = SubjectOverlap::adopt;
  open(config);
  submit(make_batch(5));
  settle();
  EXPECT_EQ(ledger_.acknowledged, 1u);
  expect_stored_exactly(read_all(server, "flows"));
}

TEST_F(JetStreamPublisherTest, PublishesNothingIntoAStreamThatAcknowledgesNothingAndSaysWhy) {
  for (const SubjectOverlap overlap : {SubjectOverlap::refuse, SubjectOverlap::adopt}) {
    SCOPED_TRACE(overlap == SubjectOverlap::adopt ? "adopted" : "own");
    NatsServer server;
    ASSERT_TRUE(server.start());
    const std::string name = overlap == SubjectOverlap::adopt ? "flows" : "events";
    Json stream = {{"name", name}, {"subjects", {"flows.>"}}, {"no_ack", true}};
    api(server, "STREAM.CREATE." + name, stream);
    JetStreamConfig config = config_for(server);
    config.stream.overlap = overlap;
    open(config);
    boxes_.clear();
    ledger_ = {};
    submitted_ = 0;
    submit(make_batch(5));
    poll_until([&] { return !publisher_->last_error().empty(); });
    EXPECT_THAT(publisher_->last_error(), HasSubstr("stream " + name + " acknowledges nothing (no_ack)"));
    EXPECT_THAT(publisher_->last_error(), HasSubstr("nats stream edit " + name + " --ack"));
    EXPECT_EQ(publisher_->counters().messages.value(), 0u);

    stream["no_ack"] = false;
    api(server, "STREAM.UPDATE." + name, stream);
    settle();
    EXPECT_EQ(ledger_.acknowledged, 1u);
    expect_stored_exactly(read_all(server, name));
  }
}

TEST_F(JetStreamPublisherTest, DividesABatchThatTheServerWouldNotTake) {
  NatsServer server("max_payload: 4096");
  ASSERT_TRUE(server.start());
  open(config_for(server));
  submit(make_batch(400));
  submit(make_batch(3));
  settle();
  EXPECT_EQ(ledger_.acknowledged, 2u);

  const auto messages = read_all(server);
  ASSERT_GT(messages.size(), 2u);
  std::string joined;
  uint32_t first = 0;
  for (uint32_t i = 0; i + 1 < messages.size(); ++i) {
    EXPECT_EQ(messages[i].framing, Framing::batch);
    EXPECT_LE(messages[i].payload.size(), 4096u);
    const uint32_t records = flows_in(messages[i]);
    EXPECT_EQ(messages[i].id, id_of(boxes_[0].batch) + "." + std::to_string(first) + "-" +
                                  std::to_string(first + records - 1));
    first += records;
    joined += messages[i].payload;
  }
  EXPECT_EQ(joined, boxes_[0].octets);
  EXPECT_EQ(messages.back().id, id_of(boxes_[1].batch));
  expect_stored_exactly(messages);
}

TEST_F(JetStreamPublisherTest, DividesForAServerThatComesBackWithASmallerLimit) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  open(config_for(server));
  submit(make_batch(400));
  settle();
  server.kill();
  server.set_extra("max_payload: 4096");
  ASSERT_TRUE(server.start());
  submit(make_batch(400));
  settle();
  EXPECT_EQ(ledger_.acknowledged, 2u);
  expect_stored_exactly(read_all(server));
}

TEST_F(JetStreamPublisherTest, KeepsToTheLimitOfAStreamThatItAdopts) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  api(server, "STREAM.CREATE.flows", {{"name", "flows"}, {"subjects", {"flows.>"}}, {"max_msg_size", 20'000}});
  JetStreamConfig config = config_for(server);
  config.stream.overlap = SubjectOverlap::adopt;
  open(config);
  for (int i = 0; i < 5; ++i) submit(make_batch(600));
  ASSERT_GT(boxes_[0].octets.size(), 20'000u);
  settle();
  EXPECT_EQ(ledger_.acknowledged, 5u);
  EXPECT_EQ(publisher_->stream_octets_max(), 20'000u);
  EXPECT_EQ(publisher_->counters().negative_acknowledgements.value(), 0u) << "divided before they were sent";
  expect_stored_exactly(read_all(server, "flows"));
}

TEST_F(JetStreamPublisherTest, DividesWhatAStreamTakesNoMoreSinceItsLimitWasLowered) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  open(config_for(server));
  submit(make_batch(600));
  settle();
  Json stream = api(server, "STREAM.INFO.events", nullptr)["config"];
  stream["max_msg_size"] = 20'000;
  ASSERT_EQ(api(server, "STREAM.UPDATE.events", stream)["config"]["max_msg_size"], 20'000);
  for (int i = 0; i < 5; ++i) submit(make_batch(600));
  settle();
  EXPECT_EQ(ledger_.acknowledged, 6u);
  const uint64_t refused = publisher_->counters().negative_acknowledgements.value();
  EXPECT_GT(refused, 0u);
  submit(make_batch(600));
  settle();
  EXPECT_EQ(publisher_->counters().negative_acknowledgements.value(), refused) << "it knows the new limit";
  EXPECT_THAT(publisher_->last_error(), IsEmpty());
  expect_stored_exactly(read_all(server));

  // What cannot be divided is lost, and said with the limit that it meets.
  stream["max_msg_size"] = 100;
  api(server, "STREAM.UPDATE.events", stream);
  submit(make_batch(1));
  settle();
  EXPECT_EQ(ledger_.failures[DeliveryFailure::too_large], 1u);
  EXPECT_THAT(publisher_->last_error(), HasSubstr("max_msg_size"));
}

TEST_F(JetStreamPublisherTest, FindsTheLimitOfAStreamThatItMayNotAskAbout) {
  NatsServer server(R"(no_auth_user: admin
authorization { users: [
  { user: admin, password: a }
  { user: weir, password: w, permissions: { publish: "flows.>", subscribe: "_INBOX.>" } }
]})");
  ASSERT_TRUE(server.start());
  api(server, "STREAM.CREATE.events",
      {{"name", "events"}, {"subjects", {"flows.raw.*"}}, {"max_msg_size", 20'000}});
  JetStreamConfig config = config_for(server);
  config.nats.user = "weir";
  config.nats.password = "w";
  config.api_timeout_ms = 200;
  open(config);
  for (int i = 0; i < 3; ++i) submit(make_batch(600));
  settle();
  const uint64_t refused = publisher_->counters().negative_acknowledgements.value();
  for (int i = 0; i < 3; ++i) submit(make_batch(600));
  settle();
  EXPECT_EQ(ledger_.acknowledged, 6u);
  EXPECT_EQ(publisher_->counters().negative_acknowledgements.value(), refused) << "what it found, it keeps to";
  expect_stored_exactly(read_all(server));
}

TEST_F(JetStreamPublisherTest, FailsABatchWhoseRecordAloneIsTooLarge) {
  NatsServer server("max_payload: 2048");
  ASSERT_TRUE(server.start());
  open(config_for(server));
  BatchBox& box = make_batch(1);
  box.flows.mutable_flows(0)->set_server_name(std::string(3000, 'x'));
  box.octets = box.flows.SerializeAsString();
  box.batch.data = reinterpret_cast<uint8_t*>(box.octets.data());
  box.batch.octets = static_cast<uint32_t>(box.octets.size());
  submit(box);
  submit(make_batch(2));
  settle();
  EXPECT_EQ(ledger_.failures[DeliveryFailure::too_large], 1u);
  EXPECT_EQ(ledger_.acknowledged, 1u);
}

TEST_F(JetStreamPublisherTest, FailsABatchThatASmallerLimitLeavesNoWayToDivide) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  open(config_for(server));
  submit(make_batch(2));
  settle();
  server.pause();
  BatchBox& box = make_batch(400);  // small ones, which make several parts, before the large one
  box.flows.mutable_flows(399)->set_server_name(std::string(6000, 'x'));
  box.octets = box.flows.SerializeAsString();
  box.batch.data = reinterpret_cast<uint8_t*>(box.octets.data());
  box.batch.octets = static_cast<uint32_t>(box.octets.size());
  submit(box);
  poll(0);  // sent as one message, under the old limit, to nobody who answers
  server.kill();
  server.set_extra("max_payload: 4096");
  ASSERT_TRUE(server.start());
  settle();
  EXPECT_EQ(ledger_.failures[DeliveryFailure::too_large], 1u);
  EXPECT_EQ(ledger_.acknowledged, 1u);
  EXPECT_NE(publisher_->last_error().find("a message of " + std::to_string(box.octets.size())),
            std::string::npos)
      << publisher_->last_error();
}

TEST_F(JetStreamPublisherTest, KeepsItsWindowAndFailsTheRestAtTheDrainsDeadline) {
  NatsServer server;  // never started
  JetStreamConfig config = config_for(server);
  config.window_batches = 4;
  open(config);
  for (int i = 0; i < 4; ++i) submit(make_batch(5));
  EXPECT_FALSE(try_submit(make_batch(5).batch));
  EXPECT_EQ(publisher_->in_flight(), 4u);

  drain(steady_clock_ns() + 300 * kNsPerMs);
  EXPECT_EQ(publisher_->in_flight(), 0u);
  ledger_.expect_balance(4);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::shutdown_deadline], 4u);
}

TEST_F(JetStreamPublisherTest, DrainWaitsForAcknowledgements) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  open(config_for(server));
  for (int i = 0; i < 10; ++i) submit(make_batch(200));
  drain(steady_clock_ns() + kPatienceNs);
  ledger_.expect_balance(10);
  EXPECT_EQ(ledger_.acknowledged, 10u);
}

TEST_F(JetStreamPublisherTest, GivesBackWhatWaitsTooLongWithTheLastReason) {
  NatsServer server;
  open(config_for(server));
  publisher_->set_patience(300 * kNsPerMs);
  submit(make_batch(5));
  settle();
  EXPECT_EQ(ledger_.failures[DeliveryFailure::not_connected], 1u);

  // Since it was sealed; one that comes from a spool, since it came.
  const ReplayedAs then{"an.earlier.run.1", "flows.raw.other"};
  BatchBox& old = make_batch(5);
  BatchBox& replayed = make_batch(5);
  replayed.batch.replayed_as = &then;
  old.batch.sealed_steady_ns = replayed.batch.sealed_steady_ns = steady_clock_ns() - kNsPerSec;
  submit(old);
  submit(replayed);
  const uint64_t begun_ns = steady_clock_ns();
  poll_until([&] { return publisher_->in_flight() == 1; });
  EXPECT_LT(steady_clock_ns() - begun_ns, 300 * kNsPerMs);
  settle();
  EXPECT_GE(steady_clock_ns() - begun_ns, 300 * kNsPerMs);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::not_connected], 3u);
}

TEST_F(JetStreamPublisherTest, GivesBackAsPassingWhatAStreamHasNoRoomFor) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  api(server, "STREAM.CREATE.events",
      {{"name", "events"}, {"subjects", {"flows.raw.*"}}, {"discard", "new"}, {"max_msgs", 3}});
  open(config_for(server));
  publisher_->set_patience(500 * kNsPerMs);
  for (int i = 0; i < 5; ++i) submit(make_batch(5));
  settle();
  EXPECT_EQ(ledger_.acknowledged, 3u);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::timed_out], 2u) << "no reason to lose it where there is a disk";
}

TEST_F(JetStreamPublisherTest, ADrainWaitsForNothingOfASpoolWhileTheBrokerIsAway) {
  NatsServer server;
  open(config_for(server));
  publisher_->set_patience(20 * kNsPerSec);
  const ReplayedAs then{"an.earlier.run.1", "flows.raw.other"};
  for (int i = 0; i < 3; ++i) {
    BatchBox& box = make_batch(5);
    box.batch.replayed_as = &then;
    submit(box);
  }
  const uint64_t begun_ns = steady_clock_ns();
  drain(begun_ns + 10 * kNsPerSec);
  EXPECT_LT(steady_clock_ns() - begun_ns, 5 * kNsPerSec);
  ledger_.expect_balance(3);
}

TEST_F(JetStreamPublisherTest, RetriesWhatAFullStreamRefusesUntilThereIsRoom) {
  NatsServer server;
  ASSERT_TRUE(server.start());
  Json stream = {{"name", "events"}, {"subjects", {"flows.raw.*"}}, {"discard", "new"},
                 {"max_msgs", 3},    {"storage", "file"},           {"num_replicas", 1}};
  api(server, "STREAM.CREATE.events", stream);
  open(config_for(server));
  for (int i = 0; i < 5; ++i) submit(make_batch(5));
  poll_until([&] { return publisher_->counters().retries.value() > 0; });
  EXPECT_EQ(ledger_.acknowledged, 3u);
  EXPECT_EQ(publisher_->in_flight(), 2u);
  EXPECT_THAT(publisher_->last_error(), HasSubstr("maximum messages exceeded"));

  stream["max_msgs"] = 100;
  api(server, "STREAM.UPDATE.events", stream);
  settle();
  EXPECT_EQ(ledger_.acknowledged, 5u);
  EXPECT_THAT(publisher_->last_error(), IsEmpty());
  expect_stored_exactly(read_all(server));
}

TEST_F(JetStreamPublisherTest, SaysThatAServerHasNoJetStream) {
  NatsServer server({}, NatsServer::JetStream::off);
  ASSERT_TRUE(server.start());
  open(config_for(server));
  submit(make_batch(5));
  poll_until([&] { return !publisher_->last_error().empty(); });
  EXPECT_THAT(publisher_->last_error(), HasSubstr("no JetStream"));
  drain(steady_clock_ns() + 100 * kNsPerMs);
  ledger_.expect_balance(1);
}

TEST_F(JetStreamPublisherTest, SaysThatItsCredentialsAreRefusedAndUsesTheRightOnes) {
  NatsServer server("authorization { user: weir, password: dam }");
  ASSERT_TRUE(server.start());
  JetStreamConfig config = config_for(server);
  config.nats.user = "weir";
  config.nats.password = "wrong";
  open(config);
  for (int i = 0; i < 20; ++i) poll(20);
  EXPECT_THAT(publisher_->last_error(), HasSubstr("Authorization"));

  config.nats.password = "dam";
  open(config);
  submit(make_batch(5));
  settle();
  EXPECT_EQ(ledger_.acknowledged, 1u);
}

TEST(JetStreamConfigTest, IsRefusedWithTheValueThatIsWrong) {
  struct Case {
    const char* text;
    std::function<void(JetStreamConfig&)> spoil;
  };
  const Case cases[] = {
      {"stream_name 'a.b'", [](JetStreamConfig& c) { c.stream.name = "a.b"; }},
      {"stream_replicas 0", [](JetStreamConfig& c) { c.stream.replicas = 0; }},
      {"subject 'flows.*'", [](JetStreamConfig& c) { c.subjects = {"flows.*"}; }},
      {"no subject", [](JetStreamConfig& c) { c.subjects = outbound::Subjects::List{}; }},
      {"nats_url", [](JetStreamConfig& c) { c.nats.urls.clear(); }},
      {"/nonexistent/weir.creds: No such file",
       [](JetStreamConfig& c) { c.nats.creds_file = "/nonexistent/weir.creds"; }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    JetStreamConfig config;
    config.subjects = {"flows.raw.netflow"};
    c.spoil(config);
    const auto made = JetStreamPublisher::make(config);
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message, HasSubstr(c.text));
  }
}

}  // namespace
}  // namespace weir::outbound
