#include "dataplane/rss_check.h"

#include <fmt/format.h>
#include <rte_ethdev.h>

#include <algorithm>

namespace weir::dataplane {
namespace {

constexpr uint64_t kAddresses4 = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_OTHER;
constexpr uint64_t kAddresses6 =
    RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_FRAG_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_OTHER | RTE_ETH_RSS_IPV6_EX;
constexpr uint64_t kAddresses = kAddresses4 | kAddresses6;
// With the ports, unless the hash is over the source address only.
constexpr uint64_t kUdp4 = RTE_ETH_RSS_NONFRAG_IPV4_UDP, kUdp6 = RTE_ETH_RSS_NONFRAG_IPV6_UDP;

/// The families that one wants hashed, and whose datagrams are not.
std::string families(uint64_t asked, uint64_t set, uint64_t any4, uint64_t any6, uint64_t does4, uint64_t does6) {
  std::string found;
  if ((asked & any4) != 0 && (set & does4) == 0) found = "IPv4";
  if ((asked & any6) != 0 && (set & does6) == 0) found += found.empty() ? "IPv6" : " and IPv6";
  return found;
}

}  // namespace

uint64_t rss_to_ask(uint64_t offloads) {
  if ((offloads & RTE_ETH_RSS_L3_SRC_ONLY) != 0) {
    const uint64_t types = (kAddresses | kUdp4 | kUdp6) & offloads;
    return types != 0 ? types | RTE_ETH_RSS_L3_SRC_ONLY : 0;
  }
  uint64_t types = kAddresses & offloads;
  // There each kind of packet is hashed by itself (i40e), and a datagram is none of "IPv4".
  if ((offloads & RTE_ETH_RSS_IPV4) == 0) types |= kUdp4 & offloads;
  if ((offloads & RTE_ETH_RSS_IPV6) == 0) types |= kUdp6 & offloads;
  return types;
}

std::string_view rss_shortcoming(uint64_t asked) {
  if (asked == 0 || (asked & RTE_ETH_RSS_L3_SRC_ONLY) != 0) return {};
  if ((asked & (kUdp4 | kUdp6)) != 0)
    return "RSS on addresses and ports: the device hashes datagrams no other way, so one exporter's may meet several cores when "
           "its source port changes";
  return "RSS on source and destination address: the device cannot hash the source alone";
}

std::string rss_difference(uint64_t asked, uint64_t set) {
  const bool by_source = (asked & RTE_ETH_RSS_L3_SRC_ONLY) != 0;
  const uint64_t types = asked & ~RTE_ETH_RSS_L3_SRC_ONLY;
  if ((set & types) == 0) return "RSS was set, and the device says that it does none: all may come on one queue";
  const std::string none =
      families(types, set, RTE_ETH_RSS_IPV4, RTE_ETH_RSS_IPV6, RTE_ETH_RSS_IPV4, RTE_ETH_RSS_IPV6);
  if (!none.empty()) return fmt::format("RSS was set, and the device says that it does none for {}", none);
  const std::string no_udp = families(types, set, kAddresses4 | kUdp4, kAddresses6 | kUdp6, RTE_ETH_RSS_IPV4 | kUdp4,
                                      RTE_ETH_RSS_IPV6 | kUdp6);
  if (!no_udp.empty())
    return fmt::format("RSS was set, and the device says that it does none for UDP over {}: all datagrams may come on one queue",
                       no_udp);
  if (by_source && (set & RTE_ETH_RSS_L3_SRC_ONLY) == 0)
    return "RSS on the source address was set, and the device says that it hashes more: one exporter's datagrams may meet "
           "several cores";
  if ((set & (RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP) & ~asked) != 0)
    return "RSS on addresses was set, and the device says that it hashes ports, too: one exporter's datagrams may meet several "
           "cores";
  return {};
}

std::string idle_queues(std::span<const uint16_t> table, uint16_t queues) {
  std::string idle;
  for (uint16_t q = 0; q < queues; ++q)
    if (std::find(table.begin(), table.end(), q) == table.end()) idle += fmt::format("{}{}", idle.empty() ? "" : ", ", q);
  return idle.empty() ? idle : fmt::format("the device's table of RSS gives nothing to queue {}", idle);
}

}  // namespace weir::dataplane
