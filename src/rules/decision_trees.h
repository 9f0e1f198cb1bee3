// decision_trees.h — What a decision makes of a flow, as one tree over the flow's fields: its nodes run on trees instead of values.
//
// Spec:     jdm.h says what a decision means. A name that no flow has is null, and whatever is constant by that is worked out here.
// Runs on:  any thread, when rules are read. Allocates.
// Bounds:   kTreeNodesMax made for one decision, long text counting as several; trees as deep as kDecisionDepthMax.
// Failure:  an Error that names node, expression and place, for what depends on the flow in a way that only values show.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "rules/ast.h"
#include "rules/jdm.h"

namespace weir::rules {

inline constexpr size_t kTreeNodesMax = 300'000;

struct DecisionTrees {
  struct Expression {
    std::string where;  // `node 'make': key = text`
    NodePtr tree;       // over fields
    uint32_t number;    // in Node::expression, of this tree and its copies
  };
  std::vector<Expression> expressions;
  /// An object. Of a member whose key has `flag` set there is nothing where it is null.
  NodePtr result;

  static Result<DecisionTrees> of(const Decision& decision);
};

}  // namespace weir::rules
