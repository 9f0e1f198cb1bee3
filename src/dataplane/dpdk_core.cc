#include "dataplane/dpdk_core.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/prefetch.h"
#include "dataplane/queue_interrupts.h"

namespace weir::dataplane {
namespace {

constexpr size_t kPrefetchAhead = 2;
constexpr size_t kPrefetchedOctetsMax = 2048;  // of a frame; longer ones are read in order
constexpr size_t kHeaderOctets = 64;           // all that who hands frames over looks at

}  // namespace

std::span<const uint8_t> DpdkCore::octets_of(const rte_mbuf& mbuf) noexcept {
  if (mbuf.nb_segs == 1) [[likely]] return {rte_pktmbuf_mtod(&mbuf, const uint8_t*), mbuf.data_len};
  // Only the segments say what there is: net_pcap's pkt_len is longer than they are from 64 KiB on.
  // What is missing at the end is the frame parser's to notice.
  uint32_t octets = 0;
  for (const rte_mbuf* segment = &mbuf; segment != nullptr && octets < kScratchOctets;
       segment = segment->next) {
    const auto room = static_cast<uint32_t>(kScratchOctets) - octets;
    const uint32_t n = std::min<uint32_t>(segment->data_len, room);
    std::memcpy(scratch_.data() + octets, rte_pktmbuf_mtod(segment, const uint8_t*), n);
    octets += n;
  }
  return {scratch_.data(), octets};
}

namespace {

/// The driver's own time, where it has one.
Moment time_of(RxQueue& queue, const rte_mbuf& mbuf, const Moment& now) noexcept {
  if (queue.stamp_offset < 0 || (mbuf.ol_flags & queue.stamp_flag) == 0) [[likely]] return now;
  return queue.stamps.time_of(*RTE_MBUF_DYNFIELD(&mbuf, queue.stamp_offset, const uint64_t*), now);
}

/// Frames some steps ahead of their use. PERF: whole ones: with their beginnings only, and the rest asked for when it is decoded, a core on a
/// busy machine did 55 and not 61 million v5 records a second, 24 and not 26 of v9 (bench_replay --from memory, medians of eight).
class Prefetcher {
 public:
  explicit Prefetcher(std::span<rte_mbuf* const> mbufs, size_t octets_max = kPrefetchedOctetsMax) noexcept
      : mbufs_(mbufs), octets_max_(octets_max) {
    for (size_t i = 0; i < std::min<size_t>(mbufs.size(), kPrefetchAhead); ++i) fetch(i);
  }
  void step(size_t i) const noexcept {
    if (i + kPrefetchAhead < mbufs_.size()) fetch(i + kPrefetchAhead);
  }

 private:
  void fetch(size_t i) const noexcept {
    const rte_mbuf& mbuf = *mbufs_[i];
    prefetch(rte_pktmbuf_mtod(&mbuf, const void*), std::min<size_t>(mbuf.data_len, octets_max_));
  }
  std::span<rte_mbuf* const> mbufs_;
  size_t octets_max_;
};

}  // namespace

bool DpdkCore::may_receive(const RxQueue& queue) noexcept {
  return queue.workers == nullptr ? pipeline_.may_receive() : queue.workers->may_receive(queue.is_endless);
}

unsigned DpdkCore::receive(RxQueue& queue) noexcept {
  rte_mbuf* mbufs[kBurst];
  const unsigned count = rte_eth_rx_burst(queue.port, queue.queue, mbufs, kBurst);
  if (count == 0) {
    if (queue.ends) look_for_end(queue);
    return 0;
  }
  if (queue.stamp_offset >= 0) [[unlikely]] queue.stamps.look();
  if (queue.exceptions != nullptr) [[unlikely]] queue.exceptions->begin_burst(clock_.steady_ns());
  if (queue.workers == nullptr) {
    decode(queue, {mbufs, count});
  } else {
    distribute(queue, {mbufs, count});
  }
  if (queue.exceptions != nullptr) [[unlikely]] queue.exceptions->end_burst();
  return count;
}

void DpdkCore::decode(RxQueue& queue, std::span<rte_mbuf*> mbufs) noexcept {
  const Moment now = clock_.now();
  const Prefetcher ahead(mbufs);
  for (size_t i = 0; i < mbufs.size(); ++i) {
    ahead.step(i);
    pipeline_.on_frame(octets_of(*mbufs[i]), queue.link, time_of(queue, *mbufs[i], now), queue.exceptions, queue.rules);
  }
  rte_pktmbuf_free_bulk(mbufs.data(), static_cast<unsigned>(mbufs.size()));
}

void DpdkCore::distribute(RxQueue& queue, std::span<rte_mbuf*> mbufs) noexcept {
  const Moment now = clock_.now();
  const Prefetcher ahead(mbufs, kHeaderOctets);
  unsigned done = 0;  // whose buffers are free again
  rte_mbuf* free[kBurst];
  for (size_t i = 0; i < mbufs.size(); ++i) {
    ahead.step(i);
    HandedFrame handed{.mbuf = mbufs[i], .received = time_of(queue, *mbufs[i], now), .port = queue.port};
    IpAddress source;
    if (pipeline_.sort_frame(octets_of(*mbufs[i]), queue.link, queue.exceptions, handed, source, queue.rules)) {
      queue.workers->offer(handed, source);
    } else {
      free[done++] = mbufs[i];
    }
  }
  if (done != 0) rte_pktmbuf_free_bulk(free, done);
  if (const size_t refused = queue.workers->end_burst(free); refused != 0) [[unlikely]]
    rte_pktmbuf_free_bulk(free, static_cast<unsigned>(refused));
}

unsigned DpdkCore::take_handed(WorkerLane& lane) noexcept {
  HandedFrame frames[kBurst];
  const size_t count = lane.take(frames);
  if (count == 0) return 0;
  pipeline_.catch_up();
  rte_mbuf* mbufs[kBurst];
  for (size_t i = 0; i < count; ++i) mbufs[i] = frames[i].mbuf;
  const Prefetcher ahead(std::span<rte_mbuf* const>(mbufs, count));
  for (size_t i = 0; i < count; ++i) {
    ahead.step(i);
    ExceptionLane* const kernel = frames[i].kind == HandedKind::fragment ? exceptions_of(frames[i].port) : nullptr;
    if (kernel != nullptr) [[unlikely]] kernel->begin_burst(clock_.steady_ns());
    pipeline_.on_handed_frame(octets_of(*mbufs[i]), frames[i], kernel);
    if (kernel != nullptr) [[unlikely]] kernel->end_burst();
  }
  rte_pktmbuf_free_bulk(mbufs, static_cast<unsigned>(count));
  return static_cast<unsigned>(count);
}

// net_pcap says nothing at the end of a file. Reading is synchronous: an empty burst is the end, or
// a frame that it could not read or had no mbufs for, which it counts and steps over.
void DpdkCore::look_for_end(RxQueue& queue) noexcept {
  rte_eth_stats stats{};
  rte_eth_stats_get(queue.port, &stats);
  const uint64_t failures = stats.ierrors + stats.rx_nombuf;
  if (failures == queue.failures_seen) queue.is_drained.store(true, std::memory_order_release);
  queue.failures_seen = failures;
}

unsigned DpdkCore::receive_all(bool& is_held) noexcept {
  unsigned received = 0;
  queue_turn_.over(queues_, [&](RxQueue& queue) {
    const RoleScope role(rx_lcore);
    if (queue.is_drained.load(std::memory_order_relaxed)) return true;
    if (may_receive(queue)) {
      received += receive(queue);
      return true;
    }
    is_held = true;
    return queue.workers != nullptr;  // others may have room
  });
  if (lanes_.empty()) return received;
  bool is_holding = false;
  lane_turn_.over(lanes_, [&](WorkerLane& lane) {
    const RoleScope role(rx_lcore);
    const RoleScope worker(worker_lcore);
    is_holding = !pipeline_.may_receive();
    if (!is_holding) received += take_handed(lane);
    return !is_holding;
  });
  is_held |= is_holding;
  bell_.is_holding.store(is_holding, std::memory_order_relaxed);
  return received;
}

void DpdkCore::run() noexcept {
  prepare_waiting();
  PipelineCounters& counters = pipeline_.counters();
  // Lanes are memory: looking at them costs no system call, and who fills them pays for waking us.
  const unsigned looks = has_fds_ && !queues_.empty() ? kEmptyPollsBeforeFdWait : kEmptyPollsBeforeWait;
  unsigned empty_polls = 0;
  while (!waiter_.is_stopping()) {
    const uint64_t began_ns = clock_.steady_ns();
    bool is_held = false;
    const unsigned received = receive_all(is_held);
    clock_.look();
    pipeline_.poll(clock_.steady_ns(), clock_.now());
    if (received != 0) {
      counters.bursts.increment();
      counters.busy_ns.add(clock_.steady_ns() - began_ns);
      empty_polls = 0;
      naps_.begin_anew();
      disarm_interrupts();
      gathering_.took(received);
      if (received < kBurst) pause();
      continue;
    }
    if (is_held) {  // the queue fills meanwhile, and the device counts what it drops
      counters.holds.increment();
      waiter_.nap(kHoldNs);
      clock_.look();
      continue;
    }
    counters.empty_polls.increment();
    if (idle_ != IdlePolicy::poll && ++empty_polls >= looks) {
      if (!are_armed_ && arm_interrupts()) continue;  // a frame that came before raises none: one look more
      wait();
      disarm_interrupts();
      clock_.look();
      empty_polls = looks - 1;  // one look, then the next wait
    }
  }
  drain();
  close_lanes();
  drain_lanes();
  pipeline_.finish();
  has_ended_.store(true, std::memory_order_release);
}

void DpdkCore::drain() noexcept {
  const uint64_t hold_until_ns = clock_.steady_ns() + kEndHoldMaxNs;
  for (RxQueue* queue : queues_) {
    if (queue->is_endless) continue;
    const bool is_shut = queue->can_be_shut && refuse_all(queue->wait_fd);
    for (unsigned i = 0; i < (is_shut ? kShutDrainBurstsMax : kDrainBurstsMax); ++i) {
      if (queue->workers == nullptr) {
        hold_for_room(pipeline_, clock_, hold_until_ns);
      } else {
        hold_for_workers(*queue->workers, hold_until_ns);
      }
      const unsigned received = receive(*queue);
      clock_.look();
      if (received < kBurst) break;
    }
  }
}

/// They still work. What this core itself has to work on goes on, too: two may hand over to each other.
void DpdkCore::hold_for_workers(Distributor& workers, uint64_t until_steady_ns) noexcept {
  while (!workers.may_receive(/*is_patient=*/true) && clock_.steady_ns() < until_steady_ns) {
    unsigned taken = 0;
    for (WorkerLane* lane : lanes_)
      if (pipeline_.may_receive()) taken += take_handed(*lane);
    pipeline_.poll(clock_.steady_ns(), clock_.now());
    if (taken == 0) nap_through_stop(kHoldNs);
    clock_.look();
  }
}

void DpdkCore::close_lanes() noexcept {
  for (WorkerLane* lane : outgoing_) lane->close();
}

/// Who fills them ends by itself.
void DpdkCore::drain_lanes() noexcept {
  const uint64_t hold_until_ns = clock_.steady_ns() + kEndHoldMaxNs;
  for (;;) {
    unsigned taken = 0;
    bool is_over = true;
    for (WorkerLane* lane : lanes_) {
      hold_for_room(pipeline_, clock_, hold_until_ns);
      taken += take_handed(*lane);
      is_over &= lane->is_over();
    }
    clock_.look();
    pipeline_.poll(clock_.steady_ns(), clock_.now());
    if (is_over) return;
    if (taken == 0) nap_through_stop(kHoldNs);
  }
}

bool DpdkCore::lanes_have_any() const noexcept {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const WorkerLane* lane) { return lane->waiting() != 0; });
}

void DpdkCore::prepare_waiting() noexcept {
  has_fds_ = true;
  for (const RxQueue* queue : queues_) {
    if (queue->ends) continue;
    if (queue->wait_fd < 0 || !waiter_.add(queue->wait_fd)) has_fds_ = false;
  }
  if (!lanes_.empty() && !waiter_.add(bell_.waker.fd())) has_fds_ = false;
  if (idle_ != IdlePolicy::adaptive || !has_fds_ || queues_.empty()) return;
  longest_pause_ns_ = lanes_.empty() ? kPauseMaxNs : longest_pause_of_ring_ns(kLaneFrames);
  for (const RxQueue* queue : queues_)
    longest_pause_ns_ = queue->ends ? 0 : std::min(longest_pause_ns_, longest_pause_of_ring_ns(queue->frames));
}

uint64_t DpdkCore::long_nap_ns() const noexcept {
  uint64_t longest_ns = kLongNapMaxNs;
  for (const RxQueue* queue : queues_) longest_ns = std::min(longest_ns, queue->long_nap_ns.load(std::memory_order_relaxed));
  return longest_ns;
}

/// Whether any will come from now on. Where one could not be armed the core is_deaf_.
bool DpdkCore::arm_interrupts() noexcept {
  is_deaf_ = false;
  for (const RxQueue* queue : queues_) {
    if (queue->interrupts == nullptr) continue;
    const int rc = enable_interrupt(*queue);
    // Where the driver knows of no switch the descriptor is that of the frames themselves.
    if (rc == 0 || rc == -ENOTSUP) {
      are_armed_ = true;
    } else {
      is_deaf_ = true;
    }
  }
  return are_armed_;
}

void DpdkCore::disarm_interrupts() noexcept {
  if (!are_armed_) return;
  are_armed_ = false;
  for (const RxQueue* queue : queues_)
    if (queue->interrupts != nullptr) disable_interrupt(*queue);
}

void DpdkCore::pause() noexcept {
  if (longest_pause_ns_ == 0 || pipeline_.has_open_question()) return;
  const uint64_t pause_ns = gathering_.pause_ns(clock_.steady_ns(), longest_pause_ns_);
  if (pause_ns == 0) return;
  pipeline_.counters().sleeps.increment();
  pipeline_.counters().pauses.increment();
  waiter_.nap(pause_ns);
  clock_.look();
}

void DpdkCore::wait() noexcept {
  const uint64_t patience_ns = Waiter::patience_ns(pipeline_, linger_ns_);
  if (patience_ns == 0) return;
  pipeline_.counters().sleeps.increment();
  const bool has_unread_file =
      std::any_of(queues_.begin(), queues_.end(), [](const RxQueue* queue) {
        return queue->ends && !queue->is_drained.load(std::memory_order_relaxed);
      });
  if (!lanes_.empty()) bell_.waker.lie_down();
  if (lanes_have_any()) {
    // Handed over since the last look.
  } else if (has_fds_ && !has_unread_file && !is_deaf_) {
    if (waiter_.wait(patience_ns)) pipeline_.counters().wakes.increment();
  } else {
    // Nothing to wait on.
    const uint64_t nap_ns = std::min(naps_.next_ns(clock_.steady_ns(), long_nap_ns()), patience_ns);
    pipeline_.counters().nap_ns.add(nap_ns);
    pipeline_.counters().naps.increment();
    waiter_.wait(nap_ns);
  }
  if (!lanes_.empty()) bell_.waker.get_up();
}

}  // namespace weir::dataplane
