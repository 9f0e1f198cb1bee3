#include "memory_wire.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <cstring>

#include "dataplane/port_plan.h"

namespace weir::perf {
namespace {

constexpr size_t kPrefetchAhead = 8;  // as drivers ask for descriptors' buffers

}  // namespace

uint16_t MemoryWire::swap(uint16_t port, uint16_t, rte_mbuf* mbufs[], uint16_t count, uint16_t, void* wire) {
  auto& self = *static_cast<MemoryWire*>(wire);
  const size_t size = self.ring_.size();
  for (uint16_t i = 0; i < count; ++i) {
    const size_t ahead = self.at_ + kPrefetchAhead;
    rte_prefetch0(self.ring_[ahead < size ? ahead : ahead - size]);
    rte_mbuf* const filled = self.ring_[self.at_];
    self.ring_[self.at_] = mbufs[i];
    self.at_ = self.at_ + 1 == size ? 0 : self.at_ + 1;
    filled->data_len = self.frame_octets_;
    filled->pkt_len = self.frame_octets_;
    filled->port = port;
    mbufs[i] = filled;
  }
  return count;
}

Result<std::unique_ptr<MemoryWire>> MemoryWire::lay(const std::vector<lab::Octets>& frames) {
  uint16_t port = 0;
  if (rte_eth_dev_get_port_by_name("net_null0", &port) != 0) return Error{"no port net_null0"};
  rte_mempool* const pool = rte_mempool_lookup(dataplane::pool_name(port, 0).c_str());
  if (pool == nullptr) return Error{"net_null0 has no buffers"};
  std::unique_ptr<MemoryWire> wire(new MemoryWire);
  for (const lab::Octets& frame : frames) {
    wire->frame_octets_ = std::max(wire->frame_octets_, static_cast<uint16_t>(frame.size()));
  }
  // Each buffer there is has a frame: any may come to lie in the ring.
  std::vector<rte_mbuf*> rest;
  for (size_t i = 0; rte_mbuf* const mbuf = rte_pktmbuf_alloc(pool); ++i) {
    const lab::Octets& frame = frames[i % frames.size()];
    char* const room = rte_pktmbuf_append(mbuf, wire->frame_octets_);
    if (room == nullptr) return Error{"a frame is longer than its buffer"};
    std::memset(room, 0, wire->frame_octets_);
    std::memcpy(room, frame.data(), frame.size());
    (i < frames.size() ? wire->ring_ : rest).push_back(mbuf);
  }
  for (rte_mbuf* const mbuf : rest) rte_pktmbuf_free(mbuf);
  if (wire->ring_.size() < std::max(frames.size(), kPrefetchAhead)) return Error{"not a buffer for each frame"};
  if (rte_eth_add_rx_callback(port, 0, swap, wire.get()) == nullptr) return Error{"this DPDK has no receive callbacks"};
  return wire;
}

}  // namespace weir::perf
