#include "rules/interpreter.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>

#include "rules/functions.h"
#include "rules/parser.h"

namespace weir::rules {
namespace {

constexpr std::array<std::string_view, 8> kClosures = {"all", "none", "some", "one", "filter", "map", "flatMap", "count"};

constexpr uint64_t kOctetsOfValue = 16;
constexpr uint64_t kWorkOfValue = 16;  // of Pattern::work

class Interpreter {
 public:
  explicit Interpreter(const Scope& scope) : scope_(scope), left_(scope.left != nullptr ? *scope.left : own_left_) {}

  Result<Value> of(const Node& n) {
    auto v = any(n);
    if (!v || take(weight_of(*v))) return v;
    return wrong(n, "it takes more than an expression may");
  }

 private:
  Result<Value> any(const Node& n) {
    switch (n.kind) {
      case NodeKind::null_literal:
      case NodeKind::count_: return Value();
      case NodeKind::boolean_literal: return Value::of(n.flag);
      case NodeKind::number_literal: return Value::of(n.number);
      case NodeKind::string_literal: return Value::of(n.text);
      case NodeKind::template_string: return templated(n);
      case NodeKind::name: return name(n);
      case NodeKind::set_name: return wrong(n, "@" + n.text + " stands only behind 'in'");
      case NodeKind::reference: return scope_.reference != nullptr ? *scope_.reference : Value();
      case NodeKind::root: return scope_.root != nullptr ? *scope_.root : Value();
      case NodeKind::element: return elements_.empty() ? Value() : *elements_.back().second;
      case NodeKind::member:
      case NodeKind::index: return member(n);
      case NodeKind::slice: return slice(n);
      case NodeKind::array: return array(n);
      case NodeKind::object: return object(n);
      case NodeKind::interval: return interval(n);
      case NodeKind::unary_minus: {
        auto v = of(*n.children[0]);
        if (!v) return v;
        if (!v->is(ValueKind::number)) return wrong(n, fmt::format("the sign of a {}", name_of(v->kind)));
        return Value::of(-v->number);
      }
      case NodeKind::logical_not: {
        auto v = truth(*n.children[0], "not");
        if (!v) return v.error();
        return Value::of(!*v);
      }
      case NodeKind::logical_and:
      case NodeKind::logical_or: return logical(n);
      case NodeKind::binary: return binary(n);
      case NodeKind::coalesce: {
        auto v = of(*n.children[0]);
        if (!v || !v->is(ValueKind::null)) return v;
        return of(*n.children[1]);
      }
      case NodeKind::conditional: {
        auto v = truth(*n.children[0], "?");
        if (!v) return v.error();
        return of(*n.children[*v ? 1 : 2]);
      }
      case NodeKind::membership:
      case NodeKind::not_membership: return membership(n);
      case NodeKind::call: return call(n);
    }
    return Value();
  }

  bool take(uint64_t weight) noexcept {
    const bool is_there = weight <= left_;
    left_ = is_there ? left_ - weight : 0;
    return is_there;
  }

  static Error wrong(const Node& n, const std::string& what) { return Error{fmt::format("at {}: {}", n.at + 1, what)}; }

  Result<bool> truth(const Node& n, std::string_view for_whom) {
    auto v = of(n);
    if (!v) return v.error();
    if (!v->is(ValueKind::boolean)) {
      return wrong(n, fmt::format("a {} where '{}' wants true or false", name_of(v->kind), for_whom));
    }
    return v->boolean;
  }

  Result<Value> templated(const Node& n) {
    std::string text;
    for (const NodePtr& part : n.children) {
      auto v = of(*part);
      if (!v) return v;
      if (v->kind > ValueKind::string) return wrong(*part, fmt::format("a {} in a text", name_of(v->kind)));
      text += text_of(*v);
    }
    return Value::of(std::move(text));
  }

  /// `is_base`: a member of it is asked for, by a constant; that is null where the input is no object, in the engine too.
  Result<Value> name(const Node& n, bool is_base = false) {
    for (auto it = elements_.rbegin(); it != elements_.rend(); ++it) {
      if (!it->first.empty() && it->first == n.text) return *it->second;
    }
    if (!is_base && scope_.root != nullptr && !scope_.root->is(ValueKind::object) && !scope_.root->is(ValueKind::null)) {
      return wrong(n, fmt::format("a name where the node's input is a {}", name_of(scope_.root->kind)));
    }
    const Value* const v = scope_.root != nullptr ? scope_.root->find(n.text) : nullptr;
    return v != nullptr ? *v : Value();
  }

  Result<Value> member(const Node& n) {
    const bool by_constant = n.kind == NodeKind::member || n.children[1]->kind == NodeKind::string_literal || n.children[1]->kind == NodeKind::number_literal;
    auto object = by_constant && n.children[0]->kind == NodeKind::name ? name(*n.children[0], true) : of(*n.children[0]);
    if (!object) return object;
    Value key = Value::of(n.text);
    if (n.kind == NodeKind::index) {
      auto k = of(*n.children[1]);
      if (!k) return k;
      key = std::move(*k);
    }
    if (object->is(ValueKind::object) && key.is(ValueKind::string)) {
      const Value* const v = object->find(key.string);
      return v != nullptr ? *v : Value();
    }
    if (object->is(ValueKind::array) && key.is(ValueKind::number)) {
      const auto i = whole_part(key);
      if (!i) return wrong(n, "an index is a number from 0 on");
      return *i < object->items.size() ? object->items[*i] : Value();
    }
    if (object->is(ValueKind::string) && key.is(ValueKind::number) && !n.flag) return character(n, object->string, key);
    return Value();
  }

  /// The one at an octet; null where none is, or it is longer. (Of a path the engine has none: `s[0]` is null, `(s)[0]` is not.)
  Result<Value> character(const Node& n, const std::string& text, const Value& key) {
    const auto i = whole_part(key);
    if (!i) return wrong(n, "an index is a number from 0 on");
    const bool is_one = *i < text.size() && begins_character(text, *i) && begins_character(text, *i + 1);
    return is_one ? Value::of(text.substr(*i, 1)) : Value();
  }

  Result<Value> slice(const Node& n) {
    auto v = of(*n.children[0]);
    if (!v) return v;
    uint64_t bounds[2] = {0, UINT64_MAX};
    for (size_t i = 0; i < 2; ++i) {
      if (n.children[i + 1] == nullptr) continue;
      auto bound = of(*n.children[i + 1]);
      if (!bound) return bound;
      const auto number = whole_part(*bound);
      if (!number) return wrong(n, "a slice's ends are numbers from 0 on");
      bounds[i] = *number;
    }
    const bool is_text = v->is(ValueKind::string);
    if (!is_text && !v->is(ValueKind::array)) return wrong(n, fmt::format("a slice of a {}", name_of(v->kind)));
    // Of octets; the last one is part of it, and there must be one. What begins right behind its end is empty.
    const uint64_t size = is_text ? v->string.size() : v->items.size();
    const uint64_t end = n.children[2] == nullptr ? size : bounds[1] >= size ? size + 1 : bounds[1] + 1;
    if (end > size || bounds[0] > end) return wrong(n, fmt::format("there is no such slice of {}", size));
    if (is_text) {
      if (!begins_character(v->string, bounds[0]) || !begins_character(v->string, end)) return wrong(n, "the slice ends within a character");
      return Value::of(v->string.substr(bounds[0], end - bounds[0]));
    }
    const auto begin = v->items.begin();
    return Value::array({begin + static_cast<std::ptrdiff_t>(bounds[0]), begin + static_cast<std::ptrdiff_t>(end)});
  }

  Result<Value> array(const Node& n) {
    Value all = Value::array();
    for (const NodePtr& item : n.children) {
      auto v = of(*item);
      if (!v) return v;
      all.items.push_back(std::move(*v));
    }
    return all;
  }

  Result<Value> object(const Node& n) {
    Value all = Value::object();
    for (size_t i = 0; i < n.children.size(); i += 2) {
      auto key = of(*n.children[i]);
      if (!key) return key;
      if (key->kind > ValueKind::string) return wrong(*n.children[i], fmt::format("a {} as a key", name_of(key->kind)));
      auto v = of(*n.children[i + 1]);
      if (!v) return v;
      all.set(text_of(*key), std::move(*v));
    }
    return all;
  }

  Result<std::pair<Decimal, Decimal>> bounds(const Node& n) {
    auto low = of(*n.children[0]);
    if (!low) return low.error();
    auto high = of(*n.children[1]);
    if (!high) return high.error();
    if (!low->is(ValueKind::number) || !high->is(ValueKind::number)) return wrong(n, "an interval's ends are numbers");
    return std::pair{low->number, high->number};
  }

  Result<Value> interval(const Node& n) {
    auto ends = bounds(n);
    if (!ends) return ends.error();
    return Value::interval(ends->first, ends->second, n.flag, n.flag2);
  }

  /// What a closure goes through: the whole numbers of it, from its lower end without what is behind the point.
  Result<Value> items_of(const Node& n, const Value& interval) {
    const auto low = interval.items[0].number.rounded(Decimal::Toward::zero).to_int64();
    const auto high = interval.items[1].number.rounded(Decimal::Toward::zero).to_int64();
    if (!low || !high) return wrong(n, "too large numbers");
    Value all = Value::array();
    for (int64_t i = *low; i <= *high; ++i) {
      if (all.items.size() >= kItemsMax) return wrong(n, "too many numbers");
      if (!(interval.string.front() == '(' && i == *low) && !(interval.string.back() == ')' && i == *high)) all.items.push_back(Value::of(Decimal::of(i)));
      if (i == INT64_MAX) break;
    }
    return all;
  }

  static std::optional<uint64_t> whole_part(const Value& v) {
    return v.is(ValueKind::number) ? v.number.rounded(Decimal::Toward::zero).to_uint64() : std::nullopt;
  }
  static bool begins_character(const std::string& text, uint64_t at) {
    return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80;
  }

  Result<Value> logical(const Node& n) {
    const bool is_or = n.kind == NodeKind::logical_or;
    auto left = truth(*n.children[0], is_or ? "or" : "and");
    if (!left) return left.error();
    if (*left == is_or) return Value::of(is_or);
    auto right = truth(*n.children[1], is_or ? "or" : "and");
    if (!right) return right.error();
    return Value::of(*right);
  }

  Result<Value> binary(const Node& n) {
    auto left = of(*n.children[0]);
    if (!left) return left;
    auto right = of(*n.children[1]);
    if (!right) return right;
    if (n.op == BinaryOperator::equal) return Value::of(equal_as_expressions(*left, *right));
    if (n.op == BinaryOperator::not_equal) return Value::of(!equal_as_expressions(*left, *right));
    if (n.op == BinaryOperator::add && left->is(ValueKind::string) && right->is(ValueKind::string)) {
      return Value::of(left->string + right->string);
    }
    if (!left->is(ValueKind::number) || !right->is(ValueKind::number)) {
      return wrong(n, fmt::format("{} of a {} and a {}", name_of(n.op), name_of(left->kind), name_of(right->kind)));
    }
    const Decimal& a = left->number;
    const Decimal& b = right->number;
    std::optional<Decimal> result;
    switch (n.op) {
      case BinaryOperator::less: return Value::of(compare(a, b) < 0);
      case BinaryOperator::less_equal: return Value::of(compare(a, b) <= 0);
      case BinaryOperator::greater: return Value::of(compare(a, b) > 0);
      case BinaryOperator::greater_equal: return Value::of(compare(a, b) >= 0);
      case BinaryOperator::add: result = add(a, b); break;
      case BinaryOperator::subtract: result = subtract(a, b); break;
      case BinaryOperator::multiply: result = multiply(a, b); break;
      case BinaryOperator::divide:
      case BinaryOperator::remainder:
        if (b.is_zero()) return Value();
        result = n.op == BinaryOperator::divide ? divide(a, b) : remainder(a, b);
        break;
      case BinaryOperator::power: result = power(a, b); break;
      case BinaryOperator::equal:
      case BinaryOperator::not_equal:
      case BinaryOperator::count_: break;
    }
    if (!result) return wrong(n, "the result is too large");
    return Value::of(*result);
  }

  Result<Value> membership(const Node& n) {
    auto in = is_in(n);
    if (!in) return in.error();
    return Value::of(*in == (n.kind == NodeKind::membership));
  }

  Result<bool> is_in(const Node& n) {
    const Node& of_what = *n.children[1];
    auto left = of(*n.children[0]);
    if (!left) return left.error();
    if (of_what.kind == NodeKind::set_name) {
      if (!scope_.in_set) return wrong(of_what, "there are no sets here");
      return scope_.in_set(of_what.text, *left);
    }
    auto right = of(of_what);
    if (!right) return right.error();
    if (right->is(ValueKind::interval) && left->is(ValueKind::number)) return is_within(left->number, *right);
    if (right->is(ValueKind::array) && left->kind <= ValueKind::string) {
      for (const Value& item : right->items) {
        if (equal_as_expressions(item, *left)) return true;
      }
      return false;
    }
    if (right->is(ValueKind::object) && left->is(ValueKind::string)) return right->find(left->string) != nullptr;
    return wrong(n, fmt::format("a {} in a {}", name_of(left->kind), name_of(right->kind)));
  }

  Result<Value> call(const Node& n) {
    for (const std::string_view closure : kClosures) {
      if (n.text == closure) return call_closure(n);
    }
    std::vector<Value> arguments;
    for (const NodePtr& child : n.children) {
      Result<Value> v = child->kind == NodeKind::set_name ? Value::of("@" + child->text) : of(*child);
      if (!v) return v;
      arguments.push_back(std::move(*v));
    }
    if (scope_.call) {
      if (auto v = scope_.call(n, arguments)) return std::move(*v);
    }
    if ((n.text == "matches" || n.text == "extract") && arguments.size() == 2) return search(n, arguments);
    if (auto v = call_function(n.text, arguments)) {
      if (!*v) return wrong(n, v->error().message);
      return std::move(*v);
    }
    return wrong(n, n.text + "() is not known");
  }

  /// A pattern's steps may all be taken at each octet of the text.
  Result<Value> search(const Node& n, const std::vector<Value>& arguments) {
    const auto pattern = pattern_of(n.text, arguments);
    if (!pattern) return wrong(n, pattern.error().message);
    if (!take(pattern->work(arguments[0].string.size()) / kWorkOfValue)) return wrong(n, "it takes more than an expression may");
    return found_by(*pattern, n.text, arguments);
  }

  Result<Value> call_closure(const Node& n) {
    if (n.children.size() != (n.flag ? 3u : 2u)) return wrong(n, n.text + "() takes an array and an expression");
    auto items = of(*n.children[0]);
    if (!items) return items;
    if (items->is(ValueKind::interval)) items = items_of(n, *items);
    if (!items) return items;
    if (!items->is(ValueKind::array)) return wrong(n, fmt::format("{}() of a {}", n.text, name_of(items->kind)));
    const bool makes_values = n.text == "map" || n.text == "flatMap";
    Value made = Value::array();
    size_t matched = 0;
    for (const Value& item : items->items) {
      elements_.emplace_back(n.flag ? n.children[1]->text : std::string(), &item);
      auto v = of(*n.children.back());
      elements_.pop_back();
      if (!v) return v;
      if (!makes_values && !v->is(ValueKind::boolean)) return wrong(n, n.text + "() wants true or false of each");
      if (n.text == "flatMap") {
        if (!v->is(ValueKind::array)) return wrong(n, "flatMap() wants an array of each");
        for (Value& each : v->items) made.items.push_back(std::move(each));
      } else if (makes_values) {
        made.items.push_back(std::move(*v));
      } else if (v->boolean) {
        ++matched;
        if (n.text == "filter") made.items.push_back(item);
      }
    }
    if (makes_values || n.text == "filter") return made;
    if (n.text == "count") return Value::of(Decimal(matched));
    if (n.text == "all") return Value::of(matched == items->items.size());
    if (n.text == "none") return Value::of(matched == 0);
    return Value::of(n.text == "one" ? matched == 1 : matched > 0);
  }

  const Scope& scope_;
  uint64_t own_left_ = kInterpretedMax;
  uint64_t& left_;
  std::vector<std::pair<std::string, const Value*>> elements_;  // of closures: alias and element, the innermost last
};

}  // namespace

uint64_t weight_of(const Value& value) noexcept {
  uint64_t weight = 1 + value.string.size() / kOctetsOfValue;
  for (const Value& item : value.items) weight += weight_of(item);
  for (const auto& [name, member] : value.members) weight += name.size() / kOctetsOfValue + weight_of(member);
  return weight;
}

Result<Value> interpret(const Node& expression, const Scope& scope) { return Interpreter(scope).of(expression); }

Result<Value> evaluate(std::string_view expression, const Scope& scope) {
  auto parsed = parse_expression(expression);
  if (!parsed) return parsed.error();
  return interpret(**parsed, scope);
}

}  // namespace weir::rules
