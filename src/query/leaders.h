// leaders.h — The largest groups of very many: what rollups say no group can be larger than.
//
// Spec:     docs/decisions/0306.
// Runs on:  any thread. Pure.
//
// A group's sum over {source, destination, …} is no larger than its source's sum and its destination's, and these are made
// already. So of groups by the sum, the largest first, only those need be made whose sources and destinations reach what the
// last one shown has. What that is at least, the groups of the largest sources and destinations tell.
#pragma once

#include <string_view>
#include <vector>

#include "query/plan.h"
#include "query/rollups.h"

namespace weir::query {

inline constexpr uint32_t kLeadersLimitMax = 1000;  // groups asked for
inline constexpr uint32_t kLeadersTried = 1000;     // sources, destinations whose groups are made first

/// A key of a plan, and the rollup that has sums by it alone.
struct Bound {
  const Rollup* rollup = nullptr;
  std::string_view column;
};

/// Nothing: all groups are made.
std::vector<Bound> bounds_of(const Plan& plan);

}  // namespace weir::query
