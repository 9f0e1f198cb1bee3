#include "dataplane/dpdk_core.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <cstring>

namespace weir::dataplane {
namespace {

constexpr unsigned kPrefetchAhead = 4;
constexpr unsigned kNapsBeforeLonger = 8;

}  // namespace

void DpdkCore::take_frame(const RxQueue& queue, const rte_mbuf& mbuf, uint64_t wall_ns) noexcept {
  uint64_t received_ns = wall_ns;
  if (queue.timestamp_offset >= 0 && (mbuf.ol_flags & queue.timestamp_flag) != 0)
    received_ns = *RTE_MBUF_DYNFIELD(&mbuf, queue.timestamp_offset, const uint64_t*) * kNsPerUs;

  if (mbuf.nb_segs == 1) [[likely]] {
    pipeline_.on_frame({rte_pktmbuf_mtod(&mbuf, const uint8_t*), mbuf.data_len}, queue.link,
                       received_ns, queue.exceptions);
    return;
  }
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
  pipeline_.on_frame({scratch_.data(), octets}, queue.link, received_ns, queue.exceptions);
}

unsigned DpdkCore::receive(RxQueue& queue, uint64_t wall_ns) noexcept {
  rte_mbuf* mbufs[kBurst];
  const unsigned count = rte_eth_rx_burst(queue.port, queue.queue, mbufs, kBurst);
  if (count == 0) {
    if (queue.ends) look_for_end(queue);
    return 0;
  }
  if (queue.exceptions != nullptr) [[unlikely]] queue.exceptions->begin_burst(clock_.steady_ns());
  for (unsigned i = 0; i < std::min(count, kPrefetchAhead); ++i)
    rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], const void*));
  for (unsigned i = 0; i < count; ++i) {
    if (i + kPrefetchAhead < count)
      rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + kPrefetchAhead], const void*));
    take_frame(queue, *mbufs[i], wall_ns);
  }
  if (queue.exceptions != nullptr) [[unlikely]] queue.exceptions->end_burst();
  rte_pktmbuf_free_bulk(mbufs, count);
  return count;
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

unsigned DpdkCore::receive_all(uint64_t wall_ns) noexcept {
  unsigned received = 0;
  for (RxQueue* queue : queues_)
    if (!queue->is_drained.load(std::memory_order_relaxed) && pipeline_.may_receive())
      received += receive(*queue, wall_ns);
  return received;
}

void DpdkCore::run() noexcept {
  prepare_waiting();
  PipelineCounters& counters = pipeline_.counters();
  unsigned empty_polls = 0;
  while (!waiter_.is_stopping()) {
    const uint64_t began_ns = clock_.steady_ns();
    const bool may_receive = pipeline_.may_receive();
    const unsigned received = may_receive ? receive_all(clock_.wall_ns()) : 0;
    clock_.look();
    pipeline_.poll(clock_.steady_ns(), clock_.wall_ns());
    if (!may_receive) {  // the queue fills meanwhile, and the device counts what it drops
      counters.holds.increment();
      waiter_.nap(kHoldNs);
      clock_.look();
      continue;
    }
    if (received != 0) {
      counters.bursts.increment();
      counters.busy_ns.add(clock_.steady_ns() - began_ns);
      empty_polls = 0;
      nap_ns_ = kNapMinNs;
      naps_ = 0;
      continue;
    }
    counters.empty_polls.increment();
    if (idle_ == IdlePolicy::adaptive && ++empty_polls >= kEmptyPollsBeforeWait) {
      wait();
      clock_.look();
      empty_polls = kEmptyPollsBeforeWait - 1;  // one look, then the next wait
    }
  }
  drain();
  pipeline_.finish();
  has_ended_.store(true, std::memory_order_release);
}

void DpdkCore::drain() noexcept {
  const uint64_t hold_until_ns = clock_.steady_ns() + kEndHoldMaxNs;
  for (RxQueue* queue : queues_) {
    if (queue->is_endless) continue;
    const bool is_shut = queue->can_be_shut && refuse_all(queue->wait_fd);
    for (unsigned i = 0; i < (is_shut ? kShutDrainBurstsMax : kDrainBurstsMax); ++i) {
      hold_for_room(pipeline_, clock_, hold_until_ns);
      const unsigned received = receive(*queue, clock_.wall_ns());
      clock_.look();
      if (received < kBurst) break;
    }
  }
}

void DpdkCore::prepare_waiting() noexcept {
  has_fds_ = true;
  for (const RxQueue* queue : queues_) {
    if (queue->ends) continue;
    if (queue->wait_fd < 0 || !waiter_.add(queue->wait_fd)) has_fds_ = false;
  }
}

void DpdkCore::wait() noexcept {
  const uint64_t patience_ns = Waiter::patience_ns(pipeline_, linger_ns_);
  if (patience_ns == 0) return;
  pipeline_.counters().sleeps.increment();
  const bool has_unread_file =
      std::any_of(queues_.begin(), queues_.end(), [](const RxQueue* queue) {
        return queue->ends && !queue->is_drained.load(std::memory_order_relaxed);
      });
  if (has_fds_ && !has_unread_file) {
    waiter_.wait(patience_ns);
    return;
  }
  // Nothing to wait on: naps that grow while nothing comes.
  waiter_.wait(std::min(nap_ns_, patience_ns));
  if (++naps_ % kNapsBeforeLonger == 0) nap_ns_ = std::min(nap_ns_ * 2, kNapMaxNs);
}

}  // namespace weir::dataplane
