#include "base/decimal_text.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace weir {
namespace {

std::string text_of(uint64_t v) {
  char text[kDecimalTextRoom + 1];
  text[kDecimalTextRoom] = '#';
  const std::string written(text, static_cast<size_t>(write_decimal(text, v) - text));
  EXPECT_EQ(text[kDecimalTextRoom], '#') << v;
  return written;
}

TEST(DecimalText, IsWhatTheLibraryWrites) {
  for (uint64_t v = 0; v < 200'000; ++v) ASSERT_EQ(text_of(v), std::to_string(v));
  for (uint64_t power = 10;; power *= 10) {
    for (const uint64_t v : {power - 1, power, power + 1}) ASSERT_EQ(text_of(v), std::to_string(v));
    if (power > UINT64_MAX / 10) break;
  }
  ASSERT_EQ(text_of(UINT64_MAX), std::to_string(UINT64_MAX));
  std::mt19937_64 random(1);
  for (int i = 0; i < 200'000; ++i) {
    const uint64_t v = random() >> (random() % 64);
    ASSERT_EQ(text_of(v), std::to_string(v));
  }
}

}  // namespace
}  // namespace weir
