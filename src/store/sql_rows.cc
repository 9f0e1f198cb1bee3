#include "store/sql_rows.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace weir::store {
namespace {

void put_hugeint(const duckdb_hugeint& v, std::string& out) {
  __extension__ typedef __int128 Wide;
  __extension__ typedef unsigned __int128 UnsignedWide;
  const Wide wide = static_cast<Wide>(static_cast<UnsignedWide>(static_cast<uint64_t>(v.upper)) << 64 | v.lower);
  if (wide < 0) out += '-';
  UnsignedWide rest = wide < 0 ? UnsignedWide{0} - static_cast<UnsignedWide>(wide) : static_cast<UnsignedWide>(wide);
  char digits[40];
  size_t n = 0;
  do {
    digits[n++] = static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest != 0);
  while (n > 0) out += digits[--n];
}

void put_time(int64_t micros, std::string& out) {
  int64_t seconds = micros / 1'000'000, fraction = micros % 1'000'000;
  if (fraction < 0) {
    fraction += 1'000'000;
    --seconds;
  }
  const time_t whole = seconds;
  tm parts{};
  gmtime_r(&whole, &parts);
  out += fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec, fraction);
}

void put_csv_text(std::string_view text, std::string& out) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos && !text.empty()) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

bool is_time(duckdb_type type) noexcept { return type == DUCKDB_TYPE_TIMESTAMP || type == DUCKDB_TYPE_TIMESTAMP_TZ; }

}  // namespace

ColumnForm form_of(duckdb_type type) noexcept {
  switch (type) {
    case DUCKDB_TYPE_BOOLEAN:
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_UINTEGER:
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_FLOAT:
    case DUCKDB_TYPE_DOUBLE:
    case DUCKDB_TYPE_TIMESTAMP:
    case DUCKDB_TYPE_TIMESTAMP_TZ:
    case DUCKDB_TYPE_VARCHAR: return ColumnForm::plain;
    case DUCKDB_TYPE_LIST:
    case DUCKDB_TYPE_STRUCT:
    case DUCKDB_TYPE_MAP:
    case DUCKDB_TYPE_ARRAY: return ColumnForm::json;
    default: return ColumnForm::text;
  }
}

std::string_view name_of_type(duckdb_type type) noexcept {
  switch (type) {
    case DUCKDB_TYPE_BOOLEAN: return "BOOLEAN";
    case DUCKDB_TYPE_TINYINT: return "TINYINT";
    case DUCKDB_TYPE_SMALLINT: return "SMALLINT";
    case DUCKDB_TYPE_INTEGER: return "INTEGER";
    case DUCKDB_TYPE_BIGINT: return "BIGINT";
    case DUCKDB_TYPE_UTINYINT: return "UTINYINT";
    case DUCKDB_TYPE_USMALLINT: return "USMALLINT";
    case DUCKDB_TYPE_UINTEGER: return "UINTEGER";
    case DUCKDB_TYPE_UBIGINT: return "UBIGINT";
    case DUCKDB_TYPE_HUGEINT: return "HUGEINT";
    case DUCKDB_TYPE_FLOAT: return "FLOAT";
    case DUCKDB_TYPE_DOUBLE: return "DOUBLE";
    case DUCKDB_TYPE_DECIMAL: return "DECIMAL";
    case DUCKDB_TYPE_TIMESTAMP: return "TIMESTAMP";
    case DUCKDB_TYPE_TIMESTAMP_TZ: return "TIMESTAMPTZ";
    case DUCKDB_TYPE_DATE: return "DATE";
    case DUCKDB_TYPE_TIME: return "TIME";
    case DUCKDB_TYPE_INTERVAL: return "INTERVAL";
    case DUCKDB_TYPE_UUID: return "UUID";
    case DUCKDB_TYPE_BLOB: return "BLOB";
    case DUCKDB_TYPE_LIST: return "LIST";
    case DUCKDB_TYPE_STRUCT: return "STRUCT";
    case DUCKDB_TYPE_MAP: return "MAP";
    default: return "VARCHAR";
  }
}

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

RowText::RowText(SqlFormat format, std::vector<ColumnLook> columns, std::vector<duckdb_type> types)
    : format_(format), columns_(std::move(columns)), types_(std::move(types)) {
  for (const ColumnLook& column : columns_) keys_.push_back(json_text(column.name));
}

void RowText::begin(std::string& out) const {
  if (format_ == SqlFormat::json) {
    out += "{\"columns\":[";
    for (size_t i = 0; i < columns_.size(); ++i) {
      out += fmt::format("{}{{\"name\":{},\"type\":\"{}\"}}", i == 0 ? "" : ",", keys_[i], name_of_type(columns_[i].type));
    }
    out += "],\"rows\":[";
  } else if (format_ == SqlFormat::csv) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (i != 0) out += ',';
      put_csv_text(columns_[i].name, out);
    }
    out += '\n';
  }
}

void RowText::add(const Chunk& chunk, size_t rows, std::string& out) {
  for (size_t row = 0; row < rows; ++row) {
    const size_t begin = out.size();
    if (format_ == SqlFormat::json) {
      out += is_first_ ? "\n[" : ",\n[";
      is_first_ = false;
    } else if (format_ == SqlFormat::ndjson) {
      out += '{';
    }
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (i != 0) out += ',';
      if (format_ == SqlFormat::ndjson) {
        out += keys_[i];
        out += ':';
      }
      add_value(chunk, i, row, out);
    }
    // A line with nothing in it is no row to most readers.
    if (out.size() == begin) out += "\"\"";
    out += format_ == SqlFormat::json ? "]" : format_ == SqlFormat::ndjson ? "}\n" : "\n";
  }
}

void RowText::add_value(const Chunk& chunk, size_t i, size_t row, std::string& out) const {
  const bool is_csv = format_ == SqlFormat::csv;
  if (chunk.is_null(i, row)) {
    if (!is_csv) out += "null";
    return;
  }
  const auto integer = [&](auto v) { fmt::format_to(std::back_inserter(out), "{}", v); };
  const auto real = [&](double v) {
    if (!std::isfinite(v)) {
      out += is_csv ? "" : "null";
    } else {
      fmt::format_to(std::back_inserter(out), "{}", v);
    }
  };
  switch (types_[i]) {
    case DUCKDB_TYPE_BOOLEAN: out += chunk.at<bool>(i, row) ? "true" : "false"; return;
    case DUCKDB_TYPE_TINYINT: return integer(int{chunk.at<int8_t>(i, row)});
    case DUCKDB_TYPE_SMALLINT: return integer(chunk.at<int16_t>(i, row));
    case DUCKDB_TYPE_INTEGER: return integer(chunk.at<int32_t>(i, row));
    case DUCKDB_TYPE_BIGINT: return integer(chunk.at<int64_t>(i, row));
    case DUCKDB_TYPE_UTINYINT: return integer(unsigned{chunk.at<uint8_t>(i, row)});
    case DUCKDB_TYPE_USMALLINT: return integer(chunk.at<uint16_t>(i, row));
    case DUCKDB_TYPE_UINTEGER: return integer(chunk.at<uint32_t>(i, row));
    case DUCKDB_TYPE_UBIGINT: return integer(chunk.at<uint64_t>(i, row));
    case DUCKDB_TYPE_HUGEINT: return put_hugeint(chunk.at<duckdb_hugeint>(i, row), out);
    case DUCKDB_TYPE_FLOAT: return real(static_cast<double>(chunk.at<float>(i, row)));
    case DUCKDB_TYPE_DOUBLE: return real(chunk.at<double>(i, row));
    default: break;
  }
  if (is_time(types_[i])) {
    if (!is_csv) out += '"';
    put_time(chunk.at<int64_t>(i, row), out);
    if (!is_csv) out += '"';
    return;
  }
  const std::string_view text = chunk.text(i, row);
  if (is_csv) return put_csv_text(text, out);
  if (form_of(columns_[i].type) == ColumnForm::json) {
    out += text;
  } else {
    out += json_text(text);
  }
}

void RowText::end(bool is_truncated, double elapsed_ms, const std::string& error, std::string& out) const {
  const std::string what = error.empty() ? "" : json_text(error);
  if (format_ == SqlFormat::json) {
    out += fmt::format("],\"truncated\":{},\"elapsed_ms\":{:.1f}{}{}}}\n", is_truncated, elapsed_ms, error.empty() ? "" : ",\"error\":", what);
  } else if (!error.empty()) {
    out += format_ == SqlFormat::ndjson ? fmt::format("{{\"error\":{}}}\n", what) : fmt::format("\"error: {}\n", error);
  }
}

}  // namespace weir::store
