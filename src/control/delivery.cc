#include "control/delivery.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace weir::control {

using outbound::DeliveryFailure;
using outbound::OutboundBatch;
using outbound::Outcome;

namespace {

constexpr int kBatchesPerStepMax = 256;  // of one core or one publisher, so that none waits long
constexpr uint64_t kDrainStepsMin = 1 << 20;

}  // namespace

Delivery::Delivery(std::vector<outbound::Batcher*> cores, uint64_t batches_in_all)
    : cores_(std::move(cores)), batches_in_all_(batches_in_all), routed_(cores_.size()) {}

void Delivery::add_publisher(std::unique_ptr<PublisherThread> publisher, uint64_t records_max) {
  Destination destination;
  destination.thread = std::move(publisher);
  destination.records_max = records_max;
  destinations_.push_back(std::move(destination));
}

void Delivery::start() {
  for (Destination& destination : destinations_) destination.thread->start();
}

bool Delivery::step() noexcept {
  bool moved = false;
  // Outcomes first: they free the room that new batches need.
  for (Destination& destination : destinations_) {
    Outcome outcome;
    for (int i = 0; i < kBatchesPerStepMax && destination.thread->take_outcome(outcome); ++i) {
      settle(destination, outcome);
      moved = true;
    }
  }
  for (size_t c = 0; c < cores_.size(); ++c) {
    OutboundBatch* batch = nullptr;
    int taken = 0;
    for (; taken < kBatchesPerStepMax && cores_[c]->take_sealed(batch); ++taken) {
      route(batch);
      moved = true;
    }
    if (taken < kBatchesPerStepMax) check_routed(c);
  }
  return moved;
}

bool Delivery::offer_line(const std::string& publisher, const std::string& line) {
  for (Destination& d : destinations_) {
    if (d.thread->name() == publisher) return d.thread->offer_line(line);
  }
  return false;
}

void Delivery::expect_sealed(size_t core, uint64_t records_sealed) noexcept {
  routed_[core].expected = records_sealed;
}

/// The core's ring is empty: what it had sealed before it told of it has come, and no more than it has
/// sealed by now.
void Delivery::check_routed(size_t core) noexcept {
  Routed& routed = routed_[core];
  const uint64_t sealed = cores_[core]->counters().records_sealed.value();
  routed.difference = routed.records < routed.expected
                          ? static_cast<int64_t>(routed.expected - routed.records)
                      : routed.records > sealed ? -static_cast<int64_t>(routed.records - sealed)
                                                : 0;
}

std::vector<Discrepancy> Delivery::discrepancies() const {
  std::vector<Discrepancy> found;
  for (size_t core = 0; core < routed_.size(); ++core) {
    if (routed_[core].difference == 0) continue;
    found.push_back({fmt::format("sealed records of core {}", core), routed_[core].difference});
  }
  return found;
}

uint64_t Delivery::batches_held_max() const noexcept {
  return destinations_.size() == 1 ? 0 : batches_in_all_ / 4 * 3;
}

double Delivery::fill_of(const Destination& d) const noexcept {
  const auto share = [](uint64_t n, uint64_t max) {
    return max == 0 ? 0.0 : std::min(1.0, static_cast<double>(n) / static_cast<double>(max));
  };
  return std::max({share(d.records_in_flight, d.records_max),
                   share(d.batches_in_flight, batches_held_max()),
                   share(d.thread->queued(), d.thread->queue_capacity())});
}

void Delivery::route(OutboundBatch* batch) noexcept {
  records_routed_ += batch->records;
  routed_[batch->core].records += batch->records;
  // One reference of our own, so that no outcome can release the batch while it is still offered.
  batch->references = 1;
  for (Destination& d : destinations_) {
    const bool has_room = d.records_max == 0 ||
                          d.records_in_flight + batch->records <= d.records_max ||
                          d.batches_in_flight == 0;
    // Who is stuck keeps its batches' buffers: the last quarter is for those who are not.
    const uint64_t held_max = batches_held_max();
    const bool has_buffers = held_max == 0 || d.batches_in_flight < held_max;
    if (has_room && has_buffers && d.thread->offer(batch)) {
      ++batch->references;
      d.records_in_flight += batch->records;
      ++d.batches_in_flight;
    } else {
      d.lost_records[DeliveryFailure::queue_full] += batch->records;
      ++d.batches_dropped;
    }
  }
  release(batch);
}

void Delivery::settle(Destination& d, const Outcome& outcome) noexcept {
  OutboundBatch* const batch = outcome.batch;
  assert(d.batches_in_flight > 0 && d.records_in_flight >= batch->records);
  d.records_in_flight -= batch->records;
  --d.batches_in_flight;
  if (outcome.acknowledged) {
    d.records_acknowledged += batch->records;
    ++d.batches_acknowledged;
    if (outcome.duplicate) ++d.batches_duplicate;
  } else {
    assert(outcome.failure != DeliveryFailure::count_);
    d.lost_records[outcome.failure] += batch->records;
    ++d.batches_failed;
  }
  release(batch);
}

void Delivery::release(OutboundBatch* batch) noexcept {
  assert(batch->references > 0);
  if (--batch->references == 0) cores_[batch->core]->give_back(batch);
}

void Delivery::begin_drain(uint64_t deadline_steady_ns) noexcept {
  // What the cores have sealed goes out first; their rings are finite and nobody fills them now.
  // Bounded all the same, for a core that does not end.
  for (uint64_t i = 0; step() && i < std::max(2 * batches_in_all_, kDrainStepsMin); ++i) {
  }
  for (Destination& destination : destinations_)
    destination.thread->begin_drain(deadline_steady_ns);
}

bool Delivery::drained() const noexcept {
  for (const Destination& d : destinations_) {
    if (!d.thread->finished() || d.batches_in_flight > 0) return false;
  }
  return true;
}

std::vector<std::string> Delivery::unfinished() const {
  std::vector<std::string> names;
  for (const Destination& d : destinations_) {
    if (!d.thread->finished()) names.push_back(d.thread->name());
  }
  return names;
}

bool Delivery::all_broken() const noexcept {
  for (const Destination& d : destinations_) {
    if (!d.thread->publisher().is_broken()) return false;
  }
  return !destinations_.empty();
}

std::vector<PublisherView> Delivery::views(uint64_t steady_now_ns) {
  std::vector<PublisherView> rows;
  rows.reserve(destinations_.size());
  // Read after records_routed_ was last written by this thread, so the difference is never negative.
  uint64_t encoded = 0;
  for (const outbound::Batcher* core : cores_) encoded += core->counters().encoded.value();
  for (Destination& d : destinations_) {
    const uint64_t settled = d.batches_acknowledged + d.batches_failed;
    if (d.batches_in_flight == 0 || settled != d.batches_settled_seen || d.moved_ns == 0) {
      d.moved_ns = steady_now_ns;
    }
    d.batches_settled_seen = settled;
    const uint64_t still_ns = steady_now_ns - d.moved_ns;
    const outbound::Publisher& publisher = d.thread->publisher();
    const outbound::PublisherCounters& counters = publisher.counters();
    PublisherView row;
    row.name = d.thread->name();
    row.kind = std::string(publisher.kind());
    row.connected = counters.connected.value() != 0;
    row.last_error = publisher.last_error();
    row.takes_nothing_ns = still_ns >= kTakesNothingNs ? still_ns : 0;
    row.records_acknowledged = d.records_acknowledged;
    row.records_dropped = d.lost_records[DeliveryFailure::queue_full];
    row.records_failed = d.lost_records.total() - row.records_dropped;
    row.records_in_flight = d.records_in_flight;
    row.records_waiting = encoded - records_routed_;
    row.records_routed = records_routed_;
    row.batches_acknowledged = d.batches_acknowledged;
    row.batches_duplicate = d.batches_duplicate;
    row.batches_failed = d.batches_failed;
    row.batches_dropped = d.batches_dropped;
    row.batches_in_flight = d.batches_in_flight;
    row.queue_depth = d.thread->queued();
    row.queue_capacity = d.thread->queue_capacity();
    row.records_max = d.records_max;
    row.queue_fill = fill_of(d);
    row.messages = counters.messages.value();
    row.octets = counters.octets.value();
    row.negative_acknowledgements = counters.negative_acknowledgements.value();
    row.retries = counters.retries.value();
    row.reconnects = counters.reconnects.value();
    row.streams_created = counters.streams_created.value();
    row.streams_extended = counters.streams_extended.value();
    row.failures = d.lost_records;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace weir::control
