// sflow_sources.h — What each sFlow data source said of itself: which of its samples never came, how
// many packets it chose from, and how many samples its agent had to drop.
//
// Spec:     sFlow Version 5 §5: sequence_number, sample_pool and drops of flow_sample.
// Runs on:  rx_lcore.
// Owns:     a table of kSflowSourcesMax entries, reserved when the decoder is made.
// Bounds:   kSourcesPerSet places a source may take; all taken by sources that are at work: it is not
//           tracked. A gap stays open for late samples for kGapHoldMs, then it is lost.
#pragma once

#include <cstdint>

#include "decode/slab.h"

namespace weir::decode {

inline constexpr uint32_t kSflowSourcesMax = 1u << 16;  // 2 MiB, touched as sources come

/// One data source's samples of one kind, as a seeded hash: two that share it would be muddled, which
/// cannot be brought about from outside.
struct SflowSourceKey {
  uint64_t hash;
};
enum class SflowSampleKind : uint8_t { flow, counters, discard };
SflowSourceKey sflow_source_key(uint64_t domain_hash, SflowSampleKind kind, uint32_t source_class,
                                uint32_t source_index) noexcept;

class SflowSourceTable {
 public:
  [[nodiscard]] bool reserve() noexcept;

  struct Sample {
    uint32_t sequence;
    uint32_t pool;
    uint32_t drops;
    uint64_t received_ns;
  };
  /// What became known by a sample.
  struct News {
    uint64_t taken = 0;    // samples that the source has taken since, lost ones too
    uint64_t lost = 0;     // of them, for good
    uint64_t pool = 0;     // packets that they were chosen from
    uint64_t dropped = 0;  // by the agent
    bool tracked = true;
  };
  News observe(SflowSourceKey key, const Sample& sample) noexcept;

  /// The entry will be looked at soon.
  void prefetch(SflowSourceKey key) const noexcept { __builtin_prefetch(set_of(key), 1); }

 private:
  static constexpr uint32_t kSourcesPerSet = 4;
  static constexpr uint32_t kSets = kSflowSourcesMax / kSourcesPerSet;

  struct Entry {
    uint64_t key;  // 0: free
    uint32_t expected;
    uint16_t missing;   // samples that may be late
    uint16_t is_known;  // 0: no sample has come yet
    uint32_t gap_ms;    // when the first of them was missed
    uint32_t seen_ms;
    uint32_t pool;
    uint32_t drops;
  };
  static_assert(sizeof(Entry) == 32);

  Entry* set_of(SflowSourceKey key) const noexcept {
    return static_cast<Entry*>(static_cast<void*>(memory_.data())) +
           key.hash % kSets * kSourcesPerSet;
  }
  Entry* find_or_add(SflowSourceKey key, uint32_t now_ms) noexcept;

  Reservation memory_;
};

}  // namespace weir::decode
