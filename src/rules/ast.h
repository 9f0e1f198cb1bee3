// ast.h — Expressions as trees.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/named_enum.h"
#include "rules/decimal.h"

namespace weir::rules {

// Children in the order in which they are written.
#define WEIR_NODE_KINDS(X)                                                                          \
  X(null_literal) X(boolean_literal) X(number_literal) X(string_literal) X(template_string)         \
  X(name) X(set_name) X(reference) X(root) X(element) X(member) X(index) X(slice) X(array) X(object) \
  X(interval) X(unary_minus) X(logical_not) X(binary) X(logical_and) X(logical_or)    \
  X(coalesce) X(conditional) X(membership) X(not_membership) X(call)
WEIR_NAMED_ENUM(NodeKind, uint8_t, WEIR_NODE_KINDS)

#define WEIR_BINARY_OPERATORS(X) \
  X(equal) X(not_equal) X(less) X(less_equal) X(greater) X(greater_equal) X(add) X(subtract) X(multiply) X(divide) \
  X(remainder) X(power)
WEIR_NAMED_ENUM(BinaryOperator, uint8_t, WEIR_BINARY_OPERATORS)

/// Of the comparisons; any other holds of nothing.
constexpr bool holds(BinaryOperator op, uint64_t a, uint64_t b) noexcept {
  switch (op) {
    case BinaryOperator::equal: return a == b;
    case BinaryOperator::not_equal: return a != b;
    case BinaryOperator::less: return a < b;
    case BinaryOperator::less_equal: return a <= b;
    case BinaryOperator::greater: return a > b;
    case BinaryOperator::greater_equal: return a >= b;
    default: return false;
  }
}

struct Node {
  NodeKind kind = NodeKind::null_literal;
  BinaryOperator op = BinaryOperator::equal;
  bool flag = false;    // boolean_literal: its value; interval: the lower bound is outside; index: a constant one of a name, or of its members
  bool flag2 = false;   // interval: the upper bound is outside
  Decimal number;
  std::string text;     // a string, a name, a function, a member, a closure's alias
  std::vector<std::unique_ptr<Node>> children;  // an absent end of a slice is null; object: key, value, key, …
  size_t at = 0;        // octets before it
  uint32_t expression = 0;  // in decisions on flows: the one that all of this is the value of; 0: none
  uint32_t from = 0;        // likewise: the one that it was written in, for messages
};
using NodePtr = std::unique_ptr<Node>;

/// How many nodes lie one in another.
inline size_t depth_of(const Node& node) {
  size_t deepest = 0;
  for (const NodePtr& child : node.children) {
    if (child != nullptr) deepest = std::max(deepest, depth_of(*child));
  }
  return deepest + 1;
}

}  // namespace weir::rules
