// driver_rights.h — What a process must be allowed to do for a port's driver to start, and what of that when it receives.
//
// Runs on:  start-up. Pure, but for Rights::of_this_process.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dataplane/data_plane.h"

namespace weir::dataplane {

/// A test makes its own.
struct Rights {
  bool net_raw = true;  // capabilities
  bool net_admin = true;
  bool bpf = true;
  bool sys_admin = true;
  bool ipc_lock = true;
  uint64_t memlock_octets = UINT64_MAX;  // that may be locked without CAP_IPC_LOCK

  static Rights of_this_process();
};

struct MissingRight {
  size_t port = 0;  // index
  std::string what;
};

std::vector<MissingRight> find_missing_rights(std::span<const DpdkPort> ports, const EalConfig& eal,
                                              const Rights& rights);

/// A capability that is needed after the start, by its number, and what for.
struct LastingRight {
  unsigned capability = 0;
  std::string why;
};

/// Sockets, devices and programs that are open stay open without any; this is for what is opened or set back later.
std::vector<LastingRight> find_lasting_rights(const DataPlaneConfig& config);

}  // namespace weir::dataplane
