// parser.h — The text of a query → its tree.
//
// Spec:     docs/SRQL.md, "Grammar".
// Runs on:  any thread. Pure.
// Bounds:   kQueryOctetsMax, kNestingMax, kListMax, kConditionsMax, kClauseItemsMax.
// Failure:  a QueryError with the place and what is allowed there.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "query/ast.h"

namespace weir::query {

inline constexpr size_t kQueryOctetsMax = 16 * 1024;
inline constexpr unsigned kNestingMax = 32;
inline constexpr size_t kListMax = 200;
inline constexpr size_t kConditionsMax = 256;
inline constexpr size_t kClauseItemsMax = 32;  // of stats, by, sort, having and fields each

/// What is wrong; nothing: `query` is the tree.
[[nodiscard]] std::optional<QueryError> parse(std::string_view text, Query& query);

}  // namespace weir::query
