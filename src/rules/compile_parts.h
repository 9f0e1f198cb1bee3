// compile_parts.h — What the files of the compiler share: types, constants, and words for messages.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/ast.h"
#include "rules/flow_fields.h"
#include "rules/interpreter.h"
#include "rules/program.h"

namespace weir::rules::compile {

inline constexpr uint8_t kNull = 1, kBoolean = 2, kNumber = 4, kText = 8, kAny = 15;

uint8_t types_of(CellKind kind);
/// What it may be given; null may leave it out.
uint8_t types_of(const Target& target);
/// What an entry of a list of the flow's is.
uint8_t types_of_entry(FieldKind list);
/// `a number or null`.
std::string describe(uint8_t types);
std::string_view symbol_of(BinaryOperator op);
std::string_view what_is(NodeKind kind);

/// `; there are a, b`, and `; is it a?` of the name that is most like the wrong one.
std::string one_of(const std::vector<std::string_view>& names);
std::string nearest(std::string_view wrong, const std::vector<std::string_view>& names);

/// a < b is b > a.
BinaryOperator mirrored(BinaryOperator op);
bool is_list(FieldKind kind);
/// Where the expression is nothing but a field.
std::optional<FieldRef> field_of(const Node& node);
/// Whether it is the same for every flow.
bool is_constant(const Node& node);
/// `left`: what is left for all constants of a file (Scope::left).
std::optional<Value> constant_of(const Node& node, uint64_t& left);
/// Nothing for arrays and objects. Text is a view into the value.
std::optional<Cell> cell_of(const Value& value);
/// The octets of an address whose text is written as ours are; nothing of other texts.
std::optional<std::string> octets_of_address(const std::string& text);

}  // namespace weir::rules::compile
