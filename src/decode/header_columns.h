// header_columns.h — What the headers of a sampled packet say, into the columns that are still empty.
//
// Spec:     docs/FLOW_MESSAGE.md: the outermost IP header fills the flow's fields, the innermost the
//           inner ones.
// Runs on:  the decoder's thread. Keeps nothing.
// Bounds:   kHeaderArenaOctetsMax of the arena.
// Failure:  lists that find no room are left out and counted as arena_overflow.
#pragma once

#include <cstdint>

#include "base/counter.h"
#include "decode/decoder.h"
#include "decode/plan.h"
#include "packet/sampled_header.h"

namespace weir::decode {

/// Layers and their sizes, labels and their TTLs, a routing header's addresses; four alignments.
inline constexpr uint32_t kHeaderArenaOctetsMax =
    2 * 4 * static_cast<uint32_t>(packet::kSampledLayersMax) +
    2 * 4 * static_cast<uint32_t>(packet::kSampledMplsLabelsMax) +
    static_cast<uint32_t>(kSegmentsMax * sizeof(IpAddress)) + 4 * 4;

/// Fills what `record` has not got: a column that is present stays, addresses that are all zero do
/// not.
void fill_from_header(const packet::SampledHeader& header, FlowRecord& record, Arena& arena,
                      QuirkBook& quirks) noexcept;
/// The same for a record that has no column of a packet yet.
void fill_empty_from_header(const packet::SampledHeader& header, FlowRecord& record, Arena& arena,
                            QuirkBook& quirks) noexcept;

}  // namespace weir::decode
