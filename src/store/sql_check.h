// sql_check.h — What a question may say: a list of what is answered, held against the statement as DuckDB has parsed it.
//
// Spec:     the trees of DuckDB 1.4's json_serialize_sql; docs/STORE.md, "Questions".
// Runs on:  any thread. Pure.
// Bounds:   of a statement's text, depth, tables, columns, and of the texts that it would make of texts: planning takes time and memory
//           that DuckDB neither counts nor can be made to stop.
// Failure:  an operator's words, with the place where it is known. A kind of node that is not on the list is refused, so that a
//           later DuckDB's are until somebody has looked at them.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace weir::store {

inline constexpr size_t kSqlOctetsMax = 256 * 1024;
inline constexpr unsigned kSqlNestingMax = 200;     // brackets
inline constexpr unsigned kSqlWithNestingMax = 3;   // each is copied twice by DuckDB's parser
inline constexpr unsigned kSqlExpressionMax = 160;  // operators within operators; 400 take six seconds to plan
inline constexpr unsigned kSqlSelectNestingMax = 12;
inline constexpr size_t kSqlTablesMax = 32;         // 60 joined take five seconds to plan
inline constexpr size_t kSqlSelectsMax = 64;
inline constexpr size_t kSqlColumnsMax = 1000;
inline constexpr size_t kSqlStarsMax = 16;
inline constexpr size_t kSqlGroupingSetsMax = 256;
inline constexpr double kSqlCountMax = 10'000;      // numbers that say how much is to be made
inline constexpr double kSqlRowOctetsMax = 256 * 1024;  // of what is made of one row: DuckDB takes two thousand rows at a time, and a thread each

struct SqlTrouble {
  std::string message;
  std::optional<size_t> position = {};  // in the statement, from 0
};

/// Of the text alone, before it is parsed.
std::optional<SqlTrouble> find_text_trouble(std::string_view sql);
/// `parameter_octets`: of the longest text that is bound.
std::optional<SqlTrouble> find_trouble(const nlohmann::json& tree, size_t parameter_octets);

}  // namespace weir::store
