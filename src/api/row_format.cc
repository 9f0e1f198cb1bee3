#include "api/row_format.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "api/store_rows.h"

namespace weir::api {
namespace {

std::string json_quoted(const std::string& text) { return nlohmann::json(text).dump(); }

void put_object(std::string& out, const std::vector<std::string>& keys, std::span<const std::string_view> cells) {
  out += '{';
  for (size_t i = 0; i < cells.size() && i < keys.size(); ++i) {
    if (i != 0) out += ',';
    out += keys[i];
    out += cells[i];
  }
  out += '}';
}

/// An object has one member of a name; a second column of it, as of a join, gets a number that is free.
std::vector<std::string> keys_of(const ColumnNames& columns) {
  std::set<std::string> taken(columns.names.begin(), columns.names.end());
  std::set<std::string> seen;
  std::vector<std::string> keys;
  for (const std::string& name : columns.names) {
    std::string key = name;
    if (!seen.insert(name).second) {
      for (size_t n = 1; !taken.insert(key = fmt::format("{}_{}", name, n)).second;) ++n;
    }
    keys.push_back(json_quoted(key) + ":");
  }
  return keys;
}

class Json final : public RowFormat {
 public:
  Json(std::string head, JsonRows rows) : head_(std::move(head)), rows_(rows) {}
  void begin(std::string& out, const ColumnNames& columns) override {
    keys_ = keys_of(columns);
    out += '{' + head_ + "\"columns\":" + columns.json + (rows_ == JsonRows::objects ? ",\"results\":[" : ",\"rows\":[");
  }
  void row(std::string& out, std::span<const std::string_view> cells) override {
    out += is_first_ ? "\n" : ",\n";
    is_first_ = false;
    if (rows_ == JsonRows::objects) return put_object(out, keys_, cells);
    out += '[';
    for (size_t i = 0; i < cells.size(); ++i) {
      if (i != 0) out += ',';
      out += cells[i];
    }
    out += ']';
  }
  void end(std::string& out, std::string_view members) override {
    out += "],";
    out += members;
    out += "}\n";
  }

 private:
  const std::string head_;
  const JsonRows rows_;
  std::vector<std::string> keys_;
  bool is_first_ = true;
};

class Lines final : public RowFormat {
 public:
  void begin(std::string&, const ColumnNames& columns) override { keys_ = keys_of(columns); }
  void row(std::string& out, std::span<const std::string_view> cells) override {
    put_object(out, keys_, cells);
    out += '\n';
  }
  void end(std::string&, std::string_view) override {}

 private:
  std::vector<std::string> keys_;
};

class Csv final : public RowFormat {
 public:
  void begin(std::string& out, const ColumnNames& columns) override {
    for (size_t i = 0; i < columns.names.size(); ++i) put(out, i, columns.names[i]);
    out += '\n';
  }
  void row(std::string& out, std::span<const std::string_view> cells) override {
    for (size_t i = 0; i < cells.size(); ++i) put(out, i, cell_text(cells[i]));
    // A line with nothing in it is no row to most readers.
    if (cells.size() == 1 && (out.empty() || out.back() == '\n')) out += "\"\"";
    out += '\n';
  }
  void end(std::string&, std::string_view) override {}

 private:
  static void put(std::string& out, size_t at, std::string_view text) {
    if (at != 0) out += ',';
    if (text.find_first_of(",\"\n\r") == std::string_view::npos) {
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
};

}  // namespace

std::string_view content_type_of(Format format) noexcept {
  switch (format) {
    case Format::ndjson: return "application/x-ndjson";
    case Format::csv: return "text/csv; charset=utf-8";
    case Format::parquet: return "application/vnd.apache.parquet";
    default: return "application/json";
  }
}

std::unique_ptr<RowFormat> row_format(Format format, std::string head, JsonRows json_rows) {
  if (format == Format::ndjson) return std::make_unique<Lines>();
  if (format == Format::csv) return std::make_unique<Csv>();
  return std::make_unique<Json>(std::move(head), json_rows);
}

}  // namespace weir::api
