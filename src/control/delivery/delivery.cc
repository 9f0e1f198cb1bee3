#include "control/delivery/delivery.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/clock.h"

namespace weir::control {

using outbound::OutboundBatch;

namespace {

constexpr int kBatchesPerStepMax = 256;  // of one core, so that none waits long
constexpr uint64_t kDrainStepsMin = 1 << 20;

}  // namespace

Delivery::Delivery(std::vector<outbound::Batcher*> cores, uint64_t batches_in_all)
    : cores_(std::move(cores)), batches_in_all_(batches_in_all), routed_(cores_.size()) {}

bool Delivery::step() noexcept {
  bool moved = false;
  const uint64_t now_ns = steady_clock_ns();
  // Outcomes first: they free the room that new batches need.
  for (auto& destination : destinations_) moved |= destination->step(now_ns);
  for (Draining& d : draining_) moved |= d.destination->step(now_ns);
  batches_left_ = 0;
  const bool is_over = drain_deadline_ns_ != 0 && now_ns >= drain_deadline_ns_;
  for (size_t core = 0; core < cores_.size(); ++core) {
    moved |= take_from(core, is_over ? Blocking::over : Blocking::heeded, now_ns);
  }
  if (drain_deadline_ns_ != 0 && batches_waiting() == 0) {
    for (auto& destination : destinations_) destination->begin_drain(drain_deadline_ns_);
    for (Draining& d : draining_) d.destination->begin_drain(std::min(d.deadline_ns, drain_deadline_ns_));
  }
  note_taken();
  if (!draining_.empty()) bury();
  start_threads();
  disposal_.step();
  return moved;
}

/// Batches that a core has sealed, to everyone; whether there were any.
bool Delivery::take_from(size_t core, Blocking blocking, uint64_t now_ns) noexcept {
  const auto somebody_blocks = [&] {
    return blocking == Blocking::heeded &&
           std::any_of(destinations_.begin(), destinations_.end(),
                       [core](const auto& d) { return d->is_blocking(core); });
  };
  int taken = 0;
  bool empty = false;
  for (; taken < kBatchesPerStepMax && !somebody_blocks(); ++taken) {
    OutboundBatch* batch = nullptr;
    empty = !cores_[core]->take_sealed(batch);
    if (empty) break;
    if (batch->opened_steady_ns == 0) batch->opened_steady_ns = now_ns;
    records_routed_ += batch->records;
    ++batches_routed_;
    routed_[core].records += batch->records;
    // One reference of our own, so that nobody can release the batch while it is still given out.
    batch->references = static_cast<uint16_t>(destinations_.size() + 1);
    for (auto& destination : destinations_) destination->take(batch);
    release(batch);
  }
  if (empty) {
    check_routed(core);
  } else {
    batches_left_ += cores_[core]->sealed_waiting();
  }
  return taken > 0;
}

void Delivery::release(OutboundBatch* batch) noexcept {
  assert(batch->references > 0);
  if (--batch->references == 0) cores_[batch->core]->give_back(batch);
}

/// What a kill would lose is what was made and not settled.
void Delivery::note_taken() noexcept {
  BatchesAndRecords taken;
  for (const outbound::Batcher* core : cores_) {
    taken.batches += core->counters().batches_sealed.value();
    taken.records += core->counters().encoded.value();
  }
  for (auto& destination : destinations_) destination->note(taken);
  for (Draining& d : draining_) d.destination->note(taken);
}

bool Delivery::offer_line(const std::string& publisher, const std::string& line) {
  for (auto& d : destinations_) {
    if (d->name() == publisher) return d->offer_line(line);
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
  const auto check = [&](const Destination& d) {
    const Standing& standing = standings_.at(d.name());
    const uint64_t came = standing.left_at.value_or(records_routed_);
    const uint64_t got = standing.records_absent + d.records_routed() +
                         (standing.past ? standing.past->records_routed : 0);
    if (came == got) return;
    found.push_back({fmt::format("records given to publisher {}", d.name()), static_cast<int64_t>(came - got)});
  };
  for (const auto& d : destinations_) check(*d);
  for (const Draining& d : draining_) check(*d.destination);
  return found;
}

uint64_t Delivery::batches_waiting() const noexcept {
  uint64_t batches = 0;
  for (const outbound::Batcher* core : cores_) batches += core->sealed_waiting();
  return batches;
}

void Delivery::begin_drain(uint64_t deadline_steady_ns) noexcept {
  drain_deadline_ns_ = std::max<uint64_t>(deadline_steady_ns, 1);
  // What the cores have sealed goes out first; their rings are finite and nobody fills them now.
  // Bounded all the same, for a core that does not end.
  for (uint64_t i = 0; step() && i < std::max(2 * batches_in_all_, kDrainStepsMin); ++i) {
  }
}

bool Delivery::drained() const noexcept {
  return (destinations_.empty() || batches_waiting() == 0) && has_changed_over() &&
         std::all_of(destinations_.begin(), destinations_.end(),
                     [](const auto& d) { return d->has_drained(); });
}

std::vector<std::string> Delivery::unfinished() const {
  std::vector<std::string> names;
  for (const auto& d : destinations_) {
    if (std::string name = d->unfinished(); !name.empty()) names.push_back(std::move(name));
  }
  for (const Draining& d : draining_) names.push_back(d.destination->name());
  if (!disposal_.is_idle()) names.push_back("that a reload has replaced");
  return names;
}

bool Delivery::all_broken() const noexcept {
  return !destinations_.empty() &&
         std::all_of(destinations_.begin(), destinations_.end(),
                     [](const auto& d) { return d->publisher().is_broken(); });
}

}  // namespace weir::control
