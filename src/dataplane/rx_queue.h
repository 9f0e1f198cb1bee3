// rx_queue.h — A queue of a device, as the core that serves it has it.
//
// Runs on:  the control thread configures it; then the rx_lcore's, but for the flag.
//
// Private to src/dataplane.
#pragma once

#include <rte_spinlock.h>

#include <atomic>
#include <cstdint>

#include "dataplane/device_stamps.h"
#include "dataplane/exception_lane.h"
#include "dataplane/naps.h"
#include "dataplane/pipeline.h"
#include "dataplane/worker_lane.h"
#include "packet/frame.h"

namespace weir::dataplane {

/// What a receive core polls.
struct alignas(kCacheLineBytes) RxQueue {
  uint16_t port = 0;
  uint16_t queue = 0;
  packet::LinkType link = packet::LinkType::ethernet;
  FrameRules rules;
  bool is_endless = false;    // a generator or a file: there is no use in draining it at the end
  bool can_be_shut = false;   // wait_fd is a socket that takes a filter
  bool ends = false;          // a file that is read once
  int wait_fd = -1;           // readable when there are frames; -1: not known
  rte_spinlock_t* interrupts = nullptr;  // wait_fd is of the queue's interrupt, switched with the device's lock; null: it is not
  uint32_t frames = 0;        // that wait for us at most, or more
  std::atomic<uint64_t> long_nap_ns{kNapMaxNs};  // what comes meanwhile, at line rate, waits for us; the control thread's, by the link
  int stamp_offset = -1;    // of the driver's time stamp in its frames; -1: it has none
  uint64_t stamp_flag = 0;  // of frames that have one
  StampReader stamps;       // the core's
  ExceptionLane* exceptions = nullptr;  // what is no export traffic goes there; null: it is dropped
  Distributor* workers = nullptr;       // who decodes the rest; null: who receives it
  std::atomic<bool> is_drained{false};  // ends, and has ended
  uint64_t failures_seen = 0;           // the core's: the port's errors at the last empty burst
};

}  // namespace weir::dataplane
