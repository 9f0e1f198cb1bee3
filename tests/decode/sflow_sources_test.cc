// What each sFlow data source says of its own sampling: lost samples, pool, drops.
#include "decode/sflow_sources.h"

#include <gtest/gtest.h>

#include "decode_support.h"
#include "lab/sflow_builder.h"

namespace weir::decode {
namespace {

using namespace lab;

constexpr uint64_t kMs = 1'000'000;

/// One exporter's samples, one a datagram, a millisecond apart.
struct Source {
  Bench bench;
  uint64_t at_ns = kNow;
  uint32_t datagram = 0;

  void flow(const SflowFlowSample& s) {
    bench.send(SflowBuilder{}.sequence(++datagram).flow(s).build(), {.at_ns = at_ns += kMs});
  }
  void later(uint64_t ms) { at_ns += ms * kMs; }
};

TEST(SflowSources, PoolAndSamplesGiveTheTrueRate) {
  Source s;
  for (uint32_t i = 0; i < 10; ++i) {
    s.flow({.sequence = 100 + i, .sampling_rate = 1000, .pool = 5000 + 1100 * i, .drops = 3 + i});
  }
  const ExporterStats stats = s.bench.exporter();
  EXPECT_EQ(stats.samples_taken, 9u) << "since the first";
  EXPECT_EQ(stats.sample_pool, 9u * 1100);
  EXPECT_EQ(stats.samples_dropped, 9u);
  EXPECT_EQ(stats.samples_lost, 0u);
  EXPECT_EQ(s.bench.record(5).sampling_rate, 1000u) << "a record's rate is its sample's";
  EXPECT_EQ(s.bench.decoder->counters().samples_dropped.value(), 9u);
}

TEST(SflowSources, SamplesThatNeverComeAreLost) {
  Source s;
  s.flow({.sequence = 1});
  s.flow({.sequence = 5, .pool = 400});
  EXPECT_EQ(s.bench.exporter().samples_lost, 0u) << "they may be late";
  s.later(3000);
  s.flow({.sequence = 6, .pool = 500});
  EXPECT_EQ(s.bench.exporter().samples_lost, 3u);
  EXPECT_EQ(s.bench.exporter().samples_taken, 5u) << "lost ones were taken too";
  EXPECT_EQ(s.bench.exporter().sample_pool, 500u);
  EXPECT_EQ(s.bench.exporter().sequence_lost, 0u) << "no datagram is missing";
}

TEST(SflowSources, LateSamplesAreNotLost) {
  Source s;
  for (const uint32_t sequence : {1u, 4u, 2u, 3u, 5u}) s.flow({.sequence = sequence});
  s.later(3000);
  s.flow({.sequence = 6});
  EXPECT_EQ(s.bench.exporter().samples_lost, 0u);
}

TEST(SflowSources, ARestartLosesNothing) {
  Source s;
  s.flow({.sequence = 500'000, .pool = 4'000'000'000, .drops = 7});
  s.flow({.sequence = 1, .pool = 100, .drops = 0});
  s.later(3000);
  s.flow({.sequence = 2, .pool = 200, .drops = 1});
  const ExporterStats stats = s.bench.exporter();
  EXPECT_EQ(stats.samples_lost, 0u);
  EXPECT_EQ(stats.sample_pool, 100u);
  EXPECT_EQ(stats.samples_dropped, 1u);
}

TEST(SflowSources, CountersThatWrapGoOn) {
  Source s;
  s.flow({.sequence = 0xffff'ffff, .pool = 0xffff'fff0, .drops = 0xffff'ffff});
  s.flow({.sequence = 0, .pool = 0x10, .drops = 0});
  EXPECT_EQ(s.bench.exporter().samples_taken, 1u);
  EXPECT_EQ(s.bench.exporter().sample_pool, 0x20u);
  EXPECT_EQ(s.bench.exporter().samples_dropped, 1u);
}

TEST(SflowSources, EachSourceAndKindHasASequenceOfItsOwn) {
  Source s;
  for (uint32_t i = 0; i < 4; ++i) {
    s.bench.send(SflowBuilder{}
                     .sequence(++s.datagram)
                     .flow({.sequence = 10 + i, .source_index = 1})
                     .flow({.sequence = 900 + i, .source_index = 2})
                     .flow({.sequence = 70'000 + i, .source_class = 1, .source_index = 1})
                     .counters({.sequence = 5 + i, .source_index = 1})
                     .discard({.sequence = 40 + i, .source_index = 1})
                     .build(),
                 {.at_ns = s.at_ns += kMs});
  }
  s.later(3000);
  s.flow({.sequence = 14, .source_index = 1});
  EXPECT_EQ(s.bench.exporter().samples_lost, 0u);
  EXPECT_EQ(s.bench.exporter().samples_taken, 3u * 3 + 1) << "of flow samples only";
}

TEST(SflowSources, AnAgentThatDoesNotCountLosesNothing) {
  Source s;
  for (uint32_t i = 0; i < 10; ++i) s.flow({.sequence = 0, .pool = 0});
  s.later(3000);
  s.flow({.sequence = 0});
  EXPECT_EQ(s.bench.exporter().samples_lost, 0u);
  EXPECT_EQ(s.bench.exporter().samples_taken, 0u);
}

TEST(SflowSources, AFullTableKeepsThoseAtWork) {
  SflowSourceTable table;
  ASSERT_TRUE(table.reserve());
  const auto key = [](uint64_t i) {
    return sflow_source_key(i, SflowSampleKind::flow, 0, static_cast<uint32_t>(i));
  };
  uint64_t untracked = 0;
  constexpr uint64_t kSources = 4 * kSflowSourcesMax;
  for (uint64_t i = 0; i < kSources; ++i)
    untracked += !table.observe(key(i), {1, 0, 0, kNow}).tracked;
  EXPECT_GE(untracked, kSources - kSflowSourcesMax);
  // The first is still known: its next sample follows.
  EXPECT_EQ(table.observe(key(0), {2, 0, 0, kNow + kMs}).taken, 1u);
  // Once they have been silent for long, newcomers take their places.
  EXPECT_TRUE(table.observe(key(kSources), {1, 0, 0, kNow + 11'000 * kMs}).tracked);
}

TEST(SflowSources, AFullSetIsCountedAsUntracked) {
  Bench b;
  SflowBuilder m;
  for (uint32_t i = 0; i < 500; ++i) m.counters({.source_index = i});
  for (uint32_t sub_agent = 0; sub_agent < 200; ++sub_agent) {
    SflowBuilder copy = m;
    b.send(copy.sub_agent(sub_agent).build());
  }
  EXPECT_EQ(b.sink.counters.size(), 100'000u) << "decoded all the same";
  EXPECT_GT(b.quirk(Quirk::sequence_untracked), 100'000u - kSflowSourcesMax);
}

}  // namespace
}  // namespace weir::decode
