#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

namespace weir {
namespace {

uint32_t of(std::string_view text) {
  return crc32c({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

TEST(Crc32c, IsWhatTheStandardsExamplesSay) {
  // RFC 3720, appendix B.4, and the usual check of nine digits.
  EXPECT_EQ(of("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(std::vector<uint8_t>(32, 0x00)), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::vector<uint8_t>(32, 0xff)), 0x62A8AB43u);
  std::vector<uint8_t> rising(32);
  for (size_t i = 0; i < rising.size(); ++i) rising[i] = static_cast<uint8_t>(i);
  EXPECT_EQ(crc32c(rising), 0x46DD794Eu);
  EXPECT_EQ(of(""), 0u);
}

TEST(Crc32c, GoesOnFromWhatCameBefore) {
  std::mt19937 random(1);
  std::vector<uint8_t> octets(1000);
  for (uint8_t& o : octets) o = static_cast<uint8_t>(random());
  const std::span<const uint8_t> all(octets);
  for (size_t cut = 0; cut <= 100; ++cut) {
    EXPECT_EQ(crc32c(all.subspan(cut), crc32c(all.first(cut))), crc32c(all)) << cut;
  }
}

}  // namespace
}  // namespace weir
