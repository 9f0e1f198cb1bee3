// copy_short.h — memcpy for octets of which there are few, as in names.
//
// PERF: where the compiler knows a bound of some hundred octets it puts `rep movsq` in the place of
// memcpy, whose start alone takes longer than copying a name (decode_only/ipfix_varlen).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weir {

/// `to` and `from` do not overlap. Reads and writes exactly `octets`.
inline void copy_short(uint8_t* to, const uint8_t* from, size_t octets) noexcept {
  if (octets >= 16) {
    for (size_t i = 0; i + 16 < octets; i += 16) std::memcpy(to + i, from + i, 16);
    std::memcpy(to + octets - 16, from + octets - 16, 16);
  } else if (octets >= 8) {
    uint64_t first, last;
    std::memcpy(&first, from, 8);
    std::memcpy(&last, from + octets - 8, 8);
    std::memcpy(to, &first, 8);
    std::memcpy(to + octets - 8, &last, 8);
  } else if (octets >= 4) {
    uint32_t first, last;
    std::memcpy(&first, from, 4);
    std::memcpy(&last, from + octets - 4, 4);
    std::memcpy(to, &first, 4);
    std::memcpy(to + octets - 4, &last, 4);
  } else if (octets != 0) {
    to[0] = from[0];
    to[octets / 2] = from[octets / 2];
    to[octets - 1] = from[octets - 1];
  }
}

}  // namespace weir
