// replica_lane.h — What a core received and other collectors are to get as well, on its way to the thread that sends it.
//
// Runs on:  offer and end_burst on the rx_lcore; first, next and release on the sending thread; set_plan on the
//           control_thread; counters anywhere.
// Owns:     kLaneOctets of memory.
// Bounds:   that. A datagram that finds no room is not replicated, and counted for each target that wanted it; the core
//           never waits.
//
// Copies, not the buffers that it was received in: those are a NIC's or the next burst's.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/counter.h"
#include "base/ip_address.h"
#include "base/socket_address.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "base/waker.h"
#include "decode/decoder_rules.h"
#include "flow/export_header.h"

namespace weir::dataplane {

inline constexpr size_t kReplicaTargetsMax = 8;
/// A set of targets: a bit each.
using ReplicaMask = uint32_t;

/// Which targets get what comes by which listener; by ListenerId, those that come later included.
using ReplicaMasks = std::array<ReplicaMask, decode::kListenersMax>;

/// Who gets what, as of a configuration. Constant once cores go by it; a target keeps its bit while it is one.
struct ReplicaPlan {
  ReplicaMasks masks{};
  std::vector<SocketAddress> collectors;  // where targets are
};

/// Stands before its payload.
struct alignas(32) ReplicaNote {
  IpAddress source;
  uint32_t octets = 0;  // that it takes of the lane, this included
  uint16_t payload_octets = 0;
  uint16_t source_port = 0;
  ReplicaMask targets = 0;  // 0: nothing, up to the lane's end

  std::span<const uint8_t> payload() const noexcept {
    return {reinterpret_cast<const uint8_t*>(this + 1), payload_octets};
  }
};
static_assert(sizeof(ReplicaNote) == 32);

class ReplicaLane {
 public:
  static constexpr size_t kLaneOctets = 4u << 20;  // 40 ms of 800 Mbit/s; a power of two

  /// `consumer` is woken at the end of a burst that brought something.
  ReplicaLane(const ReplicaPlan& plan, Waker& consumer);

  /// What goes from the next burst on. The plan before stays alive until goes_by(plan).
  void set_plan(const ReplicaPlan& plan) noexcept WEIR_RUNS_ON(control_thread) {
    wanted_plan_.store(&plan, std::memory_order_release);
  }
  bool goes_by(const ReplicaPlan& plan) const noexcept { return plan_in_use_.load(std::memory_order_acquire) == &plan; }

  /// `destination`: where it was going, null: to us. What is on its way to a collector already was seen on a wire (a mirrored
  /// port): it might be what we sent there, and would go round for ever.
  void offer(const Datagram& datagram, const IpAddress* destination = nullptr) noexcept WEIR_RUNS_ON(rx_lcore) {
    const ReplicaMask targets = plan_->masks[datagram.listener.value];
    if (targets == 0) return;
    count(offered_, targets);
    if (destination != nullptr && is_a_collectors({*destination, datagram.local_port})) [[unlikely]]
      return count(on_its_way_, targets);
    copy(datagram, targets);
  }
  /// Between two bursts, also where there was none.
  void end_burst() noexcept WEIR_RUNS_ON(rx_lcore) {
    if (const ReplicaPlan* wanted = wanted_plan_.load(std::memory_order_acquire); wanted != plan_) {
      plan_ = wanted;
      plan_in_use_.store(wanted, std::memory_order_release);
    }
    if (!has_news_) return;
    has_news_ = false;
    consumer_.wake();
  }

  /// The datagrams that wait, from the oldest on; null: there is none behind `at`, which begins with first() and is moved
  /// on. They stay until release.
  size_t first() const noexcept { return head_.load(std::memory_order_relaxed); }
  const ReplicaNote* next(size_t& at) const noexcept;
  /// Those before `at` are done with.
  void release(size_t at) noexcept { head_.store(at, std::memory_order_release); }
  bool has_waiting() const noexcept { return tail_.load(std::memory_order_acquire) != first(); }
  /// Up to where it has been filled, and whether all before `at` is done with.
  size_t end() const noexcept { return tail_.load(std::memory_order_acquire); }
  bool is_released(size_t at) const noexcept { return head_.load(std::memory_order_acquire) - at < SIZE_MAX / 2; }

  uint64_t offered(size_t target) const noexcept { return offered_[target].value(); }
  uint64_t no_room(size_t target) const noexcept { return no_room_[target].value(); }
  uint64_t on_its_way(size_t target) const noexcept { return on_its_way_[target].value(); }

 private:
  struct Free {
    void operator()(uint8_t* memory) const noexcept;
  };
  void copy(const Datagram& datagram, ReplicaMask targets) noexcept WEIR_RUNS_ON(rx_lcore);
  bool is_a_collectors(const SocketAddress& to) const noexcept {
    for (const SocketAddress& collector : plan_->collectors)
      if (collector == to) return true;
    return false;
  }
  ReplicaNote* note_at(size_t at) const noexcept {
    return static_cast<ReplicaNote*>(static_cast<void*>(octets_.get() + (at & (kLaneOctets - 1))));
  }
  void count(std::array<Counter, kReplicaTargetsMax>& counters, ReplicaMask targets) noexcept {
    for (; targets != 0; targets &= targets - 1) counters[static_cast<size_t>(std::countr_zero(targets))].increment();
  }

  const ReplicaPlan* plan_;  // the core's
  std::atomic<const ReplicaPlan*> wanted_plan_;
  std::atomic<const ReplicaPlan*> plan_in_use_;
  Waker& consumer_;
  const std::unique_ptr<uint8_t[], Free> octets_;
  std::array<Counter, kReplicaTargetsMax> offered_;
  std::array<Counter, kReplicaTargetsMax> no_room_;
  std::array<Counter, kReplicaTargetsMax> on_its_way_;
  bool has_news_ = false;
  size_t head_seen_ = 0;  // the core's last look at head_
  alignas(kCacheLineBytes) std::atomic<size_t> tail_{0};
  alignas(kCacheLineBytes) std::atomic<size_t> head_{0};
};

}  // namespace weir::dataplane
