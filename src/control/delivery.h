// delivery.h — Sealed batches from every core to every publisher, and their buffers back.
//
// Runs on:  control_thread.
// Bounds:   for each publisher: queue_batches_max batches and records_max records not yet decided,
//           and of several publishers each may hold three quarters of all batches.
// Failure:  a publisher that cannot take a batch loses that batch only (drop_newest), counted under
//           queue_full; the others get it all the same.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_roles.h"
#include "base/waker.h"
#include "control/publisher_thread.h"
#include "control/view.h"
#include "export/batcher.h"

namespace weir::control {

class Delivery {
 public:
  /// One for each core, in the order of OutboundBatch::core; they outlive this object.
  /// `batches_in_all` can exist; 0: unknown.
  explicit Delivery(std::vector<outbound::Batcher*> cores, uint64_t batches_in_all = 0);

  /// Before start(). `records_max` bounds what the publisher may hold undecided; 0: no bound but the
  /// queue's.
  void add_publisher(std::unique_ptr<PublisherThread> publisher, uint64_t records_max);
  void start();

  /// Moves what there is to move, a bounded amount; whether anything moved.
  bool step() noexcept WEIR_RUNS_ON(control_thread);

  /// Gives a line to the publisher of that name; false where it takes none just now.
  bool offer_line(const std::string& publisher, const std::string& line)
      WEIR_RUNS_ON(control_thread);

  /// The cores have ended: step() until drained(), then nothing is in flight any more.
  void begin_drain(uint64_t deadline_steady_ns) noexcept WEIR_RUNS_ON(control_thread);
  bool drained() const noexcept WEIR_RUNS_ON(control_thread);
  /// Publishers whose threads have not ended: after the deadline they hang, in a write for instance.
  std::vector<std::string> unfinished() const WEIR_RUNS_ON(control_thread);

  /// There are publishers, and none of them can ever deliver anything again.
  bool all_broken() const noexcept;

  /// A core told that it had sealed so many records: they must come.
  void expect_sealed(size_t core, uint64_t records_sealed) noexcept WEIR_RUNS_ON(control_thread);
  /// What was sealed and has not come, or came without being sealed. Exact: none of it passes.
  std::vector<Discrepancy> discrepancies() const WEIR_RUNS_ON(control_thread);

  /// Each call looks which publishers have settled something since the last.
  std::vector<PublisherView> views(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);

 private:
  struct Destination {
    std::unique_ptr<PublisherThread> thread;
    uint64_t records_max = 0;
    // Written by the control thread only; the ledger of this publisher.
    uint64_t records_acknowledged = 0;
    uint64_t records_in_flight = 0;
    uint64_t batches_acknowledged = 0;
    uint64_t batches_duplicate = 0;
    uint64_t batches_failed = 0;
    uint64_t batches_dropped = 0;
    uint64_t batches_in_flight = 0;
    uint64_t batches_settled_seen = 0;  // at the last look,
    uint64_t moved_ns = 0;              // and when it had settled some, or had none to settle
    Tally<outbound::DeliveryFailure> lost_records;
  };

  struct Routed {
    uint64_t records = 0;
    uint64_t expected = 0;   // at least so many when the ring is empty
    int64_t difference = 0;  // as it last was
  };

  /// How many batches a publisher may hold; 0: no bound but the queue's.
  uint64_t batches_held_max() const noexcept;
  double fill_of(const Destination& destination) const noexcept;
  void check_routed(size_t core) noexcept WEIR_RUNS_ON(control_thread);
  void route(outbound::OutboundBatch* batch) noexcept WEIR_RUNS_ON(control_thread);
  void settle(Destination& destination, const outbound::Outcome& outcome) noexcept
      WEIR_RUNS_ON(control_thread);
  void release(outbound::OutboundBatch* batch) noexcept WEIR_RUNS_ON(control_thread);

  std::vector<outbound::Batcher*> cores_;
  const uint64_t batches_in_all_;
  std::vector<Destination> destinations_;
  uint64_t records_routed_ = 0;
  std::vector<Routed> routed_;  // by core
};

}  // namespace weir::control
