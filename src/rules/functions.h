// functions.h — The functions of the language that are given values; closures are the interpreter's own.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rules/value.h"

namespace weir::rules {

/// Nothing where there is no function of that name.
std::optional<Result<Value>> call_function(std::string_view name, const std::vector<Value>& arguments);

/// Text of a value in a string: `string(x)` and templates.
std::string text_of(const Value& value);

/// Characters of UTF-8 text; where each begins, and the end.
std::vector<size_t> character_places(std::string_view text);

}  // namespace weir::rules
