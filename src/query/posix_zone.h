// posix_zone.h — When clocks change by the rule at the end of a file of the zone database, behind its list of changes.
//
// Spec:     RFC 8536 §3.3; POSIX.1-2017 §8.3 (TZ), with hours to 167 as RFC 8536 has them.
// Runs on:  any thread. Pure.
// Bounds:   two changes a year, to kRuleYearMax.
//
// Private to src/query.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "query/time_zone.h"

namespace weir::query {

inline constexpr int kRuleYearMax = 2200;

/// `CET-1CEST,M3.5.0,M10.5.0/3`: the changes behind `behind_secs`. None where clocks do not change; nothing if it is no rule.
std::optional<std::vector<TimeZone::Transition>> transitions_of_rule(std::string_view rule, int64_t behind_secs);

}  // namespace weir::query
