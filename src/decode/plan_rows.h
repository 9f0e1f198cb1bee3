// plan_rows.h — What of a plan differs from record to record: times that have to be chosen, addresses of two families,
// and what goes to the arena.
//
// Runs on:  the decoder's thread. Pure: octets in, columns out.
#pragma once

#include "decode/plan.h"

namespace weir::decode {

/// The first plausible start and end that the record has; else the time of its message.
void choose_times(const Plan& plan, const Row& row, PlanContext& context,
                  FlowRecord& record) noexcept;

/// Of plans with row_work: addresses, then the arena. Everything else has its columns already.
void finish_row(const Plan& plan, const Row& row, PlanContext& context,
                FlowRecord& record) noexcept;

}  // namespace weir::decode
