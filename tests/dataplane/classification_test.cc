// Rules of classification in the pipeline: what becomes of records, their routes, their books, and which way they go.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <thread>

#include "classify/pattern_compiler.h"
#include "classify/stages.h"
#include "dataplane/pipeline.h"
#include "export/batch_reader.h"
#include "flow.pb.h"
#include "lab/message_builder.h"
#include "lab/sflow_builder.h"
#include "support.h"

namespace weir::dataplane {
namespace {

using outbound::RecordDrop;

constexpr uint16_t kPort = 2055;
constexpr RouteId kListenerRoute{0};
constexpr RouteId kRuleRoute{1};

Result<classify::ElementKey> one_element(std::string_view name) {
  if (name != "12345/7") return Error{"no such element"};
  return classify::ElementKey{12345, 7};
}

std::shared_ptr<const classify::RuleSet> rules_of(const std::string& rules) {
  auto set = classify::RuleSet::parse({{"rules.yaml", "version: 1\nrules:\n" + rules}}, {one_element, {}});
  EXPECT_TRUE(set) << (set ? "" : set.error().message);
  return set ? *set : nullptr;
}

PipelineConfig config_with(std::shared_ptr<const classify::RuleSet> rules) {
  PipelineConfig config;
  config.listeners = {{.name = "any", .port = kPort, .route = kListenerRoute, .rules = {}}};
  config.batcher.buffers = 8;
  config.rule_routes = std::vector<RouteId>(rules ? rules->routes().size() : 0, kRuleRoute);
  config.classification = std::move(rules);
  return config;
}

class Core {
 public:
  explicit Core(const PipelineConfig& config) {
    auto made = Pipeline::create(config);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    pipeline = std::move(*made);
  }
  void receive(const lab::Octets& payload) {
    const RoleScope role(rx_lcore);
    pipeline->on_datagram({.payload = payload, .source = *IpAddress::parse("192.0.2.7"), .source_port = 4000,
                           .local_port = kPort, .listener = {0}, .received_ns = 1'760'000'000'000'000'000});
  }
  /// What is in sealed batches, by route.
  std::map<uint16_t, std::vector<flowpb::FlowMessage>> take() {
    {
      const RoleScope role(rx_lcore);
      pipeline->batcher().seal_all();
    }
    const RoleScope role(control_thread);
    std::map<uint16_t, std::vector<flowpb::FlowMessage>> flows;
    for (outbound::OutboundBatch* batch = nullptr; pipeline->batcher().take_sealed(batch);) {
      outbound::read_flows({batch->data, batch->octets}, [&](const flowpb::FlowMessage& flow) { flows[batch->route.value].push_back(flow); });
      pipeline->batcher().give_back(batch);
    }
    return flows;
  }
  uint64_t drops(RecordDrop why) const { return pipeline->batcher_counters().drops[why].value(); }
  void expect_balanced() const {
    for (const Discrepancy& d : pipeline->ledger().discrepancies()) ADD_FAILURE() << d.text();
  }
  std::unique_ptr<Pipeline> pipeline;
};

/// A v5 datagram of flows to these ports.
lab::Octets v5(const std::vector<uint16_t>& ports) {
  lab::NetflowV5Builder builder;
  builder.unix_time(1'760'000'000);  // what has no plausible time is not fused
  for (const uint16_t port : ports) builder.record({.dst_port = port, .proto = 6});
  return builder.build();
}

TEST(Classification, DropsRoutesLabelsAndCounts) {
  Core core(config_with(rules_of("  - {id: drop, priority: 9, when: dst_port == 1, then: {drop: true}}\n"
                                 "  - {id: route, when: dst_port == 2, then: {route: flows.raw.two, labels: [two]}}\n"
                                 "  - {id: label, when: dst_port == 3, then: {labels: [three], application: tres}}\n")));
  core.receive(v5({1, 2, 3, 4, 1, 1, 2, 3}));
  auto flows = core.take();
  ASSERT_EQ(flows[0].size(), 3u);
  ASSERT_EQ(flows[1].size(), 2u);
  EXPECT_EQ(flows[0][0].labels(0), "three");
  EXPECT_EQ(flows[0][0].rule_ids(0), "label");
  EXPECT_EQ(flows[0][0].application_name(), "tres");
  EXPECT_EQ(flows[0][1].labels_size(), 0);
  EXPECT_EQ(flows[1][0].labels(0), "two");
  EXPECT_EQ(core.drops(RecordDrop::dropped_by_rule), 3u);
  core.expect_balanced();
}

TEST(Classification, SamplesAndMultipliesTheRate) {
  Core core(config_with(rules_of("  - {id: one-in-four, then: {sample: 4}}\n")));
  std::vector<uint16_t> ports;
  for (uint16_t datagram = 0; datagram < 100; ++datagram) {
    ports.clear();
    for (uint16_t i = 0; i < 30; ++i) ports.push_back(static_cast<uint16_t>(1000 + datagram * 30 + i));
    core.receive(v5(ports));
  }
  const auto flows = core.take();
  const size_t kept = flows.at(0).size();
  EXPECT_NEAR(static_cast<double>(kept), 750, 120);
  for (const auto& flow : flows.at(0)) EXPECT_EQ(flow.sampling_rate(), 4u);
  EXPECT_EQ(core.drops(RecordDrop::sampled_by_rule), 3000 - kept);
  core.expect_balanced();
}

// Rules that ask every record need records; rules that look into packets and texts do not need those without.
TEST(Classification, TurnsFusingOffOnlyWhereRulesAskEveryRecord) {
  if (fuse::FusedWay::create() == nullptr) GTEST_SKIP() << "this build fuses nothing";
  Core none(config_with(nullptr));
  none.receive(v5({1, 2}));
  EXPECT_EQ(none.pipeline->counters().records_fused.value(), 2u);
  Core all(config_with(rules_of("  - {id: x, when: dst_port == 1, then: {labels: [x]}}\n")));
  all.receive(v5({1, 2}));
  EXPECT_EQ(all.pipeline->counters().records_fused.value(), 0u);
  // As a set with patterns only is: it has nothing to ask of these.
  Core some(config_with(rules_of("")));
  some.receive(v5({1, 2}));
  EXPECT_EQ(some.pipeline->counters().records_fused.value(), 2u);
}

// Whoever looks into elements needs the records of templates that have some, and of no others.
TEST(Classification, TurnsFusingOffForElementsOnlyWhereThereAreSome) {
  if (fuse::FusedWay::create() == nullptr) GTEST_SKIP() << "this build fuses nothing";
  if (classify::pattern_engine().empty()) GTEST_SKIP() << "no Hyperscan in this build";
  const char* const root = std::getenv("WEIR_BUILD_ROOT");
  classify::set_compiler_program({std::string(root != nullptr ? root : "build") + "/tests/classify/compile_patterns", {}});
  PipelineConfig config = config_with(rules_of("  - {id: own, in: 12345/7, pattern: 'xyz', then: {labels: [own]}}\n"));
  Core core(config);
  const auto fused = [&core] { return core.pipeline->counters().records_fused.value(); };
  core.receive(v5({1, 2}));
  EXPECT_EQ(fused(), 2u);

  // The same fields, and one more of which nothing is known.
  const lab::Record plain{lab::u32(0x0a000001), lab::u32(0x0a000002), lab::u16(80)};
  const lab::Record own{lab::u32(0x0a000001), lab::u32(0x0a000002), lab::u16(81), lab::text("axyzb...")};
  const auto send = [&](uint32_t sequence) {
    core.receive(lab::IpfixBuilder{}
                     .domain(1)
                     .sequence(sequence)
                     .templates({{.id = 256, .fields = {{8, 4}, {12, 4}, {11, 2}}},
                                 {.id = 257, .fields = {{8, 4}, {12, 4}, {11, 2}, {7, 8, 12345}}}})
                     .data(256, {plain, plain, plain})
                     .data(257, {own, own})
                     .build());
  };
  send(0);
  EXPECT_EQ(fused(), 2u + 3u);
  const auto flows = core.take();
  ASSERT_EQ(flows.at(0).size(), 7u);
  for (const flowpb::FlowMessage& flow : flows.at(0)) {
    EXPECT_EQ(flow.labels_size(), flow.dst_port() == 81 ? 1 : 0);
  }

  config = config_with(nullptr);
  const auto none = config.rules();
  ASSERT_TRUE(none);
  {
    const RoleScope role(control_thread);
    core.pipeline->set_rules(**none);
  }
  {
    const RoleScope role(rx_lcore);
    core.pipeline->poll(1, 1);
  }
  send(5);
  EXPECT_EQ(fused(), 2u + 3u + 5u);
  EXPECT_EQ(core.take().at(0).size(), 5u);
  core.expect_balanced();
}

TEST(Classification, ChangesBetweenBurstsAndKeepsWhatStays) {
  const auto first = rules_of("  - {id: a, when: dst_port == 1, then: {labels: [a]}}\n");
  PipelineConfig config = config_with(first);
  const auto before = config.rules();
  ASSERT_TRUE(before);
  auto made = Pipeline::create(config, *before);
  ASSERT_TRUE(made);
  Core core(config_with(nullptr));
  core.pipeline = std::move(*made);
  core.receive(v5({1}));
  EXPECT_EQ((*before)->stages->totals(0).hits, 1u);

  // Something else changes: the stages, and their counters, go on.
  config.rate_limits.per_exporter = 1000;
  const auto same = config.rules(1, before->get());
  ASSERT_TRUE(same);
  EXPECT_EQ((*same)->stages, (*before)->stages);

  config = config_with(rules_of("  - {id: b, when: dst_port == 1, then: {drop: true}}\n"));
  const auto other = config.rules(1, same->get());
  ASSERT_TRUE(other);
  {
    const RoleScope role(control_thread);
    core.pipeline->set_rules(**other);
  }
  core.receive(v5({1}));  // of the burst that is under way
  EXPECT_EQ(core.drops(RecordDrop::dropped_by_rule), 0u);
  {
    const RoleScope role(rx_lcore);
    core.pipeline->poll(1, 1);
  }
  EXPECT_TRUE(core.pipeline->goes_by(**other));
  core.receive(v5({1}));
  EXPECT_EQ(core.drops(RecordDrop::dropped_by_rule), 1u);
  EXPECT_EQ((*before)->stages->totals(0).hits, 2u);
  core.expect_balanced();
}

/// A sampled packet of UDP that carries this text.
lab::Octets sample_of(std::string_view text) {
  const lab::Octets payload(text.begin(), text.end());
  const lab::Octets frame = lab::udp_frame({.src = "192.0.2.1", .dst = "198.51.100.2", .src_port = 40'000, .dst_port = 9}, payload);
  return lab::SflowBuilder{}.agent("192.0.2.9").flow({.records = {lab::sflow::raw_header(frame, static_cast<uint32_t>(frame.size()), lab::sflow::kHeaderEthernet)}}).build();
}

// Databases, scratch and what leads to them are swapped, and those before freed, while a core scans: each record is of one set or the other.
TEST(Classification, SwapsPatternsUnderLoad) {
  if (classify::pattern_engine().empty()) GTEST_SKIP() << "no Hyperscan in this build";
  const char* const root = std::getenv("WEIR_BUILD_ROOT");
  classify::set_compiler_program({std::string(root != nullptr ? root : "build") + "/tests/classify/compile_patterns", {}});
  constexpr int kSwaps = 12;
  const auto set_of = [](int i) {
    // Where they look differs, too: the middle, the begin, ports.
    const char* const kPatterns[] = {"se[a-c]{1,3}ret", "^.{2,40}secret", "secret$"};
    return rules_of(fmt::format("  - {{id: r{0}, in: payload, pattern: '{1}', then: {{labels: [of-{0}]}}}}\n"
                                "  - {{id: other{0}, in: payload, ports: [9], pattern: 'never.*{0}', then: {{drop: true}}}}\n", i, kPatterns[i % 3]));
  };
  PipelineConfig config = config_with(set_of(0));
  config.batcher.buffers_in_reserve = 2;
  auto rules = config.rules();
  ASSERT_TRUE(rules);
  auto made = Pipeline::create(config, *rules);
  ASSERT_TRUE(made);
  Core core(config_with(nullptr));
  core.pipeline = std::move(*made);
  const lab::Octets datagram = sample_of("some secacbret and a secret");
  std::atomic<bool> is_over = false;
  std::atomic<uint64_t> sent = 0;
  std::thread receiver([&] {
    const RoleScope role(rx_lcore);
    while (!is_over.load()) {
      core.pipeline->poll(1, 1);
      if (!core.pipeline->batcher().has_room()) continue;
      core.pipeline->on_datagram({.payload = datagram, .source = *IpAddress::parse("192.0.2.7"), .source_port = 4000,
                                  .local_port = kPort, .listener = {0}, .received_ns = 1'760'000'000'000'000'000});
      core.pipeline->batcher().seal_all();
      ++sent;
    }
  });
  std::map<std::string, uint64_t> labels;
  uint64_t seen = 0;
  const auto drain = [&] {
    const RoleScope role(control_thread);
    for (outbound::OutboundBatch* batch = nullptr; core.pipeline->batcher().take_sealed(batch);) {
      outbound::read_flows({batch->data, batch->octets}, [&](const flowpb::FlowMessage& flow) {
        ++seen;
        EXPECT_EQ(flow.labels_size(), 1);
        for (const std::string& label : flow.labels()) ++labels[label];
      });
      core.pipeline->batcher().give_back(batch);
    }
  };
  for (int i = 1; i <= kSwaps; ++i) {
    config = config_with(set_of(i));
    auto next = config.rules(1, rules->get());
    ASSERT_TRUE(next);
    {
      const RoleScope role(control_thread);
      core.pipeline->set_rules(**next);
    }
    while (!core.pipeline->goes_by(**next)) drain();
    rules = std::move(next);  // those before go
    for (const uint64_t before = seen; seen < before + 100;) drain();
  }
  is_over = true;
  receiver.join();
  drain();
  // Whatever there was no buffer for is in the books.
  EXPECT_EQ(seen, core.pipeline->ledger().encoded);
  EXPECT_LE(seen, sent.load());
  EXPECT_EQ(labels.size(), size_t{kSwaps + 1});
  core.expect_balanced();
}

// Whoever looks at flows sees what rules said of them.
TEST(Classification, IsSeenByWhoeverLooksAtFlows) {
  Core core(config_with(rules_of("  - {id: x, when: dst_port == 1, then: {labels: [seen]}}\n")));
  TapLane lane{FlowFilter{}};
  TapSet set;
  set.lanes[set.count++] = &lane;
  {
    const RoleScope role(control_thread);
    core.pipeline->set_tap(&set);
  }
  {
    const RoleScope role(rx_lcore);
    core.pipeline->poll(1, 1);
  }
  core.receive(v5({1}));
  const RoleScope role(control_thread);
  TappedFlow flow;
  ASSERT_TRUE(lane.take(flow));
  outbound::read_flows(flow.batch(), [](const flowpb::FlowMessage& f) { EXPECT_EQ(f.labels(0), "seen"); });
}

}  // namespace
}  // namespace weir::dataplane
