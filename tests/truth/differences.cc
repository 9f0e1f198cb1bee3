#include "truth/differences.h"

#include <cstdlib>
#include <fstream>

namespace weir::truth {
namespace {

std::string trimmed(std::string text) {
  for (const char c : {' ', '`'}) {
    while (!text.empty() && text.front() == c) text.erase(0, 1);
    while (!text.empty() && text.back() == c) text.pop_back();
  }
  return text;
}

std::ifstream document() {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  return std::ifstream(std::string(root != nullptr ? root : ".") + "/docs/PROTOCOLS.md");
}

/// `*` stands for any beginning or any rest; what says nothing is named with ` = 0` behind it.
bool names(const std::string& pattern, const std::string& field) {
  if (pattern.starts_with("*")) {
    const std::string end = pattern.substr(1);
    return field.ends_with(end) || field.ends_with(end + " = 0") || end.empty();
  }
  if (pattern.ends_with("*")) return field.starts_with(pattern.substr(0, pattern.size() - 1));
  return field == pattern;
}

}  // namespace

Differences Differences::read() {
  Differences all;
  std::ifstream file = document();
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#"))
      inside = line.find("Expected decodes that differ") != std::string::npos;
    if (!inside || !line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    for (size_t at = 1; at < line.size();) {
      const size_t end = std::min(line.find('|', at), line.size());
      cells.push_back(trimmed(line.substr(at, end - at)));
      at = end + 1;
    }
    if (cells.size() < 4) continue;
    all.rows_.push_back(
        {cells[0], cells[1], std::strtoull(cells[2].c_str(), nullptr, 10), cells[3]});
  }
  return all;
}

const Difference* Differences::explain(const std::string& golden, const std::string& field) {
  for (Difference& d : rows_) {
    if (golden.find(d.golden) == std::string::npos) continue;
    if (!names(d.field, field)) continue;
    ++d.seen;
    return &d;
  }
  return nullptr;
}

bool has_row(const std::string& first_cell) {
  std::ifstream file = document();
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("| `" + first_cell + "` |")) return true;
  }
  return false;
}

}  // namespace weir::truth
