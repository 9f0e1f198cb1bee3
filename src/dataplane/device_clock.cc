#define ALLOW_EXPERIMENTAL_API
#include "dataplane/device_clock.h"

#include <rte_ethdev.h>

namespace weir::dataplane {

bool read_device_clock(uint16_t port, uint64_t& ticks) noexcept { return rte_eth_read_clock(port, &ticks) == 0; }

}  // namespace weir::dataplane
