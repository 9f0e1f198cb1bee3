// destination.h — A publisher as the control thread sees it: its bounds, what happens beyond them, its
// ledger, its spool.
//
// Runs on:  control_thread.
// Bounds:   waiting_batches_max beside what its thread holds; records_max records undecided; of the
//           buffers of one core at most held_batches_max.
// Failure:  a batch beyond the bounds: drop_newest loses it (queue_full), drop_oldest the oldest that
//           waits (displaced), spool writes it to disk, block leaves it with its core. Each is counted.
//
// records routed = acknowledged + failed + dropped + spooled + in flight.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "control/drop_policy.h"
#include "control/loss_book.h"
#include "control/publisher_thread.h"
#include "control/run_journal.h"
#include "control/spool_thread.h"
#include "control/view.h"

namespace weir::control {

struct DestinationConfig {
  DropPolicy policy = DropPolicy::drop_newest;
  uint64_t records_max = 0;        // held undecided; 0: no bound but the batches'
  size_t waiting_batches_max = 0;  // beside those that its thread has
  uint64_t held_batches_max = 0;   // of one core's buffers; 0: no bound
};

class Destination {
 public:
  using Release = std::function<void(outbound::OutboundBatch*)>;

  /// `spool` and `journal` only with DropPolicy::spool. `release` takes a batch that it needs no longer.
  Destination(const DestinationConfig& config, size_t cores,
              std::unique_ptr<PublisherThread> thread, std::unique_ptr<SpoolThread> spool,
              std::unique_ptr<RunJournal> journal, Release release);

  void start();

  /// A batch of a core; it is released when it is settled, or at once.
  void take(outbound::OutboundBatch* batch) WEIR_RUNS_ON(control_thread);
  /// DropPolicy::block, and no room for another batch of that core.
  bool is_blocking(size_t core) const noexcept;

  /// Moves what there is to move, a bounded amount; whether anything moved.
  bool step(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);

  /// Nothing more will be taken. Called again, it moves the deadline.
  void begin_drain(uint64_t deadline_steady_ns) WEIR_RUNS_ON(control_thread);
  bool has_drained() const noexcept;
  /// Who of its threads has not ended; empty: all have.
  std::string unfinished() const;

  bool offer_line(const std::string& line) WEIR_RUNS_ON(control_thread) {
    return thread_->offer_line(line);
  }
  const std::string& name() const noexcept { return thread_->name(); }
  const outbound::Publisher& publisher() const noexcept { return thread_->publisher(); }

  /// `taken` is what all cores have made, whether it has come or not.
  void note(BatchesAndRecords taken) noexcept WEIR_RUNS_ON(control_thread);
  /// Each call looks whether something was settled since the last.
  PublisherView view(uint64_t steady_now_ns);

 private:
  bool has_room(size_t core, uint64_t records) const noexcept;
  bool may_hold(size_t core) const noexcept;
  bool may_queue(size_t core) const noexcept;
  void hold(outbound::OutboundBatch* batch);
  void let_go(outbound::OutboundBatch* batch);
  void lose(outbound::OutboundBatch* batch, outbound::DeliveryFailure why);
  void book_loss(const outbound::OutboundBatch& batch, outbound::DeliveryFailure why);
  bool displace_for(const outbound::OutboundBatch& batch);
  void to_spool(outbound::OutboundBatch* batch) WEIR_RUNS_ON(control_thread);
  void settle(const outbound::Outcome& outcome) WEIR_RUNS_ON(control_thread);
  void settle_replay(ReplayBatch* batch, const outbound::Outcome& outcome)
      WEIR_RUNS_ON(control_thread);
  void settle_stored(const StoredBatch& stored);
  bool hand_over(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  bool hand_over_replay(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  void step_drain(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  double fill() const noexcept;
  SpoolView spool_view() const;

  const DestinationConfig config_;
  const std::unique_ptr<RunJournal> journal_;  // null: none
  const std::unique_ptr<SpoolThread> spool_;   // null: none
  // After the spool, whose batches its thread may hold until it has ended.
  const std::unique_ptr<PublisherThread> thread_;
  const Release release_;

  std::deque<outbound::OutboundBatch*> waiting_;
  std::vector<uint64_t> held_;        // batches, by core
  std::deque<ReplayBatch*> replays_;  // read, and not with the publisher
  unsigned live_since_replay_ = 0;
  size_t replays_out_ = 0;        // with the publisher
  uint64_t replays_from_ns_ = 0;  // not before
  size_t storing_ = 0;            // batches on their way to disk, and their records
  uint64_t records_storing_ = 0;

  // The ledger.
  uint64_t records_routed_ = 0;
  uint64_t records_acknowledged_ = 0;
  uint64_t records_spooled_ = 0;
  uint64_t records_in_flight_ = 0;
  uint64_t batches_acknowledged_ = 0;
  uint64_t batches_duplicate_ = 0;
  uint64_t batches_failed_ = 0;
  uint64_t batches_dropped_ = 0;
  uint64_t batches_spooled_ = 0;
  uint64_t batches_in_flight_ = 0;
  LatencyHistogram delivery_;
  Tally<outbound::DeliveryFailure> lost_records_;
  uint64_t replayed_records_ = 0;
  uint64_t replayed_batches_ = 0;
  Tally<outbound::DeliveryFailure> replays_lost_records_;
  LossBook<outbound::DeliveryFailure> losses_;

  uint64_t settled_seen_ = 0;  // at the last look,
  uint64_t moved_ns_ = 0;      // and when it had settled some, or had none to settle
  uint64_t deadline_ns_ = 0;   // for the publisher; 0: not draining
  uint64_t asked_deadline_ns_ = 0;
  bool thread_drains_ = false;
  bool spool_closes_ = false;
};

}  // namespace weir::control
