// parser.h — An expression's text → its tree.
//
// Spec:     docs/RULES.md, "Expressions": precedence from low to high ?: (right), or, and, comparisons and in, + -, not, * / %, ^ (right), ??,
//           unary + and -.
// Bounds:   kExpressionOctetsMax, kDepthMax, kTreeDepthMax.
// Failure:  an Error with the place and what is wrong there.
#pragma once

#include <string_view>

#include "base/result.h"
#include "rules/ast.h"

namespace weir::rules {

inline constexpr size_t kExpressionOctetsMax = 16 * 1024;
// The tree is walked by recursion: brackets and operators in each other, and operators in a row, which make it deep as well.
inline constexpr unsigned kDepthMax = 64;
inline constexpr unsigned kTreeDepthMax = 400;

/// A condition or a value.
Result<NodePtr> parse_expression(std::string_view text);

/// A decision table's cell, which is about one value, `$`: `'a', 'b'`, `> 5 and < 10`, `[1..5]`, or an expression. The tree is of a
/// boolean expression over `reference`.
Result<NodePtr> parse_cell(std::string_view text);

}  // namespace weir::rules
