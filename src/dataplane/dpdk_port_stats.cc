#include "dataplane/dpdk_port.h"

#include <rte_ethdev.h>

#include <algorithm>

#include "dataplane/driver_sockets.h"
#include "dataplane/link_speed.h"

namespace weir::dataplane {

bool DpdkDevice::is_at_end() const noexcept {
  return replays_files_ && std::all_of(queues_.begin(), queues_.end(), [](const auto& queue) {
           return queue->is_drained.load(std::memory_order_acquire);
         });
}

void DpdkDevice::read_packet_socket_drops() {
  for (const int fd : sockets_) packet_socket_drops_ += take_packet_socket_drops(fd).value_or(0);
}

/// Frames that found the receive rings full.
uint64_t DpdkDevice::read_xdp_socket_drops() {
  XdpSocketDrops sum;
  for (const int fd : sockets_) {
    const XdpSocketDrops of_queue = xdp_socket_drops(fd).value_or(XdpSocketDrops{});
    sum.ring_full += of_queue.ring_full;
    sum.invalid_sent += of_queue.invalid_sent;
  }
  invalid_sent_ = sum.invalid_sent;
  return sum.ring_full;
}

/// What may come during a nap depends on what the link is.
void DpdkDevice::follow_link(bool is_up, uint32_t told_mbps) noexcept {
  if (tells_sender(spec_)) return;
  const uint32_t mbps = link_mbps(is_up, told_mbps, fastest_mbps_);
  for (const std::unique_ptr<RxQueue>& queue : queues_)
    queue->long_nap_ns.store(long_nap_of_ring_ns(queue->frames, mbps), std::memory_order_relaxed);
}

PortStats DpdkDevice::stats() {
  if (last_stats_) return *last_stats_;
  PortStats stats;
  stats.name = config_.name;
  stats.kind = "dpdk";
  stats.driver = driver_;
  stats.device = config_.device;
  stats.at_end = is_at_end();
  for (const std::string& note : {note_, steering_note_, stamps_.note(queues_)}) {
    if (!stats.note.empty() && !note.empty()) stats.note += "; ";
    stats.note += note;
  }

  rte_eth_link link{};
  if (rte_eth_link_get_nowait(port_id_, &link) == 0) {
    stats.link_up = link.link_status == RTE_ETH_LINK_UP;
    follow_link(stats.link_up, link.link_speed);
  }
  if (interface_) stats.trouble = interface_->trouble();
  if (!stats.trouble.empty()) stats.link_up = false;
  // The others' still come, and the host is reached.
  if (stats.trouble.empty() && spec_.driver == "net_af_xdp" && interface_) stats.trouble = interface_->more_queues();
  rte_eth_stats counters{};
  if (rte_eth_stats_get(port_id_, &counters) != 0) return stats;
  stats.packets = counters.ipackets;
  stats.octets = counters.ibytes;
  stats.errors = counters.ierrors;
  if (driver_ != "net_af_xdp") stats.no_mbuf = counters.rx_nombuf;  // there it counts polls

  if (driver_ == "net_af_packet") {
    read_packet_socket_drops();
    if (!sockets_.empty()) stats.missed = packet_socket_drops_;
  } else if (driver_ == "net_af_xdp") {
    if (!sockets_.empty()) stats.missed = counters.imissed + read_xdp_socket_drops();
  } else if (!hides_drops(spec_)) {
    stats.missed = counters.imissed;
  }
  return stats;
}

}  // namespace weir::dataplane
