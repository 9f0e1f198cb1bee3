// port_stamps.h — What a device, or a file, notes of when frames came in, and where a queue's core finds it.
//
// Runs on:  control_thread.
//
// Private to src/dataplane.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/thread_roles.h"
#include "dataplane/device_clock.h"
#include "dataplane/device_stamps.h"
#include "dataplane/rx_queue.h"

namespace weir::dataplane {

class PortStamps {
 public:
  using Queues = std::span<const std::unique_ptr<RxQueue>>;

  /// Before it is configured: whether the device is to stamp frames.
  void set_asked(bool is_asked) noexcept { is_asked_ = is_asked; }
  bool is_asked() const noexcept { return is_asked_; }
  /// The device has started: the places in a frame are registered then.
  void find(uint16_t port, std::string_view driver, Queues queues);
  /// Several times a second: keeps the device's clock, if it stamps by one.
  void keep_time(uint16_t port, Queues queues, uint64_t steady_now_ns) noexcept WEIR_RUNS_ON(control_thread);
  /// Empty: it stamps nothing.
  std::string note(Queues queues) const;

 private:
  bool is_asked_ = false;
  DeviceClock clock_;
};

}  // namespace weir::dataplane
