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
#include <vector>

#include "query/ast.h"

namespace weir::query {

inline constexpr size_t kQueryOctetsMax = 16 * 1024;
inline constexpr unsigned kNestingMax = 32;
inline constexpr size_t kListMax = 200;
inline constexpr size_t kConditionsMax = 256;
inline constexpr size_t kClauseItemsMax = 32;  // of stats, by, sort, having and fields each

/// What is wrong; nothing: `query` is the tree.
[[nodiscard]] std::optional<QueryError> parse(std::string_view text, Query& query);

/// The same of one condition, `value` as it stands behind `key:`. Places are those of `value`.
[[nodiscard]] std::optional<QueryError> parse_value(std::string_view key, std::string_view value, Condition& condition);
/// Fields with commas between them, as behind `by`.
[[nodiscard]] std::optional<QueryError> parse_fields(std::string_view text, std::vector<FieldName>& fields);

}  // namespace weir::query
