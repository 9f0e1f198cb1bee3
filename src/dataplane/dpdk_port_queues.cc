// dpdk_port_queues.cc — What a DPDK device is told before it starts: its queues, what spreads over them, their buffers.
#include "dataplane/dpdk_port.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <utility>

#include "dataplane/link_speed.h"
#include "dataplane/port_mtu.h"
#include "dataplane/rss_check.h"
#include "dataplane/umem_pool.h"

namespace weir::dataplane {
namespace {

constexpr uint32_t kTapFrames = 500;  // that the kernel keeps for whoever reads a TAP (TUN_READQ_SIZE)
constexpr uint16_t kTxDescriptors = 512;

std::string reason(int negative_errno) { return rte_strerror(-negative_errno); }

}  // namespace

Result<void> DpdkDevice::configure() {
  rte_eth_dev_info info{};
  if (const int rc = rte_eth_dev_info_get(port_id_, &info); rc != 0)
    return error(fmt::format("tells nothing about itself: {}", reason(rc)));
  driver_ = info.driver_name != nullptr ? info.driver_name : spec_.driver;
  fastest_mbps_ = fastest_mbps(info.speed_capa);
  if (chooses_descriptors_) choose_descriptors();

  const uint16_t queues = queues_of(config_, spec_);
  if (queues > info.max_rx_queues)
    return error(fmt::format("{} queues asked, it has {}", queues, info.max_rx_queues));
  // Several drivers want as many queues out as in.
  const uint16_t tx_queues = info.max_tx_queues >= queues ? queues : uint16_t{0};
  if (config_.exception.is_on() && tx_queues == 0)
    return error(fmt::format("{} queues to send by, and exception.interface wants {}", info.max_tx_queues, queues));

  rte_eth_conf conf{};
  if (queues > 1) ask_for_rss(info.flow_type_rss_offloads, conf);
  if (config_.mtu != 0)
    if (const std::string why = ask_for_mtu(config_.mtu, data_room(config_, spec_), info, conf); !why.empty()) return error(why);
  conf.intr_conf.rxq = wants_interrupts_ ? 1 : 0;
  const bool can_stamp = (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_TIMESTAMP) != 0;
  stamps_.set_asked(config_.device_stamps && can_stamp);
  if (config_.device_stamps && !can_stamp) add_note("the device has no time stamps (device_stamps): they are of the burst");
  if (stamps_.is_asked()) conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_TIMESTAMP;
  if (const int rc = configure_as_it_can(queues, tx_queues, conf); rc != 0)
    return error(fmt::format("cannot be configured with {} queues: {}", queues, reason(rc)));

  uint16_t rx_descriptors = config_.rx_descriptors;
  uint16_t tx_descriptors = kTxDescriptors;
  rte_eth_dev_adjust_nb_rx_tx_desc(port_id_, &rx_descriptors, &tx_descriptors);
  if (rx_descriptors != config_.rx_descriptors)
    add_note(fmt::format("{} receive descriptors", rx_descriptors));
  for (uint16_t q = 0; q < queues; ++q)
    if (Result<void> made = make_queue(q, rx_descriptors, q < tx_queues ? tx_descriptors : uint16_t{0}); !made) return made;
  return {};
}

/// As many as its speed wants; fewer, where memory does not hold their buffers.
void DpdkDevice::choose_descriptors() {
  const uint16_t wanted = descriptors_for(fastest_mbps_), most = config_.rx_descriptors;
  config_.rx_descriptors = std::min(wanted, most);
  if (most < wanted)
    add_note(fmt::format("{} receive descriptors, and {} Gbit/s want {}: memory_mb, or mbufs, holds no more", most, fastest_mbps_ / 1000, wanted));
}

void DpdkDevice::ask_for_rss(uint64_t offered, rte_eth_conf& conf) {
  // net_tap takes the wish and does nothing about it: the kernel spreads flows, ports included.
  const uint64_t hash = rss_to_ask(spec_.driver == "net_tap" ? 0 : offered);
  // Workers mend what hashing more than the source does.
  if (const std::string_view shortcoming = rss_shortcoming(hash); !shortcoming.empty() && config_.workers == 0)
    add_note(shortcoming);
  if (hash != 0) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = hash;
    rss_hash_ = hash;
  } else if (!replays_files_ && config_.queues > 1 && config_.workers == 0) {
    // The kernel's fan-out hashes ports, too, and gives to another queue when one is full.
    add_note(spec_.driver == "net_af_packet"
                 ? "no RSS on addresses: one exporter's datagrams may meet several cores when its "
                   "source port changes or a queue is full"
                 : "no RSS on addresses: one exporter's datagrams may meet several cores");
  }
}

/// Without stamps, then without interrupts, where it does not take them after all. What the driver said of the last try.
int DpdkDevice::configure_as_it_can(uint16_t rx_queues, uint16_t tx_queues, rte_eth_conf& conf) {
  int configured = rte_eth_dev_configure(port_id_, rx_queues, tx_queues, &conf);
  if (configured != 0 && stamps_.is_asked()) {
    stamps_.set_asked(false);
    conf.rxmode.offloads &= ~uint64_t{RTE_ETH_RX_OFFLOAD_TIMESTAMP};
    add_note(fmt::format("no time stamps of the device, which says that it has them: {}", reason(configured)));
    configured = rte_eth_dev_configure(port_id_, rx_queues, tx_queues, &conf);
  }
  if (configured != 0 && wants_interrupts_) {
    conf.intr_conf.rxq = 0;  // find_interrupts says that there are none
    configured = rte_eth_dev_configure(port_id_, rx_queues, tx_queues, &conf);
  }
  return configured;
}

/// A receive queue with buffers of its own, and the transmit queue beside it where it has descriptors.
Result<void> DpdkDevice::make_queue(uint16_t index, uint16_t rx_descriptors, uint16_t tx_descriptors) {
  unsigned numa = 0;
  rte_mempool* const pool = make_pool(index, numa);
  if (pool == nullptr)
    return error(fmt::format("no memory for {} mbufs of {} octets: {}", pool_mbufs(config_, spec_), data_room(config_, spec_), rte_strerror(rte_errno)));
  if (spec_.driver == "net_af_xdp") leave_within_umem(*pool);
  pools_.push_back(pool);
  if (const int rc = rte_eth_rx_queue_setup(port_id_, index, rx_descriptors, numa, nullptr, pool); rc != 0)
    return error(fmt::format("receive queue {}: {}", index, reason(rc)));
  if (tx_descriptors != 0)
    if (const int rc = rte_eth_tx_queue_setup(port_id_, index, tx_descriptors, numa, nullptr); rc != 0)
      return error(fmt::format("transmit queue {}: {}", index, reason(rc)));

  auto queue = std::make_unique<RxQueue>();
  queue->port = port_id_;
  queue->queue = index;
  queue->rules = {.checksums = {.ip_header = config_.checksums, .udp = config_.checksums},
                  .vlans = config_.vlans.empty() ? nullptr : &vlans_};
  queue->is_endless = replays_files_ || driver_ == "net_null";
  queue->frames = spec_.driver == "net_af_packet" ? af_packet_ring(spec_).frames
                  : spec_.driver == "net_tap"     ? std::min<uint32_t>(rx_descriptors, kTapFrames)
                                                  : rx_descriptors;
  queue->long_nap_ns = tells_sender(spec_) ? kLongNapMaxNs : long_nap_of_ring_ns(queue->frames, fastest_mbps_);
  queues_.push_back(std::move(queue));
  return {};
}

/// On the device's NUMA node, `numa`, or on any where that has no memory for it. None: rte_errno says why.
rte_mempool* DpdkDevice::make_pool(uint16_t queue, unsigned& numa) {
  // net_af_xdp sends from it too, on a thread that may lose its CPU at any moment: with this ring the receive core
  // need not wait for that. Workers give back what the receive core takes, a replay fills rings from it: likewise.
  const bool is_shared = (spec_.driver == "net_af_xdp" && config_.exception.is_on()) || config_.workers != 0 ||
                         spec_.driver == "net_ring";
  const auto pool_on = [&](int node) {
    return rte_pktmbuf_pool_create_by_ops(pool_name(port_id_, queue).c_str(), pool_mbufs(config_, spec_), pool_cache(config_, spec_), 0,
                                          static_cast<uint16_t>(data_room(config_, spec_)), node, is_shared ? "ring_mt_rts" : nullptr);
  };
  const int node = rte_eth_dev_socket_id(port_id_);
  numa = node < 0 ? 0 : static_cast<unsigned>(node);
  rte_mempool* pool = pool_on(node < 0 ? SOCKET_ID_ANY : node);
  if (pool == nullptr && node >= 0) {  // what the operator gave to that node is used up
    numa = static_cast<unsigned>(SOCKET_ID_ANY);
    pool = pool_on(SOCKET_ID_ANY);
    if (pool != nullptr && queue == 0) add_note(fmt::format("buffers are not on NUMA node {}, which is the device's: it has no memory for them", node));
  }
  return pool;
}

}  // namespace weir::dataplane
