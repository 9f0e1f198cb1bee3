// dpdk_core.h — The loop of one lcore: bursts from its queues through its pipeline or to workers, and, as a worker,
// bursts from the lanes of receive cores through its pipeline.
//
// Runs on:  rx_lcore and worker_lcore (run); the control thread makes it before and reads it afterwards.
// Bounds:   kBurst frames a queue or lane and turn; a frame is at most kScratchOctets.
// Failure:  none. What is wrong with a frame is the pipeline's to count.
//
// Private to src/dataplane.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/dpdk_port.h"
#include "dataplane/gathering.h"
#include "dataplane/pipeline.h"
#include "dataplane/receive_core.h"

struct rte_mbuf;

namespace weir::dataplane {

/// The longest IP datagram with all that may lie before it. What a longer frame has behind that is
/// a trailer, which no verdict depends on.
inline constexpr size_t kScratchOctets = 65'535 + 14 + 4 * packet::kVlanTagsMax + 64;

/// On no line of another core's.
class alignas(kCacheLineBytes) DpdkCore {
 public:
  DpdkCore(Pipeline& pipeline, const Timekeeper& keeper, IdlePolicy idle, uint64_t linger_ns)
      : pipeline_(pipeline), idle_(idle), linger_ns_(linger_ns), clock_(keeper) {}

  Result<void> open() { return waiter_.open(); }
  /// Before run: a queue that this core serves.
  void serve(RxQueue& queue) { queues_.push_back(&queue); }
  /// Before run: this core works on what comes by the lane, which was made with its bell.
  void work_on(WorkerLane& lane) { lanes_.push_back(&lane); }
  WorkerBell& bell() noexcept { return bell_; }
  /// Before run: where what this core, as a worker, puts together of that port's fragments goes when it is the host's.
  void set_exceptions(uint16_t port, ExceptionLane& lane) {
    if (exceptions_.size() <= port) exceptions_.resize(port + 1u);
    exceptions_[port] = &lane;
  }
  /// Before run: a lane by which this core hands over.
  void hand_over_by(WorkerLane& lane) { outgoing_.push_back(&lane); }
  /// Until request_stop; then takes what waits in its queues and what comes by its lanes until they are closed,
  /// seals, and returns.
  void run() noexcept WEIR_RUNS_ON(rx_lcore) WEIR_RUNS_ON(worker_lcore);
  /// Nothing will come from this core any more: it does so itself at its end, the control thread for one that
  /// never ran.
  void close_lanes() noexcept;
  void request_stop() noexcept { waiter_.request_stop(); }
  bool has_ended() const noexcept { return has_ended_.load(std::memory_order_acquire); }

 private:
  /// Whether what the queue brings finds room, here or with its workers.
  bool may_receive(const RxQueue& queue) noexcept WEIR_RUNS_ON(rx_lcore);
  unsigned receive(RxQueue& queue) noexcept WEIR_RUNS_ON(rx_lcore);
  /// A turn over queues and lanes. `is_held`: something was left alone for want of room.
  unsigned receive_all(bool& is_held) noexcept WEIR_RUNS_ON(rx_lcore) WEIR_RUNS_ON(worker_lcore);
  /// Null: that port has no interface.
  ExceptionLane* exceptions_of(uint16_t port) const noexcept { return port < exceptions_.size() ? exceptions_[port] : nullptr; }
  unsigned take_handed(WorkerLane& lane) noexcept WEIR_RUNS_ON(rx_lcore) WEIR_RUNS_ON(worker_lcore);
  void decode(RxQueue& queue, std::span<rte_mbuf*> mbufs) noexcept WEIR_RUNS_ON(rx_lcore);
  void distribute(RxQueue& queue, std::span<rte_mbuf*> mbufs) noexcept WEIR_RUNS_ON(rx_lcore);
  /// The frame in one piece, until the next call.
  std::span<const uint8_t> octets_of(const rte_mbuf& mbuf) noexcept;
  void look_for_end(RxQueue& queue) noexcept WEIR_RUNS_ON(rx_lcore);
  void drain() noexcept WEIR_RUNS_ON(rx_lcore) WEIR_RUNS_ON(worker_lcore);
  void hold_for_workers(Distributor& workers, uint64_t until_steady_ns) noexcept WEIR_RUNS_ON(rx_lcore)
      WEIR_RUNS_ON(worker_lcore);
  void drain_lanes() noexcept WEIR_RUNS_ON(rx_lcore) WEIR_RUNS_ON(worker_lcore);
  bool lanes_have_any() const noexcept WEIR_RUNS_ON(worker_lcore);
  void prepare_waiting() noexcept;
  /// As the links of its queues stand.
  uint64_t long_nap_ns() const noexcept;
  void wait() noexcept WEIR_RUNS_ON(rx_lcore) WEIR_RUNS_ON(worker_lcore);
  bool arm_interrupts() noexcept WEIR_RUNS_ON(rx_lcore) WEIR_RUNS_ON(worker_lcore);
  void disarm_interrupts() noexcept WEIR_RUNS_ON(rx_lcore) WEIR_RUNS_ON(worker_lcore);
  /// Lets frames gather, where that pays.
  void pause() noexcept WEIR_RUNS_ON(rx_lcore) WEIR_RUNS_ON(worker_lcore);

  Pipeline& pipeline_;
  const IdlePolicy idle_;
  const uint64_t linger_ns_;
  std::vector<RxQueue*> queues_;
  std::vector<WorkerLane*> lanes_;     // that come in
  std::vector<WorkerLane*> outgoing_;  // that go out; the queues' distributors fill them
  std::vector<ExceptionLane*> exceptions_;  // by the port that what comes in came by
  FairTurn queue_turn_;
  FairTurn lane_turn_;
  WorkerBell bell_;                    // for those who fill lanes_
  Waiter waiter_;
  CoreClock clock_;
  std::atomic<bool> has_ended_{false};
  bool are_armed_ = false;  // interrupts of queues
  bool is_deaf_ = false;    // one of them could not be armed: this wait is a nap
  bool has_fds_ = false;  // for every queue that may still bring something
  Gathering gathering_;
  uint64_t longest_pause_ns_ = 0;  // 0: frames do not gather
  Naps naps_;
  std::array<uint8_t, kScratchOctets> scratch_;  // a chain of segments in one piece
};

}  // namespace weir::dataplane
