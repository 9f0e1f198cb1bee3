// xdp_steerings.h — A plane's XDP programs: one for each interface, whatever ports have its queues.
//
// Runs on:  control_thread.
// Failure:  an Error that names the interface; but what cannot be taken back from a program is said in the ports' notes.
//
// Private to src/dataplane.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_roles.h"
#include "dataplane/data_plane.h"
#include "dataplane/dpdk_port.h"
#include "dataplane/xdp_steering.h"

namespace weir::dataplane {

class XdpSteerings {
 public:
  /// The device, if it is of those, gets its frames by the program of its interface. `ports`: all of the plane's.
  Result<void> steer(DpdkDevice& device, std::span<const DpdkPort> ports) WEIR_RUNS_ON(control_thread);
  /// As XdpSteering's, of all of them.
  Result<void> add_ports(std::span<const Listener> listeners) WEIR_RUNS_ON(control_thread);
  Result<void> attach() WEIR_RUNS_ON(control_thread);
  void keep_ports(std::span<const Listener> listeners, std::span<const std::unique_ptr<DpdkDevice>> devices)
      WEIR_RUNS_ON(control_thread);
  void detach() noexcept;
  void clear() { steerings_.clear(); }

 private:
  std::vector<std::unique_ptr<XdpSteering>> steerings_;
};

}  // namespace weir::dataplane
