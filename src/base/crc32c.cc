#include "base/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

namespace weir {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // reflected
constexpr size_t kStride = 8;

// kTables[k][b]: what octet b does to the sum when k more octets follow it.
constexpr auto kTables = [] {
  std::array<std::array<uint32_t, 256>, kStride> tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t c = b;
    for (int i = 0; i < 8; ++i) c = c >> 1 ^ ((c & 1) != 0 ? kPolynomial : 0);
    tables[0][b] = c;
  }
  for (size_t k = 1; k < kStride; ++k) {
    for (uint32_t b = 0; b < 256; ++b) {
      tables[k][b] = tables[k - 1][b] >> 8 ^ tables[0][tables[k - 1][b] & 0xff];
    }
  }
  return tables;
}();

static_assert(std::endian::native == std::endian::little);

}  // namespace

uint32_t crc32c(std::span<const uint8_t> octets, uint32_t before) noexcept {
  uint32_t c = ~before;
  const uint8_t* p = octets.data();
  size_t left = octets.size();
  for (; left >= kStride; left -= kStride, p += kStride) {
    uint64_t v;
    std::memcpy(&v, p, sizeof v);
    v ^= c;
    c = 0;
    for (size_t k = 0; k < kStride; ++k) c ^= kTables[kStride - 1 - k][v >> (8 * k) & 0xff];
  }
  for (; left != 0; --left, ++p) c = c >> 8 ^ kTables[0][(c ^ *p) & 0xff];
  return ~c;
}

}  // namespace weir
