// sflow_v5.h — One flow sample of sFlow version 5 → one FlowRecord.
//
// Spec:     sFlow Version 5 (sflow.org, July 2004) §5: flow_sample, flow_sample_expanded and the
//           flow records of enterprise 0; docs/FLOW_MESSAGE.md says what fills which field.
// Runs on:  rx_lcore. Pure: octets in, a record out; keeps nothing.
// Bounds:   kSflowSamplesMax, kSflowRecordsMax; each step consumes at least 8 octets of the sample.
// Failure:  a flow record that makes no sense is counted as a quirk; its siblings are kept.
#pragma once

#include <cstdint>
#include <span>

#include "base/counter.h"
#include "decode/decoder.h"
#include "decode/plan.h"
#include "flow/flow_record.h"

namespace weir::decode {

/// Real agents put 7 to 15 samples into a datagram; more than these are skipped and counted.
inline constexpr uint32_t kSflowSamplesMax = 512;
/// Flow records of one sample that are looked at.
inline constexpr uint32_t kSflowRecordsMax = 32;
/// What one sample may take of the arena: lists and strings at their longest, and their alignment.
inline constexpr uint32_t kSflowArenaOctets = static_cast<uint32_t>(
    (kAsPathMax + kCommunitiesMax + 2 * kLayersMax + 2 * kMplsLabelsMax) * sizeof(uint32_t) +
    kSegmentsMax * sizeof(IpAddress) + 2 * kStringOctetsMax + 64);

/// The expanded forms spell out data source and interfaces in a word more each.
enum class SampleForm : uint8_t { compact, expanded };

struct SampleContext {
  uint64_t received_ns;
  uint64_t default_rate;  // 0: unknown
  Arena& arena;           // with kSflowArenaOctets left
  CounterArray<Quirk>& quirks;
};

/// Fills `record`, which is all zero. False, and nothing is filled, where the sample is too short
/// for its own header.
bool read_flow_sample(std::span<const uint8_t> sample, SampleForm form,
                      const SampleContext& context, FlowRecord& record) noexcept;

}  // namespace weir::decode
