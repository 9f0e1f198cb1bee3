// A receive core whose records go straight to wire octets: who looks at them, or limits them, turns that off
// between two bursts, and batches and books are the same.
#include <gmock/gmock.h>

#include "dataplane/pipeline.h"
#include "support.h"

namespace weir::dataplane::testing {
namespace {

class FusedPipelineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (fuse::FusedWay::create() == nullptr) GTEST_SKIP() << "built without src/fuse";
  }
  static std::unique_ptr<Pipeline> make(PipelineConfig config) {
    Result<std::unique_ptr<Pipeline>> made = Pipeline::create(config);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  static void frame(Pipeline& pipeline, const lab::Octets& octets) {
    const RoleScope role(rx_lcore);
    pipeline.on_frame(octets, packet::LinkType::ethernet, kCaptureTimeNs);
  }
  static void poll(Pipeline& pipeline, uint64_t steady_ns) {
    const RoleScope role(rx_lcore);
    pipeline.poll(steady_ns, kCaptureTimeNs);
  }
  static uint64_t fused(const Pipeline& pipeline) {
    return pipeline.counters().records_fused.value();
  }
  /// All octets of all batches.
  static std::string finish(Pipeline& pipeline) {
    {
      const RoleScope role(rx_lcore);
      pipeline.finish();
    }
    expect_ledger(pipeline);
    EXPECT_THAT(pipeline.ledger().discrepancies(), ::testing::IsEmpty());
    const RoleScope role(control_thread);
    std::string octets;
    outbound::OutboundBatch* batch;
    while (pipeline.batcher().take_sealed(batch)) {
      octets.append(reinterpret_cast<const char*>(batch->payload().data()), batch->payload().size());
      pipeline.batcher().give_back(batch);
    }
    return octets;
  }
};

TEST_F(FusedPipelineTest, IsOffWhileSomebodyLooksAndThenOnAgain) {
  const auto pipeline = make(netflow_pipeline());
  const auto plain = [] {
    PipelineConfig config = netflow_pipeline();
    config.may_fuse = false;
    return make(config);
  }();
  TapLane lane({});
  const TapSet set{.lanes = {&lane}, .count = 1};
  const struct {
    const TapSet* who;
    uint64_t fused;
  } steps[] = {{nullptr, 30}, {&set, 0}, {&set, 0}, {nullptr, 30}};
  uint32_t sequence = 0;
  for (const auto& step : steps) {
    {
      const RoleScope role(control_thread);
      pipeline->set_tap(step.who);
    }
    poll(*pipeline, ++sequence);
    poll(*plain, sequence);
    const uint64_t before = fused(*pipeline);
    for (Pipeline* p : {pipeline.get(), plain.get()}) frame(*p, v5_frame(30, 30 * sequence));
    EXPECT_EQ(fused(*pipeline) - before, step.fused);
  }
  EXPECT_EQ(lane.counters().seen.value(), 60u);
  EXPECT_EQ(fused(*plain), 0u);
  EXPECT_EQ(finish(*pipeline), finish(*plain));
}

TEST_F(FusedPipelineTest, IsOffWhileThereAreRateLimits) {
  PipelineConfig config = netflow_pipeline();
  const auto pipeline = make(config);
  const auto none = config.rules();
  config.rate_limits.per_exporter = 40;
  const auto limited = config.rules();
  ASSERT_TRUE(none && limited);
  frame(*pipeline, v5_frame(30));
  EXPECT_EQ(fused(*pipeline), 30u);
  for (const auto& [rules, expected] : {std::pair{limited, 30u}, std::pair{none, 60u}}) {
    {
      const RoleScope role(control_thread);
      pipeline->set_rules(**rules);
    }
    poll(*pipeline, 1);
    frame(*pipeline, v5_frame(30));
    EXPECT_EQ(fused(*pipeline), expected);
  }
  finish(*pipeline);
}

TEST_F(FusedPipelineTest, PutsEachListenersRecordsIntoItsOwnRoute) {
  std::string octets[2];
  for (const bool may_fuse : {false, true}) {
    PipelineConfig config = netflow_pipeline();
    config.may_fuse = may_fuse;
    config.listeners.push_back({.name = "other", .port = 2056, .route = {1}, .rules = {}});
    const auto pipeline = make(config);
    for (uint32_t i = 0; i < 200; ++i) frame(*pipeline, v5_frame(1 + i % 30, i, i % 3 == 0 ? 2056 : kNetflowPort));
    EXPECT_EQ(fused(*pipeline), may_fuse ? pipeline->decoder_counters().records.value() : 0u);
    octets[may_fuse] = finish(*pipeline);
  }
  EXPECT_EQ(octets[0], octets[1]);
  EXPECT_FALSE(octets[0].empty());
}

}  // namespace
}  // namespace weir::dataplane::testing
