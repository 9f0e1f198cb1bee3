// value.h — What expressions are of where they are interpreted plainly: JSON values with decimal numbers.
//
// Runs on:  any thread. Allocates: for tests, `eval` and `explain`, and for what is computed when rules are compiled; never
//           for a flow on its way.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/named_enum.h"
#include "rules/decimal.h"

namespace weir::rules {

#define WEIR_VALUE_KINDS(X) X(null) X(boolean) X(number) X(string) X(array) X(object) X(interval)
WEIR_NAMED_ENUM(ValueKind, uint8_t, WEIR_VALUE_KINDS)

struct Value {
  using Members = std::vector<std::pair<std::string, Value>>;  // in the order in which they came

  ValueKind kind = ValueKind::null;
  bool boolean = false;
  Decimal number;
  std::string string;        // of an interval: its text, `[1..5)`, which is what it is outside of expressions
  std::vector<Value> items;  // of an interval: its ends
  Members members;

  Value() = default;
  static Value of(bool v);
  static Value of(const Decimal& v);
  static Value of(std::string v);
  static Value array(std::vector<Value> items = {});
  static Value object(Members members = {});
  static Value interval(const Decimal& low, const Decimal& high, bool low_is_outside, bool high_is_outside);

  bool is(ValueKind k) const noexcept { return kind == k; }
  /// Null where there is no such member.
  const Value* find(std::string_view key) const noexcept;
  Value* find(std::string_view key) noexcept;
  /// The member as it is then; it stays where it is until the next one is set.
  Value& set(const std::string& key, Value v);
  std::string to_json() const;

  /// Of the same shape and values; what `==` between expressions asks is equal_as_expressions.
  friend bool operator==(const Value& a, const Value& b);
};

/// As the reference engine compares: arrays, objects and intervals are equal to nothing.
bool equal_as_expressions(const Value& a, const Value& b);
/// Whether a number is between an interval's ends.
bool is_within(const Decimal& number, const Value& interval) noexcept;

/// 1, and what the deepest item or member has.
size_t depth_of(const Value& value) noexcept;

/// Members of an object are looked for one after the other.
inline constexpr size_t kMembersMax = 4096;
/// The value of a JSON text; nothing where it is none, is deeper than 64 values, or has an object of more than kMembersMax members.
std::optional<Value> parse_json(std::string_view text);

}  // namespace weir::rules
