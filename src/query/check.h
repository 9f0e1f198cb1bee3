// check.h — A query's tree → a plan: every name is known, every value fits its field, and what was not said is filled in.
//
// Spec:     docs/SRQL.md.
// Runs on:  any thread. Pure but for the zone database.
// Failure:  a QueryError with the place and what is allowed there.
#pragma once

#include <optional>
#include <string_view>

#include "query/ast.h"
#include "query/plan.h"

namespace weir::query {

inline constexpr uint32_t kLimitMax = 100'000;
inline constexpr uint32_t kLimitDefault = 100;
// A chart whose later part is cut off would be untrue, and a day in minutes has 1440 rows a series.
inline constexpr uint32_t kSeriesLimitDefault = 10'000;
inline constexpr size_t kKeysMax = 16;

/// `now_us`: what last_1h ends at.
[[nodiscard]] std::optional<QueryError> check(const Query& query, int64_t now_us, Plan& plan);

/// Both steps.
[[nodiscard]] std::optional<QueryError> plan_query(std::string_view text, int64_t now_us, Plan& plan);

}  // namespace weir::query
