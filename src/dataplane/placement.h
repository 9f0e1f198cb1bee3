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
#include "dataplane/cpu_topology.h"

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

/// A CPU that serves a port whose device is on another node: what it receives crosses between them.
struct NodeCrossing {
  size_t port = 0;
  unsigned cpu = 0;
  unsigned cpu_node = 0;
  unsigned port_node = 0;
  friend bool operator==(const NodeCrossing&, const NodeCrossing&) = default;
};

struct Placement {
  unsigned main_cpu = 0;
  std::vector<CorePlacement> cores;
  std::vector<NodeCrossing> crossings;  // each CPU once a port
};

/// What placement needs to know of a port.
struct PortDemand {
  std::string name;
  uint16_t queues = 1;           // that must be served
  uint16_t cores = 1;            // at most so many serve them, unless `lcores` says which
  std::vector<unsigned> lcores;  // CPUs, one for each queue in turn; empty: chosen
  uint16_t workers = 0;          // cores that decode what those of the queues hand over
  std::vector<unsigned> worker_lcores{};  // their CPUs, one for each; empty: chosen
  std::optional<unsigned> node{};         // of its device; not known: any will do
};

/// `usable` is not empty, in ascending order. CPUs named by lcores are shared by all ports that
/// name them: one core a CPU, which may receive for some and work for others. Chosen CPUs come in turn, each a core of its
/// own: those of the device's node first, of these isolated ones, then ones whose core nobody shares; what ports name, and
/// what is `named_elsewhere` (for threads of kernel sockets), later, the main one last.
Result<Placement> place_cores(std::span<const PortDemand> ports, std::optional<unsigned> main_cpu,
                              std::span<const unsigned> usable, const CpuTopology& topology = {},
                              std::span<const unsigned> named_elsewhere = {});

/// What threads that receive from kernel sockets are pinned to, one for each; empty: to nothing, the kernel moves them
/// about. `asked`: CPUs that the configuration names, in turn. Else only where this process was given CPUs of its own
/// (fewer than the machine has, and for all of the time), and there is one for each thread beside the main one and
/// those in `placement`.
std::vector<unsigned> place_socket_threads(std::span<const unsigned> asked, size_t threads, const Placement& placement,
                                           std::span<const unsigned> usable, const CpuTopology& topology);

/// The CPUs in the calling thread's affinity.
std::vector<unsigned> usable_cpus();
/// Also true for CPUs outside the affinity that may be asked for (isolated ones).
bool may_run_on(unsigned cpu);

}  // namespace weir::dataplane
