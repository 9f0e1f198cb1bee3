#include "rules/compiler.h"

#include <fmt/format.h>

#include <algorithm>

#include "rules/cell_functions.h"
#include "rules/compile_parts.h"

namespace weir::rules {

using namespace compile;

Error Compiler::wrong(const Node& node, const std::string& what) const {
  return Error{fmt::format("at {}: {}", node.at + 1, what)};
}

Error Compiler::never_equal(const Node& node, Types left, Types right) const {
  return wrong(node, fmt::format("{} and {} are never equal", describe(left), describe(right)));
}

std::optional<Value> Compiler::folded(const Node& node) {
  if (!is_constant(node)) return std::nullopt;
  const auto [at, is_new] = folded_.try_emplace(&node);
  if (is_new) at->second = constant_of(node, left_);
  return at->second;
}

size_t Compiler::emit(const Instruction& instruction) {
  program_.code.push_back(instruction);
  return program_.code.size() - 1;
}

void Compiler::bind(const Label& label) {
  for (const size_t at : label) program_.code[at].jump = static_cast<uint32_t>(program_.code.size());
}

uint16_t Compiler::constant(const Cell& cell) {
  Cell kept = cell;
  if (cell.kind == CellKind::text) kept.text = program_.constant_texts.emplace_back(cell.text);
  program_.constants.push_back(kept);
  return static_cast<uint16_t>(program_.constants.size() - 1);
}

uint16_t Compiler::truth(bool value) {
  std::optional<uint16_t>& place = truths_[value ? 1 : 0];
  if (!place) place = constant(Cell::of(value));
  return *place;
}

uint16_t Compiler::text_constant(std::string text) { return constant(Cell::of(std::string_view(text))); }

uint16_t Compiler::add_set(std::shared_ptr<const NamedSet> set) {
  const auto at = std::find(program_.sets.begin(), program_.sets.end(), set);
  if (at != program_.sets.end()) return static_cast<uint16_t>(at - program_.sets.begin());
  program_.sets.push_back(std::move(set));
  return static_cast<uint16_t>(program_.sets.size() - 1);
}

Result<uint16_t> Compiler::set_index(const Node& node) {
  const auto at = environment_.sets.find(node.text);
  if (at != environment_.sets.end()) return add_set(at->second);
  std::vector<std::string_view> names;
  for (const auto& [name, set] : environment_.sets) names.push_back(name);
  return wrong(node, fmt::format("there is no set @{}{}", node.text, one_of(names)));
}

Result<uint16_t> Compiler::prefixes_of(const Node& node) {
  if (node.kind == NodeKind::string_literal) {
    auto set = NamedSet::make("", {node.text});
    if (!set || set->kind != SetKind::prefixes) return wrong(node, fmt::format("'{}' is no prefix", node.text));
    return add_set(std::make_shared<const NamedSet>(std::move(*set)));
  }
  if (node.kind != NodeKind::set_name) return wrong(node, "cidr() takes an address and a prefix, as @set or '192.0.2.0/24'");
  auto index = set_index(node);
  if (index && program_.sets[*index]->kind != SetKind::prefixes && !program_.sets[*index]->is_empty()) {
    return wrong(node, fmt::format("@{} is a set of {}, not of prefixes", node.text, name_of(program_.sets[*index]->kind)));
  }
  return index;
}

// ---- conditions ----

void Compiler::emit_condition(Instruction instruction, bool when, Label& label) {
  instruction.flag = when;
  label.push_back(emit(instruction));
}

Result<void> Compiler::jump_if(const Node& node, bool when, Label& label) {
  switch (node.kind) {
    case NodeKind::logical_not: return jump_if(*node.children[0], !when, label);
    case NodeKind::logical_and:
    case NodeKind::logical_or: {
      // The first operand decides alone where it is false (and) or true (or).
      const bool decides = node.kind == NodeKind::logical_or;
      Label behind;
      if (const auto left = jump_if(*node.children[0], decides, decides == when ? label : behind); !left) return left;
      if (const auto right = jump_if(*node.children[1], when, label); !right) return right;
      bind(behind);
      return {};
    }
    case NodeKind::conditional: {
      Label otherwise, end;
      if (const auto c = jump_if(*node.children[0], false, otherwise); !c) return c;
      if (const auto yes = jump_if(*node.children[1], when, label); !yes) return yes;
      end.push_back(emit({.op = Op::jump}));
      bind(otherwise);
      if (const auto no = jump_if(*node.children[2], when, label); !no) return no;
      bind(end);
      return {};
    }
    default: break;
  }
  const auto is_fused = fused(node, when, label);
  if (!is_fused) return is_fused.error();
  if (*is_fused) return {};
  const auto types = value_in(node, 0);
  if (!types) return types.error();
  if (refuses() && (*types & kBoolean) == 0) return wrong(node, fmt::format("{} where true or false is wanted", describe(*types)));
  emit_condition({.op = Op::if_true, .a = 0}, when, label);
  return {};
}

Result<bool> Compiler::fused(const Node& node, bool when, Label& label) {
  if (node.kind == NodeKind::binary) return fused_comparison(node, when, label);
  if (node.kind == NodeKind::membership) return fused_membership(node, when, label);
  if (node.kind == NodeKind::not_membership) return fused_membership(node, !when, label);
  if (node.kind == NodeKind::call && node.text == "cidr" && node.children.size() == 2) {
    const auto field = field_of(*node.children[0]);
    if (!field || field->kind != FieldKind::address) return false;
    const auto set = prefixes_of(*node.children[1]);
    if (!set) return set.error();
    emit_condition({.op = Op::if_address_in, .a = field->slot, .index = *set}, when, label);
    return true;
  }
  return false;
}

bool Compiler::fused_comparison(const Node& node, bool when, Label& label) {
  const bool flipped = is_constant(*node.children[0]);
  const auto field = field_of(*node.children[flipped ? 1 : 0]);
  const auto other = folded(*node.children[flipped ? 0 : 1]);
  if (!field || !other || node.op > BinaryOperator::greater_equal) return false;
  if (field->kind == FieldKind::number) {
    const auto number = other->is(ValueKind::number) ? other->number.to_uint64() : std::nullopt;
    if (!number) return false;
    const BinaryOperator op = flipped ? mirrored(node.op) : node.op;
    emit_condition({.op = Op::if_number, .a = field->slot, .b = static_cast<uint8_t>(op), .value = *number}, when, label);
    return true;
  }
  const bool is_equality = node.op == BinaryOperator::equal || node.op == BinaryOperator::not_equal;
  if (!is_equality || !other->is(ValueKind::string)) return false;
  std::string wanted = other->string;
  if (field->kind == FieldKind::address) {
    const auto octets = octets_of_address(other->string);
    if (!octets) return false;
    wanted = *octets;
  } else if (field->kind != FieldKind::text) {
    return false;
  }
  const Op op = field->kind == FieldKind::address ? Op::if_address_is : Op::if_text_is;
  emit_condition({.op = op, .a = field->slot, .index = text_constant(wanted)},
                 when == (node.op == BinaryOperator::equal), label);
  return true;
}

Result<bool> Compiler::fused_membership(const Node& node, bool when, Label& label) {
  const Node& in = *node.children[1];
  if (const auto list = field_of(in); list && list->kind == FieldKind::numbers) {
    const auto wanted = folded(*node.children[0]);
    const auto number = wanted && wanted->is(ValueKind::number) ? wanted->number.to_uint64() : std::nullopt;
    if (!number) return false;
    emit_condition({.op = Op::if_list_has, .a = list->slot, .value = *number}, when, label);
    return true;
  }
  const auto field = field_of(*node.children[0]);
  if (!field) return false;
  if (in.kind == NodeKind::set_name) {
    const auto set = set_index(in);
    if (!set) return set.error();
    const SetKind kind = program_.sets[*set]->kind;
    const bool is_number = field->kind == FieldKind::number && kind == SetKind::numbers;
    if (!is_number && !(field->kind == FieldKind::address && kind == SetKind::prefixes)) return false;
    emit_condition({.op = is_number ? Op::if_number_in : Op::if_address_in, .a = field->slot, .index = *set}, when, label);
    return true;
  }
  if (in.kind == NodeKind::interval && field->kind == FieldKind::number) {
    const auto low = folded(*in.children[0]);
    const auto high = folded(*in.children[1]);
    const auto first = low && low->is(ValueKind::number) ? low->number.to_uint64() : std::nullopt;
    const auto last = high && high->is(ValueKind::number) ? high->number.to_uint64() : std::nullopt;
    if (!first || !last) return false;
    const auto bound = [&](BinaryOperator op, uint64_t value, bool jump_when, Label& to) {
      emit_condition({.op = Op::if_number, .a = field->slot, .b = static_cast<uint8_t>(op), .value = value}, jump_when, to);
    };
    Label outside;
    bound(in.flag ? BinaryOperator::greater : BinaryOperator::greater_equal, *first, false, when ? outside : label);
    bound(in.flag2 ? BinaryOperator::less : BinaryOperator::less_equal, *last, when, label);
    bind(outside);
    return true;
  }
  const auto items = in.kind == NodeKind::array ? folded(in) : std::nullopt;
  if (!items || field->kind != FieldKind::number) return false;
  std::vector<std::string> numbers;
  for (const Value& item : items->items) {
    if (refuses() && !item.is(ValueKind::number)) return false;  // which is for membership_in to say
    const auto number = item.is(ValueKind::number) ? item.number.to_uint64() : std::nullopt;
    if (number) numbers.push_back(std::to_string(*number));  // others are no number of a flow's
  }
  if (numbers.empty()) return false;
  const uint16_t set = add_set(std::make_shared<const NamedSet>(std::move(*NamedSet::make("", numbers))));
  emit_condition({.op = Op::if_number_in, .a = field->slot, .index = set}, when, label);
  return true;
}

Result<bool> Compiler::fused_value(const Node& node, uint8_t target) {
  const size_t before = emit({.op = Op::load_constant, .a = target});
  Label holds;
  const auto is_fused = fused(node, true, holds);
  if (!is_fused || !*is_fused) {
    program_.code.resize(before);
    return is_fused;
  }
  program_.code[before].index = truth(true);
  emit({.op = Op::load_constant, .a = target, .index = truth(false)});
  bind(holds);
  return true;
}

// ---- values ----

Result<uint8_t> Compiler::value(const Node& node) { return value_in(node, 0); }

Result<Compiler::Types> Compiler::value_in(const Node& node, uint8_t target) {
  if (target + 4u >= kRegistersMax) return wrong(node, "too many values at once");
  if (is_constant(node) && node.kind != NodeKind::array && node.kind != NodeKind::object) {
    const auto v = folded(node);
    if (!v) {
      Scope scope;
      scope.left = &left_;
      const auto why = interpret(node, scope);
      if (refuses() || left_ == 0) return why ? wrong(node, "constants take more than a file may") : why.error();
      emit({.op = Op::no_value});
      return kNull;
    }
    const auto cell = cell_of(*v);
    if (!cell) return wrong(node, fmt::format("a {} is no value here", name_of(v->kind)));
    emit({.op = Op::load_constant, .a = target, .index = constant(*cell)});
    return types_of(cell->kind);
  }
  if (const auto is_fused = fused_value(node, target); !is_fused || *is_fused) {
    return is_fused ? Result<Types>(kBoolean) : is_fused.error();
  }
  switch (node.kind) {
    case NodeKind::name: return name_in(node, target);
    case NodeKind::binary: return binary_in(node, target);
    case NodeKind::call: return call_in(node, target);
    case NodeKind::logical_not:
    case NodeKind::logical_and:
    case NodeKind::logical_or: return boolean_in(node, target);
    case NodeKind::membership:
    case NodeKind::not_membership: return membership_in(node, target);
    case NodeKind::unary_minus: {
      auto types = value_in(*node.children[0], target);
      if (!types) return types;
      if (refuses() && (*types & kNumber) == 0) return wrong(node, fmt::format("the sign of {}", describe(*types)));
      emit({.op = Op::negate, .a = target, .b = target});
      return kNumber;
    }
    case NodeKind::coalesce: {
      auto left = value_in(*node.children[0], target);
      if (!left) return left;
      Label end;
      emit_condition({.op = Op::if_null, .a = target}, false, end);
      auto right = value_in(*node.children[1], target);
      if (!right) return right;
      bind(end);
      return static_cast<Types>((*left & ~kNull) | *right);
    }
    case NodeKind::conditional: {
      Label otherwise, end;
      // A condition works in registers from 0 on; what is below the target must stay.
      auto condition = value_in(*node.children[0], target);
      if (!condition) return condition;
      if (refuses() && (*condition & kBoolean) == 0) return wrong(node, fmt::format("{} before '?'", describe(*condition)));
      emit_condition({.op = Op::if_true, .a = target}, false, otherwise);
      auto yes = value_in(*node.children[1], target);
      if (!yes) return yes;
      end.push_back(emit({.op = Op::jump}));
      bind(otherwise);
      auto no = value_in(*node.children[2], target);
      if (!no) return no;
      bind(end);
      return static_cast<Types>(*yes | *no);
    }
    case NodeKind::template_string: {
      for (size_t i = 0; i < node.children.size(); ++i) {
        auto part = value_in(*node.children[i], static_cast<uint8_t>(target + i));
        if (!part) return part;
      }
      emit({.op = Op::concatenate, .a = target, .b = target, .c = static_cast<uint8_t>(node.children.size())});
      return kText;
    }
    default: return wrong(node, fmt::format("{} is not for rules on flows", what_is(node.kind)));
  }
}

Result<Compiler::Types> Compiler::boolean_in(const Node& node, uint8_t target) {
  if (node.kind == NodeKind::logical_not) {
    auto types = value_in(*node.children[0], target);
    if (!types) return types;
    if (refuses() && (*types & kBoolean) == 0) return wrong(node, fmt::format("'not' of {}", describe(*types)));
    emit({.op = Op::invert, .a = target, .b = target});
    return kBoolean;
  }
  const bool is_or = node.kind == NodeKind::logical_or;
  Label end;
  for (const NodePtr& child : node.children) {
    auto types = value_in(*child, target);
    if (!types) return types;
    if (refuses() && (*types & kBoolean) == 0) return wrong(*child, fmt::format("{} beside '{}'", describe(*types), is_or ? "or" : "and"));
    if (child == node.children[0]) emit_condition({.op = Op::if_true, .a = target}, is_or, end);
    else emit({.op = Op::check_boolean, .a = target});
  }
  bind(end);
  return kBoolean;
}

Result<Compiler::Types> Compiler::name_in(const Node& node, uint8_t target) {
  if (const Derived* const derived = environment_.find_derived(node.text); derived != nullptr) {
    emit({.op = Op::load_derived, .a = target, .index = static_cast<uint16_t>(derived - environment_.derived.data())});
    return static_cast<Types>(derived->types | kNull);  // null where it has no value
  }
  const auto field = find_field(node.text);
  if (!field) {
    const auto& later = environment_.derived_later;
    if (!later.empty() && node.text == later.front()) return wrong(node, fmt::format("{} is derived from itself", node.text));
    if (std::find(later.begin(), later.end(), node.text) != later.end()) {
      return wrong(node, fmt::format("{0} is derived further down; a derived value sees those above it: {0} has to come first, and not to need this one", node.text));
    }
    std::vector<std::string_view> names = field_names();
    for (const Derived& derived : environment_.derived) names.push_back(derived.name);
    return wrong(node, fmt::format("there is no field {}{}", node.text, nearest(node.text, names)));
  }
  if (is_list(field->kind)) {
    return wrong(node, fmt::format("{0} is a list: ask len({0}), contains({0}, x) or x in {0}", node.text));
  }
  emit({.op = Op::load_field, .a = target, .b = static_cast<uint8_t>(field->kind), .c = field->slot});
  return field->kind == FieldKind::number ? kNumber : kText;
}

Result<Compiler::Types> Compiler::binary_in(const Node& node, uint8_t target) {
  const auto right_target = static_cast<uint8_t>(target + 1);
  auto left = value_in(*node.children[0], target);
  if (!left) return left;
  auto right = value_in(*node.children[1], right_target);
  if (!right) return right;
  emit({.op = Op::arithmetic, .a = target, .b = target, .c = right_target, .index = static_cast<uint16_t>(node.op)});
  const auto both = static_cast<Types>(*left & *right);
  if (node.op == BinaryOperator::equal || node.op == BinaryOperator::not_equal) {
    if (refuses() && both == 0) return never_equal(node, *left, *right);
    return kBoolean;
  }
  const bool can_join = node.op == BinaryOperator::add && (both & kText) != 0;
  if (refuses() && (both & kNumber) == 0 && !can_join) {
    return wrong(node, fmt::format("'{}' of {} and {}", symbol_of(node.op), describe(*left), describe(*right)));
  }
  if (node.op < BinaryOperator::add) return kBoolean;
  if (node.op == BinaryOperator::divide || node.op == BinaryOperator::remainder) return kNumber | kNull;
  return static_cast<Types>((both & kNumber) | (can_join ? kText : 0));
}

}  // namespace weir::rules
