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
      {addresses, addresses | kIpv4Udp, "hashes ports, too: one exporter's datagrams may meet several cores"},
  };
  for (const auto& c : cases) {
    const std::string said = rss_difference(c.asked, c.set);
    EXPECT_EQ(said.empty(), *c.says == '\0') << said;
    EXPECT_THAT(said, HasSubstr(c.says));
  }
}

TEST(RssCheck, NamesQueuesThatGetNothing) {
  const std::vector<uint16_t> table = {0, 2, 0, 2};
  EXPECT_EQ(idle_queues(table, 1), "");
  EXPECT_EQ(idle_queues(table, 4), "the device's table of RSS gives nothing to queue 1, 3");
}

}  // namespace
}  // namespace weir::dataplane
