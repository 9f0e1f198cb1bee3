// sflow_samples.h — What sFlow tells beside flows: a counter sample, a discarded packet.
//
// Spec:     sFlow Version 5 §5 (counters_sample), sflow_drops.txt (discarded_packet).
// Bounds:   kCounterBlocksMax blocks a sample.
//
// Spans lie in the datagram; all is valid until the call that it is given to returns.
#pragma once

#include <cstdint>
#include <span>

#include "flow/counter_layouts.h"
#include "flow/export_header.h"

namespace weir {

inline constexpr size_t kCounterBlocksMax = 64;

/// Where and when a sample was taken.
struct SampleOrigin {
  uint32_t sequence = 0;      // the data source's
  uint32_t source_class = 0;  // 0 interface, 1 VLAN, 2 physical entity, 3 logical entity
  uint32_t source_index = 0;
  uint32_t agent_uptime_ms = 0;
};

/// A block of counters. One with a layout has been walked by it to its end.
struct CounterBlock {
  const CounterLayout* layout = nullptr;  // null: not known, repeated or cut off
  uint32_t enterprise = 0;
  uint32_t format = 0;
  std::span<const uint8_t> octets;
};

struct SflowCounters {
  const ExportHeader& header;
  ListenerId listener;
  SampleOrigin origin;
  std::span<const CounterBlock> blocks;
};

struct SflowDiscard {
  const ExportHeader& header;
  ListenerId listener;
  SampleOrigin origin;
  uint32_t reason = 0;
  uint32_t drops = 0;  // that the agent could not tell of, since it was last reset
  const FlowRecord& packet;
  const uint8_t* arena = nullptr;  // kArenaOctets, what the packet's ArenaRefs point into
};

}  // namespace weir
