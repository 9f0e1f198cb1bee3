// sql_names.h — What a question may name: tables, table functions, functions.
//
// Spec:     DuckDB 1.4's duckdb_functions(), each looked at: what reads files or settings, writes a log, runs a text as SQL, or makes
//           much memory of a number is not here, or has a limit.
// Runs on:  any thread. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::store {

/// Of the store's; `name` in lower case.
bool is_store_table(std::string_view name) noexcept;
/// In FROM.
bool is_table_function(std::string_view name) noexcept;

/// How large what a function makes is, from what it is given.
enum class Growth : uint8_t {
  largest,   // as its largest argument
  sum,       // as all together
  product,   // as the first times what takes the place of, or stands between, each of its parts
  twice,     // spelt in more octets than it has
  eightfold,
  counted,   // its first, times a number that must be written out
  padded,    // so many as a number says that must be written out
  format,    // a text with widths
  small,     // a number, a truth
};
/// None: no such function for questions.
std::optional<Growth> growth_of(std::string_view function) noexcept;

}  // namespace weir::store
