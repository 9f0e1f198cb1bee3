#include "dataplane/worker_lanes.h"

#include <algorithm>
#include <map>

#include "dataplane/near_cpu.h"

namespace weir::dataplane {
namespace {

/// The core that is that worker of the port's.
size_t core_of(const Placement& placement, WorkerRef worker) {
  const auto works_as_it = [&](const CorePlacement& core) {
    return std::find(core.works_as.begin(), core.works_as.end(), worker) != core.works_as.end();
  };
  return static_cast<size_t>(std::find_if(placement.cores.begin(), placement.cores.end(), works_as_it) -
                             placement.cores.begin());
}

}  // namespace

/// Each receive core gets a lane to each worker of the ports whose queues it serves, each worker one to the kernel.
void WorkerLanes::join(const Parts& parts, uint64_t hash_seed) {
  for (size_t port = 0; parts.exceptions != nullptr && port < parts.devices.size(); ++port) {
    const DpdkDevice& device = *parts.devices[port];
    for (uint16_t w = 0; w < device.workers(); ++w)
      if (ExceptionLane* const lane = parts.exceptions->lane_of_worker(device, w); lane != nullptr)
        parts.cores[core_of(parts.placement, {port, w})]->set_exceptions(device.port_id(), *lane);
  }
  for (size_t i = 0; i < parts.placement.cores.size(); ++i) {
    std::map<size_t, Distributor*> of_port;
    for (const QueueRef& queue : parts.placement.cores[i].queues) {
      DpdkDevice& device = *parts.devices[queue.port];
      if (device.workers() == 0) continue;
      Distributor*& distributor = of_port[queue.port];
      if (distributor == nullptr) {
        distributors_.push_back(std::make_unique<Distributor>(hash_seed, parts.pipelines[i]->counters().handover));
        distributor = distributors_.back().get();
        for (uint16_t w = 0; w < device.workers(); ++w)
          distributor->add(lane_between(parts, i, core_of(parts.placement, {queue.port, w})));
      }
      device.queue(queue.queue).workers = distributor;
    }
  }
}

WorkerLane& WorkerLanes::lane_between(const Parts& parts, size_t receiver, size_t worker) {
  for (const Lane& lane : lanes_)
    if (lane.receiver == receiver && lane.worker == worker) return *lane.lane;
  const NearCpu near(parts.topology, parts.infos[worker].cpu);
  lanes_.push_back({receiver, worker, std::make_unique<WorkerLane>(parts.cores[worker]->bell())});
  WorkerLane& lane = *lanes_.back().lane;
  parts.cores[receiver]->hand_over_by(lane);
  parts.cores[worker]->work_on(lane);
  return lane;
}

WorkerStats WorkerLanes::stats_of(size_t core) const {
  WorkerStats stats;
  for (const Lane& lane : lanes_) {
    if (lane.worker != core) continue;
    stats.handed += lane.lane->handed();
    stats.full += lane.lane->full();
    stats.waiting += lane.lane->waiting();
    stats.capacity += lane.lane->capacity();
  }
  return stats;
}

}  // namespace weir::dataplane
