#include "dataplane/rss_check.h"

#include <fmt/format.h>
#include <rte_ethdev.h>

#include <algorithm>

namespace weir::dataplane {

std::string rss_difference(uint64_t asked, uint64_t set) {
  const bool by_source = (asked & RTE_ETH_RSS_L3_SRC_ONLY) != 0;
  const uint64_t types = asked & ~RTE_ETH_RSS_L3_SRC_ONLY;
  if ((set & types) == 0) return "RSS was set, and the device says that it does none: all may come on one queue";
  std::string families;
  if ((types & RTE_ETH_RSS_IPV4) != 0 && (set & RTE_ETH_RSS_IPV4) == 0) families = "IPv4";
  if ((types & RTE_ETH_RSS_IPV6) != 0 && (set & RTE_ETH_RSS_IPV6) == 0) families += families.empty() ? "IPv6" : " and IPv6";
  if (!families.empty()) return fmt::format("RSS was set, and the device says that it does none for {}", families);
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
