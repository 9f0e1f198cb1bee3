// queue_interrupts.h — Interrupts on receiving: a descriptor for each queue of a device, on which a core waits.
//
// Runs on:  QueueInterrupts on the control_thread, the switches on the rx_lcores that serve the queues.
// Owns:     the descriptors.
// Failure:  a queue that gets none means none for all of the device's.
//
// Private to src/dataplane.
#pragma once

#include <rte_spinlock.h>

#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/rx_queue.h"

namespace weir::dataplane {

class QueueInterrupts {
 public:
  using Queues = std::span<const std::unique_ptr<RxQueue>>;

  /// 0, or what the driver says, negative: then no queue has one.
  int find(uint16_t port, Queues queues);
  /// What find gave, if it was called.
  void forget(Queues queues) noexcept;

 private:
  rte_spinlock_t lock_ = RTE_SPINLOCK_INITIALIZER;  // NICs share the switches' register among queues
};

/// Of a queue that has one. 0, or negative; -ENOTSUP: the driver knows of no switch.
int enable_interrupt(const RxQueue& queue) noexcept;
/// And takes what has come of it.
void disable_interrupt(const RxQueue& queue) noexcept;

}  // namespace weir::dataplane
