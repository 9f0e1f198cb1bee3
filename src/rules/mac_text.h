// mac_text.h — MAC addresses as text: of any form, to the one that fields of flows have.
//
// Runs on:  any thread. Pure: no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::rules {

inline constexpr size_t kMacTextOctets = 17;
inline constexpr uint64_t kMacMax = (uint64_t{1} << 48) - 1;

/// `02:00:00:00:00:0a`: kMacTextOctets of them. `mac` is at most kMacMax.
inline void write_mac(char* out, uint64_t mac) noexcept {
  constexpr char kDigits[] = "0123456789abcdef";
  for (int shift = 44; shift >= 0; shift -= 4) {
    *out++ = kDigits[mac >> shift & 15];
    if (shift % 8 == 0 && shift != 0) *out++ = ':';
  }
}

/// Twelve hexadecimal digits, with ':', '-' and '.' where they like to be: `02-00-00-00-00-0A`, `0200.0000.000a`. Nothing of what is none.
inline std::optional<uint64_t> parse_mac(std::string_view text) noexcept {
  constexpr size_t kDigitsMax = 12;
  uint64_t mac = 0;
  size_t digits = 0;
  for (const char c : text) {
    if (c == ':' || c == '-' || c == '.') continue;
    const bool is_decimal = c >= '0' && c <= '9';
    const auto lower = static_cast<char>(c | 0x20);
    if ((!is_decimal && (lower < 'a' || lower > 'f')) || digits == kDigitsMax) return std::nullopt;
    mac = mac << 4 | static_cast<uint64_t>(is_decimal ? c - '0' : lower - 'a' + 10);
    ++digits;
  }
  return digits == kDigitsMax ? std::optional(mac) : std::nullopt;
}

}  // namespace weir::rules
