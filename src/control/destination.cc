#include "control/destination.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/clock.h"

namespace weir::control {

using outbound::DeliveryFailure;
using outbound::OutboundBatch;
using outbound::Outcome;
using outbound::SpoolAppend;

namespace {

constexpr int kOutcomesPerStepMax = 256;
constexpr unsigned kLivePerReplay =
    8;  // batches of each that a publisher gets when it has no time for all
constexpr uint64_t kReplayAgainNs = kNsPerSec;  // after one that failed
// What has waited so long in memory goes to disk: the broker is away, and memory does not survive a kill.
constexpr uint64_t kWaitBeforeSpoolNs = 5 * kNsPerSec;

double share(uint64_t n, uint64_t max) {
  return max == 0 ? 0.0 : std::min(1.0, static_cast<double>(n) / static_cast<double>(max));
}

}  // namespace

Destination::Destination(const DestinationConfig& config, size_t cores,
                         std::unique_ptr<PublisherThread> thread,
                         std::unique_ptr<SpoolThread> spool, std::unique_ptr<RunJournal> journal,
                         Release release)
    : config_(config),
      journal_(std::move(journal)),
      spool_(std::move(spool)),
      thread_(std::move(thread)),
      release_(std::move(release)),
      held_(cores) {}

void Destination::start() {
  thread_->start();
  if (spool_) spool_->start();
}

// ---- batches of this run ----

bool Destination::may_hold(size_t core) const noexcept {
  return config_.held_batches_max == 0 || held_[core] < config_.held_batches_max;
}

/// Of what may be held a third is for batches on their way to disk.
bool Destination::may_queue(size_t core) const noexcept {
  if (!spool_ || config_.held_batches_max == 0) return may_hold(core);
  return held_[core] < std::max<uint64_t>(config_.held_batches_max / 3 * 2, 1);
}

bool Destination::has_room(size_t core, uint64_t records) const noexcept {
  const uint64_t here = records_in_flight_ - records_storing_;
  const bool has_queue = waiting_.size() < config_.waiting_batches_max ||
                         (waiting_.empty() && thread_->queued() < thread_->queue_capacity());
  return has_queue && may_queue(core) &&
         (config_.records_max == 0 || here == 0 || here + records <= config_.records_max);
}

bool Destination::is_blocking(size_t core) const noexcept {
  return config_.policy == DropPolicy::block && !has_room(core, 1);
}

void Destination::take(OutboundBatch* batch) {
  records_routed_ += batch->records;
  const size_t core = batch->core;
  // Who blocks was asked before, when nobody knew how many records there would be.
  const uint64_t records = config_.policy == DropPolicy::block ? 1 : batch->records;
  bool room = has_room(core, records);
  while (!room && config_.policy == DropPolicy::drop_oldest && displace_for(*batch)) {
    room = has_room(core, records);
  }
  const bool to_disk = !room && spool_ != nullptr && may_hold(core);
  hold(batch);
  if (to_disk) return to_spool(batch);
  if (!room) {
    // Who blocks is given no more than there is room for, until a stop waits no longer.
    const bool blocks = config_.policy == DropPolicy::block;
    return lose(batch, blocks ? DeliveryFailure::shutdown_deadline : DeliveryFailure::queue_full);
  }
  if (!waiting_.empty() || !thread_->offer(batch)) waiting_.push_back(batch);
  ++live_since_replay_;
}

void Destination::hold(OutboundBatch* batch) {
  ++held_[batch->core];
  ++batches_in_flight_;
  records_in_flight_ += batch->records;
}

void Destination::let_go(OutboundBatch* batch) {
  assert(batches_in_flight_ > 0 && records_in_flight_ >= batch->records);
  --held_[batch->core];
  --batches_in_flight_;
  records_in_flight_ -= batch->records;
  release_(batch);
}

void Destination::lose(OutboundBatch* batch, DeliveryFailure why) {
  lost_records_[why] += batch->records;
  book_loss(*batch, why);
  ++(outbound::is_drop(why) ? batches_dropped_ : batches_failed_);
  let_go(batch);
}

/// Whose records they were, as far as the batch knows.
void Destination::book_loss(const OutboundBatch& batch, DeliveryFailure why) {
  uint64_t told = 0;
  for (const outbound::BatchOrigin& origin : batch.origin_room.first(batch.origins)) {
    losses_.add(origin.exporter, batch.route, why, origin.records);
    told += origin.records;
  }
  if (told < batch.records) losses_.add(IpAddress{}, batch.route, why, batch.records - told);
}

/// Loses the oldest batch that waits, of that core where it has too many; false where none does.
bool Destination::displace_for(const OutboundBatch& batch) {
  auto oldest = waiting_.begin();
  if (!may_hold(batch.core)) {
    oldest = std::find_if(waiting_.begin(), waiting_.end(),
                          [&](const OutboundBatch* b) { return b->core == batch.core; });
  }
  if (oldest == waiting_.end()) return false;
  OutboundBatch* const displaced = *oldest;
  waiting_.erase(oldest);
  lose(displaced, DeliveryFailure::displaced);
  return true;
}

void Destination::settle(const Outcome& outcome) {
  OutboundBatch* const batch = outcome.batch;
  if (batch->replayed_as != nullptr) {
    return settle_replay(static_cast<ReplayBatch*>(batch), outcome);
  }
  if (outcome.acknowledged) {
    records_acknowledged_ += batch->records;
    ++batches_acknowledged_;
    const uint64_t now_ns = steady_clock_ns();
    delivery_.add(now_ns - std::min(now_ns, batch->opened_steady_ns));
    if (outcome.duplicate) ++batches_duplicate_;
    return let_go(batch);
  }
  assert(outcome.failure != DeliveryFailure::count_);
  if (spool_ && !outbound::is_final(outcome.failure)) return to_spool(batch);
  lose(batch, outcome.failure);
}

bool Destination::hand_over(uint64_t steady_now_ns) {
  bool moved = false;
  while (!waiting_.empty()) {
    if (live_since_replay_ >= kLivePerReplay && hand_over_replay(steady_now_ns)) moved = true;
    if (!thread_->offer(waiting_.front())) break;
    waiting_.pop_front();
    ++live_since_replay_;
    moved = true;
  }
  while (spool_ && !waiting_.empty() &&
         waiting_.front()->sealed_steady_ns + kWaitBeforeSpoolNs <= steady_now_ns) {
    OutboundBatch* const batch = waiting_.front();
    waiting_.pop_front();
    to_spool(batch);
    moved = true;
  }
  return moved;
}

// ---- the spool ----

void Destination::to_spool(OutboundBatch* batch) {
  ++storing_;
  records_storing_ += batch->records;
  if (!spool_->store(batch)) settle_stored({batch, SpoolAppend::write_error});
}

void Destination::settle_stored(const StoredBatch& stored) {
  OutboundBatch* const batch = stored.batch;
  assert(storing_ > 0);
  --storing_;
  records_storing_ -= batch->records;
  switch (stored.result) {
    case SpoolAppend::stored:
      records_spooled_ += batch->records;
      ++batches_spooled_;
      return let_go(batch);
    case SpoolAppend::full: return lose(batch, DeliveryFailure::spool_full);
    case SpoolAppend::too_large: return lose(batch, DeliveryFailure::too_large);
    case SpoolAppend::write_error:
    case SpoolAppend::count_: return lose(batch, DeliveryFailure::spool_error);
  }
}

bool Destination::hand_over_replay(uint64_t steady_now_ns) {
  if (!spool_ || deadline_ns_ != 0 || steady_now_ns < replays_from_ns_) return false;
  ReplayBatch* batch = nullptr;
  if (replays_.empty() && spool_->take_replay(batch)) replays_.push_back(batch);
  if (replays_.empty() || !thread_->offer(replays_.front())) return false;
  replays_.pop_front();
  ++replays_out_;
  live_since_replay_ = 0;
  return true;
}

void Destination::settle_replay(ReplayBatch* batch, const Outcome& outcome) {
  assert(replays_out_ > 0);
  --replays_out_;
  if (outcome.acknowledged) {
    replayed_records_ += batch->records;
    ++replayed_batches_;
    return spool_->settle(batch, SpoolThread::Settled::forget);
  }
  if (outbound::is_final(outcome.failure)) {
    replays_lost_records_[outcome.failure] += batch->records;
    book_loss(*batch, outcome.failure);
    return spool_->settle(batch, SpoolThread::Settled::forget);
  }
  if (deadline_ns_ != 0) return spool_->settle(batch, SpoolThread::Settled::keep);
  // Where it was: the oldest goes first again.
  const auto after = std::find_if(replays_.begin(), replays_.end(), [&](const ReplayBatch* other) {
    return batch->place < other->place;
  });
  replays_.insert(after, batch);
  replays_from_ns_ = steady_clock_ns() + kReplayAgainNs;
}

// ---- a step ----

bool Destination::step(uint64_t steady_now_ns) {
  bool moved = false;
  // Outcomes first: they free the room that new batches need.
  Outcome outcome;
  for (int i = 0; i < kOutcomesPerStepMax && thread_->take_outcome(outcome); ++i) {
    settle(outcome);
    moved = true;
  }
  if (spool_) {
    StoredBatch stored;
    for (int i = 0; i < kOutcomesPerStepMax && spool_->take_stored(stored); ++i) {
      settle_stored(stored);
      moved = true;
    }
  }
  moved |= hand_over(steady_now_ns);
  // As many as it takes while nothing newer waits.
  while (waiting_.empty() && thread_->queued() == 0 && hand_over_replay(steady_now_ns))
    moved = true;
  if (deadline_ns_ != 0) step_drain(steady_now_ns);
  return moved;
}

void Destination::begin_drain(uint64_t deadline_steady_ns) {
  if (deadline_steady_ns == asked_deadline_ns_) return;
  asked_deadline_ns_ = deadline_steady_ns;
  const uint64_t now_ns = steady_clock_ns();
  deadline_ns_ = std::max<uint64_t>(deadline_steady_ns, 1);
  // The disk needs some of the time, should the broker not use it.
  if (spool_ && deadline_steady_ns > now_ns) deadline_ns_ -= (deadline_steady_ns - now_ns) / 4;
  if (thread_drains_) thread_->begin_drain(deadline_ns_);
}

void Destination::step_drain(uint64_t steady_now_ns) {
  for (; !replays_.empty(); replays_.pop_front()) {
    spool_->settle(replays_.front(), SpoolThread::Settled::keep);
  }
  if (!thread_drains_) {
    while (!waiting_.empty() && steady_now_ns >= deadline_ns_) {
      OutboundBatch* const batch = waiting_.front();
      waiting_.pop_front();
      if (spool_) {
        to_spool(batch);
      } else {
        lose(batch, DeliveryFailure::shutdown_deadline);
      }
    }
    if (!waiting_.empty()) return;
    thread_->begin_drain(deadline_ns_);
    thread_drains_ = true;
  }
  if (!thread_->finished() || batches_in_flight_ != 0 || replays_out_ != 0) return;
  if (spool_ && !spool_closes_) {
    spool_->begin_close();
    spool_closes_ = true;
  }
}

bool Destination::has_drained() const noexcept {
  return thread_->finished() && batches_in_flight_ == 0 && replays_out_ == 0 &&
         (!spool_ || spool_->has_ended());
}

std::string Destination::unfinished() const {
  if (!thread_->finished()) return name();
  return spool_ && !spool_->has_ended() ? name() + "'s spool" : std::string();
}

void Destination::note(BatchesAndRecords taken) noexcept {
  if (!journal_) return;
  const uint64_t failed = lost_records_.total();
  journal_->note(taken,
                 {batches_acknowledged_ + batches_failed_ + batches_dropped_ + batches_spooled_,
                  records_acknowledged_ + failed + records_spooled_});
  if (deadline_ns_ != 0 && has_drained()) journal_->end();
}

// ---- what it looks like ----

double Destination::fill() const noexcept {
  const auto most_held = std::max_element(held_.begin(), held_.end());
  return std::max({share(records_in_flight_ - records_storing_, config_.records_max),
                   share(most_held == held_.end() ? 0 : *most_held, config_.held_batches_max),
                   share(waiting_.size() + thread_->queued(),
                         config_.waiting_batches_max + thread_->queue_capacity())});
}

SpoolView Destination::spool_view() const {
  SpoolView view;
  if (!spool_) return view;
  const outbound::SpoolCounters& counters = spool_->counters();
  view.dir = spool_->dir();
  view.octets_max = spool_->octets_max();
  view.octets = counters.octets.value();
  view.batches = counters.entries.value();
  view.records = counters.records.value();
  view.records_restored = counters.restored_records.value();
  view.records_replayed = replayed_records_;
  view.batches_replayed = replayed_batches_;
  view.failures = replays_lost_records_;
  view.records_expired = counters.expired_records.value();
  view.records_damaged = counters.damaged_records.value();
  view.octets_damaged = counters.damaged_octets.value();
  if (journal_ && journal_->lost_before()) {
    view.was_killed = true;
    view.batches_lost_before = journal_->lost_before()->batches;
    view.records_lost_before = journal_->lost_before()->records;
  }
  return view;
}

PublisherView Destination::view(uint64_t steady_now_ns) {
  const uint64_t settled =
      batches_acknowledged_ + batches_failed_ + batches_spooled_ + replayed_batches_;
  const bool has_some = batches_in_flight_ != 0 || replays_out_ != 0;
  if (!has_some || settled != settled_seen_ || moved_ns_ == 0) moved_ns_ = steady_now_ns;
  settled_seen_ = settled;
  const uint64_t still_ns = steady_now_ns - moved_ns_;

  const outbound::PublisherCounters& counters = publisher().counters();
  PublisherView row;
  row.name = name();
  row.kind = std::string(publisher().kind());
  row.policy = config_.policy;
  row.connected = counters.connected.value() != 0;
  row.last_error = publisher().last_error();
  if (const std::string of_spool = spool_ ? spool_->last_error() : std::string(); !of_spool.empty()) {
    // Both: while the broker is away, what ails the disk matters most.
    row.last_error += (row.last_error.empty() ? "" : "; ") + of_spool;
  }
  row.takes_nothing_ns = still_ns >= kTakesNothingNs ? still_ns : 0;
  row.records_routed = records_routed_;
  row.records_acknowledged = records_acknowledged_;
  for (size_t i = 0; i < static_cast<size_t>(DeliveryFailure::count_); ++i) {
    const auto why = static_cast<DeliveryFailure>(i);
    (outbound::is_drop(why) ? row.records_dropped : row.records_failed) += lost_records_[why];
  }
  row.records_spooled = records_spooled_;
  row.records_in_flight = records_in_flight_;
  row.batches_acknowledged = batches_acknowledged_;
  row.batches_duplicate = batches_duplicate_;
  row.batches_failed = batches_failed_;
  row.batches_dropped = batches_dropped_;
  row.batches_spooled = batches_spooled_;
  row.batches_in_flight = batches_in_flight_;
  row.queue_depth = waiting_.size() + thread_->queued();
  row.queue_capacity = config_.waiting_batches_max + thread_->queue_capacity();
  row.records_max = config_.records_max;
  row.queue_fill = fill();
  row.messages = counters.messages.value();
  row.octets = counters.octets.value();
  row.negative_acknowledgements = counters.negative_acknowledgements.value();
  row.retries = counters.retries.value();
  row.reconnects = counters.reconnects.value();
  row.renewals = counters.renewals.value();
  row.streams_created = counters.streams_created.value();
  row.streams_extended = counters.streams_extended.value();
  row.delivery = delivery_;
  row.failures = lost_records_;
  row.spool = spool_view();
  row.losses = losses_.largest();
  row.loss_rows = losses_.rows();
  return row;
}

}  // namespace weir::control
