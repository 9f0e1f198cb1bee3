// ends.h — Which addresses a flow must have at its ends to meet a plan's filter: by them a store leaves out what has none of them.
//
// Runs on:  any thread. Pure.
// Bounds:   kEndClausesMax clauses, kEndRangesMax ranges each; what is beyond that is not said.
#pragma once

#include <cstddef>
#include <vector>

#include "base/ip_address.h"
#include "base/named_enum.h"
#include "query/plan.h"

namespace weir::query {

inline constexpr size_t kEndClausesMax = 8;
inline constexpr size_t kEndRangesMax = 16;
/// A wider range has so many addresses that looking for them takes longer than it saves: IPv4's /20, IPv6's /56.
inline constexpr unsigned kNarrowBitsV4 = 96 + 20, kNarrowBitsV6 = 56;

#define WEIR_QUERY_ENDS(X) X(src) X(dst)
WEIR_NAMED_ENUM(End, uint8_t, WEIR_QUERY_ENDS)

/// An end's address is one of these, both included.
struct EndRange {
  End end{};
  IpAddress first, last;
  friend bool operator==(const EndRange&, const EndRange&) = default;
};
/// At least one of them holds.
using EndClause = std::vector<EndRange>;

/// Each of them holds of every flow that meets the filter. None: nothing is known.
std::vector<EndClause> ends_of(const Plan& plan);

}  // namespace weir::query
