// exception_lane.h — What a receive core has for the kernel: copies of frames that are no export traffic, on their
// way to an interface.
//
// Runs on:  offer and its like on the rx_lcore that serves the queue, or the worker_lcore that has put together what came by
//           the port; take and its like on the exception thread.
// Owns:     kFrames places, each as long as the longest frame that the interface may come to have; behind the last one room for what was joined from
//           fragments, which lies in several places behind one another.
// Bounds:   so many frames a second, and so many that wait. Of both UDP may use up half, and what is neither UDP nor ARP
//           nor neighbour discovery three quarters: an exporter that sends to the wrong port takes nothing from SSH and
//           BGP, and who floods the appliance with those cannot make it unreachable.
// Failure:  a frame that is not taken has an ExceptionOutcome that says why.
//
// Copies, not buffers of the device: what waits for the kernel takes none of those that receive, and none is given
// back by another thread. No DPDK here, so that tests and pipelines need none.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "base/named_enum.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "base/waker.h"
#include "packet/frame.h"

namespace weir::dataplane {

// What becomes of a sound frame that is no export traffic (not IP, not UDP, UDP without a listener). `passed` goes to
// the kernel, `no_interface` came by a port that has none, `joined` was put together from fragments of such a port's.
// clang-format off
#define WEIR_EXCEPTION_OUTCOMES(X)                                                                \
  X(passed) X(no_interface) X(joined) X(other_mac) X(other_vlan) X(too_long) X(rate_limited) X(no_room)
// clang-format on
WEIR_NAMED_ENUM(ExceptionOutcome, uint8_t, WEIR_EXCEPTION_OUTCOMES)

/// So many frames a second, kBurst of them at once; 0: any.
class FrameCredit {
 public:
  static constexpr uint64_t kBurst = 256;  // what TCP sends in one go, some times over

  explicit FrameCredit(uint32_t frames_per_second) noexcept;

  void refill(uint64_t steady_now_ns) noexcept;
  /// Whether so many may go and leave `reserve` untouched; if so they have gone.
  bool take(uint64_t reserve = 0, uint64_t frames = 1) noexcept;
  bool has_any() const noexcept { return credit_ns_ >= cost_ns_; }
  /// Until it has.
  uint64_t missing_ns() const noexcept { return has_any() ? 0 : cost_ns_ - credit_ns_; }

 private:
  const uint64_t cost_ns_;  // of a frame
  uint64_t credit_ns_;
  uint64_t refilled_ns_ = 0;
};

class ExceptionLane {
 public:
  static constexpr size_t kFrames = 512;
  /// A frame that says less goes first when there is little left: these shares are kept for those that say more.
  static constexpr size_t kKeptFromUdp = 2;     // one half
  static constexpr size_t kKeptFromOthers = 4;  // one quarter

  struct Config {
    std::array<uint8_t, 6> mac{};       // whose frames are taken, beside those to groups
    uint16_t vlan = 0;                  // only those of this one, without their tag; 0: all, as they are
    uint32_t frame_octets_max = 1518;
    uint32_t frames_per_second = 10'000;
  };
  /// `consumer` is woken at the end of a burst that brought something.
  ExceptionLane(const Config& config, Waker& consumer);

  void begin_burst(uint64_t steady_now_ns) noexcept WEIR_RUNS_ON(rx_lcore) { credit_.refill(steady_now_ns); }
  /// `frame` is Ethernet, and `view` what parse_frame made of it. It is copied.
  ExceptionOutcome offer(std::span<const uint8_t> frame, const packet::FrameView& view) noexcept WEIR_RUNS_ON(rx_lcore) {
    return take_in(frame, {}, view);
  }
  /// What fragments were put together to: Ethernet and IP headers, then the rest. It may be longer than a frame, and counts as
  /// one for each place that it takes; the kernel asks for the MTU of what it sends only.
  ExceptionOutcome offer_joined(std::span<const uint8_t> headers, std::span<const uint8_t> rest,
                                const packet::FrameView& view) noexcept WEIR_RUNS_ON(rx_lcore) {
    return take_in(headers, rest, view);
  }
  /// Longer frames are too_long from now on. At most Config::frame_octets_max.
  void set_longest(uint32_t octets) noexcept WEIR_RUNS_ON(control_thread) { longest_.store(octets, std::memory_order_relaxed); }
  void end_burst() noexcept WEIR_RUNS_ON(rx_lcore) {
    if (!has_news_) return;
    has_news_ = false;
    consumer_.wake();
  }

  /// The oldest frame; empty: there is none. It stays until pop.
  std::span<const uint8_t> front() const noexcept WEIR_RUNS_ON(exception_thread);
  void pop() noexcept WEIR_RUNS_ON(exception_thread) {
    const size_t head = head_.load(std::memory_order_relaxed);
    head_.store(head + places_of(lengths_[head % kFrames]), std::memory_order_release);
  }
  /// Places that are taken: one a frame, more for what was joined.
  size_t waiting() const noexcept {
    const size_t head = head_.load(std::memory_order_acquire);
    return tail_.load(std::memory_order_acquire) - head;
  }

 private:
  ExceptionOutcome take_in(std::span<const uint8_t> head, std::span<const uint8_t> rest, const packet::FrameView& view) noexcept
      WEIR_RUNS_ON(rx_lcore);
  size_t places_of(size_t octets) const noexcept { return (octets + config_.frame_octets_max - 1) / config_.frame_octets_max; }
  uint8_t* place(size_t index) const noexcept { return octets_.get() + (index % kFrames) * config_.frame_octets_max; }

  const Config config_;
  Waker& consumer_;
  const std::unique_ptr<uint8_t[]> octets_;
  std::atomic<uint32_t> longest_;  // frame
  std::array<uint32_t, kFrames> lengths_{};
  FrameCredit credit_;  // rx_lcore's, as has_news_
  bool has_news_ = false;
  alignas(kCacheLineBytes) std::atomic<size_t> tail_{0};
  alignas(kCacheLineBytes) std::atomic<size_t> head_{0};
};

}  // namespace weir::dataplane
