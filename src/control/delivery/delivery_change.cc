// Publishers come, change and go between two batches; what each got, and what it never owed, adds up all the same.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/clock.h"
#include "control/delivery/delivery.h"
#include "service/log.h"

namespace weir::control {

using outbound::OutboundBatch;

namespace {

DestinationConfig config_of(const PublisherBounds& bounds) {
  return {.policy = bounds.policy,
          .records_max = bounds.records_max,
          .waiting_batches_max = bounds.waiting_batches_max};
}

}  // namespace

std::unique_ptr<Destination> Delivery::make_destination(PublisherChange publisher) {
  DestinationParts parts{.thread = std::move(publisher.thread),
                         .spool = std::move(publisher.bounds.spool),
                         .journal = std::move(publisher.bounds.journal)};
  auto made = std::make_unique<Destination>(
      config_of(publisher.bounds), cores_.size(), std::move(parts),
      BatchesAndRecords{batches_routed_, records_routed_},
      [this](OutboundBatch* batch) {
        RoleScope role(control_thread);
        release(batch);
      },
      disposal_);
  come(made->name());
  return made;
}

void Delivery::add_publisher(std::unique_ptr<PublisherThread> publisher, PublisherBounds bounds) {
  RoleScope role(control_thread);
  std::string name = publisher->name();
  destinations_.push_back(make_destination({std::move(name), std::move(bounds), std::move(publisher)}));
}

void Delivery::start() {
  RoleScope role(control_thread);
  is_started_ = true;
  share_buffers();
  start_threads();
}

/// Who alone drops what is new may hold all; who makes room for it leaves some to make it in. Those of several need
/// not be the same batches: together they leave a quarter.
void Delivery::share_buffers() noexcept {
  const uint64_t of_a_core = cores_.empty() ? 0 : batches_in_all_ / cores_.size();
  const uint64_t share = of_a_core == 0 ? 0 : std::max<uint64_t>(of_a_core / 4 * 3 / std::max<size_t>(destinations(), 1), 1);
  for (auto& d : destinations_) {
    const DropPolicy policy = d->policy();
    const bool leaves_some =
        destinations() > 1 || policy == DropPolicy::drop_oldest || policy == DropPolicy::spool;
    d->set_held_batches_max(leaves_some && policy != DropPolicy::block ? share : 0);
  }
}

bool Delivery::is_place_taken(const std::string& place) const noexcept {
  return std::any_of(destinations_.begin(), destinations_.end(),
                     [&](const auto& d) { return d->occupies(place); }) ||
         std::any_of(draining_.begin(), draining_.end(),
                     [&](const Draining& d) { return d.destination->occupies(place); });
}

/// Two that write to one place do so one after the other.
void Delivery::start_threads() {
  if (!is_started_) return;
  const auto start = [](Destination& d, bool may_write) {
    if (!d.wants_start()) return;
    const auto started = d.start(may_write ? Destination::Place::free : Destination::Place::taken);
    if (started) return;
    static service::LogLimit limit(1, 60 * kNsPerSec);
    service::log_limited(limit, service::LogLevel::error, "publisher {}: {}; it is tried again", d.name(),
                         started.error().message);
  };
  for (auto& d : destinations_) start(*d, d->place().empty() || !is_place_taken(d->place()));
  for (Draining& d : draining_) start(*d.destination, false);
}

bool Delivery::is_draining(const std::string& name) const noexcept {
  return std::any_of(draining_.begin(), draining_.end(),
                     [&](const Draining& d) { return d.destination->name() == name; });
}

bool Delivery::is_busy(const std::string& name) const noexcept {
  return std::any_of(destinations_.begin(), destinations_.end(),
                     [&](const auto& d) { return d->name() == name && d->is_leaving(); }) ||
         is_draining(name) ||
         // Whose it is is not known, and it has a spool open, perhaps.
         !disposal_.is_idle();
}

bool Delivery::has_changed_over() const noexcept {
  return draining_.empty() && disposal_.is_idle() &&
         std::none_of(destinations_.begin(), destinations_.end(), [](const auto& d) { return d->is_leaving(); });
}

void Delivery::reopen() noexcept {
  for (auto& d : destinations_) d->reopen();
}

void Delivery::change(std::vector<PublisherChange> publishers, uint64_t leave_deadline_ns) {
  std::vector<std::unique_ptr<Destination>> next;
  for (PublisherChange& wanted : publishers) {
    const auto found = std::find_if(destinations_.begin(), destinations_.end(), [&](const auto& d) {
      return d != nullptr && d->name() == wanted.name;
    });
    if (found == destinations_.end()) {
      next.push_back(make_destination(std::move(wanted)));
      next.back()->mark_new(steady_clock_ns());
      continue;
    }
    (*found)->change(config_of(wanted.bounds),
                     {.thread = std::move(wanted.thread),
                      .spool = std::move(wanted.bounds.spool),
                      .journal = std::move(wanted.bounds.journal),
                      .spool_limits = wanted.spool_limits},
                     leave_deadline_ns);
    next.push_back(std::move(*found));
  }
  std::swap(destinations_, next);
  for (auto& destination : next) {
    if (destination != nullptr) go(std::move(destination), leave_deadline_ns);
  }
  share_buffers();
  start_threads();
}

/// What was routed while it was not there it never owed.
void Delivery::come(const std::string& name) {
  Standing& standing = standings_[name];
  standing.records_absent += records_routed_ - standing.left_at.value_or(0);
  standing.left_at.reset();
}

void Delivery::go(std::unique_ptr<Destination> destination, uint64_t deadline_ns) {
  standings_.at(destination->name()).left_at = records_routed_;
  destination->owe_until({batches_routed_, records_routed_});
  destination->begin_drain(deadline_ns);
  draining_.push_back({std::move(destination), deadline_ns});
}

/// Those that have drained leave their totals.
void Delivery::bury() {
  const uint64_t now_ns = steady_clock_ns();
  for (auto it = draining_.begin(); it != draining_.end();) {
    Destination& d = *it->destination;
    if (!d.has_drained()) {
      ++it;
      continue;
    }
    PublisherView last = d.view(now_ns);
    Standing& standing = standings_.at(d.name());
    if (standing.past) add_past(last, *standing.past);
    service::log_info("publisher {}: has gone: acknowledged {}, failed {}, dropped {}{}", d.name(),
                      last.records_acknowledged, last.records_failed, last.records_dropped,
                      last.spool.dir.empty() ? std::string()
                                             : fmt::format(", left on disk {} in {}", last.spool.records, last.spool.dir));
    standing.past = std::move(last);
    standing.gone_ns = now_ns;
    d.dispose();
    it = draining_.erase(it);
    forget_oldest_gone();
    share_buffers();
  }
}

void Delivery::forget_oldest_gone() {
  auto oldest = standings_.end();
  size_t gone = 0;
  for (auto it = standings_.begin(); it != standings_.end(); ++it) {
    if (!it->second.left_at || !it->second.past || is_draining(it->first)) continue;
    ++gone;
    if (oldest == standings_.end() || it->second.gone_ns < oldest->second.gone_ns) oldest = it;
  }
  if (gone <= kGonePublishersMax) return;
  service::log_info("publisher {}: its totals are no longer shown: {} others have gone since", oldest->first,
                    kGonePublishersMax);
  standings_.erase(oldest);
}

std::vector<PublisherView> Delivery::views(uint64_t steady_now_ns) {
  std::vector<PublisherView> rows;
  rows.reserve(standings_.size());
  // Read after records_routed_ was last written by this thread, so the difference is never negative.
  uint64_t encoded = 0;
  for (const outbound::Batcher* core : cores_) encoded += core->counters().encoded.value();
  const auto complete = [&](PublisherView row, const Standing& standing) {
    if (standing.past && row.state != PublisherState::gone) add_past(row, *standing.past);
    row.records_absent = standing.records_absent;
    if (standing.left_at) {
      row.records_absent += encoded - *standing.left_at;
    } else {
      row.records_waiting = encoded - records_routed_;
    }
    rows.push_back(std::move(row));
  };
  for (auto& d : destinations_) complete(d->view(steady_now_ns), standings_.at(d->name()));
  for (Draining& d : draining_) {
    PublisherView row = d.destination->view(steady_now_ns);
    row.state = PublisherState::draining;
    complete(std::move(row), standings_.at(d.destination->name()));
  }
  for (const auto& [name, standing] : standings_) {
    if (!standing.left_at || !standing.past || is_draining(name)) continue;
    PublisherView row = *standing.past;
    row.state = PublisherState::gone;
    row.connected = row.is_fresh = row.is_handing_over = false;
    row.last_error.clear();
    row.remark.clear();
    row.connections = 0;
    row.takes_nothing_ns = 0;
    row.spool.last_error.clear();
    row.spool.takes_nothing_ns = 0;
    row.queue_depth = 0;
    row.queue_fill = 0;
    complete(std::move(row), standing);
  }
  return rows;
}

}  // namespace weir::control
