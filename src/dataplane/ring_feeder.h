// ring_feeder.h — Frames into a port of rings (net_ring), as a wire brings them to a NIC.
//
// Runs on:  a thread of its own, no lcore; counters on any.
// Owns:     up to a burst of mbufs a queue, out of the port's pools.
// Bounds:   the rings, and the pools behind them.
// Failure:  an Error where the device is none of rings. What finds no room waits, or is refused and counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/counter.h"
#include "base/result.h"
#include "lab/replay_player.h"

struct rte_mbuf;
struct rte_mempool;

namespace weir::dataplane {

class RingFeeder final : public lab::ReplayOutput {
 public:
  /// As a NIC whose receive cores are too slow; or as one who sends no more than is taken, until `stop`.
  enum class WhenFull : uint8_t { refuse, wait };

  /// `device` is started and stays so as long as this lives; `stop` ends every wait.
  static Result<std::unique_ptr<RingFeeder>> open(const std::string& device, WhenFull when_full,
                                                  const std::atomic<bool>& stop);
  ~RingFeeder() override;
  RingFeeder(const RingFeeder&) = delete;
  RingFeeder& operator=(const RingFeeder&) = delete;

  /// An exporter's frames go to one queue, as RSS by source address has it.
  uint8_t* room(uint32_t exporter, size_t octets) override;
  void commit(size_t octets) override;
  void flush() override;

  uint64_t frames_refused() const noexcept { return refused_.value(); }

 private:
  static constexpr unsigned kBurst = 32;
  struct Queue {
    rte_mempool* pool = nullptr;
    rte_mbuf* frames[kBurst] = {};
    unsigned count = 0;
  };

  RingFeeder(uint16_t port, WhenFull when_full, const std::atomic<bool>& stop);
  bool wait_once(unsigned& turns) const;
  void send(uint16_t queue);

  const uint16_t port_;
  const WhenFull when_full_;
  const std::atomic<bool>& stop_;
  std::vector<Queue> queues_;
  uint16_t queue_ = 0;            // of the frame that has room and is not committed yet
  rte_mbuf* frame_ = nullptr;     // null: it is written to scratch_ and refused
  std::vector<uint8_t> scratch_;
  Counter refused_;
};

}  // namespace weir::dataplane
