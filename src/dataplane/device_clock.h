// device_clock.h — Where a device's own clock stands.
//
// Runs on:  control_thread. Alone in its file: DPDK still calls this experimental.
//
// Private to src/dataplane.
#pragma once

#include <cstdint>

namespace weir::dataplane {

/// False: the device does not say.
bool read_device_clock(uint16_t port, uint64_t& ticks) noexcept;

}  // namespace weir::dataplane
