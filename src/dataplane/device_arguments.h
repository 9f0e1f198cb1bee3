// device_arguments.h — The virtual drivers that a port may name, the arguments that each takes, and
// what of a device text its driver would refuse, ignore or misread.
//
// Runs on:  start-up. Pure, but for looking whether files and folders are there.
// Bounds:   drivers as in DPDK 22.11.
//
// Private to src/dataplane. EAL takes a driver by the beginning of a name and says little of what it
// did not like; several drivers ignore arguments that they do not know.
#pragma once

#include <string>

#include "dataplane/port_plan.h"

namespace weir::dataplane {

/// Why this text cannot work, without the device's name; empty: nothing is known to be wrong.
std::string why_not_device(const DeviceSpec& spec);

}  // namespace weir::dataplane
