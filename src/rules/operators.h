// operators.h — What stands between two values, and how strongly it binds: higher is tighter.
//
// Spec:     docs/RULES.md, "Expressions".
#pragma once

#include <array>
#include <string_view>

#include "rules/ast.h"

namespace weir::rules {

inline constexpr int kConditionalPower = 5;
inline constexpr int kComparisonPower = 20;
inline constexpr int kNotPower = 50;
inline constexpr int kCoalescePower = 80;
inline constexpr int kSignPower = 200;

struct Infix {
  std::string_view symbol;
  int power;
  bool right;
  NodeKind kind;
  BinaryOperator op;
};
inline constexpr std::array<Infix, 16> kInfixes = {{
    {"or", 10, false, NodeKind::logical_or, BinaryOperator::equal},
    {"and", 15, false, NodeKind::logical_and, BinaryOperator::equal},
    {"==", 20, false, NodeKind::binary, BinaryOperator::equal},
    {"!=", 20, false, NodeKind::binary, BinaryOperator::not_equal},
    {"<", 20, false, NodeKind::binary, BinaryOperator::less},
    {"<=", 20, false, NodeKind::binary, BinaryOperator::less_equal},
    {">", 20, false, NodeKind::binary, BinaryOperator::greater},
    {">=", 20, false, NodeKind::binary, BinaryOperator::greater_equal},
    {"in", 20, false, NodeKind::membership, BinaryOperator::equal},
    {"+", 30, false, NodeKind::binary, BinaryOperator::add},
    {"-", 30, false, NodeKind::binary, BinaryOperator::subtract},
    {"*", 60, false, NodeKind::binary, BinaryOperator::multiply},
    {"/", 60, false, NodeKind::binary, BinaryOperator::divide},
    {"%", 60, false, NodeKind::binary, BinaryOperator::remainder},
    {"^", 70, true, NodeKind::binary, BinaryOperator::power},
    {"??", kCoalescePower, false, NodeKind::coalesce, BinaryOperator::equal},
}};

}  // namespace weir::rules
