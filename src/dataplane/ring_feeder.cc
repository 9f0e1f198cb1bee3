#include "dataplane/ring_feeder.h"

#include <fmt/format.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sched.h>
#include <time.h>

#include <algorithm>

#include "dataplane/port_plan.h"
#include "dataplane/ring_device.h"

namespace weir::dataplane {

namespace {

constexpr unsigned kTurnsBeforeNap = 64;
constexpr long kNapNs = 50'000;
constexpr size_t kFrameOctetsMax = 65'535 + 64;

}  // namespace

RingFeeder::RingFeeder(uint16_t port, WhenFull when_full, const std::atomic<bool>& stop)
    : port_(port), when_full_(when_full), stop_(stop), scratch_(kFrameOctetsMax) {}

Result<std::unique_ptr<RingFeeder>> RingFeeder::open(const std::string& device, WhenFull when_full,
                                                     const std::atomic<bool>& stop) {
  const DeviceSpec spec = DeviceSpec::parse(device);
  uint16_t port = 0;
  rte_eth_dev_info info{};
  if (spec.driver != "net_ring" || rte_eth_dev_get_port_by_name(RingDevice::port_name(spec).c_str(), &port) != 0 ||
      rte_eth_dev_info_get(port, &info) != 0) {
    return Error{device + ": no device of rings that runs"};
  }
  std::unique_ptr<RingFeeder> made(new RingFeeder(port, when_full, stop));
  for (uint16_t q = 0; q < std::min(info.nb_rx_queues, info.nb_tx_queues); ++q) {
    Queue queue;
    queue.pool = rte_mempool_lookup(pool_name(port, q).c_str());
    if (queue.pool == nullptr) return Error{fmt::format("{}: queue {} has no buffers", device, q)};
    made->queues_.push_back(queue);
  }
  if (made->queues_.empty()) return Error{device + ": has no queues"};
  return made;
}

RingFeeder::~RingFeeder() {
  rte_pktmbuf_free(frame_);
  for (Queue& queue : queues_) rte_pktmbuf_free_bulk(queue.frames, queue.count);
}

/// False: it is over.
bool RingFeeder::wait_once(unsigned& turns) const {
  if (stop_.load(std::memory_order_relaxed)) return false;
  if (++turns < kTurnsBeforeNap) {
    sched_yield();
  } else {
    const timespec time{0, kNapNs};
    nanosleep(&time, nullptr);
  }
  return true;
}

uint8_t* RingFeeder::room(uint32_t exporter, size_t octets) {
  queue_ = static_cast<uint16_t>(exporter % queues_.size());
  Queue& queue = queues_[queue_];
  frame_ = rte_pktmbuf_alloc(queue.pool);
  for (unsigned turns = 0; frame_ == nullptr && when_full_ == WhenFull::wait;) {
    flush();
    if (!wait_once(turns)) return nullptr;
    frame_ = rte_pktmbuf_alloc(queue.pool);
  }
  if (octets > scratch_.size()) scratch_.resize(octets);
  if (frame_ == nullptr) return scratch_.data();
  char* const room = octets > UINT16_MAX ? nullptr : rte_pktmbuf_append(frame_, static_cast<uint16_t>(octets));
  if (room != nullptr) return reinterpret_cast<uint8_t*>(room);
  rte_pktmbuf_free(frame_);  // longer than the port's buffers
  frame_ = nullptr;
  return scratch_.data();
}

void RingFeeder::commit(size_t) {
  if (frame_ == nullptr) return refused_.increment();
  Queue& queue = queues_[queue_];
  queue.frames[queue.count++] = frame_;
  frame_ = nullptr;
  if (queue.count == kBurst) send(queue_);
}

void RingFeeder::flush() {
  for (uint16_t q = 0; q < queues_.size(); ++q) send(q);
}

void RingFeeder::send(uint16_t index) {
  Queue& queue = queues_[index];
  unsigned sent = 0;
  for (unsigned turns = 0; sent < queue.count;) {
    const unsigned took = rte_eth_tx_burst(port_, index, queue.frames + sent, static_cast<uint16_t>(queue.count - sent));
    sent += took;
    if (took != 0) continue;
    if (when_full_ == WhenFull::refuse || !wait_once(turns)) break;
  }
  if (sent < queue.count) {
    refused_.add(queue.count - sent);
    rte_pktmbuf_free_bulk(queue.frames + sent, queue.count - sent);
  }
  queue.count = 0;
}

}  // namespace weir::dataplane
