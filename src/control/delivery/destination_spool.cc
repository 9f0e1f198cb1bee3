// What a destination does with batches for which there is a disk, and with those that come from it.
#include <algorithm>
#include <cassert>
#include <utility>

#include "base/clock.h"
#include "control/delivery/destination.h"

namespace weir::control {

using outbound::DeliveryFailure;
using outbound::OutboundBatch;
using outbound::Outcome;
using outbound::SpoolAppend;

namespace {

constexpr int kStoredPerStepMax = 256;
constexpr uint64_t kReplayAgainNs = kNsPerSec;  // after one that failed
constexpr uint64_t kLookAtDiskNs = kNsPerSec;

}  // namespace

/// What has waited too long comes back from the publisher too, to go to disk; not to a disk that takes nothing.
void Destination::keep_patience(uint64_t steady_now_ns) {
  if (steady_now_ns < patience_from_ns_) return;
  patience_from_ns_ = steady_now_ns + kLookAtDiskNs;
  disk_takes_ = spool_.thread && spool_.thread->last_error().empty();
  may_try_disk_ = !disk_takes_;
  thread_->set_patience(disk_takes_ ? kWaitBeforeSpoolNs : outbound::kPatientForEver);
}

void Destination::to_spool(OutboundBatch* batch) {
  ++spool_.storing;
  records_storing_ += batch->records;
  if (!spool_.thread->store(batch)) settle_stored(spool_, {batch, SpoolAppend::write_error});
}

bool Destination::take_stored(SpoolSide& side) {
  StoredBatch stored;
  bool moved = false;
  for (int i = 0; i < kStoredPerStepMax && side.thread && side.thread->take_stored(stored); ++i) {
    settle_stored(side, stored);
    moved = true;
  }
  return moved;
}

void Destination::settle_stored(SpoolSide& side, const StoredBatch& stored) {
  OutboundBatch* const batch = stored.batch;
  assert(side.storing > 0);
  --side.storing;
  ++side.settled;
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
  if (!spool_.thread || !may_offer() || deadline_ns_ != 0 || steady_now_ns < replays_from_ns_) return false;
  ReplayBatch* batch = nullptr;
  if (replays_.empty() && spool_.thread->take_replay(batch)) replays_.push_back(batch);
  if (replays_.empty() || !thread_->offer(replays_.front())) return false;
  replays_.pop_front();
  ++spool_.replays_out;
  live_since_replay_ = 0;
  return true;
}

void Destination::settle_replay(ReplayBatch* batch, const Outcome& outcome) {
  SpoolSide& side = batch->home == spool_.thread.get() ? spool_ : leaving_spool_;
  assert(side.replays_out > 0 && batch->home == side.thread.get());
  --side.replays_out;
  if (outcome.acknowledged) {
    replayed_records_ += batch->records;
    ++replayed_batches_;
    return side.thread->settle(batch, SpoolThread::Settled::forget);
  }
  if (outbound::is_final(outcome.failure)) {
    replays_lost_records_[outcome.failure] += batch->records;
    book_loss(*batch, outcome.failure);
    return side.thread->settle(batch, SpoolThread::Settled::forget);
  }
  if (deadline_ns_ != 0 || &side == &leaving_spool_) return side.thread->settle(batch, SpoolThread::Settled::keep);
  // Where it was: the oldest goes first again.
  const auto after = std::find_if(replays_.begin(), replays_.end(), [&](const ReplayBatch* other) {
    return batch->place < other->place;
  });
  replays_.insert(after, batch);
  replays_from_ns_ = steady_clock_ns() + kReplayAgainNs;
}

/// They stay on disk for the next run, or for whoever opens that spool again.
void Destination::keep_replays() {
  for (; !replays_.empty(); replays_.pop_front()) {
    spool_.thread->settle(replays_.front(), SpoolThread::Settled::keep);
  }
}

/// It takes nothing more, and gives out nothing more.
void Destination::leave_spool() {
  assert(leaving_spool_.thread == nullptr);
  keep_replays();
  leaving_spool_ = std::exchange(spool_, {});
  spool_left_ns_ = steady_clock_ns();
  if (journal_) journal_->end();
  disposal_.add(std::move(journal_));
}

void Destination::step_leaving_spool() {
  SpoolSide& side = leaving_spool_;
  if (side.thread && !side.thread->has_started()) static_cast<void>(side.thread->start());
  if (!side.thread || side.storing != 0 || side.replays_out != 0) return;
  if (!side.closes) {
    side.thread->begin_close();
    side.closes = true;
  }
  if (!side.thread->has_ended()) return;
  add_counters_of(*side.thread, before_.spool);
  before_.spool.records_left += side.thread->counters().records.value();
  disposal_.add(std::move(side.thread));
  side = {};
}

}  // namespace weir::control
