// plan_arena.h — The columns of one record that refer to the arena: lists, strings, unmapped elements.
//
// Spec:     docs/FLOW_MESSAGE.md; RFC 3032 §2.1 (label stack entries).
// Runs on:  the decoder's thread, once a record of a plan that has arena_ops.
// Bounds:   arena_octets_bound says what one record may take at most.
// Failure:  what finds no room is left out and counted as arena_overflow.
#pragma once

#include "decode/plan.h"

namespace weir::decode {

/// Runs the plan's arena_ops for one record whose columns are filled.
void write_arena(const Plan& plan, const Row& row, PlanContext& context,
                 FlowRecord& record) noexcept;

}  // namespace weir::decode
