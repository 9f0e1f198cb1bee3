// parse_clauses.h — Conditions, and what is said of the whole query: stats:, sort:, time: and the like.
//
// Private to src/query.
#pragma once

#include <string_view>

#include "query/ast.h"
#include "query/scanner.h"

namespace weir::query {

/// Whether the key is reserved: no field of a flow.
bool is_clause(std::string_view key) noexcept;

/// Behind the key's colon: reads the clause into `query`.
void parse_clause(Scanner& in, const Text& key, Query& query);

/// Behind the key's colon; `begin` is where the condition begins.
Condition parse_condition(Scanner& in, Text key, size_t begin, bool is_negated);

/// Fields with commas between them.
void parse_field_names(Scanner& in, std::vector<FieldName>& fields);

}  // namespace weir::query
