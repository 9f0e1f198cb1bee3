#include "enrich/csv.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>

namespace weir::enrich {

CsvReader::CsvReader(std::string_view text, const std::string& path) : rest_(text), path_(path) {
  if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
}

std::string CsvReader::where() const { return fmt::format("{}:{}", path_, record_line_); }

Result<bool> CsvReader::next(std::vector<std::string>& cells) {
  for (;;) {
    if (rest_.empty()) return false;
    cells.assign(1, {});
    record_line_ = line_;
    const bool is_comment = rest_.front() == '#';
    bool quoted = false;
    size_t i = 0;
    for (; i < rest_.size() && (quoted || rest_[i] != '\n'); ++i) {
      const char c = rest_[i];
      line_ += c == '\n' ? 1 : 0;
      if (is_comment) continue;
      if (c == '"' && quoted && i + 1 < rest_.size() && rest_[i + 1] == '"') {
        cells.back() += rest_[++i];
      } else if (c == '"') {
        quoted = !quoted;
      } else if (c == ',' && !quoted) {
        if (cells.size() == kCsvColumnsMax) return Error{fmt::format("{}: more than {} columns", where(), kCsvColumnsMax)};
        cells.emplace_back();
      } else if (c != '\r' || quoted) {
        cells.back() += c;
      }
    }
    rest_.remove_prefix(std::min(i + 1, rest_.size()));
    ++line_;
    if (quoted) return Error{fmt::format("{}: a quote has no end", where())};
    if (!is_comment && (cells.size() > 1 || !cells[0].empty())) return true;
  }
}

std::string version_of(std::string_view text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  constexpr size_t kShown = 8;
  std::string hex;
  for (size_t i = 0; i < kShown; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace weir::enrich
