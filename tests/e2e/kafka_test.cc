// kafka_test.cc — The program against librdkafka's mock cluster, beside a file.
#include "e2e/publishers_fixture.h"
#include "flow.pb.h"
#include "support/kafka_cluster.h"

namespace weir {
namespace {

// After a REQUEST_TIMED_OUT the library takes a later batch's success to mean that the earlier one is stored too:
// a broker would have refused the later one as out of sequence. This cluster does not look at sequence numbers and
// has stored only the later one, so no two may be under way.
const std::string kOneAtATime = "max.in.flight.requests.per.connection: 1";

TEST_F(PublishersTest, StoresEachRecordOnceInAKafkaClusterThatFailsMeanwhile) {
  test::KafkaCluster cluster(3);
  cluster.create_topic("weir.flows.raw.netflow", 4);
  const std::string file = folder_ / "flows.jsonl";
  auto weir = start("  - kind: kafka\n    brokers: \"" + cluster.addresses() +
                    "\"\n    topic: weir.{subject}\n    options: {reconnect.backoff.max.ms: 200, " +
                    kOneAtATime + "}\n" +
                    "  - {kind: file, path: " + file + "}\n");
  uint64_t sent = generate(200, 20);
  cluster.fail_produce({RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
                        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS});
  sent += generate(200, 20);
  ASSERT_TRUE(eventually([&] { return acknowledged(0) == sent && acknowledged(1) == sent; }))
      << ledger().dump(2);
  EXPECT_EQ(ledger()["balanced"], true);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  std::map<std::string, uint64_t> stored;  // records, by id
  for (const test::KafkaStored& m : cluster.read_all()) {
    flowpb::FlowBatch batch;
    ASSERT_TRUE(batch.ParseFromString(m.payload));
    EXPECT_EQ(std::to_string(batch.flows_size()), m.headers.at("Weir-Records"));
    EXPECT_TRUE(stored.emplace(m.headers.at("Weir-Msg-Id"), batch.flows_size()).second);
  }
  uint64_t found = 0;
  for (const auto& [id, records] : stored) found += records;
  EXPECT_EQ(found, sent);
  EXPECT_EQ(flows_in(file), sent);
}

}  // namespace
}  // namespace weir
