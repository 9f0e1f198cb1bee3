#include "dataplane/ring_device.h"

#include <fmt/format.h>
#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <bit>

namespace weir::dataplane {
namespace {

/// "0" of net_ring0.
std::string instance_of(const DeviceSpec& spec) { return spec.name.substr(spec.driver.size()); }

std::string ring_name(const DeviceSpec& spec, uint16_t queue) { return fmt::format("weir_ring_{}_{}", instance_of(spec), queue); }

}  // namespace

uint32_t RingDevice::room(const DeviceSpec& spec, uint16_t queue) {
  const rte_ring* const ring = rte_ring_lookup(ring_name(spec, queue).c_str());
  return ring == nullptr ? 0 : rte_ring_get_capacity(ring);
}

std::string RingDevice::port_name(const DeviceSpec& spec) { return "net_ring_" + instance_of(spec); }

Result<std::unique_ptr<RingDevice>> RingDevice::make(const DeviceSpec& spec, uint16_t queues, uint32_t frames) {
  std::unique_ptr<RingDevice> made(new RingDevice);
  for (uint16_t q = 0; q < queues; ++q) {
    rte_ring* const ring = rte_ring_create(ring_name(spec, q).c_str(), std::bit_ceil(frames), SOCKET_ID_ANY,
                                           RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (ring == nullptr) return Error{fmt::format("a ring of {} frames: {}", frames, rte_strerror(rte_errno))};
    made->rings_.push_back(ring);
  }
  if (rte_eth_from_rings(instance_of(spec).c_str(), made->rings_.data(), queues, made->rings_.data(), queues, 0) < 0)
    return Error{fmt::format("the driver refuses its rings: {}", rte_strerror(rte_errno))};
  made->port_name_ = port_name(spec);
  return made;
}

RingDevice::~RingDevice() {
  if (!port_name_.empty()) rte_vdev_uninit(port_name_.c_str());
  for (rte_ring* const ring : rings_) {
    void* frame = nullptr;
    while (rte_ring_sc_dequeue(ring, &frame) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
    rte_ring_free(ring);
  }
}

}  // namespace weir::dataplane
