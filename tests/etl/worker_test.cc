// The worker against a real nats-server: what comes of every kind of message, and that the books say so.
#include "etl/worker.h"

#include <sys/stat.h>
#include <zstd.h>

#include <functional>
#include <map>
#include <thread>

#include "base/clock.h"
#include "etl/etl_fixture.h"
#include "export/framing.h"
#include "sflow.pb.h"
#include "support/certificates.h"

namespace weir::etl {
namespace {

using outbound::Compression;
using outbound::Framing;
using test::collector_messages;
using test::eventually;
using test::flow_batch;
using test::flow_message;
using test::Headers;
using test::json;
using test::NatsServer;
using test::StoredMessage;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class EtlWorkerTest : public test::EtlFixture {
 protected:
  EtlConfig config() const {
    EtlConfig config;
    config.nats_url = nats_.url();
    config.source.ack_wait_secs = 2;
    config.events.stream.max_bytes = config.decisions.stream.max_bytes = config.dead.stream.max_bytes = 256 << 20;
    config.events.buffer_bytes = 4 << 20;
    config.shutdown_deadline_ms = 5000;
    return config;
  }
  void start(const EtlConfig& config) {
    if (rules_.read() == nullptr) take_rules(config, 1);
    auto made = EtlWorker::make(config, rules_);
    ASSERT_TRUE(made) << made.error().message;
    worker_ = std::move(*made);
    thread_ = std::thread([this] {
      const RoleScope role(etl_thread);
      const RoleScope publishes(publisher_thread);
      worker_->run();
    });
  }
  void take_rules(EtlConfig config, uint64_t version, const std::string& text = "") {
    if (!text.empty()) {
      config.rules = folder_ / "rules.yaml";
      std::ofstream(config.rules) << "version: 1\n" << text;
    }
    auto rules = read_rules(config, version);
    ASSERT_TRUE(rules) << rules.error().message;
    rules_.publish(std::move(*rules));
  }
  void stop() {
    if (worker_ == nullptr || !thread_.joinable()) return;
    worker_->ask_to_stop();
    thread_.join();
  }
  void TearDown() override { stop(); }

  EtlBooks books() {
    const auto view = worker_->view();
    return view == nullptr ? EtlBooks() : view->books;
  }
  /// So many messages are done with, one way or another, and the books balance at each look.
  void settle(uint64_t messages) {
    ASSERT_TRUE(eventually([&] {
      const EtlBooks b = books();
      EXPECT_EQ(b.discrepancy(), "");
      return b.messages_done + b.messages_dead_total() + b.messages_returned >= messages && b.messages_in_hand == 0;
    })) << worker_->view()->not_ready_because();
    ASSERT_TRUE(eventually([&] { return is_all_done(); })) << consumer().dump();
  }
  std::vector<StoredMessage> dead() { return read_stream("flows_dead"); }

  Snapshot<RulesInUse> rules_;
  std::unique_ptr<EtlWorker> worker_;
  std::thread thread_;
};

TEST_F(EtlWorkerTest, ReadsAllFramingsAndCompressionsThatHeadersSay) {
  start(config());
  uint64_t flows = 0, messages = 0;
  for (const Framing framing : {Framing::batch, Framing::single, Framing::delimited, Framing::netflow_record}) {
    for (const Compression compression : {Compression::none, Compression::lz4, Compression::zstd}) {
      for (const std::string& body : collector_messages(framing, compression, flow_batch(flows, 7), 7)) {
        publish("flows.raw.netflow", body,
                {{"Weir-Framing", std::string(name_of(framing))}, {"Weir-Compression", std::string(name_of(compression))}});
        ++messages;
      }
      flows += 7;
    }
  }
  settle(messages);
  EXPECT_EQ(numbers_of(events()), run_of(0, flows));
  const EtlBooks b = books();
  EXPECT_EQ(b.messages_done, messages);
  EXPECT_EQ(b.records_in, flows);
  EXPECT_EQ(b.events_acknowledged, flows);
  EXPECT_EQ(b.messages_dead_total() + b.records_dead_total(), 0u);
}

TEST_F(EtlWorkerTest, PublishesWhatADecisionFileMakesOfFlows) {
  write_decision_file({{"octets", "bytes"}, {"kind", "bytes % 2 == 0 ? 'even' : 1 + flow_type"}});
  take_rules(config(), 1, "decision: d.json\nrules:\n  - {id: few, when: bytes < 1010, then: {drop: true}}\n");
  start(config());
  publish("flows.raw.netflow", flow_batch(0, 30), {{"Nats-Msg-Id", "m"}});
  settle(1);
  std::multiset<uint64_t> octets;
  for (const json& result : decisions()) {
    EXPECT_EQ(result.size(), 2u) << result.dump();
    EXPECT_EQ(result.at("kind"), "even");
    octets.insert(result.at("octets").get<uint64_t>());
  }
  EXPECT_EQ(octets, (std::multiset<uint64_t>{1010, 1012, 1014, 1016, 1018, 1020, 1022, 1024, 1026, 1028}));
  const auto messages = read_stream("flows_decisions");
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].header("Weir-Kind"), "decision");
  EXPECT_EQ(messages[0].subject, "flows.decisions");
  EXPECT_EQ(messages[0].header("Nats-Msg-Id"), "m.0-29");
  EXPECT_THAT(events(), IsEmpty()) << "who reads events meets nothing that is none";
  EXPECT_EQ(books().records_dropped, 10u);
  EXPECT_EQ(books().decisions_acknowledged, 10u);
  EXPECT_EQ(books().events_acknowledged, 0u);
  EXPECT_EQ(books().records_dead[static_cast<size_t>(DeadReason::no_decision)], 10u);
  const auto letters = dead();
  ASSERT_EQ(letters.size(), 10u);
  EXPECT_EQ(letters[0].header("Weir-Dead-Detail"), "node 'make': kind = bytes % 2 == 0 ? 'even' : 1 + flow_type");
}

std::vector<std::string> names_of(const std::vector<EventPublisherView>& publishers) {
  std::vector<std::string> names;
  for (const EventPublisherView& publisher : publishers) names.push_back(publisher.name);
  return names;
}

TEST_F(EtlWorkerTest, SendsResultsOfDecisionFilesElsewhereThanEventsWhileRulesNameOne) {
  EtlConfig c = config();
  c.decisions.subject = "flows.raw.netflow.processed";  // where existing installations have them
  c.decisions.stream.name = "processed";
  start(c);
  publish("flows.raw.netflow", flow_batch(0, 5));
  settle(1);
  EXPECT_THAT(names_of(worker_->view()->publishers), ElementsAre("events", "dead"));
  EXPECT_FALSE(api("STREAM.INFO.processed").contains("state")) << "of a stream that nothing is published to";

  write_decision_file({{"traffic.bytes_out", "bytes"}});
  take_rules(c, 2, "decision: d.json\nrules: []\n");
  ASSERT_TRUE(eventually([&] { return worker_->view()->rules.version == 2; }));
  publish("flows.raw.netflow", flow_batch(5, 5));
  settle(2);
  EXPECT_EQ(numbers_of(events("processed")), run_of(5, 5));
  EXPECT_EQ(read_stream("processed").at(0).subject, "flows.raw.netflow.processed");
  EXPECT_THAT(names_of(worker_->view()->publishers), ElementsAre("events", "decisions", "dead"));

  take_rules(c, 3);
  ASSERT_TRUE(eventually([&] { return worker_->view()->rules.version == 3; }));
  publish("flows.raw.netflow", flow_batch(10, 5));
  settle(3);
  auto expected = run_of(0, 5);
  expected.merge(run_of(10, 5));
  EXPECT_EQ(numbers_of(events()), expected);
  EXPECT_EQ(numbers_of(events("processed")), run_of(5, 5));
  EXPECT_EQ(books().events_acknowledged, 10u);
  EXPECT_EQ(books().decisions_acknowledged, 5u);
  EXPECT_THAT(names_of(worker_->view()->publishers), ElementsAre("events", "dead"));
}

TEST_F(EtlWorkerTest, KeepsMessagesUntilTheStreamOfDecisionsTakesThem) {
  make_stream("other", "flows.decisions");
  write_decision_file({{"traffic.bytes_out", "bytes"}});
  take_rules(config(), 1, "decision: d.json\nrules: []\n");
  start(config());
  publish("flows.raw.netflow", flow_batch(0, 7), {{"Nats-Msg-Id", "one"}});
  ASSERT_TRUE(eventually([&] { return worker_->view() != nullptr && worker_->view()->books.records_in_flight == 7; }));
  ASSERT_TRUE(eventually([&] { return !worker_->view()->not_ready_because().empty(); }));
  EXPECT_THAT(worker_->view()->not_ready_because(), HasSubstr("decisions: stream flows_decisions"));
  EXPECT_EQ(books().discrepancy(), "");
  api("STREAM.DELETE.other");
  settle(1);
  EXPECT_EQ(numbers_of(decisions()), run_of(0, 7));
}

// What a decision file made that rules no longer name must not hold up all that comes after it.
TEST_F(EtlWorkerTest, LetsGoOfDecisionsThatRulesDoNotWantAnyMore) {
  constexpr uint64_t kMany = 3000;  // one a message: more than the publisher takes at once
  make_stream("other", "flows.decisions");
  write_decision_file({{"traffic.bytes_out", "bytes"}});
  EtlConfig single = config();
  single.events.framing = EventFraming::single;
  take_rules(single, 1, "decision: d.json\nrules: []\n");
  start(single);
  publish("flows.raw.netflow", flow_batch(0, kMany), {{"Nats-Msg-Id", "one"}});
  ASSERT_TRUE(eventually([&] { return worker_->view() != nullptr && worker_->view()->books.records_in_flight == kMany; }));
  take_rules(single, 2, "rules: []\n");
  publish("flows.raw.netflow", flow_batch(kMany, 5), {{"Nats-Msg-Id", "two"}});
  settle(2);
  EXPECT_EQ(numbers_of(events()), run_of(0, kMany + 5));
  EXPECT_EQ(books().messages_done, 2u);
  EXPECT_EQ(books().messages_returned, 0u) << "to be delivered again counts against a message";
  EXPECT_EQ(books().records_returned, kMany);
  EXPECT_EQ(books().messages_redelivered, 0u);
  EXPECT_EQ(books().decisions_acknowledged, 0u);

  // Those that rules want again are waited for again.
  take_rules(single, 3, "decision: d.json\nrules: []\n");
  publish("flows.raw.netflow", flow_batch(kMany + 5, 4), {{"Nats-Msg-Id", "three"}});
  ASSERT_TRUE(eventually([&] { return worker_->view()->books.records_in_flight == 4; }));
  std::this_thread::sleep_for(std::chrono::seconds(7));
  EXPECT_EQ(books().records_in_flight, 4u);
  api("STREAM.DELETE.other");
  settle(3);
  EXPECT_EQ(numbers_of(decisions()), run_of(kMany + 5, 4));
}

// A stream that takes them gets all that was made for it, however slowly.
TEST_F(EtlWorkerTest, KeepsDecisionsForAStreamThatTakesThemWhenRulesDoNotWantThemAnyMore) {
  constexpr uint32_t kMany = 250'000;  // packed, for a server takes a megabyte
  const std::string flow = flow_message(7);
  std::string batch;
  for (uint32_t i = 0; i < kMany; ++i) {
    batch += '\x0a';
    batch += static_cast<char>(flow.size());
    batch += flow;
  }
  std::string packed(ZSTD_compressBound(batch.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), batch.data(), batch.size(), 1));
  write_decision_file({{"traffic.bytes_out", "bytes"}});
  EtlConfig single = config();
  single.source.ack_wait_secs = 60;  // longer than the server stands
  single.events.framing = EventFraming::single;
  take_rules(single, 1, "decision: d.json\nrules: []\n");
  start(single);
  publish("flows.raw.netflow", packed, {{"Weir-Framing", "batch"}, {"Weir-Compression", "zstd"}});
  ASSERT_TRUE(eventually([&] { return worker_->view() != nullptr && worker_->view()->books.decisions_acknowledged > 0; }));
  take_rules(single, 2, "rules: []\n");
  // Never five seconds without one of them, and more than that for all.
  for (int turn = 0; turn < 3; ++turn) {
    nats_.pause();
    std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    EXPECT_LT(books().decisions_acknowledged, kMany);
    nats_.resume();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  settle(1);
  EXPECT_EQ(books().decisions_acknowledged, kMany);
  EXPECT_EQ(books().records_returned, 0u);
  EXPECT_EQ(books().events_acknowledged, 0u);
}

/// The most memory that this process has ever had, in KiB.
uint64_t peak_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stoull(line.substr(6));
  }
  return 0;
}

TEST_F(EtlWorkerTest, WhatUnpacksToMuchIsNotHeldAllAtOnce) {
  // One record, which is longer than any flow: it lies in what was unpacked until it is stored among the dead.
  constexpr size_t kOctets = 8 << 20;
  std::string batch = "\x0a";
  for (size_t rest = kOctets; ; rest >>= 7) {
    batch += static_cast<char>(rest >= 0x80 ? rest | 0x80 : rest);
    if (rest < 0x80) break;
  }
  batch += std::string(kOctets, '\0');
  std::string packed(ZSTD_compressBound(batch.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), batch.data(), batch.size(), 1));
  batch = {};
  EtlConfig small = config();
  small.source.octets_in_hand = 16 << 20;
  start(small);
  constexpr uint64_t kMessages = 60;
  const uint64_t before = peak_kib();
  for (uint64_t i = 0; i < kMessages; ++i) {
    publish("flows.raw.netflow", packed, {{"Weir-Framing", "batch"}, {"Weir-Compression", "zstd"}});
  }
  settle(kMessages);
  EXPECT_EQ(books().records_dead[static_cast<size_t>(DeadReason::malformed_record)], kMessages);
#ifndef __SANITIZE_ADDRESS__  // which keeps what is freed for a while
  EXPECT_LT(peak_kib() - before, 120u << 10) << "480 MiB, were all of them held";
#else
  (void)before;
#endif
}

TEST_F(EtlWorkerTest, KeepsToTheLimitOfAStreamThatIsThere) {
  constexpr size_t kLimit = 30'000;
  make_stream("events_ocsf", "flows.ocsf.network_activity", {{"max_msg_size", kLimit}});
  start(config());
  publish("flows.raw.netflow", flow_batch(0, 200));
  settle(1);
  EXPECT_EQ(numbers_of(events()), run_of(0, 200));
  EXPECT_EQ(books().records_dead[static_cast<size_t>(DeadReason::event_too_large)], 0u);
  EXPECT_GT(books().event_messages, 4u);
}

TEST_F(EtlWorkerTest, ReadsLinesOfJson) {
  start(config());
  publish("flows.raw.any", "{\"type\":\"IPFIX\",\"bytes\":1000,\"src_addr\":\"192.0.2.1\"}\n\n{\"bytes\":1001}\r\n",
          {{"Weir-Framing", "json"}});
  settle(1);
  EXPECT_EQ(numbers_of(events()), run_of(0, 2));
}

TEST_F(EtlWorkerTest, TellsBatchesFromSinglesWithoutHeaders) {
  start(config());
  publish("flows.raw.netflow", flow_batch(0, 3));
  publish("flows.raw.netflow", flow_message(3));
  publish("flows.raw.netflow", "");  // a batch of nothing
  settle(3);
  EXPECT_EQ(numbers_of(events()), run_of(0, 4));
  EXPECT_EQ(books().messages_done, 3u);
}

TEST_F(EtlWorkerTest, TakesTheConfiguredFramingWithoutHeaders) {
  EtlConfig c = config();
  c.source.subjects = {{.subject = "flows.raw.netflow", .framing = Framing::delimited}};
  start(c);
  const std::string body = collector_messages(Framing::delimited, Compression::none, flow_batch(0, 5), 5).front();
  publish("flows.raw.netflow", body);
  ASSERT_TRUE(eventually([&] { return books().messages_done == 1; }));
  EXPECT_EQ(numbers_of(events()), run_of(0, 5));
}

TEST_F(EtlWorkerTest, PublishesEachEventAloneWhereAskedTo) {
  EtlConfig c = config();
  c.events.framing = EventFraming::single;
  c.events.compression = Compression::zstd;
  start(c);
  publish("flows.raw.netflow", flow_batch(0, 20), {{"Nats-Msg-Id", "source"}});
  settle(1);
  const auto messages = read_stream("events_ocsf");
  ASSERT_THAT(messages, SizeIs(20));
  std::set<std::string> ids;
  for (const StoredMessage& m : messages) {
    EXPECT_EQ(m.subject, "flows.ocsf.network_activity");
    EXPECT_EQ(m.header("Weir-Kind"), "ocsf_event");
    EXPECT_EQ(m.header("Weir-Framing"), "single");
    EXPECT_EQ(m.header("Weir-Compression"), "zstd");
    EXPECT_EQ(m.header("Weir-Records"), "1");
    ids.insert(m.header("Nats-Msg-Id"));
  }
  EXPECT_THAT(ids, SizeIs(20));
  EXPECT_EQ(ids.count("source.0"), 1u);
  EXPECT_EQ(ids.count("source.19"), 1u);
}

TEST_F(EtlWorkerTest, DividesWhatIsLargerThanAMessageMayBe) {
  EtlConfig c = config();
  c.events.batch_bytes = 16 << 10;
  start(c);
  publish("flows.raw.netflow", flow_batch(0, 1000), {{"Nats-Msg-Id", "source"}});
  settle(1);
  EXPECT_EQ(numbers_of(events()), run_of(0, 1000));
  uint64_t next = 0;
  for (const StoredMessage& m : read_stream("events_ocsf")) {
    EXPECT_LE(m.body.size(), 16u << 10);
    const std::string id = m.header("Nats-Msg-Id");
    const size_t dash = id.rfind('-');
    EXPECT_EQ(id.substr(0, dash), "source." + std::to_string(next));  // each begins where the last one ended
    next = std::stoull(id.substr(dash + 1)) + 1;
  }
  EXPECT_EQ(next, 1000u);
}

TEST_F(EtlWorkerTest, DividesAMessageAlwaysInTheSamePlaces) {
  EtlConfig c = config();
  c.events.batch_bytes = 100 << 10;
  start(c);
  // As many messages as buffers are filled by, several times over: some would end in the midst of one.
  for (uint64_t i = 0; i < 60; ++i) publish("flows.raw.netflow", flow_batch(0, 300), {{"Nats-Msg-Id", "m" + std::to_string(i)}});
  settle(60);
  std::map<std::string, int> parts;
  for (const StoredMessage& m : read_stream("events_ocsf")) {
    const std::string id = m.header("Nats-Msg-Id");
    ++parts[id.substr(id.find('.'))];
  }
  EXPECT_GT(parts.size(), 2u);
  for (const auto& [part, times] : parts) EXPECT_EQ(times, 60) << part;
}

TEST_F(EtlWorkerTest, StoresTheSameMessageOnce) {
  start(config());
  publish("flows.raw.netflow", flow_batch(0, 10), {{"Nats-Msg-Id", "twice"}});
  settle(1);
  // The stream's own window is over: it is stored again under the same id.
  api("STREAM.PURGE.events");
  json stream = api("STREAM.INFO.events")["config"];
  stream["duplicate_window"] = 100'000'000;
  ASSERT_TRUE(api("STREAM.UPDATE.events", stream).contains("config"));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  publish("flows.raw.netflow", flow_batch(0, 10), {{"Nats-Msg-Id", "twice"}});
  ASSERT_TRUE(eventually([&] { return books().messages_done == 2; }));
  EXPECT_EQ(numbers_of(events()), run_of(0, 10));
  EXPECT_EQ(books().event_messages_duplicate, 1u);
  EXPECT_EQ(books().events_acknowledged, 20u);
}

TEST_F(EtlWorkerTest, StoresNothingTwiceUnderRulesThatMakeOtherEvents) {
  EtlConfig c = config();
  c.events.batch_bytes = 100 << 10;
  start(c);
  publish("flows.raw.netflow", flow_batch(0, 1000), {{"Nats-Msg-Id", "again"}});
  settle(1);
  const uint64_t messages = read_stream("events_ocsf").size();
  ASSERT_GT(messages, 3u);
  json stream = api("STREAM.INFO.events")["config"];
  stream["duplicate_window"] = 100'000'000;
  const std::string longer = "rules: [{id: long, then: {set: {message: \"'" + std::string(600, 'x') + "'\"}}}]\n";
  uint64_t times = 1;
  for (const std::string& rules : {longer, std::string("rules: [{id: some, when: bytes < 1100 or bytes % 7 == 0, then: {drop: true}}]\n")}) {
    take_rules(c, ++times, rules);
    api("STREAM.PURGE.events");
    ASSERT_TRUE(api("STREAM.UPDATE.events", stream).contains("config"));
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    publish("flows.raw.netflow", flow_batch(0, 1000), {{"Nats-Msg-Id", "again"}});
    ASSERT_TRUE(eventually([&] { return books().messages_done == times; }));
    EXPECT_EQ(numbers_of(events()), run_of(0, 1000));
    EXPECT_EQ(read_stream("events_ocsf").size(), messages);
  }
  EXPECT_GT(books().records_dropped, 100u);
  EXPECT_GT(books().event_messages_duplicate, messages);
}

TEST_F(EtlWorkerTest, BuriesWhatItCannotReadWithTheReason) {
  start(config());
  struct Case {
    std::string body;
    Headers headers;
    std::string reason;
  };
  std::string cut = collector_messages(Framing::batch, Compression::lz4, flow_batch(0, 50), 50).front();
  cut.resize(cut.size() / 2);
  const std::string torn = flow_batch(0, 3).substr(0, flow_batch(0, 3).size() - 1);
  const Case cases[] = {
      {"x", {{"Weir-Framing", "avro"}}, "unknown_framing"},
      {"x", {{"Weir-Compression", "brotli"}}, "unknown_compression"},
      {"x", {{"Weir-Kind", "sandwiches"}}, "unknown_kind"},
      {"x", {{"Weir-Kind", "sflow_counters"}}, "not_flows"},
      {cut, {{"Weir-Framing", "batch"}, {"Weir-Compression", "lz4"}}, "undecodable"},
      {torn, {{"Weir-Framing", "batch"}, {"Nats-Msg-Id", "torn"}}, "undecodable"},
      {"{\"bytes\": 1}\n{\"no_such_key\": 1}\n", {{"Weir-Framing", "json"}}, "undecodable"},
      {std::string("\x05xx", 3), {{"Weir-Framing", "delimited"}}, "undecodable"},
      // Cut between two records, and so whole by its lengths.
      {flow_batch(0, 2), {{"Weir-Framing", "batch"}, {"Weir-Records", "3"}}, "undecodable"},
      {flow_batch(0, 2), {{"Weir-Records", "2 or so"}}, "undecodable"},
      {"", {{"Weir-Framing", "batch"}, {"Weir-Records", "300"}}, "undecodable"},
      {"", {{"Weir-Framing", "single"}}, "undecodable"},
  };
  for (const Case& c : cases) publish("flows.raw.netflow", c.body, c.headers);
  publish("flows.raw.netflow", flow_batch(0, 1), {{"Weir-Records", "1"}});
  settle(std::size(cases) + 1);

  const auto messages = dead();
  ASSERT_THAT(messages, SizeIs(std::size(cases)));
  for (size_t i = 0; i < std::size(cases); ++i) {
    const StoredMessage& m = messages[i];
    EXPECT_EQ(m.subject, "flows.dead." + cases[i].reason);
    EXPECT_EQ(m.header("Weir-Dead-Reason"), cases[i].reason);
    EXPECT_EQ(m.header("Weir-Dead-Subject"), "flows.raw.netflow");
    EXPECT_EQ(m.header("Weir-Dead-Sequence"), std::to_string(i + 1));
    EXPECT_EQ(m.header("Weir-Dead-Deliveries"), "1");
    EXPECT_EQ(m.body, cases[i].body);
    for (const auto& [name, value] : cases[i].headers) {
      if (name == "Nats-Msg-Id") continue;
      EXPECT_EQ(m.header(name), value);
    }
  }
  EXPECT_EQ(messages[5].header("Nats-Msg-Id"), "dead.torn");
  EXPECT_EQ(numbers_of(events()), run_of(0, 1));
  const EtlBooks b = books();
  EXPECT_EQ(b.messages_done, 1u);
  EXPECT_EQ(b.messages_dead[static_cast<size_t>(DeadReason::undecodable)], 8u);
  EXPECT_EQ(b.messages_dead_total(), std::size(cases));
}

TEST_F(EtlWorkerTest, MakesEventsOfDiscardedPacketsToo) {
  start(config());
  flowpb::SflowDiscardBatch batch;
  for (const auto reason : {flowpb::DROP_ACL, flowpb::DROP_TTL_EXCEEDED}) {
    flowpb::SflowDiscard& discard = *batch.add_discards();
    ASSERT_TRUE(discard.mutable_packet()->ParseFromString(flow_message(static_cast<uint64_t>(reason))));
    discard.mutable_packet()->set_forwarding_status(128);
    discard.set_reason(reason);
  }
  const std::string bad("\x0a\x03\x12\x05\x01", 5);  // its packet is longer than it
  publish("flows.raw.sflow", batch.SerializeAsString() + bad, {{"Weir-Kind", "sflow_discard"}, {"Nats-Msg-Id", "discards"}});
  publish("flows.raw.sflow", batch.discards(0).SerializeAsString(), {{"Weir-Kind", "sflow_discard"}, {"Weir-Framing", "single"}});
  publish("flows.raw.sflow", "{}\n", {{"Weir-Kind", "sflow_discard"}, {"Weir-Framing", "json"}});
  publish("flows.raw.netflow", flow_batch(0, 1));
  settle(4);
  std::map<std::string, size_t> reasons;
  for (const json& event : events()) {
    ++reasons[event.value("status_detail", "none")];
    EXPECT_EQ(event["activity_name"], event.contains("status_detail") ? "Refuse" : "Traffic");
  }
  EXPECT_EQ(reasons, (std::map<std::string, size_t>{{"DROP_ACL", 2}, {"DROP_TTL_EXCEEDED", 1}, {"none", 1}}));
  const auto messages = dead();
  ASSERT_THAT(messages, SizeIs(2));
  EXPECT_EQ(messages[0].subject, "flows.dead.malformed_record");
  EXPECT_EQ(messages[0].header("Weir-Kind"), "sflow_discard");
  EXPECT_EQ(messages[0].body, bad.substr(2));
  EXPECT_EQ(messages[1].subject, "flows.dead.not_flows");
}

TEST_F(EtlWorkerTest, BuriesARecordAndKeepsItsNeighbours) {
  start(config());
  const std::string bad("\x0a\x03\xff\xff\xff", 5);  // a record that is no FlowMessage
  publish("flows.raw.netflow", flow_batch(0, 2) + bad + flow_batch(2, 2), {{"Nats-Msg-Id", "mixed"}});
  settle(1);
  EXPECT_EQ(numbers_of(events()), run_of(0, 4));
  const auto messages = dead();
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].subject, "flows.dead.malformed_record");
  EXPECT_EQ(messages[0].body, bad.substr(2));
  EXPECT_EQ(messages[0].header("Weir-Dead-Index"), "2");
  EXPECT_EQ(messages[0].header("Nats-Msg-Id"), "dead.mixed.2");
  const EtlBooks b = books();
  EXPECT_EQ(b.messages_done, 1u);
  EXPECT_EQ(b.records_in, 5u);
  EXPECT_EQ(b.records_dead[static_cast<size_t>(DeadReason::malformed_record)], 1u);
}

TEST_F(EtlWorkerTest, BuriesMessagesOfSomethingElse) {
  start(config());
  const std::string batch = flow_batch(0, 14);
  publish("flows.raw.netflow", batch, {{"Weir-Framing", "single"}, {"Nats-Msg-Id", "batch"}});
  publish("flows.raw.netflow", "\x98\xb5\x18\x05", {{"Weir-Framing", "single"}, {"Nats-Msg-Id", "foreign"}});
  settle(2);
  EXPECT_THAT(events(), IsEmpty());
  const auto messages = dead();
  ASSERT_THAT(messages, SizeIs(2));
  EXPECT_EQ(messages[0].subject, "flows.dead.malformed_record");
  EXPECT_EQ(messages[0].body, batch);
  EXPECT_EQ(books().records_dead[static_cast<size_t>(DeadReason::malformed_record)], 2u);
}

TEST_F(EtlWorkerTest, SaysWhatIsKnownOfAddresses) {
  EtlConfig known = config();
  known.enrichment.threats = {folder_ / "threats.csv"};
  std::ofstream(known.enrichment.threats[0]) << "0.0.0.0/0,everybody\n::/0,everybody\n";
  take_rules(known, 1);
  start(known);
  publish("flows.raw.netflow", flow_batch(0, 3));
  settle(1);
  const auto all = events();
  ASSERT_THAT(all, SizeIs(3));
  for (const json& event : all) {
    ASSERT_FALSE(event["osint"].empty()) << event.dump(1);
    EXPECT_EQ(event["osint"][0]["name"], "everybody");
    EXPECT_EQ(event["metadata"]["transformation_info_list"][0]["name"], "threat");
  }
  ASSERT_THAT(worker_->view()->rules.sources, SizeIs(1));
  EXPECT_EQ(worker_->view()->rules.sources[0].prefixes, 2u);
}

TEST_F(EtlWorkerTest, KeepsItsBooksUnderRules) {
  take_rules(config(), 1,
             "rules:\n"
             "  - {id: dns, when: dst_port == 53, then: {drop: true}}\n"
             "  - {id: some, then: {sample: 4}}\n");
  start(config());
  publish("flows.raw.netflow", flow_batch(0, 1000));
  settle(1);
  const EtlBooks b = books();
  EXPECT_EQ(b.records_in, 1000u);
  EXPECT_EQ(b.records_dropped, 100u);
  EXPECT_GT(b.records_sampled_out, 500u);
  EXPECT_EQ(b.events_acknowledged, 900 - b.records_sampled_out);
  const auto all = events();
  EXPECT_THAT(all, SizeIs(b.events_acknowledged));
  for (const json& event : all) {
    EXPECT_EQ(event["metadata"]["transformation_info_list"][0]["name"], "rules.yaml");
    EXPECT_EQ(event["unmapped"]["sampling_rate"], 4);
  }
  const auto view = worker_->view();
  ASSERT_THAT(view->rules.rules, SizeIs(2));
  EXPECT_EQ(view->rules.rules[0].matched, 100u);
  EXPECT_EQ(view->rules.rules[0].dropped, 100u);
  EXPECT_EQ(view->rules.rules[1].matched, 900u);
  EXPECT_EQ(view->rules.rules[1].dropped, b.records_sampled_out);
}

TEST_F(EtlWorkerTest, GivesAFlowWithoutAnyTimeThatOfItsMessage) {
  flowpb::FlowBatch batch;
  ASSERT_TRUE(batch.add_flows()->ParseFromString(flow_message(3)));
  batch.mutable_flows(0)->clear_time_received_ns();
  const uint64_t before_ms = wall_clock_ns() / kNsPerMs;
  publish("flows.raw.netflow", batch.SerializeAsString());
  const uint64_t after_ms = wall_clock_ns() / kNsPerMs;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  start(config());
  settle(1);
  const auto all = events();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_GE(all[0]["time"], before_ms);
  EXPECT_LE(all[0]["time"], after_ms);
  EXPECT_GT(all[0]["metadata"]["processed_time"], after_ms);
}

TEST_F(EtlWorkerTest, TakesNewRulesBetweenMessagesUnderLoad) {
  const auto text = [](int n) { return "rules:\n  - {id: r" + std::to_string(n) + ", then: {labels: [v" + std::to_string(n) + "]}}\n"; };
  take_rules(config(), 1, text(1));
  start(config());
  constexpr int kMessages = 300, kRecords = 50;
  int version = 1;
  for (int i = 0; i < kMessages; ++i) {
    publish("flows.raw.netflow", flow_batch(static_cast<uint64_t>(i) * kRecords, kRecords), {{"Nats-Msg-Id", "m" + std::to_string(i)}});
    if (i % 30 != 29) continue;
    ++version;
    take_rules(config(), static_cast<uint64_t>(version), text(version));
  }
  settle(kMessages);
  EXPECT_EQ(numbers_of(events()), run_of(0, kMessages * kRecords));
  std::set<std::string> labels;
  for (const StoredMessage& m : read_stream("events_ocsf")) {
    std::set<std::string> of_message, hashes;
    size_t at = 0;
    while (at < m.body.size()) {
      const size_t end = m.body.find('\n', at);
      const json event = json::parse(m.body.substr(at, end - at));
      of_message.insert(event["metadata"]["labels"].dump());
      hashes.insert(event["metadata"]["transformation_info_list"].dump());
      at = end + 1;
    }
    EXPECT_THAT(of_message, SizeIs(1)) << "two sets of rules in one message";
    EXPECT_THAT(hashes, SizeIs(1));
    labels.insert(of_message.begin(), of_message.end());
  }
  EXPECT_GT(labels.size(), 3u);
  const auto view = worker_->view();
  EXPECT_EQ(view->rules.version, static_cast<uint64_t>(version));
  uint64_t matched = view->rules.former.matched;
  for (const RuleView& rule : view->rules.rules) matched += rule.matched;
  EXPECT_EQ(matched, uint64_t{kMessages * kRecords});
}

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
