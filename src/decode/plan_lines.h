// plan_lines.h — The kernel that runs a plan's moves.
//
// Runs on:  the decoder's thread. Pure.
// Bounds:   reads the octets of a record that are moved, and no other.
#pragma once

#include "decode/plan.h"

namespace weir::decode {

/// Which times the moves leave as they came, for the kernel to make nanoseconds of.
enum class LineTimes : uint8_t { none, uptime, milliseconds, seconds };

/// The same for all records of a run.
struct LineRun {
  std::span<const LineMove> moves;
  const FlowRecord& stencil;  // what the moves do not fill
  const TimeBase& base;
  LineTimes times;
};

#if defined(__x86_64__)
/// Fills `count` records, each whole, from rows that are `step` octets apart. Returns a bit for each
/// record whose times are not plausible (none where `times` is none).
uint32_t run_lines_avx512_vbmi2(const LineRun& run, const Row& first, uint32_t step, uint32_t count,
                                FlowRecord* records) noexcept;
#endif

}  // namespace weir::decode
