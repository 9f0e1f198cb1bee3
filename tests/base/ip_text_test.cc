// Addresses are written as inet_ntop writes them.
#include "base/ip_text.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace weir {
namespace {

std::string ours(const uint8_t* octets, int family) {
  char text[kIpv6TextRoom];
  return {text, family == AF_INET ? write_ipv4(text, octets) : write_ipv6(text, octets)};
}
std::string libcs(const uint8_t* octets, int family) {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(family, octets, text, sizeof text);
}

TEST(IpText, WritesEveryPatternOfZeroGroups) {
  for (unsigned pattern = 0; pattern < 256; ++pattern) {
    for (const unsigned group : {0x1u, 0xffffu, 0x0a0bu, 0x0dfu}) {
      uint8_t octets[16] = {};
      for (unsigned i = 0; i < 8; ++i) {
        if ((pattern >> i & 1) == 0) continue;
        octets[2 * i] = static_cast<uint8_t>(group >> 8);
        octets[2 * i + 1] = static_cast<uint8_t>(group);
      }
      EXPECT_EQ(ours(octets, AF_INET6), libcs(octets, AF_INET6));
    }
  }
}

TEST(IpText, WritesAnyAddress) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 50'000; ++round) {
    uint8_t octets[16];
    for (uint8_t& o : octets) o = static_cast<uint8_t>(random() % 3 == 0 ? 0 : random() % 2 == 0 ? 0xff : random());
    ASSERT_EQ(ours(octets, AF_INET6), libcs(octets, AF_INET6));
    ASSERT_EQ(ours(octets, AF_INET), libcs(octets, AF_INET));
  }
}

}  // namespace
}  // namespace weir
