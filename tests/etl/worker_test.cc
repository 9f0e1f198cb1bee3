// The worker against a real nats-server: what comes of every kind of message, and that the books say so.
#include <zstd.h>

#include <map>
#include <thread>

#include "base/clock.h"
#include "export/framing.h"
#include "sflow.pb.h"
#include "worker_fixture.h"

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
using test::StoredMessage;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

}  // namespace
}  // namespace weir::etl
