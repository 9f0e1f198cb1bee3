#include "dataplane/link_speed.h"

#include <rte_ethdev.h>

#include <algorithm>

namespace weir::dataplane {

uint32_t fastest_mbps(uint32_t speed_capa) noexcept {
  constexpr struct {
    uint32_t capa, mbps;
  } kSpeeds[] = {
      {RTE_ETH_LINK_SPEED_10M_HD, 10},    {RTE_ETH_LINK_SPEED_10M, 10},      {RTE_ETH_LINK_SPEED_100M_HD, 100},
      {RTE_ETH_LINK_SPEED_100M, 100},     {RTE_ETH_LINK_SPEED_1G, 1000},     {RTE_ETH_LINK_SPEED_2_5G, 2500},
      {RTE_ETH_LINK_SPEED_5G, 5000},      {RTE_ETH_LINK_SPEED_10G, 10'000},  {RTE_ETH_LINK_SPEED_20G, 20'000},
      {RTE_ETH_LINK_SPEED_25G, 25'000},   {RTE_ETH_LINK_SPEED_40G, 40'000},  {RTE_ETH_LINK_SPEED_50G, 50'000},
      {RTE_ETH_LINK_SPEED_56G, 56'000},   {RTE_ETH_LINK_SPEED_100G, 100'000}, {RTE_ETH_LINK_SPEED_200G, 200'000}};
  uint32_t fastest = 0;
  for (const auto& speed : kSpeeds)
    if ((speed_capa & speed.capa) != 0) fastest = std::max(fastest, speed.mbps);
  return fastest != 0 ? fastest : kUnknownMbps;
}

uint32_t link_mbps(bool is_up, uint32_t told_mbps, uint32_t fastest_mbps) noexcept {
  if (!is_up) return fastest_mbps;
  const bool is_told = told_mbps != RTE_ETH_SPEED_NUM_NONE && told_mbps != RTE_ETH_SPEED_NUM_UNKNOWN;
  return is_told ? told_mbps : std::min(fastest_mbps, kUntoldMbpsMax);
}

}  // namespace weir::dataplane
