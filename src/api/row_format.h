// row_format.h — Rows of an answer as JSON, lines of JSON, or CSV.
//
// Spec:     RFC 8259, RFC 4180 (with \n behind each line).
// Runs on:  any thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/named_enum.h"

namespace weir::api {

#define WEIR_API_FORMATS(X) X(json) X(ndjson) X(csv) X(parquet)
WEIR_NAMED_ENUM(Format, uint8_t, WEIR_API_FORMATS)

std::string_view content_type_of(Format format) noexcept;

struct ColumnNames {
  std::vector<std::string> names;
  std::string json;  // `[{"name":…,"type":…},…]`
};

class RowFormat {
 public:
  virtual ~RowFormat() = default;
  /// Before the first row.
  virtual void begin(std::string& out, const ColumnNames& columns) = 0;
  /// Cells are JSON.
  virtual void row(std::string& out, std::span<const std::string_view> cells) = 0;
  /// `members`: what is to be said behind the rows, `"truncated":false,…`.
  virtual void end(std::string& out, std::string_view members) = 0;
};

enum class JsonRows : uint8_t { objects, lists };

/// `head`: members before the rows, each with a comma behind it; of JSON only. No parquet: that is not made of rows.
std::unique_ptr<RowFormat> row_format(Format format, std::string head, JsonRows json_rows);

}  // namespace weir::api
