// worker_lanes.h — Who hands over to whom: the lanes between a plane's receive cores and its workers, and those by which workers
// give the kernel what is the host's.
//
// Runs on:  control_thread: joins them before the cores run, and reads their numbers.
// Owns:     a lane each pair of receive core and worker, a Distributor each receive core and port.
//
// Private to src/dataplane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/cpu_topology.h"
#include "dataplane/data_plane.h"
#include "dataplane/dpdk_core.h"
#include "dataplane/dpdk_port.h"
#include "dataplane/exception_path.h"
#include "dataplane/placement.h"
#include "dataplane/worker_lane.h"

namespace weir::dataplane {

class WorkerLanes {
 public:
  /// Of a plane: what it has of each core lies at that core's place.
  struct Parts {
    const Placement& placement;
    const CpuTopology& topology;
    std::span<const CoreInfo> infos;
    std::span<const std::unique_ptr<DpdkCore>> cores;
    std::span<const std::unique_ptr<Pipeline>> pipelines;
    std::span<const std::unique_ptr<DpdkDevice>> devices;
    ExceptionPath* exceptions;  // null: no port has one
  };
  /// Once.
  void join(const Parts& parts, uint64_t hash_seed);
  /// Of all lanes to that core.
  WorkerStats stats_of(size_t core) const;

 private:
  struct Lane {
    size_t receiver;  // places of cores
    size_t worker;
    std::unique_ptr<WorkerLane> lane;
  };
  WorkerLane& lane_between(const Parts& parts, size_t receiver, size_t worker);

  std::vector<Lane> lanes_;
  std::vector<std::unique_ptr<Distributor>> distributors_;
};

}  // namespace weir::dataplane
