#include "base/socket_address.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(SocketAddress, ReadsWhatOperatorsWrite) {
  const struct {
    const char* text;
    const char* canonical;
  } cases[] = {
      {"192.0.2.1:2055", "192.0.2.1:2055"},
      {"0.0.0.0:2055", "0.0.0.0:2055"},
      {"[2001:DB8::1]:6343", "[2001:db8::1]:6343"},
      {":2055", "[::]:2055"},
      {"*:2055", "[::]:2055"},
      {"[::]:0", "[::]:0"},
      {"[192.0.2.1]:1", nullptr},
      {"2001:db8::1:6343", nullptr},
      {"192.0.2.1", nullptr},
      {"192.0.2.1:", nullptr},
      {"192.0.2.1:65536", nullptr},
      {"192.0.2.1:-1", nullptr},
      {"192.0.2.1:20x", nullptr},
      {"localhost:2055", nullptr},
      {"", nullptr},
      {"[]:1", nullptr},
  };
  for (const auto& c : cases) {
    const auto address = SocketAddress::parse(c.text);
    ASSERT_EQ(address.has_value(), c.canonical != nullptr) << c.text;
    if (address) {
      EXPECT_EQ(address->to_string(), c.canonical);
    }
  }
}

}  // namespace
}  // namespace weir
