// What a destination looks like: its row for whoever asks.
#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "control/delivery/destination.h"

namespace weir::control {

using outbound::DeliveryFailure;

namespace {

// So long one that was made by a reload may take to connect before that is a trouble.
constexpr uint64_t kConnectGraceNs = 2 * kNsPerSec;

double share(uint64_t n, uint64_t max) {
  return max == 0 ? 0.0 : std::min(1.0, static_cast<double>(n) / static_cast<double>(max));
}

}  // namespace

double Destination::fill() const noexcept {
  const auto most_held = std::max_element(held_.begin(), held_.end());
  return std::max({share(records_in_flight_ - records_storing_, config_.records_max),
                   share(most_held == held_.end() ? 0 : *most_held, config_.held_batches_max),
                   share(waiting_.size() + thread_->queued(),
                         config_.waiting_batches_max + thread_->queue_capacity())});
}

void Destination::add_counters_of(const SpoolThread& thread, SpoolView& view) {
  const outbound::SpoolCounters& counters = thread.counters();
  view.dir = thread.dir();
  view.records_restored += counters.restored_records.value();
  view.records_expired += counters.expired_records.value();
  view.records_damaged += counters.damaged_records.value();
  view.octets_damaged += counters.damaged_octets.value();
}

void Destination::add_counters_of(const outbound::Publisher& publisher, PublisherView& row) {
  const outbound::PublisherCounters& counters = publisher.counters();
  row.messages += counters.messages.value();
  row.octets += counters.octets.value();
  row.negative_acknowledgements += counters.negative_acknowledgements.value();
  row.retries += counters.retries.value();
  row.reconnects += counters.reconnects.value();
  row.renewals += counters.renewals.value();
  row.streams_created += counters.streams_created.value();
  row.streams_extended += counters.streams_extended.value();
}

SpoolView Destination::spool_view(uint64_t steady_now_ns) {
  SpoolView view = before_.spool;
  for (const SpoolSide* side : {&leaving_spool_, &spool_}) {
    if (!side->thread) continue;
    const outbound::SpoolCounters& counters = side->thread->counters();
    add_counters_of(*side->thread, view);
    view.octets_max = side->thread->octets_max();
    view.octets += counters.octets.value();
    view.batches += counters.entries.value();
    view.records += counters.records.value();
  }
  if (spool_.thread) {
    view.last_error = spool_.thread->last_error();
    if (spool_.storing == 0 || spool_.settled != spool_.settled_seen || spool_.moved_ns == 0)
      spool_.moved_ns = steady_now_ns;
    spool_.settled_seen = spool_.settled;
    const uint64_t still_ns = steady_now_ns - spool_.moved_ns;
    view.takes_nothing_ns = still_ns >= kTakesNothingNs ? still_ns : 0;
  }
  view.records_replayed = replayed_records_;
  view.batches_replayed = replayed_batches_;
  view.failures = replays_lost_records_;
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
  const bool has_some = batches_in_flight_ != 0 || spool_.replays_out != 0;
  if (!has_some || settled != settled_seen_ || moved_ns_ == 0) moved_ns_ = steady_now_ns;
  settled_seen_ = settled;
  const uint64_t still_ns = steady_now_ns - moved_ns_;

  PublisherView row = before_;  // its counters
  add_counters_of(publisher(), row);
  if (leaving_thread_) add_counters_of(leaving_thread_->publisher(), row);
  row.name = name();
  row.is_fresh = changed_ns_ != 0 && steady_now_ns - std::min(steady_now_ns, changed_ns_) < kConnectGraceNs;
  row.is_handing_over = is_leaving();
  row.kind = std::string(publisher().kind());
  row.policy = config_.policy;
  row.connected = publisher().counters().connected.value() != 0;
  row.connections = publisher().counters().connected.value();
  row.last_error = publisher().last_error();
  row.remark = publisher().remark();
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
  row.delivery = delivery_;
  row.failures = lost_records_;
  row.spool = spool_view(steady_now_ns);
  row.losses = losses_.largest();
  row.loss_rows = losses_.rows();
  return row;
}

}  // namespace weir::control
