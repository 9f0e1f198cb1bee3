// csv.h — Records of a CSV file, one after the other.
//
// Spec:     RFC 4180: quotes, doubled inside; lines end with LF or CRLF. Blank lines, and those that begin with #, are left out.
// Runs on:  whoever loads. Keeps a view of the text.
// Bounds:   kCsvColumnsMax columns.
// Failure:  an Error with the file and the line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::enrich {

inline constexpr size_t kCsvColumnsMax = 64;

class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& path);
  /// False at the end.
  Result<bool> next(std::vector<std::string>& cells);
  /// Where the last record began: `path:line`.
  std::string where() const;

 private:
  std::string_view rest_;
  const std::string& path_;
  size_t line_ = 1;
  size_t record_line_ = 1;
};

/// The beginning of its SHA-256: what says which of many files it was.
std::string version_of(std::string_view text);

}  // namespace weir::enrich
