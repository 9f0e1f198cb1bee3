// block_test.cc — drop_policy block, whole: the broker stands still, the cores wait, the kernel drops and says
// so, and of what was received nothing is lost.
#include "export/jetstream_reader.h"
#include "flow.pb.h"
#include "publishers_fixture.h"
#include "support/nats_server.h"

namespace weir {
namespace {

using namespace std::chrono_literals;

class BlockTest : public PublishersTest {
 protected:
  void SetUp() override {
    if (test::NatsServer::binary().empty()) GTEST_SKIP() << "nats-server is not installed";
    ASSERT_TRUE(nats_.start());
  }

  /// Of the only port; 0 where the kernel does not tell.
  uint64_t missed() {
    std::string out;
    run_ctl({"--json", "status"}, &out);
    const json status = json::parse(out, nullptr, false);
    if (!status.is_object()) return 0;
    const json& missed = status.at("ports").at(0).at("missed");
    return missed.is_null() ? 0 : missed.get<uint64_t>();
  }

  uint64_t records_in_stream() {
    outbound::ReaderConfig config;
    config.nats.urls = {nats_.url()};
    config.stream = "events";
    auto reader = outbound::JetStreamReader::open(config);
    EXPECT_TRUE(reader) << reader.error().message;
    if (!reader) return 0;
    uint64_t records = 0;
    for (const auto end = std::chrono::steady_clock::now() + 60s;
         (*reader)->pending() > 0 && std::chrono::steady_clock::now() < end;) {
      auto next = (*reader)->next(200);
      EXPECT_TRUE(next);
      if (!next || !*next) continue;
      flowpb::FlowBatch flows;
      EXPECT_TRUE(parse_flows(**next, flows));
      records += static_cast<uint64_t>(flows.flows_size());
    }
    return records;
  }

  test::NatsServer nats_;
};

TEST_F(BlockTest, ShowsWhatThePortDroppedAndLosesNothingThatWasReceived) {
  // Memory for a hundred batches, of which a few may be undecided; the socket's buffer is the smaller part.
  auto weir = start("  - {kind: jetstream, drop_policy: block, channel_size: 100}\nnats_url: " + nats_.url() +
                    "\nbatch_bytes: 8KiB\nbuffer_bytes: 1MiB\npublish_timeout_ms: 1000\n");
  uint64_t sent = generate(100, 30);
  ASSERT_TRUE(eventually([&] { return acknowledged(0) == sent; })) << ledger();
  EXPECT_EQ(missed(), 0u);

  nats_.pause();
  // Bounded: the buffers are.
  for (int i = 0; i < 100 && missed() == 0; ++i) sent += generate(1000, 30);
  EXPECT_GT(missed(), 0u);
  const json full = ledger();
  EXPECT_GT(full["publishers"][0]["records"]["in_flight"], 0u) << full;
  EXPECT_EQ(full["balanced"], true) << full["discrepancies"];
  EXPECT_LT(acknowledged(0), sent);
  nats_.resume();

  ASSERT_TRUE(eventually(
      [&] {
        const json l = ledger();
        return l.is_object() && l["publishers"][0]["records"]["waiting"] == 0 &&
               l["publishers"][0]["records"]["in_flight"] == 0 &&
               l["datagrams"]["received"].get<uint64_t>() + missed() == sent / 30;
      },
      60s))
      << ledger();
  const json l = ledger();
  const uint64_t received = l["records"]["encoded"];
  EXPECT_EQ(received, l["datagrams"]["received"].get<uint64_t>() * 30) << "what was received was decoded";
  EXPECT_EQ(received + missed() * 30, sent);
  EXPECT_EQ(acknowledged(0), received);
  EXPECT_EQ(l["publishers"][0]["records"]["failed"], 0u) << l;
  EXPECT_EQ(l["publishers"][0]["records"]["dropped"], 0u) << l;
  EXPECT_EQ(l["balanced"], true) << l["discrepancies"];
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  EXPECT_EQ(records_in_stream(), received) << "each once";
}

}  // namespace
}  // namespace weir
