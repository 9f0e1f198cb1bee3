// placement.h — Which CPU serves which queue of which port.
//
// Runs on:  start-up. Pure, but for usable_cpus and may_run_on.
// Bounds:   kReceiveCoresMax receive cores.
// Failure:  an Error that names the port.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::dataplane {

inline constexpr size_t kReceiveCoresMax = 127;  // DPDK's 128 lcores, less the main one

struct QueueRef {
  size_t port = 0;  // place in the list of ports
  uint16_t queue = 0;
  friend bool operator==(const QueueRef&, const QueueRef&) = default;
};

struct WorkerRef {
  size_t port = 0;
  uint16_t worker = 0;  // its number among the port's
  friend bool operator==(const WorkerRef&, const WorkerRef&) = default;
};

struct CorePlacement {
  unsigned cpu = 0;
  std::vector<QueueRef> queues;
  std::vector<WorkerRef> works_as{};
};

struct Placement {
  unsigned main_cpu = 0;
  std::vector<CorePlacement> cores;
};

/// What placement needs to know of a port.
struct PortDemand {
  std::string name;
  uint16_t queues = 1;           // that must be served
  uint16_t cores = 1;            // at most so many serve them, unless `lcores` says which
  std::vector<unsigned> lcores;  // CPUs, one for each queue in turn; empty: chosen
  uint16_t workers = 0;          // cores that decode what those of the queues hand over
  std::vector<unsigned> worker_lcores{};  // their CPUs, one for each; empty: chosen
};

/// `usable` is not empty, in ascending order. CPUs named by lcores are shared by all ports that
/// name them: one core a CPU, which may receive for some and work for others. Chosen CPUs come in turn, the main one
/// last, each a core of its own.
Result<Placement> place_cores(std::span<const PortDemand> ports, std::optional<unsigned> main_cpu,
                              std::span<const unsigned> usable);

/// The CPUs in the calling thread's affinity.
std::vector<unsigned> usable_cpus();
/// Also true for CPUs outside the affinity that may be asked for (isolated ones).
bool may_run_on(unsigned cpu);

}  // namespace weir::dataplane
