#include "base/printable.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

#include "base/utf8.h"

namespace weir {

namespace {

/// The number of a character that is well formed.
uint32_t code_point(std::string_view character) noexcept {
  const auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(character[i])); };
  switch (character.size()) {
    case 1: return at(0);
    case 2: return (at(0) & 0x1f) << 6 | (at(1) & 0x3f);
    case 3: return (at(0) & 0x0f) << 12 | (at(1) & 0x3f) << 6 | (at(2) & 0x3f);
    default: return (at(0) & 0x07) << 18 | (at(1) & 0x3f) << 12 | (at(2) & 0x3f) << 6 | (at(3) & 0x3f);
  }
}

bool misleads(uint32_t c) noexcept {
  const bool is_control = c < 0x20 || (c >= 0x7f && c < 0xa0);
  const bool ends_line = c == 0x2028 || c == 0x2029;
  // Marks, embeddings and overrides, isolates.
  const bool turns = c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
  return is_control || ends_line || turns;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t octets = utf8_character_octets(reinterpret_cast<const uint8_t*>(text.data()), text.size());
    if (octets != 0 && !misleads(code_point(text.substr(0, octets)))) {
      out.append(text.substr(0, octets));
      text.remove_prefix(octets);
      continue;
    }
    // The octets behind the first are no characters of their own, so that they follow it.
    fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<uint8_t>(text[0]));
    text.remove_prefix(1);
  }
  return out;
}

}  // namespace weir
