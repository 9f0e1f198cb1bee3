// config_publishers.h — What the list `publishers` may hold: which keys belong to which kind, and what
// cannot stand beside each other.
//
// Runs on:  start-up and reload.
//
// Private to src/control.
#pragma once

#include <string>

#include "control/config/config.h"
#include "service/config_findings.h"

namespace weir::control {

void check_publishers(const ApplianceConfig& config, const service::Origins& origins,
                      Findings& findings);

/// Where it writes, for `weir check`; of every kind but jetstream.
std::string describe_publisher(const PublisherConfig& publisher);

}  // namespace weir::control
