// tap_device.h — The interface that net_tap's driver has made: where somebody deletes it, it is made again under the
// driver, which does not notice.
//
// Spec:     Linux's Documentation/networking/tuntap.rst.
// Runs on:  control_thread. Receive cores go on reading the same descriptors, which bring nothing meanwhile.
// Failure:  what the kernel says, and the interface stays away: to be tried again.
//
// A TAP's descriptors outlive it, and one that has lost its interface may be given another. So queues, buffers and what
// cores wait on stay as they are. Addresses and routes that somebody has set on it are gone: they are his to set.
//
// Private to src/dataplane. This leans on the driver's insides (net_tap of DPDK 22.11): it opens a descriptor that keeps
// the interface and takes no part in receiving, and then one for each queue.
#pragma once

#include <net/if.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::dataplane {

/// Descriptors of this process that are ends of TAPs, ascending.
std::vector<int> open_taps();

class TapDevice {
 public:
  /// The driver's descriptors, which stay its own. None: they say of no interface, or were not found.
  static std::optional<TapDevice> of(std::vector<int> keepers, std::vector<int> queues);

  const std::string& name() const noexcept { return name_; }
  /// It was deleted. (One with another name, or in another network namespace, is not.)
  bool is_gone() const noexcept;
  /// It is gone: makes it again, with the MAC address that it had, and brings it up. Needs CAP_NET_ADMIN, or a persistent one
  /// of its name.
  Result<void> make_again() const;

 private:
  TapDevice() = default;

  std::string name_;
  ifreq request_{};  // of the driver, when it made it
  std::array<uint8_t, 6> mac_{};
  std::vector<int> keepers_, queues_;
};

}  // namespace weir::dataplane
