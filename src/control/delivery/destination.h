// destination.h — A publisher as the control thread sees it: its bounds, what happens beyond them, its
// ledger, its spool.
//
// Runs on:  control_thread.
// Bounds:   waiting_batches_max beside what its thread holds; records_max records undecided; of the
//           buffers of one core at most held_batches_max. One thread and one spool that leave.
// Failure:  a batch beyond the bounds: drop_newest loses it (queue_full), drop_oldest the oldest that
//           waits (displaced), spool writes it to disk, block leaves it with its core. Each is counted.
//
// records routed = acknowledged + failed + dropped + spooled + in flight.
//
// A change replaces its parts and keeps the rest. What the thread that leaves does not deliver is the next
// one's: it goes back to the head of the queue, under its own id.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "control/delivery/disposal.h"
#include "control/delivery/drop_policy.h"
#include "control/delivery/loss_book.h"
#include "control/delivery/publisher_thread.h"
#include "control/delivery/publisher_view.h"
#include "control/delivery/run_journal.h"
#include "control/delivery/spool_thread.h"

namespace weir::control {

/// What has waited so long in memory goes to disk: the broker is away, and memory does not survive a kill.
inline constexpr uint64_t kWaitBeforeSpoolNs = 5 * kNsPerSec;

struct DestinationConfig {
  DropPolicy policy = DropPolicy::drop_newest;
  uint64_t records_max = 0;        // held undecided; 0: no bound but the batches'
  size_t waiting_batches_max = 0;  // beside those that its thread has
  uint64_t held_batches_max = 0;   // of one core's buffers; 0: no bound
};

/// What a destination works with; of a change, what is null stays as it is.
struct DestinationParts {
  std::unique_ptr<PublisherThread> thread;
  std::unique_ptr<SpoolThread> spool;  // only with DropPolicy::spool, and then with a journal
  std::unique_ptr<RunJournal> journal;
  std::optional<outbound::SpoolLimits> spool_limits;  // of the spool that stays
};

class Destination {
 public:
  using Release = std::function<void(outbound::OutboundBatch*)>;

  /// `owed_from`: what was made before it was there. `release` takes a batch that it needs no longer,
  /// `disposal` what it is made of, when that has ended.
  Destination(const DestinationConfig& config, size_t cores, DestinationParts parts, BatchesAndRecords owed_from,
              Release release, Disposal& disposal);

  /// Its threads have to be started. That of the publisher may have to wait for another that writes to the same
  /// place.
  bool wants_start() const noexcept {
    return !thread_->has_started() || (spool_.thread && !spool_.thread->has_started());
  }
  enum class Place : uint8_t { free, taken };
  Result<void> start(Place place);

  /// A part is replaced while nothing of it leaves (is_leaving). What leaves has until the deadline to deliver what it has.
  void change(const DestinationConfig& config, DestinationParts parts, uint64_t leave_deadline_ns)
      WEIR_RUNS_ON(control_thread);
  void set_held_batches_max(uint64_t batches) noexcept { config_.held_batches_max = batches; }
  DropPolicy policy() const noexcept { return config_.policy; }
  /// A part that was replaced has not ended.
  bool is_leaving() const noexcept { return leaving_thread_ != nullptr || leaving_spool_.thread != nullptr; }
  const std::string& place() const noexcept { return thread_->place(); }
  /// It, or the one before it, may write there.
  bool occupies(const std::string& place) const noexcept;
  /// Made while others were at work: so long it may take to connect.
  void mark_new(uint64_t steady_now_ns) noexcept { changed_ns_ = steady_now_ns; }

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
  /// Has drained: gives away what it is made of.
  void dispose() WEIR_RUNS_ON(control_thread);

  bool offer_line(const std::string& line) WEIR_RUNS_ON(control_thread) {
    return thread_->offer_line(line);
  }
  void reopen() noexcept { thread_->reopen(); }
  const std::string& name() const noexcept { return name_; }
  const outbound::Publisher& publisher() const noexcept { return thread_->publisher(); }

  /// Nothing that was made later is owed: it gets nothing more.
  void owe_until(BatchesAndRecords made) noexcept { owed_until_ = made; }
  /// `taken` is what all cores have made, whether it has come or not.
  void note(BatchesAndRecords taken) noexcept WEIR_RUNS_ON(control_thread);
  uint64_t records_routed() const noexcept { return records_routed_; }
  /// Each call looks whether something was settled since the last.
  PublisherView view(uint64_t steady_now_ns);

 private:
  struct SpoolSide {
    std::unique_ptr<SpoolThread> thread;  // null: none
    size_t storing = 0;                   // batches on their way to disk
    size_t replays_out = 0;               // read from it, and with the publisher
    bool closes = false;
    uint64_t settled = 0;       // batches that were stored, or not,
    uint64_t settled_seen = 0;  // as of the last look,
    uint64_t moved_ns = 0;      // and when some were, or none was to be stored
  };

  bool may_offer() const noexcept;
  bool has_thread_ended() const noexcept;
  bool offer(outbound::OutboundBatch* batch) WEIR_RUNS_ON(control_thread);
  bool has_room(size_t core, uint64_t records) const noexcept;
  bool may_hold(size_t core) const noexcept;
  bool may_queue(size_t core) const noexcept;
  void hold(outbound::OutboundBatch* batch);
  void let_go(outbound::OutboundBatch* batch);
  void lose(outbound::OutboundBatch* batch, outbound::DeliveryFailure why);
  void book_loss(const outbound::OutboundBatch& batch, outbound::DeliveryFailure why);
  bool displace_for(const outbound::OutboundBatch& batch);
  void put_back(outbound::OutboundBatch* batch);
  enum class From : uint8_t { current, leaving };
  void settle(const outbound::Outcome& outcome, From from) WEIR_RUNS_ON(control_thread);
  bool hand_over(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  bool take_outcomes() WEIR_RUNS_ON(control_thread);
  void end_leaving_thread() WEIR_RUNS_ON(control_thread);
  void step_drain(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);

  // destination_spool.cc
  void to_spool(outbound::OutboundBatch* batch) WEIR_RUNS_ON(control_thread);
  bool take_stored(SpoolSide& side) WEIR_RUNS_ON(control_thread);
  void settle_stored(SpoolSide& side, const StoredBatch& stored);
  void settle_replay(ReplayBatch* batch, const outbound::Outcome& outcome)
      WEIR_RUNS_ON(control_thread);
  bool hand_over_replay(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  void keep_patience(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  void keep_replays() WEIR_RUNS_ON(control_thread);
  void leave_spool() WEIR_RUNS_ON(control_thread);
  void step_leaving_spool() WEIR_RUNS_ON(control_thread);

  // destination_view.cc
  double fill() const noexcept;
  SpoolView spool_view(uint64_t steady_now_ns);
  static void add_counters_of(const outbound::Publisher& publisher, PublisherView& row);
  static void add_counters_of(const SpoolThread& thread, SpoolView& view);

  DestinationConfig config_;
  const std::string name_;
  const BatchesAndRecords owed_from_;
  std::optional<BatchesAndRecords> owed_until_;
  std::unique_ptr<RunJournal> journal_;  // null: none
  SpoolSide spool_;
  SpoolSide leaving_spool_;
  // After the spools, whose batches their threads may hold until they have ended.
  std::unique_ptr<PublisherThread> leaving_thread_;
  std::unique_ptr<PublisherThread> thread_;
  const Release release_;
  Disposal& disposal_;

  std::deque<outbound::OutboundBatch*> waiting_;
  std::vector<uint64_t> held_;        // batches, by core
  std::deque<ReplayBatch*> replays_;  // read, and not with the publisher; of spool_
  unsigned live_since_replay_ = 0;
  uint64_t replays_from_ns_ = 0;  // not before
  uint64_t patience_from_ns_ = 0;
  uint64_t spool_left_ns_ = 0;
  bool disk_takes_ = false;  // as of the last look; else one batch may be tried on it
  bool may_try_disk_ = false;
  uint64_t records_storing_ = 0;
  uint64_t leave_deadline_ns_ = 0;
  uint64_t offers_from_ns_ = 0;   // while another leaves: not before
  uint64_t changed_ns_ = 0;       // when the thread was replaced or added while others were at work; 0: never
  uint64_t now_ns_ = 0;           // of the last step

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
  PublisherView before_;  // what threads and spools that have left had counted themselves

  uint64_t settled_seen_ = 0;  // at the last look,
  uint64_t moved_ns_ = 0;      // and when it had settled some, or had none to settle
  uint64_t deadline_ns_ = 0;   // for the publisher; 0: not draining
  uint64_t asked_deadline_ns_ = 0;
  bool thread_drains_ = false;
};

}  // namespace weir::control
