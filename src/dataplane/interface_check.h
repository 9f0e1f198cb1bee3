// interface_check.h — What of the ports' kernel interfaces cannot work: not there, read by two ports
// at once, or with receive queues that no port serves; and what two ports would make for themselves.
//
// Runs on:  start-up. Starts nothing.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/data_plane.h"
#include "dataplane/kernel_interface.h"

namespace weir::dataplane {

struct InterfaceTrouble {
  size_t port = 0;  // index
  std::string what;
};

using InterfaceLookup = std::function<std::optional<InterfaceFacts>(const std::string&)>;

std::vector<InterfaceTrouble> find_interface_trouble(std::span<const DpdkPort> ports,
                                                     const InterfaceLookup& lookup);

/// What the operator should know of them, and what still works.
std::vector<InterfaceTrouble> find_interface_notes(std::span<const DpdkPort> ports);

}  // namespace weir::dataplane
