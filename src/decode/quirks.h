// quirks.h — What exporters do that the standards do not foresee; tolerated, and counted by core and by exporter.
//
// Runs on:  rx_lcore. Pure.
// Bounds:   an exporter's counts stop at the most that they can hold; a core's do not end.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include "base/counter.h"
#include "base/named_enum.h"

namespace weir::decode {

// clang-format off
#define WEIR_QUIRKS(X)                                                                 \
  X(trailing_octets) X(zero_filled_tail) X(nonzero_padding) X(long_padding)            \
  X(set_of_other_version) X(repeated_element) X(odd_width) X(zero_length_field)        \
  X(variable_length_in_v9) X(count_mismatch) X(template_not_decodable)                 \
  X(template_redefined) X(template_conflict) X(scope_split_by_port)                    \
  X(implausible_time) X(arena_overflow) X(truncated_record) X(unknown_flow_record)     \
  X(sequence_untracked) X(opaque_list) X(implausible_clock) X(implausible_rate)        \
  X(sampling_interval_overflow) X(unknown_counter_block) X(record_limit)
// clang-format on
WEIR_NAMED_ENUM(Quirk, uint8_t, WEIR_QUIRKS)

/// Of one exporter: not counters, for they are copied as the rest of what is told of it.
using QuirkCounts = std::array<uint32_t, static_cast<size_t>(Quirk::count_)>;

/// Notes quirks for the core, and for the exporter whose datagram is under way.
class QuirkBook {
 public:
  explicit QuirkBook(CounterArray<Quirk>& core) noexcept : core_(core) {}
  QuirkBook(const QuirkBook&) = delete;
  QuirkBook& operator=(const QuirkBook&) = delete;

  /// From now on they are `exporter`'s, which stays until close().
  void open(QuirkCounts& exporter) noexcept { exporter_ = &exporter; }
  /// Nobody's.
  void close() noexcept { exporter_ = &nobody_; }

  void note(Quirk quirk, uint64_t times = 1) noexcept {
    core_[quirk].add(times);
    uint32_t& n = (*exporter_)[static_cast<size_t>(quirk)];
    n += static_cast<uint32_t>(std::min<uint64_t>(times, std::numeric_limits<uint32_t>::max() - n));
  }

 private:
  CounterArray<Quirk>& core_;
  QuirkCounts nobody_{};
  QuirkCounts* exporter_ = &nobody_;
};

}  // namespace weir::decode
