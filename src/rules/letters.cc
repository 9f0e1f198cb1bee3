#include "rules/letters.h"

#include <algorithm>
#include <array>

namespace weir::rules {
namespace {

constexpr std::array<std::string_view, 25> kSpaces = {
    " ", "\t", "\n", "\v", "\f", "\r", "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
    "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};

constexpr bool is_plain(char c) { return c > ' ' && c <= '~'; }

}  // namespace

std::string_view without_space(std::string_view text) noexcept {
  while (!text.empty() && !is_plain(text.front())) {
    const auto* const space = std::find_if(kSpaces.begin(), kSpaces.end(), [text](std::string_view s) { return text.starts_with(s); });
    if (space == kSpaces.end()) break;
    text.remove_prefix(space->size());
  }
  while (!text.empty() && !is_plain(text.back())) {
    const auto* const space = std::find_if(kSpaces.begin(), kSpaces.end(), [text](std::string_view s) { return text.ends_with(s); });
    if (space == kSpaces.end()) break;
    text.remove_suffix(space->size());
  }
  return text;
}

}  // namespace weir::rules
