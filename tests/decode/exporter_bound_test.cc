// How many exporters there may be is said anew while they send.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "decode/intrusive.h"
#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;
using ::testing::ElementsAre;

constexpr uint64_t kSecond = 1'000'000'000;

class ExporterBound : public ::testing::Test {
 protected:
  void make(uint32_t exporters_max, uint32_t exporters_room) {
    DecoderConfig config = Bench::default_config();
    config.limits.exporters_max = exporters_max;
    config.limits.exporters_room = exporters_room;
    bench_ = std::make_unique<Bench>(config);
  }
  void bound(uint32_t exporters_max) {
    rules_.push_back(std::make_unique<DecoderRules>());  // what went before is referred to until an exporter is heard of
    rules_.back()->listeners.resize(1);
    rules_.back()->exporters_max = exporters_max;
    bench_->decoder->set_rules(*rules_.back());
  }
  static Bench::From from(uint32_t exporter, uint64_t after_s) {
    return {.source = IpAddress::from_v4(0x0A00'0000 + exporter), .at_ns = kNow + after_s * kSecond};
  }
  static NetflowV9Builder v9() { return NetflowV9Builder{}.unix_secs(kNowSecs).source_id(1); }
  bool templates(uint32_t exporter, uint64_t after_s = 0) {
    return bench_->send(v9().templates({{.id = 256, .fields = {{1, 4}}}}).build(), from(exporter, after_s));
  }
  bool data(uint32_t exporter, uint64_t after_s = 0) {
    return bench_->send(v9().data(256, {{u32(7)}}).build(), from(exporter, after_s));
  }
  void tick(uint64_t after_s) { bench_->decoder->tick(kNow + after_s * kSecond); }
  uint64_t exporters() const { return bench_->decoder->counters().exporters.value(); }
  uint64_t forgotten(ExporterEnd why) const { return bench_->decoder->counters().exporters_forgotten[why].value(); }
  uint64_t refused() const { return bench_->error(DatagramError::exporter_table_full); }
  /// The numbers of those that are there.
  std::vector<uint32_t> who() const {
    std::vector<ExporterStats> rows(1000);
    uint32_t cursor = 0;
    rows.resize(bench_->decoder->copy_exporters(cursor, rows));
    std::vector<uint32_t> numbers;
    for (const ExporterStats& row : rows) numbers.push_back(row.address.octets[15]);
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  }

  std::unique_ptr<Bench> bench_;
  std::vector<std::unique_ptr<DecoderRules>> rules_;
};

TEST_F(ExporterBound, RaisedItLetsNewcomersInAndNobodyForgetsAnything) {
  make(2, 600);
  EXPECT_TRUE(templates(1));
  EXPECT_TRUE(templates(2));
  EXPECT_FALSE(templates(3));
  EXPECT_EQ(refused(), 1u);
  bound(500);
  for (uint32_t e = 3; e <= 500; ++e) ASSERT_TRUE(templates(e)) << e;
  EXPECT_FALSE(templates(501));
  for (uint32_t e = 1; e <= 500; ++e) ASSERT_TRUE(data(e)) << e;
  EXPECT_EQ(bench_->records(), 500u) << "each by its own template";
  EXPECT_EQ(exporters(), 500u);
}

TEST_F(ExporterBound, GoesUpToTheRoomThatWasReserved) {
  make(2, 4);
  bound(1000);
  for (uint32_t e = 1; e <= 6; ++e) EXPECT_EQ(templates(e), e <= 4) << e;
  make(3, 0);
  bound(1000);
  for (uint32_t e = 1; e <= 6; ++e) EXPECT_EQ(templates(e), e <= 3) << e;
}

TEST_F(ExporterBound, LoweredItIsMetByThoseThatAreSilentNewcomersFirst) {
  make(8, 8);
  for (const uint32_t e : {1u, 2u, 3u, 4u}) templates(e);  // heard of for long
  for (const uint32_t e : {1u, 2u, 3u, 4u}) data(e, 70 + e);
  for (const uint32_t e : {5u, 6u, 7u, 8u}) templates(e, 75 + e);  // the last at 83 s
  bound(3);
  tick(84);
  EXPECT_EQ(exporters(), 8u) << "all are at work";
  EXPECT_FALSE(templates(9, 84)) << "nobody new meanwhile";
  tick(91);  // 5 and 6 were heard of at 80 and 81
  EXPECT_THAT(who(), ElementsAre(1, 2, 3, 4, 7, 8));
  EXPECT_TRUE(data(8, 92));
  tick(95);
  EXPECT_THAT(who(), ElementsAre(1, 2, 3, 4, 8)) << "who was heard of for long is not silent for long enough";
  tick(131);
  EXPECT_THAT(who(), ElementsAre(2, 3, 4)) << "8 was a newcomer, and 1 is silent longest";
  tick(1000);
  EXPECT_THAT(who(), ElementsAre(2, 3, 4)) << "no more than has to go";
  EXPECT_EQ(forgotten(ExporterEnd::bound_lowered), 5u);
  EXPECT_EQ(forgotten(ExporterEnd::made_room), 0u);
  EXPECT_EQ(bench_->event(TemplateEvent::expired), 5u);
  EXPECT_EQ(bench_->event(TemplateEvent::evicted), 0u) << "nobody has to raise max_templates";
  EXPECT_TRUE(data(3, 1000));
  EXPECT_EQ(bench_->records(), 6u) << "with the template that it had";
  EXPECT_FALSE(templates(1, 1000)) << "there is no place, and nobody was silent for an hour";
}

TEST_F(ExporterBound, NobodyAtWorkIsForgottenHoweverLowItIs) {
  make(100, 100);
  for (uint32_t e = 1; e <= 100; ++e) templates(e);
  bound(1);
  for (uint64_t s = 1; s <= 200; ++s) {
    for (uint32_t e = 1; e <= 100; ++e) {
      if (s % 9 != e % 9) continue;
      ASSERT_TRUE(data(e, s)) << e << " after " << s;
    }
    tick(s);
  }
  EXPECT_EQ(exporters(), 100u);
  EXPECT_EQ(refused(), 0u);
  for (uint64_t s = 200; s < 300; ++s) tick(s);
  EXPECT_EQ(exporters(), 1u);
  EXPECT_EQ(forgotten(ExporterEnd::bound_lowered), 99u);
}

TEST_F(ExporterBound, WhatWaitedOfWhoIsForgottenIsCounted) {
  make(2, 2);
  data(1);
  data(2, 5);
  EXPECT_EQ(bench_->outcome(SetOutcome::waiting_for_template), 2u);
  bound(1);
  tick(11);
  EXPECT_THAT(who(), ElementsAre(2));
  EXPECT_EQ(bench_->outcome(SetOutcome::expired), 1u);
  EXPECT_EQ(bench_->outcome(SetOutcome::waiting_for_template), 1u);
  EXPECT_EQ(ledger_error(bench_->decoder->counters()), "");
}

TEST_F(ExporterBound, LoweredAndRaisedAgainEveryPlaceIsUsed) {
  make(50, 50);
  for (uint32_t round = 0; round < 20; ++round) {
    const uint64_t at = round * uint64_t{1000};
    bound(50);
    for (uint32_t e = 1; e <= 50; ++e) ASSERT_TRUE(templates(e + 60 * (round % 3), at)) << e;
    bound(5);
    for (uint64_t s = 0; s < 100; ++s) tick(at + s);
    ASSERT_EQ(exporters(), 5u);
    bound(1);
    for (uint64_t s = 100; s < 200; ++s) tick(at + s);
    ASSERT_EQ(exporters(), 1u);
  }
}

TEST_F(ExporterBound, WhoMadeRoomIsCounted) {
  make(1, 1);
  templates(1);
  EXPECT_TRUE(templates(2, 11));
  EXPECT_EQ(forgotten(ExporterEnd::made_room), 1u);
  EXPECT_EQ(forgotten(ExporterEnd::bound_lowered), 0u);
}

struct Node {
  uint64_t hash = 0;
  Node* hash_next = nullptr;
};

TEST(HashChains, FindEveryNodeWhileTheyGrow) {
  constexpr size_t kBucketsMax = 4096;
  HashChains<Node> chains;
  ASSERT_TRUE(chains.reserve(16, kBucketsMax));
  std::mt19937_64 random(7);
  std::vector<Node> nodes(3 * kBucketsMax);
  std::vector<Node*> there;
  const auto find = [&](const Node& node) {
    return chains.find(node.hash, [&](const Node& other) { return &other == &node; });
  };
  for (Node& node : nodes) {
    node.hash = random() % 5 == 0 ? random() % 64 : random();
    const size_t before = chains.buckets();
    chains.insert(&node);
    there.push_back(&node);
    ASSERT_LE(chains.buckets() - before, 2u) << "no insert pays for more";
    ASSERT_GE(chains.buckets(), std::min(2 * there.size(), kBucketsMax) - 1);
    if (random() % 4 == 0) {
      const size_t at = random() % there.size();
      chains.erase(there[at]);
      ASSERT_EQ(find(*there[at]), nullptr);
      there[at] = there.back();
      there.pop_back();
    }
    ASSERT_TRUE(there.empty() || find(*there[random() % there.size()]) != nullptr);
    if ((chains.buckets() & (chains.buckets() - 1)) != 0 && random() % 1024 != 0) continue;
    for (const Node* n : there) ASSERT_EQ(find(*n), n) << chains.buckets();
  }
  EXPECT_EQ(chains.buckets(), kBucketsMax);
}

TEST(HashChains, StayAsTheyAreWhereTheyMayNotGrow) {
  HashChains<Node> chains;
  ASSERT_TRUE(chains.reserve(16));
  std::vector<Node> nodes(1000);
  for (size_t i = 0; i < nodes.size(); ++i) {
    nodes[i].hash = i;
    chains.insert(&nodes[i]);
  }
  EXPECT_EQ(chains.buckets(), 16u);
  for (const Node& node : nodes)
    EXPECT_EQ(chains.find(node.hash, [](const Node&) { return true; }), &node);
}

}  // namespace
}  // namespace weir::decode
