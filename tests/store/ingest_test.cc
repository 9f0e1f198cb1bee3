// From a real nats-server into a database: what is stored of every kind of message, what comes again, and what the books say.
#include "store/ingest.h"

#include <sys/resource.h>
#include <zstd.h>

#include <csignal>
#include <functional>
#include <thread>

#include "base/clock.h"
#include "store/duckdb_sink.h"
#include "store/open_store.h"
#include "support/flow_stream.h"

namespace weir::store {
namespace {

using outbound::Compression;
using outbound::Framing;
using test::collector_messages;
using test::eventually;
using test::flow_batch;
using test::flow_message;

/// A sink that can be made to fail.
class FaultySink final : public Sink {
 public:
  explicit FaultySink(Sink& sink) : sink_(sink) {}
  Result<StoredIdentities> identities() override { return sink_.identities(); }
  Result<void> write(CommitBatch& batch) override {
    ++tries;
    if (fails) return Error{"IO Error: no space left, as a test has it"};
    if (fails_after_commit.exchange(false)) {
      (void)sink_.write(batch);
      return Error{"an error that came when all was done"};
    }
    return sink_.write(batch);
  }
  Result<void> tidy() override { return sink_.tidy(); }

  std::atomic<bool> fails{false};
  std::atomic<bool> fails_after_commit{false};
  std::atomic<int> tries{0};

 private:
  Sink& sink_;
};

class IngestTest : public test::FlowStreamFixture {
 protected:
  IngestTest() { consumer_name_ = "weir-store-flows-raw-any"; }

  StoreConfig config() const {
    StoreConfig config;
    config.nats_url = nats_.url();
    config.source.ack_wait_secs = 2;
    config.dead.stream.max_bytes = 64 << 20;
    config.database.path = folder_ / "flows.duckdb";
    config.database.temp_directory.clear();
    config.commit.interval_ms = 50;
    config.shutdown_deadline_ms = 5000;
    return config;
  }
  void start(const StoreConfig& config) {
    auto opened = OpenStore::open(database_options(config));
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
    sink_ = std::make_unique<DuckdbSink>(*store_);
    faulty_ = std::make_unique<FaultySink>(*sink_);
    auto rules = read_rules(config.rules, config.enrichment, 1);
    ASSERT_TRUE(rules) << rules.error().message;
    rules_.publish(std::move(*rules));
    auto made = Ingest::make(config, rules_, *faulty_);
    ASSERT_TRUE(made) << made.error().message;
    ingest_ = std::move(*made);
    writer_ = std::thread([this] {
      const RoleScope role(store_writer);
      ingest_->committer().run();
    });
    thread_ = std::thread([this] {
      const RoleScope role(ingest_thread);
      const RoleScope publishes(publisher_thread);
      ingest_->run();
    });
  }
  void stop() {
    if (ingest_ == nullptr) return;
    ingest_->ask_to_stop();
    thread_.join();
    ingest_->committer().ask_to_stop();
    writer_.join();
    last_ = ingest_->view()->books;
    EXPECT_EQ(last_.discrepancy(), "");
    ingest_.reset();
    faulty_.reset();
    sink_.reset();
    store_.reset();
  }
  void TearDown() override { stop(); }

  StoreBooks books() {
    const auto view = ingest_->view();
    return view == nullptr ? StoreBooks() : view->books;
  }
  /// Everything that was published is done with, and the books balance at each look.
  void settle(uint64_t messages) {
    ASSERT_TRUE(eventually([&] {
      const StoreBooks b = books();
      EXPECT_EQ(b.discrepancy(), "");
      return b.messages_in >= messages && b.messages_in_hand == 0;
    })) << ingest_->view()->not_ready_because() << books().messages_in;
    ASSERT_TRUE(eventually([&] { return is_all_done(); })) << consumer().dump();
  }
  std::multiset<uint64_t> rows() {
    std::multiset<uint64_t> numbers;
    auto connection = store_->database()->connect();
    auto found = connection->query("SELECT bytes_raw - 1000 FROM flow_rows");
    EXPECT_TRUE(found) << found.error().message;
    while (true) {
      auto chunk = found->next();
      if (!chunk || !*chunk) return numbers;
      for (size_t row = 0; row < chunk->rows(); ++row) numbers.insert(static_cast<uint64_t>(chunk->at<int64_t>(0, row)));
    }
  }

  Snapshot<RulesInUse> rules_;
  std::unique_ptr<OpenStore> store_;
  std::unique_ptr<DuckdbSink> sink_;
  std::unique_ptr<FaultySink> faulty_;
  std::unique_ptr<Ingest> ingest_;
  std::thread thread_, writer_;
  StoreBooks last_;
};

TEST_F(IngestTest, StoresAllFramingsAndCompressions) {
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
  publish("flows.raw.any", "{\"type\":\"IPFIX\",\"bytes\":1084}\n\n{\"bytes\":1085}\r\n", {{"Weir-Framing", "json"}});
  publish("flows.raw.any", flow_batch(86, 3));  // without headers
  publish("flows.raw.any", flow_message(89));
  publish("flows.raw.any", "");
  flows += 6;
  messages += 4;
  settle(messages);
  EXPECT_EQ(rows(), run_of(0, flows));
  const StoreBooks b = books();
  EXPECT_EQ(b.messages_stored, messages);
  EXPECT_EQ(b.records_in, flows);
  EXPECT_EQ(b.rows, flows);
}

TEST_F(IngestTest, StoresWhatComesAgainOnce) {
  start(config());
  const std::string id = "6fc3.1700000000.0.";
  for (int i = 1; i <= 5; ++i) publish("flows.raw.a", flow_batch(static_cast<uint64_t>(10 * i), 10), {{"Nats-Msg-Id", id + std::to_string(i)}});
  settle(5);
  // In a stream that does not know them, in another order, and then by a store that was started anew.
  api("STREAM.DELETE.events");
  make_stream("events", "flows.raw.*");
  ASSERT_TRUE(eventually([&] { return consumer().contains("config"); }));
  for (const int i : {4, 1, 5, 7}) publish("flows.raw.b", flow_batch(static_cast<uint64_t>(10 * i), 10), {{"Nats-Msg-Id", id + std::to_string(i)}});
  settle(9);
  EXPECT_EQ(books().messages_repeated, 3u);
  stop();
  start(config());
  api("STREAM.DELETE.events");
  make_stream("events", "flows.raw.*");
  ASSERT_TRUE(eventually([&] { return consumer().contains("config"); }));
  for (const int i : {7, 6, 2}) publish("flows.raw.b", flow_batch(static_cast<uint64_t>(10 * i), 10), {{"Nats-Msg-Id", id + std::to_string(i)}});
  settle(3);
  EXPECT_EQ(books().messages_repeated, 2u);  // 6 was late: from a spool
  auto expected = run_of(10, 50);
  for (const uint64_t first : {60u, 70u}) expected.merge(run_of(first, 10));
  EXPECT_EQ(rows(), expected);
}

TEST_F(IngestTest, LosesNoRowOfAnExporterThatRebootsAndRepeatsItsNumbers) {
  start(config());
  flowpb::FlowMessage flow;
  ASSERT_TRUE(flow.ParseFromString(flow_message(1)));
  flow.set_sequence_num(7);
  for (int boot = 1; boot <= 3; ++boot) {
    flowpb::FlowBatch batch;
    *batch.add_flows() = flow;  // the same record, of the same datagram number
    publish("flows.raw.a", batch.SerializeAsString(), {{"Nats-Msg-Id", "u.1.0." + std::to_string(boot)}});
  }
  settle(3);
  EXPECT_EQ(rows(), (std::multiset<uint64_t>{1, 1, 1}));
}

TEST_F(IngestTest, BuriesWhatNoRowCanBeMadeOf) {
  start(config());
  publish("flows.raw.a", std::string("\x0a\x7f" "not whole", 11), {{"Nats-Msg-Id", "u.1.0.1"}});
  publish("flows.raw.a", flow_batch(0, 2), {{"Weir-Framing", "avro"}});
  const std::string good = flow_batch(10, 1);
  publish("flows.raw.a", good + std::string("\x0a\x02\x0f\x0f", 4) + flow_batch(11, 1), {{"Nats-Msg-Id", "u.1.0.2"}});
  settle(3);
  EXPECT_EQ(rows(), run_of(10, 2));
  const StoreBooks b = books();
  EXPECT_EQ(b.messages_dead[static_cast<size_t>(feed::DeadReason::undecodable)], 1u);
  EXPECT_EQ(b.messages_dead[static_cast<size_t>(feed::DeadReason::unknown_framing)], 1u);
  EXPECT_EQ(b.records_dead[static_cast<size_t>(feed::DeadReason::malformed_record)], 1u);
  const auto dead = read_stream("flows_dead");
  ASSERT_EQ(dead.size(), 3u);
  std::multiset<std::string> subjects;
  for (const auto& letter : dead) subjects.insert(letter.subject);
  EXPECT_EQ(subjects, (std::multiset<std::string>{"flows.dead.malformed_record", "flows.dead.undecodable", "flows.dead.unknown_framing"}));
}

TEST_F(IngestTest, BuriesAMessageThatIsMalformedAllOverInFewLetters) {
  start(config());
  std::string broken;
  for (int i = 0; i < 1000; ++i) broken += std::string("\x0a\x02\x0f\x0f", 4);
  publish("flows.raw.a", flow_batch(0, 2) + broken + flow_batch(2, 2), {{"Nats-Msg-Id", "u.1.0.1"}});
  settle(1);
  EXPECT_EQ(rows(), run_of(0, 4));
  EXPECT_EQ(books().records_dead[static_cast<size_t>(feed::DeadReason::malformed_record)], 1000u);
  const auto dead = read_stream("flows_dead");
  ASSERT_EQ(dead.size(), kRecordLettersMax + 1);
  EXPECT_GT(dead.back().body.size(), broken.size()) << "the last one is the message";
}

TEST_F(IngestTest, BuriesAMessageOfMoreRecordsThanAnyBatchHas) {
  start(config());
  std::string many;
  for (size_t i = 0; i <= kRecordsMax; ++i) many += std::string("\x0a\x00", 2);
  std::string packed(ZSTD_compressBound(many.size()), 0);
  packed.resize(ZSTD_compress(packed.data(), packed.size(), many.data(), many.size(), 1));
  publish("flows.raw.a", packed, {{"Nats-Msg-Id", "u.1.0.1"}, {"Weir-Framing", "batch"}, {"Weir-Compression", "zstd"}});
  publish("flows.raw.a", flow_batch(0, 2), {{"Nats-Msg-Id", "u.1.0.2"}});
  settle(2);
  EXPECT_EQ(rows(), run_of(0, 2));
  EXPECT_EQ(books().messages_dead[static_cast<size_t>(feed::DeadReason::undecodable)], 1u);
}

TEST_F(IngestTest, RemembersIdsOfOtherFormsOverAStart) {
  start(config());
  for (uint64_t i = 0; i < 50; ++i) publish("flows.raw.a", flow_batch(10 * i, 10), {{"Nats-Msg-Id", "other-" + std::to_string(i) + "'s"}});
  settle(50);
  stop();
  start(config());
  EXPECT_EQ(sink_->identities()->ids.size(), 50u);
  EXPECT_EQ(sink_->identities()->ids.front(), "other-0's");
  EXPECT_EQ(sink_->identities()->ids.back(), "other-49's");
  EXPECT_EQ(rows(), run_of(0, 500));
}

TEST_F(IngestTest, WaitsForAStoreThatCannotBeWrittenAndAcknowledgesNothingMeanwhile) {
  start(config());
  faulty_->fails = true;
  for (uint64_t i = 0; i < 20; ++i) publish("flows.raw.a", flow_batch(10 * i, 10), {{"Nats-Msg-Id", "u.1.0." + std::to_string(i + 1)}});
  ASSERT_TRUE(eventually([&] { return faulty_->tries > 2; }));
  EXPECT_TRUE(eventually([&] { return ingest_->view()->not_ready_because().find("no space left") != std::string::npos; }));
  // Longer than ack_wait: it stays ours.
  std::this_thread::sleep_for(std::chrono::milliseconds(2600));
  EXPECT_EQ(consumer()["ack_floor"]["stream_seq"], 0);
  EXPECT_EQ(books().messages_redelivered, 0u);
  EXPECT_EQ(books().rows, 0u);
  faulty_->fails = false;
  settle(20);
  EXPECT_EQ(rows(), run_of(0, 200));
  EXPECT_EQ(books().messages_stored, 20u);
}

TEST_F(IngestTest, LeavesToOthersWhatCannotBeWrittenWhenItStops) {
  StoreConfig c = config();
  c.shutdown_deadline_ms = 300;
  start(c);
  faulty_->fails = true;
  publish("flows.raw.a", flow_batch(0, 10), {{"Nats-Msg-Id", "u.1.0.1"}});
  ASSERT_TRUE(eventually([&] { return faulty_->tries > 0; }));
  stop();
  EXPECT_EQ(last_.records_returned, 10u);
  start(config());
  settle(1);
  EXPECT_EQ(rows(), run_of(0, 10));
}

TEST_F(IngestTest, LetsRowsWaitForOthersAsLongAsTheConfigurationSays) {
  StoreConfig waiting = config();
  waiting.commit.interval_ms = 600'000;
  start(waiting);
  for (uint64_t i = 0; i < 20; ++i) {
    publish("flows.raw.a", flow_batch(10 * i, 10));
    ASSERT_TRUE(eventually([&] { return books().records_in == 10 * (i + 1); }));
  }
  EXPECT_EQ(faulty_->tries, 0) << "no commit is due";
  stop();
  EXPECT_EQ(last_.rows, 200u) << "what waits is committed at the end";
}

TEST_F(IngestTest, DropsByRules) {
  StoreConfig c = config();
  c.rules = folder_ / "rules.yaml";
  std::ofstream(c.rules) << "version: 1\nrules:\n  - {id: dns, when: dst_port == 53, then: {drop: true}}\n"
                         << "  - {id: name, then: {set: {app_name: \"'web'\"}}}\n";
  start(c);
  publish("flows.raw.a", flow_batch(0, 100));
  settle(1);
  EXPECT_EQ(books().records_dropped, 10u);
  EXPECT_EQ(rows().size(), 90u);
}

TEST_F(IngestTest, KeepsWhatADecisionFileMakesOfFlowsBesideThem) {
  std::ofstream(folder_ / "d.json")
      << R"({"nodes":[{"id":"i","type":"inputNode"},{"id":"e","name":"make","type":"expressionNode","content":{"expressions":[)"
      << R"({"key":"octets","value":"bytes"},{"key":"kind","value":"bytes % 2 == 0 ? 'even' : 1 + flow_type"}]}},{"id":"o","type":"outputNode"}],)"
      << R"("edges":[{"sourceId":"i","targetId":"e"},{"sourceId":"e","targetId":"o"}]})";
  StoreConfig c = config();
  c.rules = folder_ / "rules.yaml";
  std::ofstream(c.rules) << "version: 1\ndecision: d.json\n";
  start(c);
  publish("flows.raw.a", flow_batch(0, 100));
  settle(1);
  EXPECT_EQ(rows().size(), 100u);
  EXPECT_EQ(books().decisions, 50u);
  EXPECT_EQ(books().decisions_missing, 50u);
  auto connection = store_->database()->connect();
  auto found = connection->query("SELECT count(*) FROM flow_rows WHERE remainder LIKE '{\"decision\":{\"octets\":' || bytes_raw || ',\"kind\":\"even\"}%'");
  ASSERT_TRUE(found) << found.error().message;
  auto chunk = found->next();
  ASSERT_TRUE(chunk && *chunk);
  EXPECT_EQ(chunk->at<int64_t>(0, 0), 50);
}

/// However short the records are.
TEST_F(IngestTest, TakesNoMoreWhenDecisionsFillItsBatches) {
  std::string expressions;
  for (const char* key : {"a", "b", "c", "d"}) {
    expressions += (expressions.empty() ? "" : ",") + (R"({"key":")" + std::string(key)) + R"(","value":"')" + std::string(15'000, 'x') + R"('"})";
  }
  std::ofstream(folder_ / "d.json")
      << R"({"nodes":[{"id":"i","type":"inputNode"},{"id":"e","name":"make","type":"expressionNode","content":{"expressions":[)" << expressions
      << R"(]}},{"id":"o","type":"outputNode"}],"edges":[{"sourceId":"i","targetId":"e"},{"sourceId":"e","targetId":"o"}]})";
  StoreConfig c = config();
  c.shutdown_deadline_ms = 300;
  // Only what it holds fills a batch, and no message is delivered again meanwhile.
  c.commit.interval_ms = 60'000;
  c.source.ack_wait_secs = 60;
  c.rules = folder_ / "rules.yaml";
  std::ofstream(c.rules) << "version: 1\ndecision: d.json\n";
  start(c);
  faulty_->fails = true;
  constexpr uint64_t kRecords = 100, kFills = kBatchOctetsMax / (60'000 * kRecords) + 1, kMessages = 4 * kFills;
  for (uint64_t i = 0; i < kMessages; ++i) publish("flows.raw.a", flow_batch(kRecords * i, kRecords));
  constexpr uint64_t kThreeFull = 3 * kFills * kRecords;
  ASSERT_TRUE(eventually([&] { return books().messages_in == kMessages && books().records_in >= kThreeFull; }, std::chrono::seconds(60)))
      << books().records_in << " records of " << books().messages_in << " messages";
  std::this_thread::sleep_for(std::chrono::seconds(1));
  EXPECT_EQ(books().decisions, kThreeFull);
  EXPECT_EQ(books().records_in, kThreeFull);
}

TEST_F(IngestTest, CountsWhatExpiredInTheStream) {
  StoreConfig c = config();
  start(c);
  publish("flows.raw.a", flow_batch(0, 1));
  settle(1);
  stop();
  for (uint64_t i = 1; i < 5; ++i) publish("flows.raw.a", flow_batch(i, 1));
  api("STREAM.PURGE.events", {{"seq", 5}});
  start(c);
  settle(1);
  ASSERT_TRUE(eventually([&] { return ingest_->view()->source.expired_in_stream() == 3; }))
      << ingest_->view()->source.expired_in_stream();
  EXPECT_EQ(rows(), (std::multiset<uint64_t>{0, 4}));
}

TEST_F(IngestTest, GivesUpWhatWasDeliveredTooOften) {
  // Somebody takes it six times and never says anything.
  publish("flows.raw.a", flow_batch(0, 3), {{"Nats-Msg-Id", "u.1.0.1"}});
  api("CONSUMER.DURABLE.CREATE.events." + consumer_name_,
      {{"stream_name", "events"},
       {"config", {{"durable_name", consumer_name_}, {"deliver_policy", "all"}, {"ack_policy", "explicit"}, {"ack_wait", 100'000'000},
                   {"max_deliver", -1}, {"filter_subject", "flows.raw.*"}, {"replay_policy", "instant"}, {"max_ack_pending", 100}}}});
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(client_->request("$JS.API.CONSUMER.MSG.NEXT.events." + consumer_name_, "1", 2000));
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
  }
  start(config());
  ASSERT_TRUE(eventually([&] { return books().messages_dead[static_cast<size_t>(feed::DeadReason::max_deliver)] == 1; }));
  EXPECT_EQ(rows().size(), 0u);
}

/// A checkpoint that fails is what DuckDB does not get over: the database is opened anew, beside the threads that use it.
TEST_F(IngestTest, OpensADatabaseAnewThatDuckdbHasGivenUp) {
  start(config());
  publish("flows.raw.a", flow_batch(0, 1000), {{"Nats-Msg-Id", "u.1.0.1"}});
  settle(1);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{16 << 10, RLIM_INFINITY}, free{RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  std::string why;
  {
    auto connection = store_->database()->connect();
    const auto done = connection->execute("CHECKPOINT");
    ASSERT_FALSE(done);
    why = done.error().message;
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &free), 0);
  EXPECT_TRUE(is_fatal(Error{why})) << why;
  publish("flows.raw.a", flow_batch(1000, 10), {{"Nats-Msg-Id", "u.1.0.2"}});
  settle(2);
  EXPECT_EQ(store_->reopened(), 1u);
  EXPECT_EQ(rows(), run_of(0, 1010));
}

TEST_F(IngestTest, KnowsABatchWhoseCommitSeemedToFail) {
  start(config());
  faulty_->fails_after_commit = true;
  publish("flows.raw.a", flow_batch(0, 10), {{"Nats-Msg-Id", "u.1.0.1"}});
  publish("flows.raw.a", flow_batch(10, 10), {{"Nats-Msg-Id", "u.1.0.2"}});
  settle(2);
  EXPECT_EQ(rows(), run_of(0, 20));
}

}  // namespace
}  // namespace weir::store
