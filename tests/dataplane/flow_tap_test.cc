#include "dataplane/flow_tap.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "export/batch_reader.h"
#include "support.h"

namespace weir::dataplane::testing {
namespace {

/// A pipeline at whose records one or more look. Time stands still unless a test says otherwise.
class FlowTapTest : public ::testing::Test {
 protected:
  void SetUp() override { pipeline_ = make(); }
  static std::unique_ptr<Pipeline> make() {
    Result<std::unique_ptr<Pipeline>> made = Pipeline::create(netflow_pipeline());
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }

  void frame(const lab::Octets& octets) { frame(*pipeline_, octets); }
  static void frame(Pipeline& pipeline, const lab::Octets& octets) {
    const RoleScope role(rx_lcore);
    pipeline.on_frame(octets, packet::LinkType::ethernet, kCaptureTimeNs);
  }
  void poll(uint64_t after_ns = 0) {
    const RoleScope role(rx_lcore);
    now_ns_ += after_ns;
    pipeline_->poll(now_ns_, kCaptureTimeNs);
  }
  void set(const TapSet* set) {
    const RoleScope role(control_thread);
    pipeline_->set_tap(set);
  }
  void open(std::initializer_list<TapLane*> lanes) {
    set_ = {};
    for (TapLane* lane : lanes) set_.lanes[set_.count++] = lane;
    set(&set_);
    poll();
  }
  /// What a lane has copied, read as a consumer of the stream would.
  static std::vector<flowpb::FlowMessage> take(TapLane& lane) {
    const RoleScope role(control_thread);
    std::vector<flowpb::FlowMessage> flows;
    TappedFlow flow;
    while (lane.take(flow)) {
      const auto counts = outbound::read_flows(flow.batch(), [&](const auto& f) { flows.push_back(f); });
      EXPECT_EQ(counts.flows, 1u);
      EXPECT_EQ(counts.malformed, 0u);
    }
    return flows;
  }
  static void expect_all_counted(const TapLane& lane) {
    const TapCounters& c = lane.counters();
    EXPECT_EQ(c.matched.value(),
              c.copied.value() + c.sampled_away.value() + c.too_large.value() + c.no_room.value());
    EXPECT_LE(c.matched.value(), c.seen.value());
  }

  TapSet set_;
  std::unique_ptr<Pipeline> pipeline_;
  uint64_t now_ns_ = 1000 * kNsPerSec;
};

TEST_F(FlowTapTest, ShowsRecordsWithWhereTheyCameFrom) {
  TapLane lane({});
  open({&lane});
  frame(v5_frame(1));
  const RoleScope role(control_thread);
  TappedFlow flow;
  ASSERT_TRUE(lane.take(flow));
  EXPECT_EQ(flow.exporter.to_string(), "192.0.2.1");
  EXPECT_EQ(flow.listener, ListenerId{0});
  outbound::read_flows(flow.batch(), [&](const flowpb::FlowMessage& f) {
    EXPECT_EQ(f.type(), flowpb::NETFLOW_V5);
    EXPECT_EQ(f.src_port(), 1024u);
    EXPECT_EQ(f.dst_port(), 443u);
    EXPECT_EQ(f.bytes(), 64u);
    EXPECT_EQ(f.sampler_address(), std::string("\xC0\x00\x02\x01", 4));
  });
  EXPECT_FALSE(lane.take(flow));
}

TEST_F(FlowTapTest, IsOpenFromOneBurstToAnotherAndClosedAgain) {
  TapLane lane({});
  frame(v5_frame(1));
  TapSet set{.lanes = {&lane}, .count = 1};
  this->set(&set);
  frame(v5_frame(2));
  EXPECT_EQ(lane.counters().seen.value(), 0u) << "a burst is not looked at from its middle on";
  EXPECT_FALSE(pipeline_->goes_by(&set));
  poll();
  EXPECT_TRUE(pipeline_->goes_by(&set));
  frame(v5_frame(3));
  EXPECT_EQ(lane.counters().seen.value(), 3u);
  this->set(nullptr);
  poll();
  EXPECT_TRUE(pipeline_->goes_by(nullptr));
  frame(v5_frame(4));
  EXPECT_EQ(lane.counters().seen.value(), 3u);
}

TEST_F(FlowTapTest, FindsTheOneAmongAHundredThousand) {
  const IpAddress rare = IpAddress::parse("192.0.2.29").value();
  TapLane lane({.source = PrefixMatch(rare, 128)});
  open({&lane});
  for (int i = 0; i < 5000; ++i) {
    frame(v5_frame(20));
    if (i == 4000) frame(v5_frame(30));  // the last of these records
    if (i % 50 == 0) Collected().take(*pipeline_);
  }
  const auto flows = take(lane);
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].packets(), 30u);
  EXPECT_EQ(lane.counters().seen.value(), 100'030u);
  EXPECT_EQ(lane.counters().matched.value(), 1u);
  expect_all_counted(lane);
}

TEST_F(FlowTapTest, ShowsAFloodEvenlyOverTime) {
  TapLane lane({});
  open({&lane});
  std::map<uint64_t, size_t> shown_in_tenth;
  for (uint64_t tenth = 0; tenth < 50; ++tenth) {  // five seconds, 3000 records each tenth
    for (int burst = 0; burst < 100; ++burst) {
      frame(v5_frame(30));
      poll(kNsPerMs);
      shown_in_tenth[tenth] += take(lane).size();
    }
    Collected().take(*pipeline_);
  }
  EXPECT_EQ(lane.counters().seen.value(), 150'000u);
  EXPECT_GE(shown_in_tenth[0], kTapFlowsAtOnce) << "what was saved up";
  for (uint64_t tenth = 1; tenth < 50; ++tenth)
    EXPECT_EQ(shown_in_tenth[tenth], kTapFlowsPerSecond / 10) << tenth;
  EXPECT_GT(lane.counters().sampled_away.value(), 140'000u);
  expect_all_counted(lane);
}

TEST_F(FlowTapTest, SilenceSavesUpNoMoreThanOneDatagramsRecords) {
  TapLane lane({});
  open({&lane});
  poll(3600 * kNsPerSec);
  for (int i = 0; i < 2; ++i) frame(v5_frame(30));
  EXPECT_EQ(take(lane).size(), kTapFlowsAtOnce);
}

TEST_F(FlowTapTest, AFloodIsNotAlwaysShownByTheFirstRecordOfItsDatagrams) {
  TapLane lane({});
  open({&lane});
  std::map<uint64_t, size_t> shown_at;  // v5_datagram counts packets from 1 on
  for (int burst = 0; burst < 20'000; ++burst) {
    frame(v5_frame(30));
    poll(kNsPerMs);
    for (const auto& flow : take(lane)) ++shown_at[flow.packets()];
    if (burst % 50 == 0) Collected().take(*pipeline_);
  }
  EXPECT_EQ(shown_at.size(), 30u);
  for (const auto& [place, times] : shown_at) EXPECT_NEAR(static_cast<double>(times), 20 * 200 / 30, 5) << place;
}

TEST_F(FlowTapTest, WhatNobodyTakesIsCountedAndHoldsNothingUp) {
  TapLane lane({});
  open({&lane});
  for (int i = 0; i < 100; ++i) {
    frame(v5_frame(30));
    poll(kNsPerSec);
    Collected().take(*pipeline_);
  }
  EXPECT_EQ(lane.counters().copied.value(), kTapFlowsWaitingMax);
  EXPECT_EQ(lane.counters().no_room.value(), 100 * 30 - kTapFlowsWaitingMax);
  expect_all_counted(lane);
  EXPECT_EQ(take(lane).size(), kTapFlowsWaitingMax);
  frame(v5_frame(1));
  EXPECT_EQ(take(lane).size(), 1u) << "there is room again";
}

// All that a record may carry at once, which no device exports: the decoder's bounds on texts and lists.
TEST_F(FlowTapTest, ARecordThatIsTooLargeIsCountedAndTheOthersOfItsDatagramAreShown) {
  TapLane lane({});
  const RoleScope role(rx_lcore);
  lane.tick(now_ns_);
  const std::vector<uint8_t> arena(kArenaOctets, 'a');
  std::array<FlowRecord, 3> records{};
  for (uint64_t i = 0; i < records.size(); ++i) records[i].bytes = 1 + i;
  FlowRecord& large = records[1];
  large.arena_parts =
      arena_part::kStrings | arena_part::kNumberLists | arena_part::kStringLists;
  for (ArenaRef* text : {&large.application_name, &large.user_name, &large.server_name, &large.in_if_name,
                         &large.out_if_name, &large.ingress_vrf_name, &large.egress_vrf_name}) {
    *text = {0, kStringOctetsMax};
  }
  large.as_path = large.bgp_communities = {0, kAsPathMax};
  large.labels = large.rule_ids = {0, kLabelsMax * kStringOctetsMax};
  const ExportHeader header;
  lane.look({.header = header, .records = records, .arena = arena.data(), .listener = {}});
  EXPECT_EQ(lane.counters().too_large.value(), 1u);
  expect_all_counted(lane);
  const auto flows = take(lane);
  ASSERT_EQ(flows.size(), 2u);
  EXPECT_EQ(flows[0].bytes(), 1u);
  EXPECT_EQ(flows[1].bytes(), 3u);
}

TEST_F(FlowTapTest, ShowsTextsAndListsToo) {
  TapLane lane({});
  open({&lane});
  lab::Template t{.id = 256, .fields = {{8, 4}}};
  for (uint16_t id = 1; id <= 4; ++id) t.fields.push_back({.id = id, .length = 65535, .enterprise = 9999});
  const lab::Octets text = lab::variable(lab::filled(200, 'a'));
  frame(lab::udp_frame(
      {.src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 9, .dst_port = kNetflowPort},
      lab::IpfixBuilder{}.templates({t}).data(256, {{lab::ipv4("192.0.2.7"), text, text, text, text}}).build()));
  const auto flows = take(lane);
  ASSERT_EQ(flows.size(), 1u);
  ASSERT_EQ(flows[0].unmapped_size(), 4);
  EXPECT_EQ(flows[0].unmapped(3).value(), std::string(200, 'a'));
}

TEST_F(FlowTapTest, EachWhoLooksHasItsOwnConditionsAndItsOwnShare) {
  TapLane all({}), https({.either_port = 443}), none({.either_port = 80});
  open({&all, &https, &none});
  for (int i = 0; i < 10; ++i) frame(v5_frame(30));
  EXPECT_EQ(take(all).size(), kTapFlowsAtOnce);
  EXPECT_EQ(take(https).size(), kTapFlowsAtOnce);
  EXPECT_EQ(take(none).size(), 0u);
  EXPECT_EQ(none.counters().seen.value(), 300u);
  EXPECT_EQ(none.counters().matched.value(), 0u);
}

TEST_F(FlowTapTest, BooksAndBatchesAreTheSameWithAndWithoutIt) {
  TapLane lane({});
  open({&lane});
  const std::unique_ptr<Pipeline> untapped = make();
  for (uint32_t i = 0; i < 20; ++i) {
    for (Pipeline* pipeline : {pipeline_.get(), untapped.get()}) frame(*pipeline, v5_frame(1 + i, i));
    poll();
  }
  std::string octets[2];
  for (size_t i = 0; i < 2; ++i) {
    Pipeline& pipeline = i == 0 ? *pipeline_ : *untapped;
    {
      const RoleScope role(rx_lcore);
      pipeline.finish();
    }
    expect_ledger(pipeline);
    const RoleScope role(control_thread);
    outbound::OutboundBatch* batch;
    while (pipeline.batcher().take_sealed(batch)) {
      octets[i].append(reinterpret_cast<const char*>(batch->payload().data()), batch->payload().size());
      pipeline.batcher().give_back(batch);
    }
  }
  EXPECT_EQ(octets[0], octets[1]);
  EXPECT_FALSE(octets[0].empty());
  EXPECT_EQ(lane.counters().seen.value(), 210u);
}

}  // namespace
}  // namespace weir::dataplane::testing
