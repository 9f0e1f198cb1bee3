// remainder.h — What of a flow, and of what rules say of it, has no column of a store's row: one JSON object.
//
// Spec:     docs/STORE.md, "The remainder". Keys are those of `unmapped` in events (docs/OCSF.md).
// Runs on:  any thread. Pure.
// Bounds:   writes into the caller's octets; kEventOctetsMax is room for whatever the collector's decoder makes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "flow/flow_view.h"
#include "transform/decisions.h"

namespace weir::transform {

/// `targets_elsewhere`: bit i: what rules said of their i-th target has a column.
/// The object's octets; 0 where there is nothing to say. `is_cut`: it did not fit, and 0 comes of that.
size_t write_remainder(const FlowView& flow, const Decisions& decisions, uint64_t targets_elsewhere, std::span<char> out,
                       bool& is_cut) noexcept;

}  // namespace weir::transform
