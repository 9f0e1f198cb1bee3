// compile_calls.cc — Functions and membership, where they leave a value; and what the interpreter makes of the same names.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "rules/cell_functions.h"
#include "rules/compile_parts.h"
#include "rules/compiler.h"
#include "rules/field_forms.h"
#include "rules/functions.h"
#include "rules/mac_text.h"

namespace weir::rules {

using namespace compile;

namespace {

struct Signature {
  std::string_view name;
  uint8_t arguments_min, arguments_max;
  uint8_t takes;  // of every argument
  uint8_t gives;
};
constexpr std::array<Signature, static_cast<size_t>(CellFunction::count_)> kSignatures = {{
    {"len", 1, 1, kText, kNumber},
    {"contains", 2, 2, kText, kBoolean},
    {"startsWith", 2, 2, kText, kBoolean},
    {"endsWith", 2, 2, kText, kBoolean},
    {"upper", 1, 1, kText, kText},
    {"lower", 1, 1, kText, kText},
    {"trim", 1, 1, kText, kText},
    {"abs", 1, 1, kNumber, kNumber},
    {"floor", 1, 1, kNumber, kNumber},
    {"ceil", 1, 1, kNumber, kNumber},
    {"round", 1, 2, kNumber, kNumber},
    {"trunc", 1, 2, kNumber, kNumber},
    {"string", 1, 1, kAny, kText},
    {"number", 1, 1, kBoolean | kNumber | kText, kNumber},
    {"isNumeric", 1, 1, kAny, kBoolean},
    {"bit_and", 2, 2, kNumber, kNumber},
    {"is_private", 1, 1, kText, kBoolean},
    {"ip_version", 1, 1, kText, kNumber},
    {"mac", 1, 1, kNumber | kText | kNull, kText | kNull},
}};

}  // namespace

Result<Compiler::Types> Compiler::call_in(const Node& node, uint8_t target) {
  if (node.text == "cidr") return cidr_in(node, target);
  if (node.text == "lookup") return lookup_in(node, target);
  if (!node.children.empty()) {
    if (const auto list = field_of(*node.children[0]); list && is_list(list->kind)) return list_call_in(node, *list, target);
  }
  const auto signature =
      std::find_if(kSignatures.begin(), kSignatures.end(), [&](const Signature& s) { return s.name == node.text; });
  if (signature == kSignatures.end()) {
    std::vector<std::string_view> names = {"cidr", "lookup"};
    for (const Signature& s : kSignatures) names.push_back(s.name);
    const bool is_known = call_function(node.text, {}).has_value();
    return wrong(node, is_known ? fmt::format("{}() is not for rules on flows", node.text)
                                : fmt::format("there is no function {}(){}", node.text, nearest(node.text, names)));
  }
  if (node.flag || node.children.size() < signature->arguments_min || node.children.size() > signature->arguments_max) {
    return wrong(node, fmt::format("{}() takes {} arguments", node.text, signature->arguments_min));
  }
  for (size_t i = 0; i < node.children.size(); ++i) {
    auto types = value_in(*node.children[i], static_cast<uint8_t>(target + i));
    if (!types) return types;
    if (refuses() && (*types & signature->takes) == 0) {
      return wrong(*node.children[i], fmt::format("{}() of {}, takes {}", node.text, describe(*types), describe(signature->takes)));
    }
  }
  const auto function = static_cast<CellFunction>(signature - kSignatures.begin());
  const Node& first = *node.children[0];
  const bool is_quotient = first.kind == NodeKind::binary && first.op == BinaryOperator::divide && node.children.size() == 1;
  Instruction& last = program_.code.back();
  if (is_quotient && last.op == Op::arithmetic && (function == CellFunction::floor_ || function == CellFunction::trunc_)) {
    last.op = Op::whole_quotient;
    last.index = static_cast<uint16_t>(function);
    return signature->gives;
  }
  emit({.op = Op::call,
        .a = target,
        .b = target,
        .c = static_cast<uint8_t>(node.children.size()),
        .index = static_cast<uint16_t>(function)});
  return signature->gives;
}

Result<Compiler::Types> Compiler::list_call_in(const Node& node, FieldRef list, uint8_t target) {
  const auto kind = static_cast<uint8_t>(list.kind);
  if (node.text == "len" && node.children.size() == 1) {
    emit({.op = Op::list_length, .a = target, .b = kind, .c = list.slot});
    return kNumber;
  }
  if (node.text != "contains" || node.children.size() != 2) {
    return wrong(node, fmt::format("of the list {0} rules may ask len({0}), contains({0}, x) and x in {0}", node.children[0]->text));
  }
  return entry_of_list(*node.children[1], list, target);
}

/// `what in list`.
Result<Compiler::Types> Compiler::entry_of_list(const Node& what, FieldRef list, uint8_t target) {
  auto types = value_in(what, target);
  if (!types) return types;
  if (const Types entry = types_of_entry(list.kind); refuses() && (*types & entry) == 0) {
    return wrong(what, fmt::format("{} is never in a list each entry of which is {}", describe(*types), describe(entry)));
  }
  emit({.op = Op::list_contains, .a = target, .b = target, .c = list.slot, .index = static_cast<uint16_t>(list.kind)});
  return kBoolean;
}

Result<Compiler::Types> Compiler::cidr_in(const Node& node, uint8_t target) {
  if (node.children.size() != 2) return wrong(node, "cidr() takes an address and a prefix, as @set or '192.0.2.0/24'");
  const auto set = prefixes_of(*node.children[1]);
  if (!set) return set.error();
  if (const auto field = field_of(*node.children[0]); field && field->kind == FieldKind::address) {
    emit({.op = Op::address_in_set, .a = target, .b = field->slot, .index = *set});
    return kBoolean;
  }
  auto types = value_in(*node.children[0], target);
  if (!types) return types;
  if ((*types & kText) == 0) return wrong(node, fmt::format("cidr() of {}", describe(*types)));
  emit({.op = Op::member_of_set, .a = target, .b = target, .index = *set});
  return kBoolean;
}

Result<Compiler::Types> Compiler::lookup_in(const Node& node, uint8_t target) {
  const auto& arguments = node.children;
  if (arguments.size() < 2 || arguments.size() > 3 || arguments[0]->kind != NodeKind::string_literal ||
      (arguments.size() == 3 && arguments[2]->kind != NodeKind::string_literal)) {
    return wrong(node, "lookup() takes the name of a dictionary, a key, and perhaps the name of a column");
  }
  const auto at = environment_.dictionaries.find(arguments[0]->text);
  if (at == environment_.dictionaries.end()) {
    std::vector<std::string_view> names;
    for (const auto& [name, dictionary] : environment_.dictionaries) names.push_back(name);
    return wrong(node, fmt::format("there is no dictionary {}{}", arguments[0]->text, one_of(names)));
  }
  size_t column = 1;
  if (arguments.size() == 3) {
    const auto asked = at->second->column(arguments[2]->text);
    if (!asked) {
      const auto& columns = at->second->columns();
      return wrong(*arguments[2], fmt::format("{} has no column {}{}", arguments[0]->text, arguments[2]->text,
                                              one_of({columns.begin() + 1, columns.end()})));
    }
    column = *asked;
  }
  auto key = value_in(*arguments[1], target);
  if (!key) return key;
  program_.dictionaries.push_back(at->second);
  emit({.op = Op::lookup,
        .a = target,
        .b = target,
        .c = static_cast<uint8_t>(column),
        .index = static_cast<uint16_t>(program_.dictionaries.size() - 1)});
  return kText | kNull;
}

Result<Compiler::Types> Compiler::membership_in(const Node& node, uint8_t target) {
  const Node& in = *node.children[1];
  const auto finish = [&]() -> Types {
    if (node.kind == NodeKind::not_membership) emit({.op = Op::invert, .a = target, .b = target});
    return kBoolean;
  };
  const auto register_behind = [target](size_t n) { return static_cast<uint8_t>(target + n); };
  if (const auto list = field_of(in); list && is_list(list->kind)) {
    if (auto types = entry_of_list(*node.children[0], *list, target); !types) return types;
    return finish();
  }
  auto types = value_in(*node.children[0], register_behind(1));
  if (!types) return types;
  if (in.kind == NodeKind::set_name) {
    const auto set = set_index(in);
    if (!set) return set.error();
    const SetKind kind = program_.sets[*set]->kind;
    if (!program_.sets[*set]->is_empty() && (*types & (kind == SetKind::numbers ? kNumber : kText)) == 0) {
      return wrong(node, fmt::format("{} in @{}, a set of {}", describe(*types), in.text, name_of(kind)));
    }
    emit({.op = Op::member_of_set, .a = target, .b = register_behind(1), .index = *set});
    return finish();
  }
  if (in.kind == NodeKind::interval) {
    if (refuses() && (*types & kNumber) == 0) return wrong(node, fmt::format("{} in an interval", describe(*types)));
    for (size_t i = 0; i < 2; ++i) {
      auto bound = value_in(*in.children[i], register_behind(2 + i));
      if (!bound) return bound;
      if (refuses() && (*bound & kNumber) == 0) return wrong(in, "an interval's ends are numbers");
    }
    emit({.op = Op::in_interval,
          .a = target,
          .b = register_behind(1),
          .index = static_cast<uint16_t>((in.flag ? 1 : 0) | (in.flag2 ? 2 : 0))});
    return finish();
  }
  if (in.kind != NodeKind::array) return wrong(in, "behind 'in' stands a set (@name), an interval, an array or a list of the flow's");
  emit({.op = Op::load_constant, .a = target, .index = constant(Cell::of(false))});
  for (const NodePtr& item : in.children) {
    auto of_item = value_in(*item, register_behind(2));
    if (!of_item) return of_item;
    if (refuses() && (*types & *of_item) == 0) return never_equal(*item, *types, *of_item);
    emit({.op = Op::equal_any, .a = target, .b = register_behind(1), .c = register_behind(2)});
  }
  return finish();
}

// ---- the same names, plainly ----

namespace {

Result<Value> mac_of(const std::vector<Value>& a) {
  if (a.size() != 1) return Error{"mac() takes a text or a number"};
  switch (a[0].kind) {
    case ValueKind::null: return Value();
    case ValueKind::string: {
      auto form = mac_as_field(a[0].string);
      return form ? Value::of(std::move(*form)) : Value();
    }
    case ValueKind::number: {
      const auto number = a[0].number.to_uint64();
      return number && *number <= kMacMax ? Value::of(mac_as_field(*number)) : Value();
    }
    default: return Error{fmt::format("mac() of {}", a[0].to_json())};
  }
}

}  // namespace

Scope scope_of(const Environment& environment, const Value& root) {
  Scope scope;
  scope.root = &root;
  scope.in_set = [&environment](const std::string& name, const Value& v) -> Result<bool> {
    const auto at = environment.sets.find(name);
    if (at == environment.sets.end()) return Error{fmt::format("there is no set @{}", name)};
    if (v.is(ValueKind::string)) return at->second->contains(v.string);
    const auto number = v.is(ValueKind::number) ? v.number.to_uint64() : std::nullopt;
    return number && at->second->contains(*number);
  };
  scope.call = [&environment](const Node& node, const std::vector<Value>& a) -> std::optional<Result<Value>> {
    const auto is_text = [&](size_t i) { return a.size() > i && a[i].is(ValueKind::string); };
    if (node.text == "cidr" && a.size() == 2) {
      if (!is_text(0) || !is_text(1)) return Error{"cidr() takes an address and a prefix"};
      if (a[1].string.starts_with('@')) {
        const auto at = environment.sets.find(a[1].string.substr(1));
        if (at == environment.sets.end()) return Error{fmt::format("there is no set {}", a[1].string)};
        return Value::of(at->second->contains(a[0].string));
      }
      const auto set = NamedSet::make("", {a[1].string});
      if (!set) return set.error();
      return Value::of(set->contains(a[0].string));
    }
    if (node.text == "lookup" && a.size() >= 2 && is_text(0)) {
      const auto at = environment.dictionaries.find(a[0].string);
      if (at == environment.dictionaries.end()) return Error{fmt::format("there is no dictionary {}", a[0].string)};
      const auto column = is_text(2) ? at->second->column(a[2].string) : std::optional<size_t>(1);
      if (!column) return Error{fmt::format("{} has no such column", a[0].string)};
      const auto found = a[1].is(ValueKind::null) ? std::nullopt : at->second->find(text_of(a[1]), *column);
      return found ? Value::of(std::string(*found)) : Value();
    }
    if (node.text == "mac") return mac_of(a);
    const auto signature =
        std::find_if(kSignatures.begin(), kSignatures.end(), [&](const Signature& s) { return s.name == node.text; });
    const auto function = static_cast<CellFunction>(signature - kSignatures.begin());
    if (function != CellFunction::bit_and_ && function != CellFunction::is_private_ && function != CellFunction::ip_version_) {
      return std::nullopt;
    }
    if (a.size() != signature->arguments_min) return Error{fmt::format("{}() takes {} arguments", node.text, signature->arguments_min)};
    std::vector<Cell> cells;
    for (const Value& v : a) cells.push_back(cell_of(v).value_or(Cell()));
    Scratch scratch;
    Cell result;
    if (!call(function, cells, scratch, result)) return Error{fmt::format("{}() of {}", node.text, a[0].to_json())};
    return result.kind == CellKind::boolean ? Value::of(result.boolean) : Value::of(result.number);
  };
  return scope;
}

}  // namespace weir::rules
