#include "dataplane/replicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/start_thread.h"
#include "base/thread_rights.h"

namespace weir::dataplane {
namespace {

constexpr int kSleepMs = 1000;  // the cores wake it
// Where datagrams keep coming, no core is to wake it for each: a lane holds 30 Gbit/s of them for so long.
constexpr timespec kNap{.tv_sec = 0, .tv_nsec = 500'000};
constexpr size_t kPerTurn = 256;

bool is_same(const ReplicaConfig& a, const ReplicaConfig& b) noexcept {
  return a.to == b.to && a.spoof_source == b.spoof_source;
}

/// By what was configured: of no listeners named, of all.
std::unique_ptr<const ReplicaPlan> plan_of(std::span<const ReplicaConfig> targets, std::span<const size_t> places) {
  auto plan = std::make_unique<ReplicaPlan>();
  for (size_t i = 0; i < targets.size(); ++i) {
    const ReplicaMask bit = ReplicaMask{1} << places[i];
    if (targets[i].listeners.empty())
      for (ReplicaMask& mask : plan->masks) mask |= bit;
    for (const ListenerId listener : targets[i].listeners) plan->masks[listener.value] |= bit;
    plan->collectors.push_back(targets[i].to);
  }
  return plan;
}

}  // namespace

Result<std::unique_ptr<Replicator>> Replicator::open(std::span<const ReplicaConfig> targets, size_t cores) {
  std::unique_ptr<Replicator> replicator(new Replicator());
  if (Result<void> prepared = replicator->prepare_change(targets); !prepared) return prepared.error();
  replicator->begin_change();
  replicator->plan_before_.reset();  // nobody has gone by it
  for (size_t i = 0; i < cores; ++i)
    replicator->lanes_.push_back(std::make_unique<ReplicaLane>(*replicator->plan_, replicator->waker_));
  return replicator;
}

Result<void> Replicator::prepare_change(std::span<const ReplicaConfig> targets) {
  prepared_.reset();
  if (targets.size() > kReplicaTargetsMax)
    return Error{fmt::format("replicate: {} targets, limit {}", targets.size(), kReplicaTargetsMax)};
  if (plan_before_) return Error{"replicate: the change before is still under way: try again"};
  Change change;
  change.configs.assign(targets.begin(), targets.end());
  std::array<bool, kReplicaTargetsMax> is_taken{};
  for (size_t place = 0; place < places_.size(); ++place) is_taken[place] = places_[place].target != nullptr;
  for (const ReplicaConfig& config : targets) {
    for (const ListenerId listener : config.listeners)
      if (listener.value >= decode::kListenersMax)
        return Error{fmt::format("replicate to {}: no listener {}", config.to.to_string(), listener.value)};
    const auto kept = std::find_if(in_use_.begin(), in_use_.end(),
                                   [&](size_t place) { return is_same(places_[place].config, config); });
    if (kept != in_use_.end()) {
      change.places.push_back(*kept);
      continue;
    }
    const auto free = std::find(is_taken.begin(), is_taken.end(), false);
    if (free == is_taken.end())
      return Error{fmt::format("replicate to {}: {} targets at most, and those that go leave their places only afterwards: "
                               "take them away first", config.to.to_string(), kReplicaTargetsMax)};
    *free = true;
    Result<std::unique_ptr<ReplicaTarget>> target = ReplicaTarget::open(config);
    if (!target) return target.error();
    const auto place = static_cast<size_t>(free - is_taken.begin());
    change.opened[place] = std::move(*target);
    change.places.push_back(place);
  }
  if (Result<void> started = start_thread_if_any(targets.size()); !started) return started;
  prepared_ = std::move(change);
  return {};
}

void Replicator::tell(size_t place, ReplicaTarget* target) {
  told_.push({place, target});  // two for each place and change at most
  ++told_count_;
  waker_.wake();
}

void Replicator::begin_change() {
  if (!prepared_) return;
  Change change = std::move(*prepared_);
  prepared_.reset();
  for (size_t i = 0; i < change.places.size(); ++i) {
    const size_t at = change.places[i];
    Place& place = places_[at];
    place.config = change.configs[i];
    if (change.opened[at] == nullptr) {
      place.target->set_would_come_back(place.config.would_come_back);
      continue;
    }
    place.target = std::move(change.opened[at]);
    place.before = counted(at);
    place.past = past_.take(place.config.to.to_string(), place.config.spoof_source);
    tell(at, place.target.get());
  }
  plan_before_ = std::exchange(plan_, plan_of(change.configs, change.places));
  in_use_ = std::move(change.places);
  ends_.clear();
  is_leaving_told_ = false;
  for (const std::unique_ptr<ReplicaLane>& lane : lanes_) lane->set_plan(*plan_);
}

bool Replicator::settle_change() {
  if (!plan_before_) return true;
  if (!std::all_of(lanes_.begin(), lanes_.end(), [this](const auto& lane) { return lane->goes_by(*plan_); })) return false;
  if (ends_.empty())
    for (const std::unique_ptr<ReplicaLane>& lane : lanes_) ends_.push_back(lane->end());
  if (thread_) {
    for (size_t i = 0; i < lanes_.size(); ++i)
      if (!lanes_[i]->is_released(ends_[i])) return false;
  }
  if (!is_leaving_told_) {
    for (size_t place = 0; place < places_.size(); ++place)
      if (is_leaving(place)) tell(place, nullptr);
    is_leaving_told_ = true;
  }
  if (thread_ && told_taken_.load(std::memory_order_acquire) != told_count_) return false;
  for (size_t place = 0; place < places_.size(); ++place) {
    if (!is_leaving(place)) continue;
    past_.add(stats_of(place));
    places_[place] = {};
  }
  plan_before_.reset();
  return true;
}

Result<void> Replicator::start() {
  is_started_ = true;
  return start_thread_if_any(in_use_.size());
}

Result<void> Replicator::start_thread_if_any(size_t targets) {
  if (!is_started_ || thread_ || targets == 0) return {};
  const auto thread = start_thread(
      "weir-replicate",
      [](void* self) -> void* {
        const RoleScope role(exception_thread);
        give_up_capabilities();
        static_cast<Replicator*>(self)->run();
        return nullptr;
      },
      this);
  if (!thread) return Error{"replicate: " + thread.error().message};
  thread_ = *thread;
  return {};
}

void Replicator::take_told() noexcept {
  Told told;
  while (told_.pop(told)) {
    sending_[told.place] = told.target;
    told_taken_.fetch_add(1, std::memory_order_release);
  }
}

/// A bounded part of what waits there; whether there was anything.
bool Replicator::send_some(ReplicaLane& lane) noexcept {
  size_t at = lane.first();
  const size_t began = at;
  for (size_t i = 0; i < kPerTurn; ++i) {
    const ReplicaNote* const note = lane.next(at);
    if (note == nullptr) break;
    for (ReplicaMask left = note->targets; left != 0; left &= left - 1) {
      const auto place = static_cast<size_t>(std::countr_zero(left));
      // Told before any core knew of it, and perhaps after this turn began.
      if (sending_[place] == nullptr) [[unlikely]] take_told();
      if (sending_[place] != nullptr) sending_[place]->add(*note);
    }
  }
  for (ReplicaTarget* const target : sending_)
    if (target != nullptr) target->flush();
  lane.release(at);
  return at != began;
}

bool Replicator::has_waiting() const noexcept {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->has_waiting(); });
}

bool Replicator::has_news() const noexcept { return has_waiting() || told_.size_approx() != 0; }

void Replicator::run() noexcept {
  while (!is_stopping_.load(std::memory_order_acquire)) {
    take_told();
    bool any = false;
    for (const std::unique_ptr<ReplicaLane>& lane : lanes_) any |= send_some(*lane);
    if (any) continue;
    nanosleep(&kNap, nullptr);
    if (has_news()) continue;
    waker_.wait(kSleepMs, [this] { return is_stopping_.load(std::memory_order_acquire) || has_news(); });
  }
  take_told();
  // At most what lanes hold: no core adds to it.
  for (const std::unique_ptr<ReplicaLane>& lane : lanes_)
    while (send_some(*lane)) {
    }
}

void Replicator::stop() {
  if (!thread_) return;
  is_stopping_.store(true, std::memory_order_release);
  waker_.wake();
  pthread_join(*thread_, nullptr);
  thread_.reset();
}

/// By all lanes, for whoever had the place.
ReplicaStats Replicator::counted(size_t place) const {
  ReplicaStats stats;
  for (const std::unique_ptr<ReplicaLane>& lane : lanes_) {
    stats.offered += lane->offered(place);
    stats.dropped[ReplicaDrop::no_room] += lane->no_room(place);
    stats.dropped[ReplicaDrop::on_its_way] += lane->on_its_way(place);
  }
  return stats;
}

ReplicaStats Replicator::stats_of(size_t at) const {
  const Place& place = places_[at];
  ReplicaStats stats = place.target->stats();
  const ReplicaStats now = counted(at);
  stats.offered = now.offered - place.before.offered;
  for (const ReplicaDrop drop : {ReplicaDrop::no_room, ReplicaDrop::on_its_way})
    stats.dropped[drop] = now.dropped[drop] - place.before.dropped[drop];
  stats += place.past;
  return stats;
}

/// No plan has it any more, and what was for it may still wait.
bool Replicator::is_leaving(size_t place) const {
  return places_[place].target != nullptr && std::find(in_use_.begin(), in_use_.end(), place) == in_use_.end();
}

std::vector<ReplicaStats> Replicator::stats() const {
  std::vector<ReplicaStats> all;
  for (const size_t place : in_use_) all.push_back(stats_of(place));
  for (size_t place = 0; place < places_.size(); ++place) {
    if (!is_leaving(place)) continue;
    all.push_back(stats_of(place));
    all.back().is_gone = true;
  }
  all.insert(all.end(), past_.rows().begin(), past_.rows().end());
  return all;
}

}  // namespace weir::dataplane
