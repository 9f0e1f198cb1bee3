#include "dataplane/replicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/start_thread.h"
#include "base/thread_rights.h"

namespace weir::dataplane {
namespace {

constexpr int kSleepMs = 1000;  // the cores wake it
// Where datagrams keep coming, no core is to wake it for each: a lane holds 30 Gbit/s of them for so long.
constexpr timespec kNap{.tv_sec = 0, .tv_nsec = 500'000};
constexpr size_t kPerTurn = 256;

/// By what was configured: of no listeners named, of all.
ReplicaMasks masks_of(std::span<const ReplicaConfig> targets) {
  ReplicaMasks masks{};
  for (size_t i = 0; i < targets.size(); ++i) {
    const ReplicaMask bit = ReplicaMask{1} << i;
    if (targets[i].listeners.empty())
      for (ReplicaMask& mask : masks) mask |= bit;
    for (const ListenerId listener : targets[i].listeners) masks[listener.value] |= bit;
  }
  return masks;
}

}  // namespace

Result<std::unique_ptr<Replicator>> Replicator::open(std::span<const ReplicaConfig> targets, size_t cores) {
  if (targets.size() > kReplicaTargetsMax)
    return Error{fmt::format("replicate: {} targets, limit {}", targets.size(), kReplicaTargetsMax)};
  std::unique_ptr<Replicator> replicator(new Replicator());
  for (const ReplicaConfig& config : targets) {
    for (const ListenerId listener : config.listeners)
      if (listener.value >= decode::kListenersMax)
        return Error{fmt::format("replicate to {}: no listener {}", config.to.to_string(), listener.value)};
    Result<std::unique_ptr<ReplicaTarget>> target = ReplicaTarget::open(config);
    if (!target) return target.error();
    replicator->targets_.push_back(std::move(*target));
  }
  const ReplicaMasks masks = masks_of(targets);
  std::vector<SocketAddress> collectors;
  for (const ReplicaConfig& config : targets) collectors.push_back(config.to);
  for (size_t i = 0; i < cores; ++i)
    replicator->lanes_.push_back(std::make_unique<ReplicaLane>(masks, replicator->waker_, collectors));
  return replicator;
}

Result<void> Replicator::start() {
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

/// A bounded part of what waits there; whether there was anything.
bool Replicator::send_some(ReplicaLane& lane) noexcept {
  size_t at = lane.first();
  const size_t began = at;
  for (size_t i = 0; i < kPerTurn; ++i) {
    const ReplicaNote* const note = lane.next(at);
    if (note == nullptr) break;
    for (ReplicaMask left = note->targets; left != 0; left &= left - 1)
      targets_[static_cast<size_t>(std::countr_zero(left))]->add(*note);
  }
  for (const std::unique_ptr<ReplicaTarget>& target : targets_) target->flush();
  lane.release(at);
  return at != began;
}

bool Replicator::has_waiting() const noexcept {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->has_waiting(); });
}

void Replicator::run() noexcept {
  while (!is_stopping_.load(std::memory_order_acquire)) {
    bool any = false;
    for (const std::unique_ptr<ReplicaLane>& lane : lanes_) any |= send_some(*lane);
    if (any) continue;
    nanosleep(&kNap, nullptr);
    if (has_waiting()) continue;
    waker_.wait(kSleepMs, [this] { return is_stopping_.load(std::memory_order_acquire) || has_waiting(); });
  }
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

std::vector<ReplicaStats> Replicator::stats() const {
  std::vector<ReplicaStats> all;
  for (size_t i = 0; i < targets_.size(); ++i) {
    ReplicaStats stats = targets_[i]->stats();
    for (const std::unique_ptr<ReplicaLane>& lane : lanes_) {
      stats.offered += lane->offered(i);
      stats.dropped[ReplicaDrop::no_room] += lane->no_room(i);
      stats.dropped[ReplicaDrop::on_its_way] += lane->on_its_way(i);
    }
    all.push_back(std::move(stats));
  }
  return all;
}

}  // namespace weir::dataplane
