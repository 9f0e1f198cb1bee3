// header_columns.h — What the headers of a sampled packet say, into the columns that are still empty.
//
// Spec:     docs/FLOW_MESSAGE.md: the outermost IP header fills the flow's fields, the innermost the
//           inner ones.
// Runs on:  the decoder's thread. Keeps nothing.
// Bounds:   kHeaderArenaOctetsMax of the arena.
// Failure:  lists that find no room are left out and counted as arena_overflow.
#pragma once

#include <cstdint>
#include <span>

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

/// Says where what TCP or UDP carries is; `octets` are within what the arena's burst is read from.
inline void note_payload(std::span<const uint8_t> octets, uint8_t proto, bool is_inner, const Arena& arena,
                         FlowRecord& record) noexcept {
  if (octets.empty()) return;
  record.payload = {static_cast<uint32_t>(octets.data() - arena.packets()),
                    static_cast<uint16_t>(octets.size() < UINT16_MAX ? octets.size() : UINT16_MAX), proto,
                    static_cast<uint8_t>(is_inner)};
  record.arena_parts |= arena_part::kPayload;
}

/// Fills what `record` has not got: a column that is present stays, addresses that are all zero do
/// not.
void fill_from_header(const packet::SampledHeader& header, FlowRecord& record, Arena& arena,
                      QuirkBook& quirks) noexcept;
/// The same for a record that has no column of a packet yet.
void fill_empty_from_header(const packet::SampledHeader& header, FlowRecord& record, Arena& arena,
                            QuirkBook& quirks) noexcept;

}  // namespace weir::decode
