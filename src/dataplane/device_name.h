// device_name.h — How devices are named to DPDK.
#pragma once

#include <string_view>

namespace weir::dataplane {

/// 0000:01:00.0 or 01:00.0: domain, bus, device, function, as lspci prints them.
bool is_pci_address(std::string_view text) noexcept;

}  // namespace weir::dataplane
