// dpdk_core.h — The loop of one receive lcore: bursts from its queues through its pipeline.
//
// Runs on:  rx_lcore (run); the control thread makes it before and reads it afterwards.
// Bounds:   kBurst frames a queue and turn; a frame is at most kScratchOctets.
// Failure:  none. What is wrong with a frame is the pipeline's to count.
//
// Private to src/dataplane.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/dpdk_port.h"
#include "dataplane/pipeline.h"
#include "dataplane/receive_core.h"

struct rte_mbuf;

namespace weir::dataplane {

/// The longest IP datagram with all that may lie before it. What a longer frame has behind that is
/// a trailer, which no verdict depends on.
inline constexpr size_t kScratchOctets = 65'535 + 14 + 4 * packet::kVlanTagsMax + 64;

class DpdkCore {
 public:
  DpdkCore(Pipeline& pipeline, IdlePolicy idle, uint64_t linger_ns)
      : pipeline_(pipeline), idle_(idle), linger_ns_(linger_ns) {}

  Result<void> open() { return waiter_.open(); }
  /// Before run: a queue that this core serves.
  void serve(RxQueue& queue) { queues_.push_back(&queue); }
  /// Until request_stop; then takes what waits in its queues, seals, and returns.
  void run() noexcept WEIR_RUNS_ON(rx_lcore);
  void request_stop() noexcept { waiter_.request_stop(); }
  bool has_ended() const noexcept { return has_ended_.load(std::memory_order_acquire); }

 private:
  unsigned receive(RxQueue& queue, uint64_t wall_ns) noexcept WEIR_RUNS_ON(rx_lcore);
  unsigned receive_all(uint64_t wall_ns) noexcept WEIR_RUNS_ON(rx_lcore);
  void take_frame(const RxQueue& queue, const rte_mbuf& mbuf, uint64_t wall_ns) noexcept
      WEIR_RUNS_ON(rx_lcore);
  void look_for_end(RxQueue& queue) noexcept WEIR_RUNS_ON(rx_lcore);
  void drain() noexcept WEIR_RUNS_ON(rx_lcore);
  void prepare_waiting() noexcept;
  void wait() noexcept WEIR_RUNS_ON(rx_lcore);

  Pipeline& pipeline_;
  const IdlePolicy idle_;
  const uint64_t linger_ns_;
  std::vector<RxQueue*> queues_;
  Waiter waiter_;
  CoreClock clock_;
  std::atomic<bool> has_ended_{false};
  bool has_fds_ = false;  // for every queue that may still bring something
  uint64_t nap_ns_ = kNapMinNs;
  unsigned naps_ = 0;
  std::array<uint8_t, kScratchOctets> scratch_;  // a chain of segments in one piece
};

}  // namespace weir::dataplane
