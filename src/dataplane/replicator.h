// replicator.h — The thread that sends what cores received on to other collectors.
//
// Runs on:  control_thread makes, starts, changes, stops and reads it; its own thread has the exception_thread's role: it is on no
//           receive core, makes the system calls, and sleeps when there is nothing to send. Where nobody gets anything there is none.
// Owns:     a lane for each core, and the targets.
// Bounds:   kReplicaTargetsMax targets, those that leave included.
// Failure:  an Error that names the target, at the start or at a change; afterwards every datagram ends in a counter.
//
// A target keeps its place, a bit in what lanes carry, while it is one. At a change new ones are told to the sending thread
// first, then cores go by the new plan from their next burst on; one that is gone still gets what waits for it, and its place is
// another's only then.
//
// Private to src/dataplane.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/spsc_ring.h"
#include "base/waker.h"
#include "dataplane/data_plane.h"
#include "dataplane/replica_lane.h"
#include "dataplane/replica_past.h"
#include "dataplane/replica_target.h"

namespace weir::dataplane {

class Replicator {
 public:
  static Result<std::unique_ptr<Replicator>> open(std::span<const ReplicaConfig> targets, size_t cores)
      WEIR_RUNS_ON(control_thread);
  ~Replicator() { stop(); }

  ReplicaLane& lane(size_t core) noexcept { return *lanes_[core]; }
  Result<void> start() WEIR_RUNS_ON(control_thread);

  /// Opens what of `targets` is new; on an Error nothing has changed. begin_change then has cores go by it, and
  /// settle_change says whether they do and what is gone has got the last that was for it.
  Result<void> prepare_change(std::span<const ReplicaConfig> targets) WEIR_RUNS_ON(control_thread);
  void begin_change() WEIR_RUNS_ON(control_thread);
  bool settle_change() WEIR_RUNS_ON(control_thread);

  /// No core offers any more: sends what waits, and ends. Idempotent.
  void stop();
  /// By target as configured; then those that are gone.
  std::vector<ReplicaStats> stats() const WEIR_RUNS_ON(control_thread);

 private:
  /// Of one bit, as the control thread has it.
  struct Place {
    std::unique_ptr<ReplicaTarget> target;  // null: it is free
    ReplicaConfig config;
    ReplicaStats before;  // what lanes had counted for others that were here
    ReplicaStats past;    // its own, from before a reload took it away and another brought it back
  };
  /// What the next plan has: places by target as configured, and targets that are to go where one is free.
  struct Change {
    std::vector<ReplicaConfig> configs;
    std::vector<size_t> places;
    std::array<std::unique_ptr<ReplicaTarget>, kReplicaTargetsMax> opened;
  };
  /// What the sending thread is told: who has the place from now on; null: nobody.
  struct Told {
    size_t place = 0;
    ReplicaTarget* target = nullptr;
  };

  Replicator() = default;
  Result<void> start_thread_if_any(size_t targets) WEIR_RUNS_ON(control_thread);
  void tell(size_t place, ReplicaTarget* target) WEIR_RUNS_ON(control_thread);
  ReplicaStats counted(size_t place) const WEIR_RUNS_ON(control_thread);
  ReplicaStats stats_of(size_t place) const WEIR_RUNS_ON(control_thread);
  bool is_leaving(size_t place) const WEIR_RUNS_ON(control_thread);
  void run() noexcept WEIR_RUNS_ON(exception_thread);
  void take_told() noexcept WEIR_RUNS_ON(exception_thread);
  bool send_some(ReplicaLane& lane) noexcept WEIR_RUNS_ON(exception_thread);
  bool has_waiting() const noexcept;
  bool has_news() const noexcept;

  // The control thread's.
  std::array<Place, kReplicaTargetsMax> places_;
  std::vector<size_t> in_use_;  // places by target, as configured
  ReplicaPast past_;            // of those that are gone
  std::optional<Change> prepared_;
  std::unique_ptr<const ReplicaPlan> plan_ = std::make_unique<const ReplicaPlan>();
  std::unique_ptr<const ReplicaPlan> plan_before_;  // while a core may go by it
  std::vector<size_t> ends_;  // of lanes, when all cores had left the plan before; empty: they have not yet
  bool is_leaving_told_ = false;
  uint64_t told_count_ = 0;
  bool is_started_ = false;

  std::array<ReplicaTarget*, kReplicaTargetsMax> sending_{};  // the sending thread's
  SpscRing<Told> told_{4 * kReplicaTargetsMax};
  std::atomic<uint64_t> told_taken_{0};
  Waker waker_;
  std::vector<std::unique_ptr<ReplicaLane>> lanes_;
  std::atomic<bool> is_stopping_{false};
  std::optional<pthread_t> thread_;
};

}  // namespace weir::dataplane
