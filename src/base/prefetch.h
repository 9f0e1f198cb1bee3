// prefetch.h — Asks for memory ahead of its use.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir {

/// All cache lines of `octets` octets from `p` on, so that they come at once and not one by one. Any
/// address will do: what is not mapped is not fetched.
inline void prefetch(const void* p, size_t octets) noexcept {
  constexpr size_t kLineOctets = 64;
  const auto* at = static_cast<const uint8_t*>(p);
  for (size_t i = 0; i < octets; i += kLineOctets) __builtin_prefetch(at + i);
}

}  // namespace weir
