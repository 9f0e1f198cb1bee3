#include "dataplane/queue_interrupts.h"

#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace weir::dataplane {

int QueueInterrupts::find(uint16_t port, Queues queues) {
  for (const std::unique_ptr<RxQueue>& queue : queues) {
    const int fd = epoll_create1(EPOLL_CLOEXEC);
    const int rc = fd < 0 ? -errno : rte_eth_dev_rx_intr_ctl_q(port, queue->queue, fd, RTE_INTR_EVENT_ADD, nullptr);
    if (fd >= 0) queue->wait_fd = fd;
    if (rc == 0) {
      queue->interrupts = &lock_;
      continue;
    }
    forget(queues);
    return rc;
  }
  return 0;
}

void QueueInterrupts::forget(Queues queues) noexcept {
  for (const std::unique_ptr<RxQueue>& queue : queues) {
    queue->interrupts = nullptr;
    if (queue->wait_fd >= 0) close(std::exchange(queue->wait_fd, -1));
  }
}

int enable_interrupt(const RxQueue& queue) noexcept {
  rte_spinlock_lock(queue.interrupts);
  const int rc = rte_eth_dev_rx_intr_enable(queue.port, queue.queue);
  rte_spinlock_unlock(queue.interrupts);
  return rc;
}

void disable_interrupt(const RxQueue& queue) noexcept {
  rte_spinlock_lock(queue.interrupts);
  rte_eth_dev_rx_intr_disable(queue.port, queue.queue);
  rte_spinlock_unlock(queue.interrupts);
  rte_epoll_event taken;
  rte_epoll_wait(queue.wait_fd, &taken, 1, 0);
}

}  // namespace weir::dataplane
