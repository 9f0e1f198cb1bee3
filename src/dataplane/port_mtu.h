// port_mtu.h — Frames that are longer than Ethernet's usual ones: what a device is asked for, so that it does not drop them.
//
// Runs on:  control_thread. Pure.
//
// Private to src/dataplane.
#pragma once

#include <rte_ethdev.h>

#include <cstdint>
#include <string>

namespace weir::dataplane {

/// Has `conf` ask for that MTU, and for frames in several buffers where one of so much room (its headroom included) does not hold
/// them. Why the device cannot; empty: it says that it can, and `conf` is only then changed.
std::string ask_for_mtu(uint16_t mtu, uint32_t data_room, const rte_eth_dev_info& info, rte_eth_conf& conf);

}  // namespace weir::dataplane
