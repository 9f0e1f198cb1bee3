#include "control/delivery/destination.h"

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
// What a thread that leaves has in flight gets so long to come home before the next one is given anything: where all
// is well, order is kept; where a server is dead, nothing waits for it.
constexpr uint64_t kOrderWaitNs = kNsPerSec;
}  // namespace

Destination::Destination(const DestinationConfig& config, size_t cores, DestinationParts parts,
                         BatchesAndRecords owed_from, Release release, Disposal& disposal)
    : config_(config),
      name_(parts.thread->name()),
      owed_from_(owed_from),
      journal_(std::move(parts.journal)),
      spool_{.thread = std::move(parts.spool)},
      thread_(std::move(parts.thread)),
      release_(std::move(release)),
      disposal_(disposal),
      held_(cores) {}

Result<void> Destination::start(Place place) {
  if (spool_.thread && !spool_.thread->has_started()) {
    if (auto started = spool_.thread->start(); !started) return started;
  }
  if (place == Place::taken || thread_->has_started()) return {};
  return thread_->start();
}

// ---- another configuration ----

void Destination::change(const DestinationConfig& config, DestinationParts parts, uint64_t leave_deadline_ns) {
  assert(deadline_ns_ == 0);
  const uint64_t held_batches_max = config_.held_batches_max;
  config_ = config;
  config_.held_batches_max = held_batches_max;
  if (spool_.thread && (parts.spool || config.policy != DropPolicy::spool)) leave_spool();
  patience_from_ns_ = 0;
  if (parts.spool) {
    spool_ = {.thread = std::move(parts.spool)};
    journal_ = std::move(parts.journal);
  } else if (spool_.thread && parts.spool_limits) {
    spool_.thread->change_limits(*parts.spool_limits);
  }
  if (!parts.thread) return;
  assert(leaving_thread_ == nullptr);
  std::swap(thread_, parts.thread);
  changed_ns_ = steady_clock_ns();
  if (!parts.thread->has_started()) {  // it waits for the place that it was to write to, and has nothing
    disposal_.add(std::move(parts.thread));
    return;
  }
  leaving_thread_ = std::move(parts.thread);
  leave_deadline_ns_ = leave_deadline_ns;
  offers_from_ns_ = changed_ns_ + kOrderWaitNs;
  leaving_thread_->begin_leave(leave_deadline_ns);
}

bool Destination::occupies(const std::string& place) const noexcept {
  return thread_->place() == place && thread_->has_started() ? true
         : leaving_thread_ != nullptr && leaving_thread_->place() == place;
}

/// All that it had has come back.
void Destination::end_leaving_thread() {
  add_counters_of(leaving_thread_->publisher(), before_);
  disposal_.add(std::move(leaving_thread_));
}

// ---- batches of this run ----

bool Destination::may_hold(size_t core) const noexcept {
  return config_.held_batches_max == 0 || held_[core] < config_.held_batches_max;
}

/// Of what may be held a third is for batches on their way to disk.
bool Destination::may_queue(size_t core) const noexcept {
  if (!spool_.thread || config_.held_batches_max == 0) return may_hold(core);
  return held_[core] < std::max<uint64_t>(config_.held_batches_max / 3 * 2, 1);
}

bool Destination::may_offer() const noexcept {
  return thread_->has_started() && !thread_drains_ &&
         (leaving_thread_ == nullptr || now_ns_ >= offers_from_ns_);
}

bool Destination::offer(OutboundBatch* batch) { return may_offer() && thread_->offer(batch); }

bool Destination::has_room(size_t core, uint64_t records) const noexcept {
  const uint64_t here = records_in_flight_ - records_storing_;
  // While nothing can be offered, what its thread would have at hand may wait here.
  const bool has_queue =
      may_offer() ? waiting_.size() < config_.waiting_batches_max ||
                        (waiting_.empty() && thread_->queued() < thread_->queue_capacity())
                  : waiting_.size() < config_.waiting_batches_max + thread_->queue_capacity();
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
  const bool to_disk = !room && spool_.thread != nullptr && may_hold(core);
  hold(batch);
  if (to_disk) return to_spool(batch);
  if (!room) {
    // Who blocks is given no more than there is room for, until a stop waits no longer.
    const bool blocks = config_.policy == DropPolicy::block;
    return lose(batch, blocks ? DeliveryFailure::shutdown_deadline : DeliveryFailure::queue_full);
  }
  if (!waiting_.empty() || !offer(batch)) waiting_.push_back(batch);
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

/// Where it was in the queue, before what was sealed after it.
void Destination::put_back(OutboundBatch* batch) {
  const auto after = std::find_if(waiting_.begin(), waiting_.end(), [&](const OutboundBatch* other) {
    return other->core == batch->core ? other->sequence > batch->sequence
                                      : other->sealed_steady_ns > batch->sealed_steady_ns;
  });
  waiting_.insert(after, batch);
}

void Destination::settle(const Outcome& outcome, From from) {
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
  if (from == From::leaving && !thread_drains_ && !outbound::is_final(outcome.failure)) return put_back(batch);
  // For a moment after its spool was left a publisher goes on giving back what it had that for.
  constexpr uint64_t kGivesBackNs = kNsPerSec;
  const bool is_given_back = !outbound::is_final(outcome.failure) && now_ns_ < spool_left_ns_ + kGivesBackNs;
  if (!spool_.thread && !thread_drains_ && is_given_back) return put_back(batch);
  if (spool_.thread && !outbound::is_final(outcome.failure)) return to_spool(batch);
  lose(batch, outcome.failure);
}

bool Destination::hand_over(uint64_t steady_now_ns) {
  bool moved = false;
  while (!waiting_.empty()) {
    if (live_since_replay_ >= kLivePerReplay && hand_over_replay(steady_now_ns)) moved = true;
    if (!offer(waiting_.front())) break;
    waiting_.pop_front();
    ++live_since_replay_;
    moved = true;
  }
  while (spool_.thread && !waiting_.empty() &&
         waiting_.front()->sealed_steady_ns + kWaitBeforeSpoolNs <= steady_now_ns) {
    // Of what memory holds, a disk that takes nothing gets one a second, which says whether it takes again.
    if (!disk_takes_ && !std::exchange(may_try_disk_, false)) break;
    OutboundBatch* const batch = waiting_.front();
    waiting_.pop_front();
    to_spool(batch);
    moved = true;
  }
  return moved;
}

// ---- a step ----

bool Destination::take_outcomes() {
  bool moved = false;
  Outcome outcome;
  if (leaving_thread_) {
    // Asked before: then its ring has all that there will be.
    const bool has_ended = leaving_thread_->finished();
    for (int i = 0; (has_ended || i < kOutcomesPerStepMax) && leaving_thread_->take_outcome(outcome); ++i) {
      settle(outcome, From::leaving);
      moved = true;
    }
    if (has_ended) end_leaving_thread();
  }
  for (int i = 0; i < kOutcomesPerStepMax && thread_->take_outcome(outcome); ++i) {
    settle(outcome, From::current);
    moved = true;
  }
  return moved;
}

bool Destination::step(uint64_t steady_now_ns) {
  now_ns_ = steady_now_ns;
  // Outcomes first: they free the room that new batches need.
  bool moved = take_outcomes();
  moved |= take_stored(spool_);
  moved |= take_stored(leaving_spool_);
  step_leaving_spool();
  keep_patience(steady_now_ns);
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
  if (spool_.thread && deadline_steady_ns > now_ns) deadline_ns_ -= (deadline_steady_ns - now_ns) / 4;
  if (leaving_thread_) leaving_thread_->begin_leave(std::min(leave_deadline_ns_, deadline_ns_));
  if (thread_drains_ && thread_->has_started()) thread_->begin_drain(deadline_ns_);
}

void Destination::step_drain(uint64_t steady_now_ns) {
  keep_replays();
  const bool is_over = steady_now_ns >= deadline_ns_;
  if (!thread_drains_) {
    while (!waiting_.empty() && is_over) {
      OutboundBatch* const batch = waiting_.front();
      waiting_.pop_front();
      if (spool_.thread) {
        to_spool(batch);
      } else {
        lose(batch, DeliveryFailure::shutdown_deadline);
      }
    }
    if (!waiting_.empty() || (leaving_thread_ && !is_over)) return;
    if (thread_->has_started()) thread_->begin_drain(deadline_ns_);
    thread_drains_ = true;
  }
  if (!has_thread_ended() || leaving_thread_ || batches_in_flight_ != 0 || spool_.replays_out != 0) return;
  if (spool_.thread && !spool_.closes) {
    spool_.thread->begin_close();
    spool_.closes = true;
  }
}

/// One that was never started, for its place was taken, has nothing.
bool Destination::has_thread_ended() const noexcept {
  return thread_->has_started() ? thread_->finished() : thread_drains_;
}

bool Destination::has_drained() const noexcept {
  return has_thread_ended() && !is_leaving() && batches_in_flight_ == 0 && spool_.replays_out == 0 &&
         (!spool_.thread || spool_.thread->has_ended());
}

std::string Destination::unfinished() const {
  if (!has_thread_ended() || leaving_thread_) return name();
  const bool has_spool = leaving_spool_.thread || (spool_.thread && !spool_.thread->has_ended());
  return has_spool ? name() + "'s spool" : std::string();
}

void Destination::dispose() {
  assert(has_drained());
  if (journal_) journal_->end();
  disposal_.add(std::move(thread_));
  disposal_.add(std::move(spool_.thread));
  disposal_.add(std::move(journal_));
}

void Destination::note(BatchesAndRecords taken) noexcept {
  if (!journal_) return;
  if (owed_until_) taken = *owed_until_;
  const uint64_t failed = lost_records_.total();
  journal_->note({taken.batches - owed_from_.batches, taken.records - owed_from_.records},
                 {batches_acknowledged_ + batches_failed_ + batches_dropped_ + batches_spooled_,
                  records_acknowledged_ + failed + records_spooled_});
  if (deadline_ns_ != 0 && has_drained()) journal_->end();
}

}  // namespace weir::control
