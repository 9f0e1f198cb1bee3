// sql_request.h — The body of POST /v1/sql, read and checked.
//
// Spec:     docs/STORE.md, "Questions".
// Runs on:  the http_thread. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/named_enum.h"
#include "base/result.h"
#include "store/database.h"
#include "store/file_book.h"
#include "store/rows_asked.h"

namespace weir::store {

#define WEIR_SQL_FORMATS(X) X(json) X(ndjson) X(csv) X(parquet)
WEIR_NAMED_ENUM(SqlFormat, uint8_t, WEIR_SQL_FORMATS)

inline constexpr size_t kParametersMax = 20'000;  // a list of SRQL's may make several of each of its items
inline constexpr size_t kReadsMax = 64;           // the parts of a window that sums do not have are fewer
inline constexpr size_t kNotesMax = 16;
inline constexpr size_t kNotesOctetsMax = 4096;   // together

struct SqlRequest {
  std::string sql;
  std::vector<SqlValue> parameters;
  SqlFormat format = SqlFormat::json;
  uint64_t max_rows = 0;    // 0: the most that is allowed
  uint32_t timeout_ms = 0;  // likewise
  std::optional<std::vector<TimeRange>> reads;  // whose flows are read; nothing: nobody knows
  std::vector<EndClause> ends;                  // what those have at their ends
  std::vector<std::string> notes;               // for the end of a file
};
Result<SqlRequest> parse_sql_request(std::string_view body);

}  // namespace weir::store
