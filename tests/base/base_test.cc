#include <gtest/gtest.h>

#include "base/byte_order.h"
#include "base/counter.h"
#include "base/ip_address.h"
#include "base/named_enum.h"
#include "base/result.h"

namespace weir {
namespace {

#define FRUITS(X) X(apple) X(pear)
WEIR_NAMED_ENUM(Fruit, uint8_t, FRUITS)

TEST(NamedEnum, GivesEachEnumeratorItsOwnWord) {
  EXPECT_EQ(name_of(Fruit::apple), "apple");
  EXPECT_EQ(name_of(Fruit::pear), "pear");
  EXPECT_EQ(name_of(Fruit::count_), "invalid");
}

TEST(Counter, AddsUpByEnumerator) {
  CounterArray<Fruit> fruits;
  fruits[Fruit::apple].add(3);
  fruits[Fruit::pear].increment();
  EXPECT_EQ(fruits[Fruit::apple].value(), 3u);
  EXPECT_EQ(fruits.total(), 4u);
}

TEST(ByteOrder, ReadsWhatItWrote) {
  uint8_t octets[8];
  store_be16(octets, 0x1234);
  EXPECT_EQ(octets[0], 0x12);
  EXPECT_EQ(load_be16(octets), 0x1234);
  store_be32(octets, 0x12345678);
  EXPECT_EQ(load_be32(octets), 0x12345678u);
  store_be64(octets, 0x0102030405060708);
  EXPECT_EQ(load_be64(octets), 0x0102030405060708u);
  EXPECT_EQ(load_be(octets, 0), 0u);
  EXPECT_EQ(load_be(octets, 3), 0x010203u);
  EXPECT_EQ(load_be(octets, 8), 0x0102030405060708u);
}

TEST(IpAddress, ReadsAndWritesBothFamilies) {
  struct {
    const char* text;
    const char* canonical;
    bool v4;
  } cases[] = {
      {"192.0.2.1", "192.0.2.1", true},
      {"::ffff:192.0.2.1", "192.0.2.1", true},
      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1", false},
      {"::", "::", false},
      {"0.0.0.0", "0.0.0.0", true},
  };
  for (const auto& c : cases) {
    const auto a = IpAddress::parse(c.text);
    ASSERT_TRUE(a) << c.text;
    EXPECT_EQ(a->to_string(), c.canonical);
    EXPECT_EQ(a->is_v4(), c.v4) << c.text;
    EXPECT_EQ(a->wire_octets(), c.v4 ? 4u : 16u);
  }
  EXPECT_EQ(IpAddress::from_v4(0xC0000201u).to_string(), "192.0.2.1");
}

TEST(IpAddress, RefusesWhatIsNoAddress) {
  for (const char* text :
       {"", "192.0.2", "192.0.2.256", "192.0.2.1 ", "2001:db8::g", "a", "1.2.3.4/8"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
}

TEST(Result, HoldsAValueOrAnError) {
  Result<int> good = 3;
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, 3);
  Result<int> bad = Error{"port p0: not found"};
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "port p0: not found");
  Result<void> done;
  EXPECT_TRUE(done);
  Result<void> failed = Error{"no"};
  EXPECT_FALSE(failed);
}

}  // namespace
}  // namespace weir
