// utf8.h — Is this UTF-8? What exporters send as text often is not, and protobuf refuses it.
//
// Spec:     RFC 3629 §4: no overlong forms, no surrogates, nothing beyond U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace weir {

/// Octets (1 to 4) of the character at `p`; 0 where there is none. `n` ≥ 1 octets are readable.
inline size_t utf8_character_octets(const uint8_t* p, size_t n) noexcept {
  const uint8_t lead = p[0];
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size_t octets = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (n < octets) return 0;
  uint8_t low = 0x80, high = 0xbf;  // of the second octet
  if (lead == 0xe0) low = 0xa0;
  if (lead == 0xed) high = 0x9f;
  if (lead == 0xf0) low = 0x90;
  if (lead == 0xf4) high = 0x8f;
  if (p[1] < low || p[1] > high) return 0;
  for (size_t i = 2; i < octets; ++i) {
    if ((p[i] & 0xc0) != 0x80) return 0;
  }
  return octets;
}

inline bool is_utf8(std::string_view text) noexcept {
  const auto* const p = reinterpret_cast<const uint8_t*>(text.data());
  for (size_t i = 0; i < text.size();) {
    const size_t octets = utf8_character_octets(p + i, text.size() - i);
    if (octets == 0) return false;
    i += octets;
  }
  return true;
}

/// Puts '?' for each octet that belongs to no character; the length stays.
inline void make_utf8(uint8_t* p, size_t n) noexcept {
  size_t i = 0;
  while (i < n) {
    uint64_t eight = 0;
    if (n - i >= 8) {
      std::memcpy(&eight, p + i, 8);
      if ((eight & 0x8080808080808080) == 0) {
        i += 8;
        continue;
      }
    }
    const size_t octets = utf8_character_octets(p + i, n - i);
    if (octets == 0) p[i] = '?';
    i += octets != 0 ? octets : 1;
  }
}

}  // namespace weir
