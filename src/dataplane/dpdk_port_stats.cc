#include "dataplane/dpdk_port.h"

#include <fmt/format.h>
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

std::optional<uint16_t> DpdkDevice::mtu() const {
  if (interface_) return interface_->mtu();
  uint16_t mtu = 0;
  if (rte_eth_dev_get_mtu(port_id_, &mtu) != 0) return {};
  return mtu;
}

void DpdkDevice::find_tap(std::vector<int> keepers, std::vector<int> queues) {
  tap_ = TapDevice::of(std::move(keepers), std::move(queues));
  if (tap_) interface_.emplace(tap_->name());
}

/// Somebody has deleted the interface that net_tap made, and perhaps made another of its name.
std::string DpdkDevice::make_tap_again() {
  // What comes by another interface (remote=) comes by rules there, which lead to the one that was.
  if (!spec_.values("remote").empty()) return fmt::format("interface {} is gone: restart to have it again", tap_->name());
  const Result<void> made = tap_->make_again();
  if (!tap_->is_gone()) {
    interface_.emplace(tap_->name());
    ++taps_made_again_;
  }
  return made ? fmt::format("interface {} was deleted, and is made again", tap_->name()) : made.error().message;
}

/// Why nothing arrives, where the device or the kernel says that much.
std::string DpdkDevice::link_trouble(bool is_up) {
  if (interface_) {
    if (tap_ && is_started_ && tap_->is_gone()) return make_tap_again();
    return interface_->trouble();
  }
  return !is_up && tells_of_other_side(spec_) ? "nobody is connected to it" : std::string();
}

PortStats DpdkDevice::stats() {
  if (last_stats_) return *last_stats_;
  PortStats stats;
  stats.name = config_.name;
  stats.kind = "dpdk";
  stats.driver = driver_;
  stats.device = config_.device;
  stats.at_end = is_at_end();
  const std::string made_again =
      taps_made_again_ == 0 ? std::string()
                            : fmt::format("its interface was deleted, and made again ({}): addresses and routes that it had are to be set again", taps_made_again_);
  for (const std::string& note : {note_, steering_note_, stamps_.note(queues_), made_again}) {
    if (!stats.note.empty() && !note.empty()) stats.note += "; ";
    stats.note += note;
  }

  rte_eth_link link{};
  if (rte_eth_link_get_nowait(port_id_, &link) == 0) {
    stats.link_up = link.link_status == RTE_ETH_LINK_UP;
    follow_link(stats.link_up, link.link_speed);
  }
  stats.trouble = link_trouble(stats.link_up);
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
