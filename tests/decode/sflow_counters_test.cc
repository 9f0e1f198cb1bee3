// sFlow version 5: counter samples and discarded packets, records of kinds of their own.
#include <gtest/gtest.h>

#include "decode_support.h"
#include "lab/sflow_builder.h"

namespace weir::decode {
namespace {

using namespace lab;
using sflow::words;

constexpr uint32_t kHuge = 0xffff'ffff;

/// As many words as a block of the layout has at least.
Octets block_of(const CounterLayout& layout) {
  Octets octets;
  uint32_t n = 1;
  const auto append_fields = [&](std::span<const CounterField> fields) {
    for (const CounterField& f : fields) {
      switch (f.type) {
        case CounterType::u32:
        case CounterType::i32:
        case CounterType::f32: append(octets, u32(n++)); break;
        case CounterType::u64: append(octets, words({n, n + 1})); break;
        case CounterType::mac: append(octets, zeros(8)); break;
        case CounterType::macs: append(octets, join({u32(1), zeros(8)})); break;
        case CounterType::i32s: append(octets, join({u32(2), u32(n), u32(kHuge)})); break;
        case CounterType::uuid: append(octets, filled(16, 9)); break;
        case CounterType::text: append(octets, sflow::string("name")); break;
      }
    }
  };
  append_fields(layout.fields);
  if (!layout.element.empty()) {
    append(octets, u32(1));
    append_fields(layout.element);
  }
  return octets;
}

TEST(SflowCounters, EveryBlockIsFoundByItsFormat) {
  for (const CounterLayout& layout : kCounterLayouts) {
    SCOPED_TRACE(layout.format);
    Bench b;
    ASSERT_TRUE(b.send(SflowBuilder{}
                           .agent("192.0.2.9")
                           .sub_agent(3)
                           .uptime_ms(77)
                           .counters({.sequence = 5,
                                      .source_class = 2,
                                      .source_index = 1000,
                                      .blocks = {{layout.format, block_of(layout)}}})
                           .build()));
    ASSERT_EQ(b.sink.counters.size(), 1u);
    const KeptCounters& c = b.sink.counters[0];
    EXPECT_EQ(c.header.sampler_address.to_string(), "192.0.2.9");
    EXPECT_EQ(c.header.sub_agent_id, 3u);
    EXPECT_EQ(c.origin.agent_uptime_ms, 77u);
    EXPECT_EQ(c.origin.sequence, 5u);
    EXPECT_EQ(c.origin.source_class, 2u);
    EXPECT_EQ(c.origin.source_index, 1000u);
    ASSERT_EQ(c.blocks.size(), 1u);
    EXPECT_EQ(c.blocks[0].layout, &layout);
    EXPECT_EQ(c.blocks[0].enterprise, layout.format >> 12);
    EXPECT_EQ(c.blocks[0].format, layout.format & 0xfff);
    EXPECT_EQ(c.blocks[0].octets, block_of(layout));
    EXPECT_EQ(b.decoder->counters().quirks.total(), 0u);
    EXPECT_EQ(b.records(), 0u) << "it is no flow";
  }
}

TEST(SflowCounters, TheExpandedFormHasAWholeWordOfIndex) {
  Bench b;
  b.send(SflowBuilder{}.expanded_counters({.source_index = 0x8000'0001}).build());
  ASSERT_EQ(b.sink.counters.size(), 1u);
  EXPECT_EQ(b.sink.counters[0].origin.source_index, 0x8000'0001u);
  EXPECT_TRUE(b.sink.counters[0].blocks.empty());
}

TEST(SflowCounters, UnknownBlocksAreKeptAsTheyCame) {
  Bench b;
  b.send(
      SflowBuilder{}.counters({.blocks = {{4413u << 12 | 9, filled(12, 1)}, {3999, {}}}}).build());
  ASSERT_EQ(b.sink.counters.size(), 1u);
  const auto& blocks = b.sink.counters[0].blocks;
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0].layout, nullptr);
  EXPECT_EQ(blocks[0].enterprise, 4413u);
  EXPECT_EQ(blocks[0].format, 9u);
  EXPECT_EQ(blocks[0].octets, filled(12, 1));
  EXPECT_EQ(blocks[1].format, 3999u);
  EXPECT_EQ(b.quirk(Quirk::unknown_counter_block), 2u);
}

TEST(SflowCounters, ABlockThatComesTwiceIsKeptButQueuesAreMany) {
  const sflow::FlowRecord interface { 1, zeros(88) };
  const sflow::FlowRecord queue{1003, zeros(52)};
  Bench b;
  b.send(SflowBuilder{}.counters({.blocks = {interface, queue, queue, interface}}).build());
  const auto& blocks = b.sink.counters.at(0).blocks;
  ASSERT_EQ(blocks.size(), 4u);
  EXPECT_NE(blocks[0].layout, nullptr);
  EXPECT_NE(blocks[1].layout, nullptr);
  EXPECT_EQ(blocks[1].layout, blocks[2].layout);
  EXPECT_EQ(blocks[3].layout, nullptr);
  EXPECT_EQ(b.quirk(Quirk::repeated_element), 1u);
}

TEST(SflowCounters, ABlockThatIsCutShortIsKeptAsItCame) {
  for (const CounterLayout& layout : kCounterLayouts) {
    const Octets whole = block_of(layout);
    for (size_t n = 0; n < whole.size(); n += 4) {
      SCOPED_TRACE(testing::Message() << layout.format << ", " << n << " octets");
      const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
      const sflow::FlowRecord sibling{1002, words({1, 2, 3})};
      if (layout.format == sibling.type) continue;
      Bench b;
      b.send(SflowBuilder{}.counters({.blocks = {{layout.format, cut}, sibling}}).build());
      const auto& blocks = b.sink.counters.at(0).blocks;
      ASSERT_EQ(blocks.size(), 2u);
      EXPECT_EQ(blocks[0].octets, cut);
      // What only newer agents send may be missing.
      if (layout.fields.size() == layout.required || n < 4 * layout.required) {
        EXPECT_EQ(blocks[0].layout, nullptr);
        EXPECT_EQ(b.quirk(Quirk::truncated_record), 1u);
      }
      EXPECT_NE(blocks[1].layout, nullptr) << "its sibling is read";
    }
  }
}

TEST(SflowCounters, WhatABlockHasBeyondItsLayoutIsKeptWithIt) {
  Bench b;
  b.send(SflowBuilder{}.counters({.blocks = {{5, zeros(28 + 8)}}}).build());
  const auto& blocks = b.sink.counters.at(0).blocks;
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_NE(blocks[0].layout, nullptr);
  EXPECT_EQ(blocks[1].layout, nullptr);
  EXPECT_EQ(blocks[1].octets.size(), 36u);
}

TEST(SflowCounters, HostileLengthsAndCountsAreBounded) {
  struct Case {
    const char* name;
    SflowCounterSample sample;
    size_t blocks;
  };
  const Case cases[] = {
      {"count of blocks", {.block_count = kHuge}, 0},
      {"length of a block", {.blocks = {{1, zeros(88), kHuge}}}, 0},
      {"length of a text", {.blocks = {{1005, words({kHuge, 1})}}}, 1},
      {"adapters", {.blocks = {{2001, words({kHuge, 1, 0})}}}, 1},
      {"MACs of an adapter", {.blocks = {{2001, words({1, 1, kHuge})}}}, 1},
      {"MACs whose octets wrap", {.blocks = {{2001, words({1, 1, 0x2000'0000})}}}, 1},
      {"lanes", {.blocks = {{10, words({1, 1, 1, 1, kHuge})}}}, 1},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Bench b;
    EXPECT_TRUE(b.send(SflowBuilder{}.counters(c.sample).counters({}).build()));
    ASSERT_EQ(b.sink.counters.size(), 2u) << "its sibling is kept";
    ASSERT_EQ(b.sink.counters[0].blocks.size(), c.blocks);
    if (c.blocks != 0) {
      EXPECT_EQ(b.sink.counters[0].blocks[0].layout, nullptr);
    }
  }
}

TEST(SflowCounters, BlocksBeyondTheLimitAreCounted) {
  SflowCounterSample s;
  s.blocks.assign(kCounterBlocksMax, {1003, zeros(52)});
  Bench b;
  b.send(SflowBuilder{}.counters(s).build());
  EXPECT_EQ(b.sink.counters.at(0).blocks.size(), kCounterBlocksMax / 2);
  EXPECT_EQ(b.quirk(Quirk::count_mismatch), 1u);
}

TEST(SflowCounters, ASampleTooShortForItsHeaderIsSkipped) {
  Bench b;
  b.send(SflowBuilder{}.sample(2, zeros(8)).sample(4, zeros(12)).sample(5, zeros(28)).build());
  EXPECT_TRUE(b.sink.counters.empty());
  EXPECT_TRUE(b.sink.discards.empty());
  EXPECT_EQ(b.outcome(SetOutcome::skipped_bad_length), 3u);
}

TEST(SflowCounters, EveryTruncationIsTolerated) {
  SflowCounterSample all;
  for (const CounterLayout& layout : kCounterLayouts) {
    all.blocks.push_back({layout.format, block_of(layout)});
  }
  expect_truncations_tolerated(SflowBuilder{}.counters(all).expanded_counters(all).build());
}

// ---- discarded packets ----

SflowDiscardSample discarded() {
  const Octets frame =
      ethernet(kEtherTypeIpv4, udp_packet({"192.0.2.1", "198.51.100.2", 1000, 53}, zeros(8)));
  return {.sequence = 9,
          .source_class = 0,
          .source_index = 12,
          .drops = 40,
          .input = 3,
          .output = 0,
          .reason = 258,
          .records = {sflow::raw_header(frame, 1518), {1037, filled(12, 4)}}};
}

TEST(SflowDiscards, TellThePacketAndWhy) {
  Bench b;
  ASSERT_TRUE(b.send(SflowBuilder{}.sub_agent(4).sequence(77).discard(discarded()).build()));
  EXPECT_EQ(b.records(), 0u) << "it is no flow";
  ASSERT_EQ(b.sink.discards.size(), 1u);
  const KeptDiscard& d = b.sink.discards[0];
  EXPECT_EQ(d.reason, 258u);
  EXPECT_EQ(d.drops, 40u);
  EXPECT_EQ(d.origin.sequence, 9u);
  EXPECT_EQ(d.origin.source_index, 12u);
  EXPECT_EQ(d.packet.header.sub_agent_id, 4u);
  EXPECT_EQ(d.packet.header.sequence_num, 77u);
  const FlowRecord& r = d.packet.record;
  EXPECT_EQ(r.src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(r.dst_port, 53u);
  EXPECT_EQ(r.bytes, 1518u);
  EXPECT_EQ(r.packets, 1u);
  EXPECT_EQ(r.in_if, 3u);
  EXPECT_EQ(r.out_if, 0u);
  EXPECT_EQ(r.source_id, 12u);
  EXPECT_EQ(r.forwarding_status, 129u);
  EXPECT_EQ(r.sampling_rate, 0u) << "it was not sampled";
  EXPECT_EQ(r.time_flow_end_ns, kNow);
  EXPECT_EQ(d.packet.unmapped(), (std::vector<Unmapped>{{0, 1037, std::string(12, 4)}}));
  EXPECT_EQ(d.packet.numbers(r.layer_stack), (std::vector<uint32_t>{0, 1, 4}));
}

TEST(SflowDiscards, DoNotDisturbTheFlowsAboutThem) {
  SflowBuilder m;
  for (uint32_t i = 0; i < 100; ++i) {
    m.flow({.source_index = i, .records = discarded().records});
    m.discard(discarded());
  }
  Bench b;
  b.send(m.build());
  ASSERT_EQ(b.records(), 100u);
  ASSERT_EQ(b.sink.discards.size(), 100u);
  for (uint32_t i = 0; i < 100; ++i) {
    EXPECT_EQ(b.record(i).source_id, i);
    EXPECT_EQ(b.kept(i).numbers(b.record(i).layer_stack), (std::vector<uint32_t>{0, 1, 4}));
    EXPECT_EQ(b.sink.discards[i].packet.record.dst_port, 53u);
  }
}

TEST(SflowDiscards, ReasonsAreForwardingStatuses) {
  const std::pair<uint32_t, uint32_t> cases[] = {{0, 131},   {4, 133},   {13, 129},  {257, 137},
                                                 {260, 139}, {261, 138}, {279, 132}, {302, 140},
                                                 {269, 131}, {256, 128}, {9999, 128}};
  for (const auto& [reason, status] : cases) {
    SCOPED_TRACE(reason);
    SflowDiscardSample s = discarded();
    s.reason = reason;
    Bench b;
    b.send(SflowBuilder{}.discard(s).build());
    EXPECT_EQ(b.sink.discards.at(0).reason, reason);
    EXPECT_EQ(b.sink.discards[0].packet.record.forwarding_status, status);
  }
}

TEST(SflowDiscards, EveryTruncationIsToleratedAndCountsAreBounded) {
  expect_truncations_tolerated(SflowBuilder{}.discard(discarded()).discard(discarded()).build());
  SflowDiscardSample s = discarded();
  s.record_count = kHuge;
  Bench b;
  b.send(SflowBuilder{}.discard(s).discard(discarded()).build());
  EXPECT_EQ(b.sink.discards.size(), 2u);
}

}  // namespace
}  // namespace weir::decode
