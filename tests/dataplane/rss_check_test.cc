#include "dataplane/rss_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace weir::dataplane {
namespace {

using ::testing::HasSubstr;

// DPDK's bits, whose headers are the data plane's alone.
constexpr uint64_t kIpv4 = uint64_t{1} << 2, kIpv4Udp = uint64_t{1} << 5, kIpv6 = uint64_t{1} << 8, kIpv6Udp = uint64_t{1} << 11;
constexpr uint64_t kSourceOnly = uint64_t{1} << 63;

TEST(RssCheck, SaysWhatADeviceDoesNotDoAsItWasTold) {
  const uint64_t addresses = kIpv4 | kIpv6, by_source = addresses | kIpv4Udp | kIpv6Udp | kSourceOnly;
  const struct {
    uint64_t asked, set;
    const char* says;
  } cases[] = {
      {by_source, by_source, ""},
      {addresses, addresses, ""},
      {by_source, 0, "does none: all may come on one queue"},
      {by_source, kSourceOnly, "does none: all may come on one queue"},
      {by_source, by_source & ~kIpv6, "does none for IPv6"},
      {by_source, kIpv4Udp | kSourceOnly, "does none for IPv4 and IPv6"},
      {kIpv4, kIpv4, ""},
      {by_source, by_source & ~kSourceOnly, "hashes more: one exporter's datagrams may meet several cores"},
      {0x2288, 0x2288, "does none for UDP over IPv4 and IPv6"},
      {0x2288 | kIpv4Udp | kIpv6Udp, 0x2288 | kIpv4Udp, "does none for UDP over IPv6"},
      {0x2288 | kIpv4Udp | kIpv6Udp, 0x2288 | kIpv4Udp | kIpv6Udp, ""},
      {addresses, addresses | kIpv4Udp, "hashes ports, too: one exporter's datagrams may meet several cores"},
  };
  for (const auto& c : cases) {
    const std::string said = rss_difference(c.asked, c.set);
    EXPECT_EQ(said.empty(), *c.says == '\0') << said;
    EXPECT_THAT(said, HasSubstr(c.says));
  }
}

// 0x2288 and UDP are i40e's: it tells kinds of packets apart, and knows neither "IPv4" nor the source alone.
TEST(RssCheck, AsksForDatagramsWhereTheyAreAKindOfTheirOwn) {
  const uint64_t udp = kIpv4Udp | kIpv6Udp, addresses = kIpv4 | kIpv6;
  EXPECT_EQ(rss_to_ask(0x2288 | udp), 0x2288 | udp);
  EXPECT_THAT(std::string(rss_shortcoming(0x2288 | udp)), HasSubstr("addresses and ports"));
  EXPECT_EQ(rss_to_ask(addresses | udp), addresses);  // with the ports one exporter would be spread
  EXPECT_THAT(std::string(rss_shortcoming(addresses)), HasSubstr("cannot hash the source alone"));
  EXPECT_EQ(rss_to_ask(addresses | udp | kSourceOnly), addresses | udp | kSourceOnly);
  EXPECT_EQ(rss_shortcoming(addresses | udp | kSourceOnly), "");
  EXPECT_EQ(rss_to_ask(kSourceOnly), 0u);
  EXPECT_EQ(rss_to_ask(0), 0u);
}

TEST(RssCheck, NamesQueuesThatGetNothing) {
  const std::vector<uint16_t> table = {0, 2, 0, 2};
  EXPECT_EQ(idle_queues(table, 1), "");
  EXPECT_EQ(idle_queues(table, 4), "the device's table of RSS gives nothing to queue 1, 3");
}

}  // namespace
}  // namespace weir::dataplane
