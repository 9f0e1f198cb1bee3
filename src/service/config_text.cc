#include "service/config_text.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "service/log.h"

namespace weir::service {
namespace {

/// As the file would have it: what a reader could take for nothing, or not see, in quotes.
std::string quoted_if_needed(const std::string& value) {
  const bool plain = !value.empty() && value.find_first_of(" \t") == std::string::npos;
  if (plain || (!value.empty() && value.front() == '[')) return printable(value);
  return fmt::format("\"{}\"", printable(value));
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

/// A cell of a Markdown table holds no bar.
std::string cell(std::string text) {
  for (size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2)) {
    text.replace(at, 1, "\\|");
  }
  return text;
}

}  // namespace

std::string describe_values(const ObjectSchema& schema, const void* object, const Origins& origins) {
  const auto values = schema.effective(object, origins);
  size_t path_width = 0, value_width = 0;
  constexpr size_t kValueWidthMax = 40;
  for (const auto& v : values) {
    path_width = std::max(path_width, v.path.size());
    value_width = std::max(value_width, std::min(quoted_if_needed(v.value).size(), kValueWidthMax));
  }
  std::string out;
  for (const auto& v : values) {
    out += padded(v.path, path_width) + "  " + padded(quoted_if_needed(v.value), value_width) +
           "  " + v.origin.to_string() + "\n";
  }
  return out;
}

std::string describe_keys(const std::vector<KeyDoc>& keys) {
  std::string out = "| key | allowed | default | environment | |\n|---|---|---|---|---|\n";
  for (const KeyDoc& row : keys) {
    const std::string shown_default =
        row.default_value.empty() ? std::string() : fmt::format("`{}`", row.default_value);
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", row.path, cell(row.allowed),
                       cell(shown_default), row.environment, cell(row.doc));
  }
  return out;
}

std::span<const char* const> process_environment() noexcept {
  size_t count = 0;
  while (environ != nullptr && environ[count] != nullptr) ++count;
  return {environ, count};
}

}  // namespace weir::service
