// plan_fuse.h — From a plan's columns to moves of whole cache lines.
//
// Runs on:  the decoder's thread, when a template is compiled.
// Bounds:   kLineMovesMax moves a plan.
//
// An operation that only moves octets, turned round or not, needs no loop of its own: all those that
// fill one cache line of the FlowRecord from the same 64 octets of the exported record are one
// LineMove, which is one shuffle where the CPU can shuffle 64 octets. What has to look at a value
// (saturation, merging, DSCP) stays an operation, and runs afterwards.
#pragma once

#include "decode/plan.h"

namespace weir::decode {

/// Puts the operations of `draft` that can be fused first, and writes the moves that they come to.
void fuse_plan(PlanDraft& draft) noexcept;

}  // namespace weir::decode
