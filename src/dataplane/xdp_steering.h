// xdp_steering.h — Our XDP program on one interface: which of its frames go to the sockets of net_af_xdp ports.
//
// Runs on:  control_thread. The kernel reads the maps for every frame.
// Owns:     the program's link: it is taken off when we end, however we end.
// Bounds:   kXdpQueuesMax queues.
// Failure:  an Error that names the interface and what the kernel said.
//
// Private to src/dataplane.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/thread_roles.h"
#include "dataplane/plane_rules.h"
#include "dataplane/xdp_program.h"

namespace weir::dataplane {

class XdpSteering {
 public:
  /// Makes maps and program; nothing is attached yet.
  static Result<std::unique_ptr<XdpSteering>> make(const std::string& interface, XdpScope scope)
      WEIR_RUNS_ON(control_thread);
  ~XdpSteering();
  XdpSteering(const XdpSteering&) = delete;
  XdpSteering& operator=(const XdpSteering&) = delete;

  const std::string& interface() const noexcept { return interface_; }
  /// What comes on that receive queue goes to that socket, once the program is attached.
  Result<void> serve(uint32_t queue, int socket) WEIR_RUNS_ON(control_thread);
  Result<void> attach() WEIR_RUNS_ON(control_thread);
  void detach() noexcept;

  /// The ports of these listeners are taken from now on, those of others still.
  Result<void> add_ports(std::span<const Listener> listeners) WEIR_RUNS_ON(control_thread);
  /// Only theirs are, but for those that the kernel does not let go of, which the next call tries again.
  Result<void> keep_ports(std::span<const Listener> listeners) WEIR_RUNS_ON(control_thread);

  /// Nobody's program is on the interface.
  static Result<void> expect_free(const std::string& interface) WEIR_RUNS_ON(control_thread);
  /// Takes away what the driver has attached, so that ours can be.
  static Result<void> clear(const std::string& interface) WEIR_RUNS_ON(control_thread);

 private:
  explicit XdpSteering(std::string interface) : interface_(std::move(interface)) {}
  Error error(std::string_view what, int number) const;

  const std::string interface_;
  XdpMaps maps_;
  int program_ = -1;
  int link_ = -1;
  std::array<bool, 65536> is_taken_{};
};

}  // namespace weir::dataplane
