// functions.h — The functions of the language that are given values; closures are the interpreter's own.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rules/pattern.h"
#include "rules/value.h"

namespace weir::rules {

/// Nothing where there is no function of that name.
std::optional<Result<Value>> call_function(std::string_view name, const std::vector<Value>& arguments);

/// matches() and extract() of a text and a pattern: the pattern, which says what the search will take; and the search.
Result<Pattern> pattern_of(std::string_view function, const std::vector<Value>& arguments);
Value found_by(const Pattern& pattern, std::string_view function, const std::vector<Value>& arguments);

/// Text of a value in a string: `string(x)` and templates.
std::string text_of(const Value& value);

}  // namespace weir::rules
