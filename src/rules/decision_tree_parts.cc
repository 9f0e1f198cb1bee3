#include "rules/decision_tree_parts.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "rules/compile_parts.h"
#include "rules/flow_fields.h"

namespace weir::rules::trees {
namespace {

/// A number for every flow: of what is compared there is no mistake then.
bool is_number(const Node& n) {
  if (n.kind == NodeKind::number_literal) return true;
  const auto field = compile::field_of(n);
  return field && field->kind == FieldKind::number;
}

/// A condition that is true or false for every flow.
bool is_sure_condition(const Node& n) {
  switch (n.kind) {
    case NodeKind::boolean_literal: return true;
    case NodeKind::logical_not:
    case NodeKind::logical_and:
    case NodeKind::logical_or:
      return std::all_of(n.children.begin(), n.children.end(), [](const NodePtr& child) { return is_sure_condition(*child); });
    case NodeKind::binary: return n.op <= BinaryOperator::greater_equal && !may_fail(n);
    default: return false;
  }
}

}  // namespace

bool is_literal(const Node& n) {
  return n.kind == NodeKind::null_literal || n.kind == NodeKind::boolean_literal || n.kind == NodeKind::number_literal ||
         n.kind == NodeKind::string_literal;
}
bool is_truth(const Node& n, bool value) { return n.kind == NodeKind::boolean_literal && n.flag == value; }

NodePtr made(NodeKind kind, size_t at) {
  auto node = std::make_unique<Node>();
  node->kind = kind;
  node->at = at;
  return node;
}

NodePtr text_node(std::string text, size_t at) {
  NodePtr node = made(NodeKind::string_literal, at);
  node->text = std::move(text);
  return node;
}

NodePtr node_of(const Value& value, size_t at) {
  NodePtr node = made(NodeKind::null_literal, at);
  switch (value.kind) {
    case ValueKind::null:
    case ValueKind::count_: break;
    case ValueKind::boolean:
      node->kind = NodeKind::boolean_literal;
      node->flag = value.boolean;
      break;
    case ValueKind::number:
      node->kind = NodeKind::number_literal;
      node->number = value.number;
      break;
    case ValueKind::string: return text_node(value.string, at);
    case ValueKind::interval:
      node->kind = NodeKind::interval;
      node->flag = value.string.front() == '(';
      node->flag2 = value.string.back() == ')';
      for (const Value& end : value.items) node->children.push_back(node_of(end, at));
      break;
    case ValueKind::array:
      node->kind = NodeKind::array;
      for (const Value& item : value.items) node->children.push_back(node_of(item, at));
      break;
    case ValueKind::object:
      node->kind = NodeKind::object;
      for (const auto& [key, member] : value.members) {
        node->children.push_back(text_node(key, at));
        node->children.push_back(node_of(member, at));
      }
      break;
  }
  return node;
}

std::optional<size_t> place_of(const Node& object, std::string_view name) {
  for (size_t i = 0; i + 1 < object.children.size(); i += 2) {
    if (object.children[i]->kind == NodeKind::string_literal && object.children[i]->text == name) return i + 1;
  }
  return std::nullopt;
}

void set_member(Node& object, const std::string& name, NodePtr value, bool unless_null) {
  const auto there = place_of(object, name);
  if (!there) {
    object.children.push_back(text_node(name, value->at));
    object.children.push_back(std::move(value));
    object.children[object.children.size() - 2]->flag = unless_null;
    return;
  }
  object.children[*there - 1]->flag = unless_null;
  object.children[*there] = std::move(value);
}

void erase_member(Node& object, std::string_view name) {
  const auto there = place_of(object, name);
  if (!there) return;
  const auto at = object.children.begin() + static_cast<std::ptrdiff_t>(*there);
  object.children.erase(at - 1, at + 1);
}

bool is_scalar_field(const Node& n) {
  const auto field = compile::field_of(n);
  return field && !compile::is_list(field->kind);
}

Objectness objectness_of(const Node& n) {
  switch (n.kind) {
    case NodeKind::object: return Objectness::always;
    case NodeKind::conditional:
    case NodeKind::coalesce: {
      const size_t first = n.kind == NodeKind::conditional ? 1 : 0;
      const Objectness a = objectness_of(*n.children[first]), b = objectness_of(*n.children[first + 1]);
      return a == b ? a : Objectness::maybe;
    }
    default: return Objectness::never;  // functions that make objects are none of flows
  }
}

bool may_be_null(const Node& n) {
  switch (n.kind) {
    case NodeKind::null_literal: return true;
    case NodeKind::conditional: return may_be_null(*n.children[1]) || may_be_null(*n.children[2]);
    case NodeKind::coalesce: return may_be_null(*n.children[1]);
    case NodeKind::binary:
      if (n.op != BinaryOperator::divide && n.op != BinaryOperator::remainder) return false;
      return n.children[1]->kind != NodeKind::number_literal || n.children[1]->number.is_zero();
    default: return false;
  }
}

bool may_fail(const Node& n) {
  const auto any_child = [&n](size_t from = 0) {
    return std::any_of(n.children.begin() + static_cast<std::ptrdiff_t>(from), n.children.end(),
                       [](const NodePtr& child) { return child == nullptr || may_fail(*child); });
  };
  switch (n.kind) {
    case NodeKind::null_literal:
    case NodeKind::boolean_literal:
    case NodeKind::number_literal:
    case NodeKind::string_literal:
    case NodeKind::name: return false;
    case NodeKind::interval:
    case NodeKind::object:
    case NodeKind::array:
    case NodeKind::coalesce: return any_child();
    case NodeKind::conditional: return !is_sure_condition(*n.children[0]) || any_child(1);
    case NodeKind::logical_not:
    case NodeKind::logical_and:
    case NodeKind::logical_or: return !is_sure_condition(n);
    case NodeKind::binary:
      if (n.op == BinaryOperator::equal || n.op == BinaryOperator::not_equal) return any_child();
      if (n.op <= BinaryOperator::greater_equal) return !is_number(*n.children[0]) || !is_number(*n.children[1]);
      return true;
    default: return true;
  }
}

const Node* member_of(const Node& object, std::string_view name) {
  const auto place = place_of(object, name);
  return place ? object.children[*place].get() : nullptr;
}

}  // namespace weir::rules::trees
