#include "rules/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "rules/interpreter.h"
#include "rules/letters.h"

namespace weir::rules {
namespace {

using Arguments = std::vector<Value>;
using Function = Result<Value> (*)(const Arguments&);

Error not_for(std::string_view function, const Value& v) {
  return Error{fmt::format("{}() of a {}", function, name_of(v.kind))};
}
Error out_of_range(std::string_view function) { return Error{fmt::format("{}(): the result is too large", function)}; }

Result<std::vector<Decimal>> numbers_of(std::string_view function, const Value& v) {
  if (!v.is(ValueKind::array)) return not_for(function, v);
  std::vector<Decimal> numbers;
  for (const Value& item : v.items) {
    if (!item.is(ValueKind::number)) return not_for(function, item);
    numbers.push_back(item.number);
  }
  if (numbers.empty()) return Error{fmt::format("{}() of an empty array", function)};
  return numbers;
}

Result<Value> sum_of(std::string_view function, const Value& v, bool average) {
  if (v.is(ValueKind::array) && v.items.empty() && !average) return Value::of(Decimal(0));
  auto numbers = numbers_of(function, v);
  if (!numbers) return numbers.error();
  std::optional<Decimal> sum = Decimal(0);
  for (const Decimal& n : *numbers) {
    if (sum) sum = add(*sum, n);
  }
  if (sum && average) sum = divide(*sum, Decimal(numbers->size()));
  if (!sum) return out_of_range(function);
  return Value::of(*sum);
}

Result<Value> extreme(std::string_view function, const Value& v, int sign) {
  auto numbers = numbers_of(function, v);
  if (!numbers) return numbers.error();
  Decimal best = numbers->front();
  for (const Decimal& n : *numbers) {
    if (compare(n, best) * sign > 0) best = n;
  }
  return Value::of(best);
}

Result<Value> median(const Arguments& a) {
  auto numbers = numbers_of("median", a[0]);
  if (!numbers) return numbers.error();
  std::sort(numbers->begin(), numbers->end(), [](const Decimal& x, const Decimal& y) { return compare(x, y) < 0; });
  const size_t middle = numbers->size() / 2;
  if (numbers->size() % 2 != 0) return Value::of((*numbers)[middle]);
  const auto sum = add((*numbers)[middle - 1], (*numbers)[middle]);
  if (!sum) return out_of_range("median");
  return Value::of(*divide(*sum, Decimal(2)));
}

Result<Value> mode(const Arguments& a) {
  auto numbers = numbers_of("mode", a[0]);
  if (!numbers) return numbers.error();
  // Of those that are there as often as another, the greatest, as in the engine.
  std::sort(numbers->begin(), numbers->end(), [](const Decimal& x, const Decimal& y) { return compare(x, y) < 0; });
  size_t most = 0, best = 0;
  for (size_t i = 0, end = 0; i < numbers->size(); i = end) {
    while (end < numbers->size() && compare((*numbers)[end], (*numbers)[i]) == 0) ++end;
    if (end - i >= most) most = end - i, best = i;
  }
  return Value::of((*numbers)[best]);
}

Result<Value> rounding(std::string_view function, const Arguments& a, Decimal::Toward toward) {
  if (!a[0].is(ValueKind::number)) return not_for(function, a[0]);
  int64_t digits = 0;
  if (a.size() == 2) {
    const auto asked = a[1].is(ValueKind::number) ? a[1].number.to_int64() : std::nullopt;
    if (!asked || *asked < 0 || *asked > 28) return not_for(function, a[1]);
    digits = *asked;
  }
  return Value::of(a[0].number.rounded(toward, static_cast<unsigned>(digits)));
}

Result<Value> change_case(std::string_view function, const Value& v, bool to_upper) {
  if (!v.is(ValueKind::string)) return not_for(function, v);
  std::string s = v.string;
  for (char& c : s) {
    if (to_upper && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (!to_upper && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return Value::of(std::move(s));
}

Result<Value> length(const Arguments& a) {
  if (a[0].is(ValueKind::string)) return Value::of(Decimal(a[0].string.size()));  // octets, as the engine counts
  if (a[0].is(ValueKind::array)) return Value::of(Decimal(a[0].items.size()));
  return not_for("len", a[0]);
}

Result<Value> contains(const Arguments& a) {
  if (a[0].is(ValueKind::string)) {
    if (!a[1].is(ValueKind::string)) return not_for("contains", a[1]);
    return Value::of(a[0].string.find(a[1].string) != std::string::npos);
  }
  if (!a[0].is(ValueKind::array)) return not_for("contains", a[0]);
  return Value::of(std::any_of(a[0].items.begin(), a[0].items.end(), [&a](const Value& item) { return equal_as_expressions(item, a[1]); }));
}

Result<Value> begins_or_ends(std::string_view function, const Arguments& a, bool begins) {
  for (const Value& v : a) {
    if (!v.is(ValueKind::string)) return not_for(function, v);
  }
  const std::string_view s = a[0].string;
  return Value::of(begins ? s.starts_with(a[1].string) : s.ends_with(a[1].string));
}

Result<Value> trimmed(const Arguments& a) {
  if (!a[0].is(ValueKind::string)) return not_for("trim", a[0]);
  return Value::of(std::string(without_space(a[0].string)));
}

Result<Value> split(const Arguments& a) {
  for (const Value& v : a) {
    if (!v.is(ValueKind::string)) return not_for("split", v);
  }
  Value parts = Value::array();
  const std::string& s = a[0].string;
  const std::string& by = a[1].string;
  if (by.empty()) {  // each character, between two empty texts
    parts.items.push_back(Value::of(std::string()));
    for (size_t at = 0, end = 0; at < s.size() && parts.items.size() <= kItemsMax; at = end) {
      do ++end;
      while (end < s.size() && (static_cast<unsigned char>(s[end]) & 0xc0) == 0x80);
      parts.items.push_back(Value::of(s.substr(at, end - at)));
    }
    parts.items.push_back(Value::of(std::string()));
    return parts;
  }
  for (size_t at = 0;;) {
    const size_t end = s.find(by, at);
    parts.items.push_back(Value::of(s.substr(at, end - at)));
    if (end == std::string::npos || parts.items.size() > kItemsMax) return parts;
    at = end + by.size();
  }
}

Result<Value> regex_of(std::string_view function, const Arguments& a) {
  const auto pattern = pattern_of(function, a);
  if (!pattern) return pattern.error();
  return found_by(*pattern, function, a);
}

Result<Value> to_number(const Arguments& a) {
  const Value& v = a[0];
  if (v.is(ValueKind::number)) return v;
  if (v.is(ValueKind::boolean)) return Value::of(Decimal(v.boolean ? 1 : 0));
  const auto number = v.is(ValueKind::string) ? Decimal::parse(without_space(v.string)) : std::nullopt;
  if (!number) return Error{fmt::format("number() of {}", v.to_json())};
  return Value::of(*number);
}

Result<Value> to_bool(const Arguments& a) {
  const Value& v = a[0];
  if (v.is(ValueKind::boolean)) return v;
  if (v.is(ValueKind::number)) return Value::of(!v.number.is_zero());
  if (!v.is(ValueKind::string)) return Value::of(!v.is(ValueKind::null));
  return Value::of(without_space(v.string) == "true" || v.string.empty());  // as the engine has it
}

Result<Value> keys_or_values(std::string_view function, const Value& v, bool keys) {
  Value all = Value::array();
  if (v.is(ValueKind::array)) {
    if (!keys) return v;
    for (size_t i = 0; i < v.items.size(); ++i) all.items.push_back(Value::of(Decimal(i)));
    return all;
  }
  if (!v.is(ValueKind::object)) return not_for(function, v);
  for (const auto& [name, value] : v.members) all.items.push_back(keys ? Value::of(name) : value);
  return all;
}

void merge_into(Value& into, const Value& from, bool deep) {
  if (from.is(ValueKind::array)) {
    into.items.insert(into.items.end(), from.items.begin(), from.items.end());
    return;
  }
  for (const auto& [name, value] : from.members) {
    const Value* const there = into.find(name);
    if (deep && there != nullptr && there->kind == value.kind &&
        (value.is(ValueKind::object) || value.is(ValueKind::array))) {
      Value merged = *there;
      merge_into(merged, value, true);
      into.set(name, std::move(merged));
    } else {
      into.set(name, value);
    }
  }
}

Result<Value> merged(std::string_view function, const Arguments& a, bool deep) {
  if (!a[0].is(ValueKind::array)) return not_for(function, a[0]);
  Value all = Value::object();
  bool first = true;
  for (const Value& item : a[0].items) {
    if (item.is(ValueKind::null)) continue;
    if (!item.is(ValueKind::object) && !item.is(ValueKind::array)) return not_for(function, item);
    if (first) all.kind = item.kind;
    if (item.kind != all.kind) return not_for(function, item);
    first = false;
    merge_into(all, item, deep);
  }
  return all;
}

Result<Value> flattened(const Arguments& a) {
  if (!a[0].is(ValueKind::array)) return not_for("flatten", a[0]);
  Value all = Value::array();
  for (const Value& item : a[0].items) {
    if (item.is(ValueKind::array)) {
      all.items.insert(all.items.end(), item.items.begin(), item.items.end());
    } else {
      all.items.push_back(item);
    }
  }
  return all;
}

Result<Value> absolute(const Arguments& a) {
  if (!a[0].is(ValueKind::number)) return not_for("abs", a[0]);
  return Value::of(a[0].number.abs());
}

struct Entry {
  size_t least, most;  // arguments
  Function function;
};

const std::map<std::string_view, Entry>& table() {
  using A = const Arguments&;
  using T = Decimal::Toward;
  static const std::map<std::string_view, Entry> kFunctions = {
      {"len", {1, 1, length}},
      {"contains", {2, 2, contains}},
      {"flatten", {1, 1, flattened}},
      {"merge", {1, 1, [](A a) { return merged("merge", a, false); }}},
      {"mergeDeep", {1, 1, [](A a) { return merged("mergeDeep", a, true); }}},
      {"upper", {1, 1, [](A a) { return change_case("upper", a[0], true); }}},
      {"lower", {1, 1, [](A a) { return change_case("lower", a[0], false); }}},
      {"trim", {1, 1, trimmed}},
      {"startsWith", {2, 2, [](A a) { return begins_or_ends("startsWith", a, true); }}},
      {"endsWith", {2, 2, [](A a) { return begins_or_ends("endsWith", a, false); }}},
      {"matches", {2, 2, [](A a) { return regex_of("matches", a); }}},
      {"extract", {2, 2, [](A a) { return regex_of("extract", a); }}},
      {"split", {2, 2, split}},
      {"abs", {1, 1, absolute}},
      {"sum", {1, 1, [](A a) { return sum_of("sum", a[0], false); }}},
      {"avg", {1, 1, [](A a) { return sum_of("avg", a[0], true); }}},
      {"min", {1, 1, [](A a) { return extreme("min", a[0], -1); }}},
      {"max", {1, 1, [](A a) { return extreme("max", a[0], 1); }}},
      {"median", {1, 1, median}},
      {"mode", {1, 1, mode}},
      {"floor", {1, 1, [](A a) { return rounding("floor", a, T::minus_infinity); }}},
      {"ceil", {1, 1, [](A a) { return rounding("ceil", a, T::infinity); }}},
      {"round", {1, 2, [](A a) { return rounding("round", a, T::nearest); }}},
      {"trunc", {1, 2, [](A a) { return rounding("trunc", a, T::zero); }}},
      {"isNumeric", {1, 1, [](A a) -> Result<Value> {
         return Value::of(a[0].is(ValueKind::number) ||
                          (a[0].is(ValueKind::string) && Decimal::parse(without_space(a[0].string)).has_value()));
       }}},
      {"string", {1, 1, [](A a) -> Result<Value> {
         if (a[0].kind > ValueKind::string) return not_for("string", a[0]);
         return Value::of(text_of(a[0]));
       }}},
      {"number", {1, 1, to_number}},
      {"bool", {1, 1, to_bool}},
      {"type", {1, 1, [](A a) -> Result<Value> {
         return Value::of(std::string(a[0].is(ValueKind::boolean) ? "bool" : name_of(a[0].kind)));
       }}},
      {"keys", {1, 1, [](A a) { return keys_or_values("keys", a[0], true); }}},
      {"values", {1, 1, [](A a) { return keys_or_values("values", a[0], false); }}},
  };
  return kFunctions;
}

}  // namespace

std::optional<Result<Value>> call_function(std::string_view name, const std::vector<Value>& arguments) {
  const auto at = table().find(name);
  if (at == table().end()) return std::nullopt;
  if (arguments.size() < at->second.least || arguments.size() > at->second.most) {
    return Error{fmt::format("{}() has {} arguments, takes {}", name, arguments.size(), at->second.least)};
  }
  return at->second.function(arguments);
}

Result<Pattern> pattern_of(std::string_view function, const std::vector<Value>& arguments) {
  for (const Value& v : arguments) {
    if (!v.is(ValueKind::string)) return not_for(function, v);
  }
  if (arguments[0].string.size() > 64 * 1024) return Error{fmt::format("{}() of a text longer than 64 KiB", function)};
  auto pattern = Pattern::parse(arguments[1].string);
  if (!pattern) return Error{fmt::format("{}(): {}", function, pattern.error().message)};
  return pattern;
}

Value found_by(const Pattern& pattern, std::string_view function, const std::vector<Value>& arguments) {
  const auto found = pattern.find(arguments[0].string);
  if (function == "matches") return Value::of(found.has_value());
  Value all = Value::array();
  if (!found) return all;
  // As the engine does: a group that took no part is left out, and those behind it move up.
  for (const Pattern::Group& group : *found) {
    if (group) all.items.push_back(Value::of(std::string(*group)));
  }
  return all;
}

std::string text_of(const Value& value) {
  if (value.is(ValueKind::number)) return value.number.to_string();
  return value.is(ValueKind::string) ? value.string : value.to_json();
}

}  // namespace weir::rules
