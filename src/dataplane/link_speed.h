// link_speed.h — How fast a device's link is, and may become, as DPDK tells it.
//
// Runs on:  control_thread. Pure.
//
// Private to src/dataplane.
#pragma once

#include <cstdint>

namespace weir::dataplane {

/// Of a device that says of no speed that it can have it: what virtual ones of DPDK's say that they have.
inline constexpr uint32_t kUnknownMbps = 10'000;
/// At most, of a link that is up and tells no speed, which is a virtual machine's: what one core takes.
inline constexpr uint32_t kUntoldMbpsMax = 25'000;

/// Of the speeds that a device says it can have (rte_eth_dev_info::speed_capa).
uint32_t fastest_mbps(uint32_t speed_capa) noexcept;
/// Of a link whose speed DPDK says to be `told_mbps`; `fastest_mbps` while it is down, for it may come up at that.
uint32_t link_mbps(bool is_up, uint32_t told_mbps, uint32_t fastest_mbps) noexcept;

}  // namespace weir::dataplane
