// csv_reader.h — Records of comma-separated values, each field with its place.
//
// Spec:     RFC 4180, and beyond it: blank lines and lines that begin with # are left out, spaces around a field without
//           quotation marks do not count, LF ends a line as CRLF does, and UTF-8's byte order mark may stand first.
// Runs on:  any thread. Reads the text given, which outlives it.
// Bounds:   kCsvFieldsMax fields a record; Mistakes keeps as many lines as it was made for.
// Failure:  a mistake with its place; what cannot be read on ends there.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::control {

inline constexpr size_t kCsvFieldsMax = 28;  // four times what any table here has; commas without end are not worth memory

inline std::string_view without_spaces(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

struct Place {
  size_t line = 1;
  size_t column = 1;
};

struct CsvField {
  std::string text;
  Place at;
};

/// A line a mistake, of the first `told_max`.
class Mistakes {
 public:
  Mistakes(std::string name, size_t told_max) : name_(std::move(name)), told_max_(told_max) {}
  void add(const Place& at, std::string_view what) {
    if (++count_ > told_max_) return;
    if (!text_.empty()) text_ += '\n';
    text_ += fmt::format("{}:{}:{}: {}", name_, at.line, at.column, what);
  }
  bool any() const { return count_ > 0; }
  Error to_error() const {
    if (count_ <= told_max_) return Error{text_};
    return Error{fmt::format("{}\n{}: and {} mistakes more", text_, name_, count_ - told_max_)};
  }

 private:
  const std::string name_;
  const size_t told_max_;
  std::string text_;
  size_t count_ = 0;
};

/// Records of fields, each with its place.
class CsvReader {
 public:
  CsvReader(std::string_view text, Mistakes& mistakes) : text_(text), mistakes_(mistakes) {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") next_ = 3;
  }

  /// The next record that is neither blank nor a comment; false at the end, and after what cannot be read on.
  bool next(std::vector<CsvField>& fields) {
    fields.clear();
    skip_lines_without_record();
    if (is_broken_ || is_at_end()) return false;
    for (;;) {
      CsvField field;
      if (!take_field(field)) return false;
      if (fields.size() == kCsvFieldsMax) return give_up(field.at, fmt::format("a row of more than {} fields", kCsvFieldsMax));
      fields.push_back(std::move(field));
      if (is_at_end()) return true;
      if (take() == '\n') return true;  // else a comma
    }
  }

 private:
  bool is_at_end() const { return next_ == text_.size(); }
  char peek() const { return text_[next_]; }
  char take() {
    const char c = text_[next_++];
    if (c == '\n') {
      at_ = {at_.line + 1, 1};
    } else if ((static_cast<uint8_t>(c) & 0xc0) != 0x80) {
      ++at_.column;  // in characters, as editors count
    }
    return c;
  }
  bool give_up(const Place& at, std::string_view what) {
    mistakes_.add(at, what);
    is_broken_ = true;
    return false;
  }
  void skip_lines_without_record() {
    while (!is_at_end()) {
      const size_t end = std::min(text_.find('\n', next_), text_.size());
      std::string_view line = text_.substr(next_, end - next_);
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (!without_spaces(line).empty() && line.front() != '#') return;
      while (next_ < end) take();
      if (!is_at_end()) take();
    }
  }
  /// Up to the comma or the end of the line behind it, which stays.
  bool take_field(CsvField& field) {
    while (!is_at_end() && (peek() == ' ' || peek() == '\t')) take();
    field.at = at_;
    if (!is_at_end() && peek() == '"') return take_quoted(field);
    const size_t begin = next_;
    while (!is_at_end() && peek() != ',' && peek() != '\n') {
      if (peek() == '"') return give_up(at_, "a quotation mark in a field that does not begin with one");
      take();
    }
    std::string_view text = text_.substr(begin, next_ - begin);
    const bool ends_line = is_at_end() || peek() == '\n';
    if (ends_line && !text.empty() && text.back() == '\r') text.remove_suffix(1);
    field.text = without_spaces(text);
    return true;
  }
  bool take_quoted(CsvField& field) {
    take();
    for (;;) {
      if (is_at_end()) return give_up(field.at, "a quotation mark that is not closed");
      const char c = take();
      if (c != '"') {
        field.text += c;
      } else if (!is_at_end() && peek() == '"') {
        field.text += take();
      } else {
        break;
      }
    }
    while (!is_at_end() && (peek() == ' ' || peek() == '\t' || peek() == '\r')) take();
    if (is_at_end() || peek() == ',' || peek() == '\n') return true;
    return give_up(at_, "text behind a closing quotation mark");
  }

  const std::string_view text_;
  Mistakes& mistakes_;
  size_t next_ = 0;
  Place at_;
  bool is_broken_ = false;
};

}  // namespace weir::control
