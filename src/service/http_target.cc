#include "service/http_target.h"

#include <algorithm>
#include <utility>

namespace weir::service {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool parse_query(std::string_view text, HttpTarget& read) {
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    auto key = percent_decoded(pair.substr(0, equals), PlusIs::space);
    auto value = percent_decoded(pair.substr(std::min(equals + 1, pair.size())), PlusIs::space);
    if (!key || !value) return false;
    const auto [at, is_new] = read.query.emplace(std::move(*key), std::move(*value));
    if (!is_new && read.repeated.empty()) read.repeated = at->first;
  }
  return true;
}

}  // namespace

std::optional<std::string> percent_decoded(std::string_view text, PlusIs plus) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == PlusIs::space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
  }
  return out;
}

std::string_view origin_form(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  const auto same_letter = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
  if (target.size() <= kScheme.size() || !std::equal(kScheme.begin(), kScheme.end(), target.begin(), same_letter)) {
    return target;
  }
  const size_t path = target.find_first_of("/?", kScheme.size());
  if (path == std::string_view::npos) return "/";
  return target[path] == '/' ? target.substr(path) : target;
}

std::optional<HttpTarget> read_target(std::string_view target) {
  const std::string_view raw_path = target.substr(0, target.find('?'));
  auto path = percent_decoded(raw_path, PlusIs::plus);
  HttpTarget read;
  if (!path || path->empty() || path->front() != '/' ||
      !parse_query(target.substr(std::min(target.size(), raw_path.size() + 1)), read)) {
    return std::nullopt;
  }
  read.path = std::move(*path);
  return read;
}

}  // namespace weir::service
