#include "control/delivery.h"

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

void Delivery::add_publisher(std::unique_ptr<PublisherThread> publisher, PublisherBounds bounds) {
  added_.push_back({std::move(publisher), std::move(bounds)});
}

void Delivery::make_destinations() {
  const uint64_t of_a_core = cores_.empty() ? 0 : batches_in_all_ / cores_.size();
  for (Added& added : added_) {
    DestinationConfig config;
    config.policy = added.bounds.policy;
    config.records_max = added.bounds.records_max;
    config.waiting_batches_max = added.bounds.waiting_batches_max;
    // Who alone drops what is new may hold all; who makes room for it leaves some to make it in.
    const bool leaves_some = added_.size() > 1 || config.policy == DropPolicy::drop_oldest ||
                             config.policy == DropPolicy::spool;
    if (leaves_some && config.policy != DropPolicy::block) {
      // Those of several need not be the same batches: together they leave a quarter.
      config.held_batches_max =
          of_a_core == 0 ? 0 : std::max<uint64_t>(of_a_core / 4 * 3 / added_.size(), 1);
    }
    destinations_.push_back(std::make_unique<Destination>(
        config, cores_.size(), std::move(added.thread), std::move(added.bounds.spool),
        std::move(added.bounds.journal), [this](OutboundBatch* batch) {
          RoleScope role(control_thread);
          release(batch);
        }));
  }
  added_.clear();
}

void Delivery::start() {
  make_destinations();
  for (auto& destination : destinations_) destination->start();
}

bool Delivery::step() noexcept {
  bool moved = false;
  const uint64_t now_ns = steady_clock_ns();
  // Outcomes first: they free the room that new batches need.
  for (auto& destination : destinations_) moved |= destination->step(now_ns);
  const bool is_over = drain_deadline_ns_ != 0 && now_ns >= drain_deadline_ns_;
  for (size_t core = 0; core < cores_.size(); ++core) {
    moved |= take_from(core, is_over ? Blocking::over : Blocking::heeded, now_ns);
  }
  if (drain_deadline_ns_ != 0 && has_taken_all()) {
    for (auto& destination : destinations_) destination->begin_drain(drain_deadline_ns_);
  }
  note_taken();
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
    routed_[core].records += batch->records;
    // One reference of our own, so that nobody can release the batch while it is still given out.
    batch->references = static_cast<uint16_t>(destinations_.size() + 1);
    for (auto& destination : destinations_) destination->take(batch);
    release(batch);
  }
  if (empty) check_routed(core);
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
  return found;
}

bool Delivery::has_taken_all() const noexcept {
  return std::all_of(cores_.begin(), cores_.end(),
                     [](const outbound::Batcher* core) { return core->sealed_waiting() == 0; });
}

void Delivery::begin_drain(uint64_t deadline_steady_ns) noexcept {
  drain_deadline_ns_ = std::max<uint64_t>(deadline_steady_ns, 1);
  // What the cores have sealed goes out first; their rings are finite and nobody fills them now.
  // Bounded all the same, for a core that does not end.
  for (uint64_t i = 0; step() && i < std::max(2 * batches_in_all_, kDrainStepsMin); ++i) {
  }
}

bool Delivery::drained() const noexcept {
  return (destinations_.empty() || has_taken_all()) &&
         std::all_of(destinations_.begin(), destinations_.end(),
                     [](const auto& d) { return d->has_drained(); });
}

std::vector<std::string> Delivery::unfinished() const {
  std::vector<std::string> names;
  for (const auto& d : destinations_) {
    if (std::string name = d->unfinished(); !name.empty()) names.push_back(std::move(name));
  }
  return names;
}

bool Delivery::all_broken() const noexcept {
  return !destinations_.empty() &&
         std::all_of(destinations_.begin(), destinations_.end(),
                     [](const auto& d) { return d->publisher().is_broken(); });
}

std::vector<PublisherView> Delivery::views(uint64_t steady_now_ns) {
  std::vector<PublisherView> rows;
  rows.reserve(destinations_.size());
  // Read after records_routed_ was last written by this thread, so the difference is never negative.
  uint64_t encoded = 0;
  for (const outbound::Batcher* core : cores_) encoded += core->counters().encoded.value();
  for (auto& d : destinations_) {
    PublisherView row = d->view(steady_now_ns);
    row.records_waiting = encoded - records_routed_;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace weir::control
