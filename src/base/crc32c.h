// crc32c.h — The CRC-32C (Castagnoli) of octets, for what is kept on disk.
//
// Spec:     RFC 3720 §12.1 and appendix B.4: reflected, initial value and final exclusive-or all ones.
#pragma once

#include <cstdint>
#include <span>

namespace weir {

/// Of `octets`, going on from `before`, the value for what comes in front of them.
uint32_t crc32c(std::span<const uint8_t> octets, uint32_t before = 0) noexcept;

}  // namespace weir
