// The worker with decision files: what they make goes to a stream of its own, and holds up nothing that nobody wants any more.
#include <zstd.h>

#include <thread>

#include "export/framing.h"
#include "worker_fixture.h"

namespace weir::etl {
namespace {

using outbound::Compression;
using outbound::Framing;
using test::eventually;
using test::flow_batch;
using test::flow_message;
using test::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

}  // namespace
}  // namespace weir::etl
