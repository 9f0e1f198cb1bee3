// ring_device.h — A port of rings (net_ring) that are as deep as a NIC's: the driver's own hold 1023 frames, whatever is
// asked for, and a NIC's descriptors outlast four times the pauses of a machine that is shared.
//
// Runs on:  the thread that makes the plane.
// Owns:     a ring a queue, filled by sending and emptied by receiving; the device on them.
// Failure:  an Error that says why there is no memory or no device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "dataplane/port_plan.h"

struct rte_ring;

namespace weir::dataplane {

class RingDevice {
 public:
  /// Each of `queues` has room for `frames` (one less where that is a power of two).
  static Result<std::unique_ptr<RingDevice>> make(const DeviceSpec& spec, uint16_t queues, uint32_t frames);
  /// Nobody uses the port any more. What is left in the rings goes back to its pool.
  ~RingDevice();
  RingDevice(const RingDevice&) = delete;
  RingDevice& operator=(const RingDevice&) = delete;

  /// What the driver calls a port on rings that were there before.
  static std::string port_name(const DeviceSpec& spec);
  /// Frames that the ring of such a queue holds at most; 0: there is none.
  static uint32_t room(const DeviceSpec& spec, uint16_t queue);

 private:
  RingDevice() = default;

  std::string port_name_;  // empty: there is no port yet
  std::vector<rte_ring*> rings_;
};

}  // namespace weir::dataplane
