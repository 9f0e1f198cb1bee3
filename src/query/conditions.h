// conditions.h — A condition as it was written → what it asks of columns.
//
// Private to src/query.
#pragma once

#include "query/ast.h"
#include "query/plan.h"
#include "query/time_zone.h"

namespace weir::query {

struct ConditionContext {
  const TimeZone& zone;
  int64_t now_us;
  bool is_raw;
  bool& has_regular_expression;
};

/// Refuses with the place of what is wrong, and says what is allowed.
Predicate predicate_of(const Condition& condition, const ConditionContext& context);

/// The field of this name or alias; refuses with names that are like it.
const Field& known_field(const Text& name);

/// A decimal number, with k, M, G or T behind it: 10M.
std::optional<double> read_number(std::string_view text);

}  // namespace weir::query
