// sflow_v5.h — The samples of sFlow version 5, read: of a flow, of counters, of a discarded packet.
//
// Spec:     sFlow Version 5 (sflow.org, July 2004) §5; sflow_drops.txt (discarded packets);
//           docs/FLOW_MESSAGE.md says what fills which field.
// Runs on:  rx_lcore. Pure: octets in, a record out; keeps nothing.
// Bounds:   ListenerRules::samples_per_datagram_max, kSflowRecordsMax, kCounterBlocksMax; each step
//           consumes at least 8 octets of the sample.
// Failure:  a flow record that makes no sense is counted as a quirk; its siblings are kept.
#pragma once

#include <cstdint>
#include <span>

#include "base/byte_order.h"
#include "base/counter.h"
#include "decode/decoder.h"
#include "decode/plan.h"
#include "flow/flow_record.h"
#include "flow/sflow_samples.h"

namespace weir::decode {

/// Flow records of one sample that are looked at.
inline constexpr uint32_t kSflowRecordsMax = 32;
/// What one sample may take of the arena: lists, strings and what has no column at their longest,
/// and their alignment.
inline constexpr uint32_t kSflowArenaOctets = static_cast<uint32_t>(
    (kAsPathMax + kCommunitiesMax + 2 * kLayersMax + 2 * kMplsLabelsMax) * sizeof(uint32_t) +
    kSegmentsMax * sizeof(IpAddress) + 2 * kStringOctetsMax + kUnmappedOctetsMax + 64);

/// The expanded forms spell out data source and interfaces in a word more each.
enum class SampleForm : uint8_t { compact, expanded };

struct SampleContext {
  uint64_t received_ns;
  uint64_t default_rate;  // 0: unknown
  Arena& arena;           // with kSflowArenaOctets left
  QuirkBook& quirks;
};

/// What a sample says of its data source.
struct SourceReport {
  uint32_t sequence = 0;
  uint32_t source_class = 0;
  uint32_t source_index = 0;
  uint32_t pool = 0;   // packets that could have been sampled so far
  uint32_t drops = 0;  // samples, or discards, that the agent could not tell of so far
};

/// What precedes all else in a sample: sequence and source.
constexpr size_t source_octets(SampleForm form) noexcept {
  return form == SampleForm::expanded ? 12 : 8;
}
inline SourceReport peek_source(std::span<const uint8_t> sample, SampleForm form) noexcept {
  const uint8_t* p = sample.data();
  const uint32_t first = load_be32(p + 4);
  SourceReport source{.sequence = load_be32(p)};
  source.source_class = form == SampleForm::expanded ? first : first >> 24;
  source.source_index = form == SampleForm::expanded ? load_be32(p + 8) : first & 0xff'ffff;
  return source;
}

/// Fills `record`, which is all zero. False, and nothing is filled, where the sample is too short
/// for its own header.
bool read_flow_sample(std::span<const uint8_t> sample, SampleForm form,
                      const SampleContext& context, SourceReport& source,
                      FlowRecord& record) noexcept;

/// Likewise, with the discarded packet in `record`.
bool read_discard_sample(std::span<const uint8_t> sample, const SampleContext& context,
                         SourceReport& source, uint32_t& reason, FlowRecord& record) noexcept;

/// Finds the sample's blocks; `room` has kCounterBlocksMax. False where it is too short for its own
/// header.
bool read_counter_sample(std::span<const uint8_t> sample, SampleForm form,
                         QuirkBook& quirks, SourceReport& source,
                         std::span<CounterBlock> room, size_t& blocks) noexcept;

}  // namespace weir::decode
