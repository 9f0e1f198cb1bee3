// sql_rows.h — Rows of an answer as text: JSON, lines of JSON, CSV.
//
// Spec:     RFC 8259; RFC 4180 (lines end with \n). Times are RFC 3339 in UTC with microseconds.
// Runs on:  a query's thread. Pure.
#pragma once

#include <string>
#include <vector>

#include "store/database.h"
#include "store/sql_request.h"

namespace weir::store {

/// What is asked of each column so that it is one of the types that are written: itself, as text, or as JSON.
enum class ColumnForm : uint8_t { plain, text, json };
ColumnForm form_of(duckdb_type type) noexcept;

class RowText {
 public:
  /// `columns` as the question has them; `types` as they come.
  RowText(SqlFormat format, std::vector<ColumnLook> columns, std::vector<duckdb_type> types);

  void begin(std::string& out) const;
  /// Rows from the chunk's first to `rows`.
  void add(const Chunk& chunk, size_t rows, std::string& out);
  /// `error` is empty where there is none.
  void end(bool is_truncated, double elapsed_ms, const std::string& error, std::string& out) const;

 private:
  void add_value(const Chunk& chunk, size_t column, size_t row, std::string& out) const;

  const SqlFormat format_;
  const std::vector<ColumnLook> columns_;
  const std::vector<duckdb_type> types_;
  std::vector<std::string> keys_;  // quoted
  bool is_first_ = true;
};

/// What a type is called in SQL.
std::string_view name_of_type(duckdb_type type) noexcept;
/// With its quotes; octets that are not UTF-8 are replaced.
std::string json_text(std::string_view text);

}  // namespace weir::store
