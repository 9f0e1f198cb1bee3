// interpreter.h — Expressions over JSON values, plainly: what they mean.
//
// Spec:     docs/RULES.md. The flat program (program.h) is fuzzed against this.
// Runs on:  any thread. Allocates.
// Bounds:   trees as deep as the parser lets them be; kItemsMax items made by one function; kInterpretedMax values looked at in all.
// Failure:  an Error for what the language calls one: types that do not go together, a function that is not there. A missing name,
//           a member of nothing and a division by 0 are null instead.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "rules/ast.h"
#include "rules/value.h"

namespace weir::rules {

inline constexpr size_t kItemsMax = 100'000;
/// Values, and 16 octets of text a value: closures in closures, and text that is doubled, end here and not with the memory.
inline constexpr uint64_t kInterpretedMax = 4'000'000;

/// What of kInterpretedMax a value takes.
uint64_t weight_of(const Value& value) noexcept;

/// What names mean.
struct Scope {
  const Value* root = nullptr;       // an object: names are its members; $root
  const Value* reference = nullptr;  // $
  /// @name: whether a value is in the set; absent where there are no sets.
  std::function<Result<bool>(const std::string& set, const Value& value)> in_set;
  /// Functions beyond the language's own; nothing where the name is not one of them.
  std::function<std::optional<Result<Value>>(const Node& call, const std::vector<Value>& arguments)> call;
  /// What is left of kInterpretedMax, for several expressions that share it; null: each has all of it.
  uint64_t* left = nullptr;
};

Result<Value> interpret(const Node& expression, const Scope& scope);

/// The same as `interpret` of what parse_expression gives.
Result<Value> evaluate(std::string_view expression, const Scope& scope);

}  // namespace weir::rules
