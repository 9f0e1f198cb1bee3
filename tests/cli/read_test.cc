// `weir read` as users run it, on a real nats-server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "export/jetstream_publisher.h"
#include "export/json_lines.h"
#include "export/sflow_json.h"
#include "support/batches.h"
#include "support/nats_server.h"
#include "support/program.h"

namespace weir {
namespace {

using outbound::JetStreamConfig;
using outbound::JetStreamPublisher;
using test::BatchBox;
using test::NatsServer;
using test::OutcomeLedger;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class WeirRead : public ::testing::Test {
 protected:
  void SetUp() override {
    if (NatsServer::binary().empty()) GTEST_SKIP() << "nats-server is not installed";
    ASSERT_TRUE(server_.start());
  }

  void publish(std::deque<BatchBox>& boxes, outbound::Framing framing) {
    const RoleScope role(publisher_thread);
    JetStreamConfig config;
    config.nats.urls = {server_.url()};
    config.subjects = {"flows.raw.netflow", "flows.raw.sflow", "flows.counters.sflow",
                       "flows.discards.sflow"};
    config.framing = framing;
    config.stream.max_bytes = 64 << 20;
    config.identity = {"6f1c0c54-8e2e-4d0a-9a55-0d9c1b8d2f10",
                       uint64_t{framing == outbound::Framing::single ? 2u : 1u}};
    auto publisher = JetStreamPublisher::make(config);
    ASSERT_TRUE(publisher);
    OutcomeLedger ledger;
    for (BatchBox& box : boxes) {
      while (!(*publisher)->submit(box.batch, ledger)) (*publisher)->poll(10, ledger);
    }
    (*publisher)->drain(steady_clock_ns() + 60 * kNsPerSec, ledger);
    ASSERT_EQ(ledger.acknowledged, boxes.size()) << (*publisher)->last_error();
  }
  test::Outcome read(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {test::built("weir"), "read", "--server", server_.url()});
    return test::run_program(arguments);
  }
  static std::string lines_of(const std::deque<BatchBox>& boxes, size_t skip = 0) {
    std::string lines;
    for (const BatchBox& box : boxes) {
      for (const auto& flow : box.flows.flows()) {
        if (skip > 0) {
          --skip;
          continue;
        }
        outbound::append_json_line(flow, lines);
      }
    }
    return lines;
  }

  NatsServer server_;
};

TEST_F(WeirRead, PrintsEveryRecordOfEitherFramingAndCountsThem) {
  std::deque<BatchBox> batches, singles;
  for (uint64_t i = 1; i <= 20; ++i) batches.emplace_back(i, 30u, i % 2);
  for (uint64_t i = 21; i <= 22; ++i) singles.emplace_back(i, 5u);
  publish(batches, outbound::Framing::batch);
  publish(singles, outbound::Framing::single);

  const auto outcome = read({"--all", "--summary"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(outcome.out == lines_of(batches) + lines_of(singles));
  EXPECT_THAT(outcome.err, ContainsRegex("records +610\n"));
  EXPECT_THAT(outcome.err, ContainsRegex("messages +30\n"));
  EXPECT_THAT(outcome.err, ContainsRegex("NETFLOW_V9 +610\n"));
  EXPECT_THAT(outcome.err, ContainsRegex("duplicates +0\n"));
  EXPECT_THAT(outcome.err, ContainsRegex("unreadable +0\n"));

  const auto sflow =
      read({"--all", "--subject", "flows.raw.sflow", "--format", "none", "--summary"});
  EXPECT_EQ(sflow.status, 0);
  EXPECT_EQ(sflow.out, "");
  EXPECT_THAT(sflow.err, ContainsRegex("records +300\n"));
}

TEST_F(WeirRead, PrintsWhatSflowTellsBesideFlows) {
  std::deque<BatchBox> boxes;
  boxes.emplace_back(1, 2u, 1);
  const auto add = [&](outbound::RecordKind kind, uint16_t route, std::string octets) {
    BatchBox& box = boxes.emplace_back(boxes.size() + 1, 0u, route);
    box.octets = std::move(octets);
    box.batch.kind = kind;
    box.batch.records = 1;
    box.batch.data = reinterpret_cast<uint8_t*>(box.octets.data());
    box.batch.octets = box.batch.capacity = static_cast<uint32_t>(box.octets.size());
  };
  flowpb::SflowCountersBatch counters;
  counters.add_counters()->set_source_index(7);
  add(outbound::RecordKind::sflow_counters, 2, counters.SerializeAsString());
  flowpb::SflowDiscardBatch discards;
  discards.add_discards()->set_reason(flowpb::DROP_ACL);
  add(outbound::RecordKind::sflow_discard, 3, discards.SerializeAsString());
  publish(boxes, outbound::Framing::batch);
  publish(boxes, outbound::Framing::single);

  const auto flows = read({"--all"});
  EXPECT_EQ(flows.status, 0) << "flows.raw.* holds flows only: " << flows.err;
  const auto of_counters = read({"--all", "--subject", "flows.counters.sflow", "--summary"});
  EXPECT_EQ(of_counters.status, 0) << of_counters.err;
  const std::string line = "{\"kind\":\"sflow_counters\",\"source_index\":7}\n";
  EXPECT_EQ(of_counters.out, line + line) << "of either framing";
  EXPECT_THAT(of_counters.err, ContainsRegex("sflow_counters +2\n"));
  const auto of_discards = read({"--subject", "flows.discards.sflow"});
  EXPECT_EQ(of_discards.status, 0) << of_discards.err;
  EXPECT_THAT(of_discards.out, HasSubstr("{\"kind\":\"sflow_discard\",\"reason\":\"DROP_ACL\","));
  const auto everything = read({"--all", "--subject", "flows.>", "--format", "none", "--summary"});
  EXPECT_THAT(everything.err, ContainsRegex("records +8\n"));
  EXPECT_THAT(everything.err, ContainsRegex("unreadable +0\n"));
}

TEST_F(WeirRead, PrintsTheLastRecordsThoughMessagesHoldFewOfThem) {
  std::deque<BatchBox> singles;
  for (uint64_t i = 1; i <= 40; ++i) singles.emplace_back(i, 1u);
  publish(singles, outbound::Framing::single);
  EXPECT_EQ(read({}).out, lines_of(singles, 30));
  EXPECT_EQ(read({"--last", "25"}).out, lines_of(singles, 15));
  EXPECT_EQ(read({"--last", "1000"}).out, lines_of(singles));
}

TEST_F(WeirRead, PrintsTheLastRecordsOfLargeBatches) {
  std::deque<BatchBox> batches;
  for (uint64_t i = 1; i <= 3; ++i) batches.emplace_back(i, 100u);
  publish(batches, outbound::Framing::batch);
  EXPECT_EQ(read({"--last", "3"}).out, lines_of(batches, 297));
  EXPECT_EQ(read({"--last", "150"}).out, lines_of(batches, 150));
}

TEST_F(WeirRead, StopsAtItsCountAndSaysWhenThereAreFewer) {
  std::deque<BatchBox> batches;
  batches.emplace_back(1, 30u);
  publish(batches, outbound::Framing::batch);

  const auto some = read({"--all", "--count", "7"});
  EXPECT_EQ(some.status, 0);
  EXPECT_EQ(test::lines_of(some.out).size(), 7u);
  const auto fewer = read({"--count", "31", "--timeout", "0.3", "--format", "none", "--summary"});
  EXPECT_EQ(fewer.status, 3);
  EXPECT_THAT(fewer.err, ContainsRegex("records +30\n"));
  EXPECT_EQ(read({"--all", "--subject", "flows.raw.sflow"}).status, 3);
  EXPECT_EQ(read({"--new", "--timeout", "0.3"}).status, 3);
}

TEST_F(WeirRead, PrintsATable) {
  std::deque<BatchBox> batches;
  batches.emplace_back(1, 2u);
  publish(batches, outbound::Framing::batch);
  const auto outcome = read({"--all", "--format", "table"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(test::lines_of(outcome.out).size(), 3u);
  EXPECT_THAT(outcome.out, HasSubstr("192.0.2.1"));
}

TEST_F(WeirRead, SaysWhatItCannotReadAndGoesOn) {
  std::deque<BatchBox> batches;
  batches.emplace_back(1, 3u);
  publish(batches, outbound::Framing::batch);
  outbound::NatsConfig config;
  config.urls = {server_.url()};
  auto client = outbound::NatsClient::make(config);
  ASSERT_TRUE((*client)->connect());
  const auto send = [&](std::string octets, std::vector<outbound::MessageHeader> headers) {
    const std::span payload(reinterpret_cast<const uint8_t*>(octets.data()), octets.size());
    ASSERT_EQ((*client)->publish("flows.raw.netflow", 1, payload, headers), outbound::Sent::sent);
    ASSERT_TRUE((*client)->next_reply(5000));
  };
  send("no protobuf at all", {});
  send("\x01\x02\x03", {{"Weir-Framing", "batch"}, {"Weir-Compression", "zstd"}});
  send(batches[0].flows.flows(0).SerializeAsString(), {});  // of a program without our headers
  send(batches[0].octets, {});

  const auto outcome = read({"--all", "--summary"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(test::lines_of(outcome.out).size(), 7u);
  EXPECT_THAT(outcome.err, HasSubstr("message 2 on flows.raw.netflow"));
  EXPECT_THAT(outcome.err, ContainsRegex("unreadable +2\n"));
}

TEST_F(WeirRead, NamesAStreamThatIsNotThereAndAServerThatIsNot) {
  const auto missing = read({"--stream", "nowhere"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("stream nowhere"));
  const std::string url = server_.url();
  server_.kill();
  const auto gone = read({});
  EXPECT_EQ(gone.status, 1);
  EXPECT_THAT(gone.err, HasSubstr(url));
}

TEST_F(WeirRead, RefusesOptionsThatContradict) {
  EXPECT_EQ(read({"--all", "--new"}).status, 2);
  EXPECT_EQ(read({"--last", "0"}).status, 2);
  EXPECT_EQ(read({"--last", "-1"}).status, 2);
  EXPECT_EQ(read({"--format", "xml"}).status, 2);
  EXPECT_EQ(read({"--help"}).status, 0);
}

TEST(WeirReadAlone, SaysWhichServerItCannotReachWithoutThePassword) {
  const auto outcome = test::run_program(
      {test::built("weir"), "read", "--server", "nats://user:secret@127.0.0.1:1", "--timeout", "1"});
  EXPECT_NE(outcome.status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("nats://***@127.0.0.1:1"));
  EXPECT_THAT(outcome.err, ::testing::Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace weir
