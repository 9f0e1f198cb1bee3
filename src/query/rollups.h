// rollups.h — Which table answers a plan: one whose sums are made already, or the flows themselves.
//
// Runs on:  any thread. Pure.
//
// A rollup has flows summed up by a few columns for each minute, hour and day. It answers what asks for nothing but those
// columns and sums. A window that does not begin and end with a day is put together: days, at both ends hours, at their
// ends minutes, and flows for what is left.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "query/plan.h"

namespace weir::query {

struct Rollup {
  std::string_view name;     // rollup_<name>_<grain>
  std::string_view columns;  // with blanks
};

/// A part of the window from one table.
struct Piece {
  std::string_view grain;  // 1d, 1h, 1m; empty: flows
  std::optional<int64_t> start_us, end_us;
};

/// Nothing: only the flows can tell.
const Rollup* rollup_for(const Plan& plan) noexcept;

/// The window of a plan that a rollup answers, without gap or overlap.
std::vector<Piece> pieces_of(const Plan& plan);

/// All physical columns that a plan asks for.
std::vector<std::string_view> columns_of(const Plan& plan);

}  // namespace weir::query
