// decision_tree_parts.h — What trees of decision_trees.h are put together from, and what is known of one whatever the flow.
//
// Runs on:  any thread, when rules are read. Allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rules/ast.h"
#include "rules/value.h"

namespace weir::rules::trees {

NodePtr made(NodeKind kind, size_t at);
NodePtr text_node(std::string text, size_t at);
/// A literal, an interval, an array or an object of literals.
NodePtr node_of(const Value& value, size_t at);

bool is_literal(const Node& tree);
bool is_truth(const Node& tree, bool value);
bool is_scalar_field(const Node& tree);
/// Whether a tree's value is an object.
enum class Objectness : uint8_t { never, always, maybe };
Objectness objectness_of(const Node& tree);
/// Whether there may be flows for which its value is null.
bool may_be_null(const Node& tree);
/// Whether there may be flows for which it has no value.
bool may_fail(const Node& tree);

/// The place of a member's value among an object's children; of its key it is one less.
std::optional<size_t> place_of(const Node& object, std::string_view name);
/// The member of an object's tree; null where it has none of that name.
const Node* member_of(const Node& object, std::string_view name);
/// `unless_null`: where its value is null there is no such member.
void set_member(Node& object, const std::string& name, NodePtr value, bool unless_null = false);
void erase_member(Node& object, std::string_view name);

}  // namespace weir::rules::trees
