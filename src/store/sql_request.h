// sql_request.h — The body of POST /v1/sql, read and checked.
//
// Spec:     docs/STORE.md, "Questions".
// Runs on:  the http_thread. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/named_enum.h"
#include "base/result.h"
#include "store/database.h"

namespace weir::store {

#define WEIR_SQL_FORMATS(X) X(json) X(ndjson) X(csv) X(parquet)
WEIR_NAMED_ENUM(SqlFormat, uint8_t, WEIR_SQL_FORMATS)

inline constexpr size_t kParametersMax = 20'000;  // a list of SRQL's may make several of each of its items

struct SqlRequest {
  std::string sql;
  std::vector<SqlValue> parameters;
  SqlFormat format = SqlFormat::json;
  uint64_t max_rows = 0;    // 0: the most that is allowed
  uint32_t timeout_ms = 0;  // likewise
};
Result<SqlRequest> parse_sql_request(std::string_view body);

}  // namespace weir::store
