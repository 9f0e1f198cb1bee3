#include "rules/value.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace weir::rules {
namespace {

using nlohmann::ordered_json;

constexpr int kDepthMax = 64;

std::optional<Value> value_of(const ordered_json& j, int depth) {
  if (depth > kDepthMax) return std::nullopt;
  if (j.is_boolean()) return Value::of(j.get<bool>());
  if (j.is_string()) return Value::of(j.get<std::string>());
  if (j.is_number_unsigned()) return Value::of(Decimal(j.get<uint64_t>()));
  if (j.is_number_integer()) return Value::of(Decimal::of(j.get<int64_t>()));
  if (j.is_number()) {
    const auto number = Decimal::of_double(j.get<double>());
    return number ? std::optional(Value::of(*number)) : std::nullopt;
  }
  Value v;
  if (j.is_array()) {
    v = Value::array();
    for (const ordered_json& item : j) {
      auto of_item = value_of(item, depth + 1);
      if (!of_item) return std::nullopt;
      v.items.push_back(std::move(*of_item));
    }
  } else if (j.is_object()) {
    v = Value::object();
    for (const auto& [key, member] : j.items()) {
      auto of_member = value_of(member, depth + 1);
      if (!of_member) return std::nullopt;
      v.set(key, std::move(*of_member));
    }
  }
  return v;
}

void append(std::string& out, const Value& v) {
  switch (v.kind) {
    case ValueKind::null:
    case ValueKind::count_: out += "null"; return;
    case ValueKind::boolean: out += v.boolean ? "true" : "false"; return;
    case ValueKind::number: out += v.number.to_json(); return;
    case ValueKind::interval:
    case ValueKind::string:
      out += nlohmann::json(v.string).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      return;
    case ValueKind::array:
      out += '[';
      for (size_t i = 0; i < v.items.size(); ++i) {
        if (i != 0) out += ',';
        append(out, v.items[i]);
      }
      out += ']';
      return;
    case ValueKind::object:
      out += '{';
      for (size_t i = 0; i < v.members.size(); ++i) {
        if (i != 0) out += ',';
        append(out, Value::of(v.members[i].first));
        out += ':';
        append(out, v.members[i].second);
      }
      out += '}';
      return;
  }
}

}  // namespace

Value Value::of(bool b) {
  Value v;
  v.kind = ValueKind::boolean;
  v.boolean = b;
  return v;
}
Value Value::of(const Decimal& d) {
  Value v;
  v.kind = ValueKind::number;
  v.number = d;
  return v;
}
Value Value::of(std::string s) {
  Value v;
  v.kind = ValueKind::string;
  v.string = std::move(s);
  return v;
}
Value Value::array(std::vector<Value> items) {
  Value v;
  v.kind = ValueKind::array;
  v.items = std::move(items);
  return v;
}
Value Value::object(Members members) {
  Value v;
  v.kind = ValueKind::object;
  v.members = std::move(members);
  return v;
}

Value Value::interval(const Decimal& low, const Decimal& high, bool low_is_outside, bool high_is_outside) {
  Value v = array({of(low), of(high)});
  v.kind = ValueKind::interval;
  v.string = low_is_outside ? '(' : '[';
  v.string.append(low.to_string()).append("..").append(high.to_string()).append(1, high_is_outside ? ')' : ']');
  return v;
}

bool equal_as_expressions(const Value& a, const Value& b) { return a.kind <= ValueKind::string && a == b; }

bool is_within(const Decimal& number, const Value& interval) noexcept {
  const int low = compare(number, interval.items[0].number);
  const int high = compare(number, interval.items[1].number);
  return (interval.string.front() == '(' ? low > 0 : low >= 0) && (interval.string.back() == ')' ? high < 0 : high <= 0);
}

const Value* Value::find(std::string_view key) const noexcept {
  for (const auto& [name, value] : members) {
    if (name == key) return &value;
  }
  return nullptr;
}

Value* Value::find(std::string_view key) noexcept { return const_cast<Value*>(std::as_const(*this).find(key)); }

Value& Value::set(const std::string& key, Value v) {
  if (Value* const there = find(key)) return *there = std::move(v);
  return members.emplace_back(key, std::move(v)).second;
}

size_t depth_of(const Value& value) noexcept {
  size_t deepest = 0;
  for (const Value& item : value.items) deepest = std::max(deepest, depth_of(item));
  for (const auto& [name, member] : value.members) deepest = std::max(deepest, depth_of(member));
  return deepest + 1;
}

bool operator==(const Value& a, const Value& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case ValueKind::null:
    case ValueKind::count_: return true;
    case ValueKind::boolean: return a.boolean == b.boolean;
    case ValueKind::number: return a.number == b.number;
    case ValueKind::interval:
    case ValueKind::string: return a.string == b.string;
    case ValueKind::array: return a.items == b.items;
    case ValueKind::object:
      if (a.members.size() != b.members.size()) return false;
      for (const auto& [name, value] : a.members) {
        const Value* const other = b.find(name);
        if (other == nullptr || !(value == *other)) return false;
      }
      return true;
  }
  return false;
}

std::string Value::to_json() const {
  std::string text;
  append(text, *this);
  return text;
}

std::optional<Value> parse_json(std::string_view text) {
  std::vector<size_t> members;  // of the objects that are open
  bool is_too_large = false;
  const auto look = [&](int, ordered_json::parse_event_t event, const ordered_json&) {
    if (is_too_large) return false;
    if (event == ordered_json::parse_event_t::object_start) members.push_back(0);
    if (event == ordered_json::parse_event_t::object_end) members.pop_back();
    if (event == ordered_json::parse_event_t::key) is_too_large = ++members.back() > kMembersMax;
    return !is_too_large;
  };
  const ordered_json parsed = ordered_json::parse(text, look, false);
  if (parsed.is_discarded() || is_too_large) return std::nullopt;
  return value_of(parsed, 0);
}

}  // namespace weir::rules
