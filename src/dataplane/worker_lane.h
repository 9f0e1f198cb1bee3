// worker_lane.h — Frames on their way from a receive core to the workers that decode them, by exporter.
//
// Runs on:  Distributor and the giving end of a lane on the rx_lcore that received, the taking end on the
//           worker_lcore. Numbers may be read anywhere.
// Owns:     a ring a pair of receive core and worker. Frames are not owned here: who takes one gives its buffer back.
// Bounds:   kLaneFrames frames a lane, kBurst a burst.
// Failure:  what a full lane does not take is handed back to who offered it, in the same call.
//
// A worker is chosen by a hash of the source address, with a seed that is drawn at start: one exporter always meets the
// same one, so do the fragments of a datagram, and nobody can choose addresses that all meet one.
//
// No DPDK here: a buffer is a pointer that is passed on.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/counter.h"
#include "base/ip_address.h"
#include "base/named_enum.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "base/waker.h"
#include "dataplane/burst.h"
#include "flow/export_header.h"
#include "packet/frame.h"

struct rte_mbuf;

namespace weir::dataplane {

/// As much as outlasts some milliseconds in which a worker is not on its CPU, at 300,000 frames a second.
inline constexpr size_t kLaneFrames = 2048;

/// What goes to workers: a datagram for a listener, or a piece of what may become one.
#define WEIR_HANDED_KINDS(X) X(datagram) X(fragment)
WEIR_NAMED_ENUM(HandedKind, uint8_t, WEIR_HANDED_KINDS)

struct HandedFrame {
  rte_mbuf* mbuf = nullptr;
  Moment received;
  ListenerId listener;  // of a datagram, as the receive core's rules had it
  HandedKind kind = HandedKind::datagram;
  packet::LinkType link = packet::LinkType::ethernet;
  uint16_t port = 0;  // DPDK's number of the one by which it came
};

/// What receive cores need to know of a worker, and how they wake it.
struct WorkerBell {
  Waker waker;
  std::atomic<bool> is_holding{false};  // it takes nothing until it has buffers for batches
};

class WorkerLane {
 public:
  explicit WorkerLane(WorkerBell& bell, size_t frames = kLaneFrames) : ring_(frames), bell_(bell) {}

  /// How many of them it took, from the first one on.
  size_t give(std::span<const HandedFrame> frames) noexcept WEIR_RUNS_ON(rx_lcore) {
    const size_t taken = ring_.push_burst(frames);
    handed_.add(taken);
    if (taken < frames.size()) full_.add(frames.size() - taken);
    if (taken != 0) bell_.waker.wake();
    return taken;
  }
  bool has_room(size_t frames) noexcept WEIR_RUNS_ON(rx_lcore) { return ring_.has_room(frames); }
  bool worker_is_holding() const noexcept { return bell_.is_holding.load(std::memory_order_relaxed); }
  /// The last frame has been given. Also the control thread's to say, of a core that never ran.
  void close() noexcept {
    is_closed_.store(true, std::memory_order_release);
    bell_.waker.wake();
  }

  size_t take(std::span<HandedFrame> frames) noexcept WEIR_RUNS_ON(worker_lcore) { return ring_.pop_burst(frames); }
  bool has_any() const noexcept WEIR_RUNS_ON(worker_lcore) { return ring_.size_approx() != 0; }
  /// Nothing is left and nothing more will come.
  bool is_over() const noexcept WEIR_RUNS_ON(worker_lcore) {
    return is_closed_.load(std::memory_order_acquire) && ring_.size_approx() == 0;
  }

  size_t waiting() const noexcept { return ring_.size_approx(); }
  size_t capacity() const noexcept { return ring_.capacity(); }
  uint64_t handed() const noexcept { return handed_.value(); }
  uint64_t full() const noexcept { return full_.value(); }  // frames that it had no room for

 private:
  SpscRing<HandedFrame> ring_;
  WorkerBell& bell_;
  std::atomic<bool> is_closed_{false};
  alignas(kCacheLineBytes) Counter handed_;
  Counter full_;
};

/// What became of frames that were offered to workers.
struct HandedCounters {
  CounterArray<HandedKind> handed;
  CounterArray<HandedKind> full;
};

/// Spreads the frames of one port, as one receive core sees them, over the port's workers.
class Distributor {
 public:
  Distributor(uint64_t hash_seed, HandedCounters& counters) : hash_seed_(hash_seed), counters_(counters) {}

  /// Before the cores run: the next worker's lane.
  void add(WorkerLane& lane) { outgoing_.push_back({&lane, 0, {}}); }

  size_t worker_of(const IpAddress& source) const noexcept {
    const uint64_t hash = hash_of(source, ~hash_seed_) >> 32;  // not the one that workers' own tables go by
    return static_cast<size_t>(hash * outgoing_.size() >> 32);
  }

  /// Whether to receive a burst now. Who is patient (a file does not run away) waits for workers that are behind;
  /// whoever it is waits for a worker that takes nothing since a publisher blocks, as a core of its own would.
  bool may_receive(bool is_patient) noexcept WEIR_RUNS_ON(rx_lcore);
  /// At most kBurst between two end_burst.
  void offer(const HandedFrame& frame, const IpAddress& source) noexcept WEIR_RUNS_ON(rx_lcore);
  /// Hands over what was offered. Buffers of what full lanes did not take are written to `refused`; how many.
  size_t end_burst(std::span<rte_mbuf*, kBurst> refused) noexcept WEIR_RUNS_ON(rx_lcore);

 private:
  /// What a burst has for one worker.
  struct Outgoing {
    WorkerLane* lane;
    size_t count;
    std::array<HandedFrame, kBurst> frames;
  };

  const uint64_t hash_seed_;
  HandedCounters& counters_;
  std::vector<Outgoing> outgoing_;
};

}  // namespace weir::dataplane
