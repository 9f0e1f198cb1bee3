// replicator.h — The thread that sends what cores received on to other collectors.
//
// Runs on:  control_thread makes, starts, stops and reads it; its own thread has the exception_thread's role: it is on no
//           receive core, makes the system calls, and sleeps when there is nothing to send.
// Owns:     a lane for each core, and the targets.
// Failure:  an Error that names the target, at the start; afterwards every datagram ends in a counter.
//
// Private to src/dataplane.
#pragma once

#include <pthread.h>

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/waker.h"
#include "dataplane/data_plane.h"
#include "dataplane/replica_lane.h"
#include "dataplane/replica_target.h"

namespace weir::dataplane {

class Replicator {
 public:
  static Result<std::unique_ptr<Replicator>> open(std::span<const ReplicaConfig> targets, size_t cores)
      WEIR_RUNS_ON(control_thread);
  ~Replicator() { stop(); }

  ReplicaLane& lane(size_t core) noexcept { return *lanes_[core]; }
  Result<void> start() WEIR_RUNS_ON(control_thread);
  /// No core offers any more: sends what waits, and ends. Idempotent.
  void stop();
  std::vector<ReplicaStats> stats() const WEIR_RUNS_ON(control_thread);

 private:
  Replicator() = default;
  void run() noexcept WEIR_RUNS_ON(exception_thread);
  bool send_some(ReplicaLane& lane) noexcept WEIR_RUNS_ON(exception_thread);
  bool has_waiting() const noexcept;

  std::vector<std::unique_ptr<ReplicaTarget>> targets_;
  Waker waker_;
  std::vector<std::unique_ptr<ReplicaLane>> lanes_;
  std::atomic<bool> is_stopping_{false};
  std::optional<pthread_t> thread_;
};

}  // namespace weir::dataplane
