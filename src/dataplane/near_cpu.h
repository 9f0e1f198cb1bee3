// near_cpu.h — Memory on the NUMA node of the core that is to use it.
//
// Runs on:  control_thread, before the cores run.
//
// Private to src/dataplane.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <cstddef>

#include "dataplane/cpu_topology.h"

namespace weir::dataplane {

/// Memory is of the node whose CPU first touches it: while this lives the calling thread is near a core that is to use what
/// it makes. Nothing where all are near.
class NearCpu {
 public:
  NearCpu(const CpuTopology& topology, int cpu) {
    if (cpu < 0 || topology.nodes() < 2 || pthread_getaffinity_np(pthread_self(), sizeof before_, &before_) != 0) return;
    cpu_set_t there;
    CPU_ZERO(&there);
    CPU_SET(static_cast<size_t>(cpu), &there);
    moved_ = pthread_setaffinity_np(pthread_self(), sizeof there, &there) == 0;
  }
  ~NearCpu() {
    if (moved_) pthread_setaffinity_np(pthread_self(), sizeof before_, &before_);
  }
  NearCpu(const NearCpu&) = delete;
  NearCpu& operator=(const NearCpu&) = delete;

 private:
  cpu_set_t before_;
  bool moved_ = false;
};

}  // namespace weir::dataplane
