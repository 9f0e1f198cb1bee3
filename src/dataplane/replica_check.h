// replica_check.h — What of the collectors that are to get datagrams cannot work, as far as it can be seen beforehand.
//
// Runs on:  start-up; what would come back also on the control_thread at a reload.
//
// Private to src/dataplane.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dataplane/data_plane.h"
#include "dataplane/destination_kind.h"
#include "dataplane/driver_rights.h"

namespace weir::dataplane {

struct ReplicaTrouble {
  size_t target = 0;  // index
  std::string what;
};

std::vector<ReplicaTrouble> find_replica_trouble(
    const DataPlaneConfig& config, const Rights& rights,
    const std::function<DestinationKind(const IpAddress&)>& kind_of = destination_kind);

/// The targets, each with whether it would come back were its address this host's: addresses come and go (an old collector's is
/// taken over at the end of a migration) while nobody reloads.
std::vector<ReplicaConfig> with_returns(const DataPlaneConfig& config);

}  // namespace weir::dataplane
