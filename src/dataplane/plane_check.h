// plane_check.h — What of a DataPlaneConfig cannot work on this machine, as far as it can be seen
// without starting anything: `weir check` and DataPlane::create ask here alike.
//
// Runs on:  start-up. Starts nothing, keeps nothing open, writes nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/named_enum.h"
#include "dataplane/data_plane.h"
#include "dataplane/driver_rights.h"
#include "dataplane/interface_check.h"

namespace weir::dataplane {

/// What the machine has; a test makes its own.
struct Machine {
  uint64_t memory_octets = 0;            // 0: not known
  uint64_t memory_free_octets = 0;       // that the kernel would give now; 0: not known
  uint64_t hugepage_octets = 0;          // reserved, of all sizes
  uint64_t hugepage_free_octets = 0;
  uint64_t hugepage_abandoned_octets = 0;  // in files of processes that are gone; who has a file prefix takes them back
  bool has_hugetlbfs = false;            // mounted somewhere
  bool may_make_taps = true;             // /dev/net/tun is there, and may be opened
  Rights rights;
  std::vector<unsigned> cpus;            // that this process runs on
  std::function<bool(unsigned)> may_use_cpu;
  InterfaceLookup interface = interface_facts;

  static Machine look();
};

/// Which value a trouble is about. The names are those of the configuration's keys.
// clang-format off
#define WEIR_PLANE_KEYS(X)                                                                        \
  X(ports) X(device) X(queues) X(lcores) X(worker_lcores) X(rx_descriptors) X(mbufs) X(data_room)  \
  X(memory_mb) X(hugepages) X(main_lcore) X(socket) X(exception)    \
  X(replicate)
// clang-format on
WEIR_NAMED_ENUM(PlaneKey, uint8_t, WEIR_PLANE_KEYS)

struct PlaneTrouble {
  PlaneKey key = PlaneKey::ports;
  size_t index = 0;  // of dpdk_ports, for socket of socket_ports, for replicate of replicas; else unused
  std::string what;
  bool may_pass = false;  // another program holds it just now: this one itself, perhaps

  Error to_error(const DataPlaneConfig& config) const;
};

/// Empty: nothing is known to be wrong.
std::vector<PlaneTrouble> find_trouble(const DataPlaneConfig& config, const Machine& machine);

/// Opens each socket and closes it again.
std::vector<PlaneTrouble> try_sockets(const DataPlaneConfig& config);

/// Why replaying never comes to an end with these ports; empty: it does.
std::string why_without_end(const DataPlaneConfig& config);

}  // namespace weir::dataplane
