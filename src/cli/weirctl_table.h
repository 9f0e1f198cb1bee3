// weirctl_table.h — Columns of text.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace weir::cli {

/// Columns as wide as their widest cell; the first ones are flush left, the others right.
class Table {
 public:
  explicit Table(std::vector<std::string> heads, size_t left_columns = 1)
      : left_columns_(left_columns) {
    rows_.push_back(std::move(heads));
  }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print() const {
    for (const std::string& line : lines()) std::puts(line.c_str());
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    std::vector<size_t> widths(rows_[0].size());
    for (const auto& row : rows_) {
      for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], characters_in(row[i]));
    }
    for (const auto& row : rows_) {
      std::string line;
      for (size_t i = 0; i < row.size(); ++i) {
        if (i > 0) line += "  ";
        const std::string blanks(widths[i] - characters_in(row[i]), ' ');
        line += i < left_columns_ ? row[i] + blanks : blanks + row[i];
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out.push_back(std::move(line));
    }
    return out;
  }

 private:
  /// Of well-formed UTF-8, where each character has one octet that continues none.
  static size_t characters_in(const std::string& text) noexcept {
    return static_cast<size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
  }

  const size_t left_columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace weir::cli
