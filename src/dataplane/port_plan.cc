#include "dataplane/port_plan.h"

#include <fmt/format.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstdio>

#include "dataplane/device_name.h"
#include "dataplane/naps.h"
#include "dataplane/umem_pool.h"
#include "dataplane/worker_lane.h"

namespace weir::dataplane {
namespace {

constexpr uint32_t kDataRoomOctets = 2048 + RTE_PKTMBUF_HEADROOM;
// Frames of 9000 octets with their headers, in the form that net_af_packet wants: a frame is a
// multiple of 16, a block of the page size, and a block holds whole frames. 2048 frames outlast
// some milliseconds in which the receive core is not on its CPU.
constexpr uint32_t kAfPacketFrameOctets = 9216;
constexpr uint32_t kAfPacketBlockOctets = 4 * kAfPacketFrameOctets;
constexpr uint32_t kAfPacketFrames = 2048;
constexpr uint32_t kAfPacketFrameOctetsOfDriver = 2048;  // unless it is told
constexpr uint32_t kAfXdpFillMbufs = 2048;  // what it takes for itself, a queue
constexpr uint32_t kAfXdpSendMbufs = 2048;  // as many as its ring for sending has places
constexpr uint32_t kBurstMbufs = 32;
constexpr uint32_t kPoolMbufsMin = 2 * kBurstMbufs - 1;  // of drivers that keep none: 2^n - 1
constexpr uint32_t kPoolCacheMbufs = 256;
constexpr uint32_t kWorkerCacheMbufsMin = 32;  // of a pool with workers, whose mbufs are few
constexpr uint32_t kMbufOverheadOctets = sizeof(rte_mbuf) + 128;  // header, spread over channels
constexpr uint64_t kMbufPlaceOctets = 16;  // in the pool's ring
constexpr uint32_t kPageOctets = 4096;
constexpr uint16_t kMtuExpected = 1500;  // of a device that has not been asked
constexpr uint64_t kHugepageOctets = 2u << 20;

std::string canonical_pci_address(const std::string& text) {
  unsigned domain = 0, bus = 0, device = 0, function = 0;
  if (std::sscanf(text.c_str(), "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4) {
    domain = 0;
    std::sscanf(text.c_str(), "%x:%x.%x", &bus, &device, &function);
  }
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", domain, bus, device, function);
}

uint32_t number_of(const DeviceSpec& spec, std::string_view key, uint32_t fallback) {
  const std::vector<std::string> found = spec.values(key);
  uint32_t value = fallback;
  if (!found.empty()) std::sscanf(found.back().c_str(), "%u", &value);
  return value;
}

/// Its queues hold mbufs for frames to come, one a descriptor.
bool keeps_mbufs(const DeviceSpec& spec) {
  const std::string& d = spec.driver;
  return d != "net_null" && d != "net_pcap" && d != "net_ring" && d != "net_af_packet";
}

}  // namespace

DeviceSpec DeviceSpec::parse(std::string_view device) {
  DeviceSpec spec;
  const size_t comma = device.find(',');
  spec.name = std::string(device.substr(0, comma));
  if (comma != std::string_view::npos) spec.arguments = std::string(device.substr(comma + 1));
  spec.is_pci = is_pci_address(spec.name);
  if (spec.is_pci) {
    spec.name = canonical_pci_address(spec.name);
  } else {
    spec.driver = spec.name;
    while (!spec.driver.empty() &&
           std::isdigit(static_cast<unsigned char>(spec.driver.back())) != 0)
      spec.driver.pop_back();
  }
  return spec;
}

std::vector<std::string> DeviceSpec::values(std::string_view key) const {
  std::vector<std::string> found;
  std::string_view rest = arguments;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view pair = rest.substr(0, comma);
    const size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == key)
      found.emplace_back(pair.substr(equals + 1));
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return found;
}

std::string_view queues_argument(const DeviceSpec& spec) {
  if (spec.driver == "net_af_packet") return "qpairs";
  if (spec.driver == "net_af_xdp") return "queue_count";
  if (spec.driver == "net_vhost" || spec.driver == "net_virtio_user") return "queues";
  return {};
}

std::vector<std::string> interfaces_of(const DeviceSpec& spec) {
  std::vector<std::string> found;
  if (spec.driver != "net_af_packet" && spec.driver != "net_af_xdp" && spec.driver != "net_pcap")
    return found;
  for (const std::string_view key : {"iface", "rx_iface", "rx_iface_in"})
    for (std::string& name : spec.values(key)) found.push_back(std::move(name));
  return found;
}

bool replays_files(const DeviceSpec& spec) {
  return spec.driver == "net_pcap" && !spec.values("rx_pcap").empty();
}

bool replays_for_ever(const DeviceSpec& spec) {
  const std::vector<std::string> value = spec.values("infinite_rx");
  return !value.empty() && value.back() != "0";
}

uint32_t queues_in_device(const DeviceSpec& spec) {
  const std::string_view key = queues_argument(spec);
  return key.empty() || spec.values(key).empty() ? 0 : number_of(spec, key, 0);
}

bool wants_own_xdp_program(const DeviceSpec& spec) {
  return spec.driver == "net_af_xdp" && spec.values("xdp_prog").empty();
}

uint32_t first_queue(const DeviceSpec& spec) { return number_of(spec, "start_queue", 0); }

uint16_t queues_of(const DpdkPort& port, const DeviceSpec& spec) {
  const size_t files = spec.driver == "net_pcap" ? spec.values("rx_pcap").size() : 0;
  const size_t device = std::max<size_t>(files, queues_in_device(spec));
  return static_cast<uint16_t>(std::min<size_t>(std::max<size_t>(port.queues, device), UINT16_MAX));
}

AfPacketRing af_packet_ring(const DeviceSpec& spec) {
  const bool has_own = !spec.values("framesz").empty() || !spec.values("blocksz").empty();
  return {.frame_octets = number_of(spec, "framesz", has_own ? kAfPacketFrameOctetsOfDriver : kAfPacketFrameOctets),
          .block_octets = number_of(spec, "blocksz", has_own ? kPageOctets : kAfPacketBlockOctets),
          .frames = number_of(spec, "framecnt", kAfPacketFrames)};
}

std::string driver_arguments(const DeviceSpec& spec, uint16_t queues) {
  std::string arguments = spec.arguments;
  const auto add = [&](std::string_view key, uint32_t value) {
    if (!spec.values(key).empty()) return;
    arguments += fmt::format("{}{}={}", arguments.empty() ? "" : ",", key, value);
  };
  if (spec.driver == "net_af_packet") {
    // By default frames are cut at 1982 octets, without a word.
    if (spec.values("framesz").empty() && spec.values("blocksz").empty()) {
      add("framesz", kAfPacketFrameOctets);
      add("blocksz", kAfPacketBlockOctets);
    }
    add("framecnt", kAfPacketFrames);
  }
  if (const std::string_view key = queues_argument(spec); !key.empty() && queues > 1)
    add(key, queues);
  return arguments;
}

bool tells_sender(const DeviceSpec& spec) {
  return spec.driver == "net_ring" || spec.driver == "net_memif" || spec.driver == "net_vhost";
}

bool tells_of_other_side(const DeviceSpec& spec) {
  return spec.driver == "net_memif" || spec.driver == "net_vhost" || spec.driver == "net_virtio_user";
}

bool takes_mtu(const DeviceSpec& spec) {
  return spec.is_pci || tells_of_other_side(spec) || spec.driver == "net_ring" || spec.driver == "net_bonding";
}

bool hides_drops(const DeviceSpec& spec) {
  const std::string& d = spec.driver;
  if (d == "net_tap" || d == "net_ring" || d == "net_memif") return true;
  const std::vector<std::string> bonded = spec.values("slave");
  return std::any_of(bonded.begin(), bonded.end(), [](const std::string& name) { return !is_pci_address(name); });
}

uint16_t rx_descriptors_of(const DpdkPort& port) { return port.rx_descriptors != 0 ? port.rx_descriptors : kRxDescriptors; }

std::vector<uint16_t> rx_descriptors_max(std::span<const DpdkPort> ports, const EalConfig& eal) {
  for (uint16_t most = kRxDescriptorsMax;; most = static_cast<uint16_t>(most / 2)) {
    std::vector<uint16_t> descriptors;
    uint64_t octets = kEalOctets;
    for (DpdkPort port : ports) {
      const DeviceSpec spec = DeviceSpec::parse(port.device);
      if (port.rx_descriptors == 0) {
        port.rx_descriptors = spec.is_pci ? most : kRxDescriptors;
        while (port.rx_descriptors > kRxDescriptors && port.mbufs != 0 && port.mbufs < pool_mbufs_min(port, spec))
          port.rx_descriptors = static_cast<uint16_t>(port.rx_descriptors / 2);
      }
      octets += memory_octets(port, eal.hugepages);
      descriptors.push_back(port.rx_descriptors);
    }
    if (most == kRxDescriptors || octets <= (uint64_t{eal.memory_mb} << 20) / 4 * 3) return descriptors;
  }
}

uint32_t data_room(const DpdkPort& port, const DeviceSpec& spec) {
  if (port.data_room_octets != 0) return port.data_room_octets;
  if (spec.driver == "net_af_packet" || spec.driver == "net_null") {
    return std::clamp(std::max(data_room_min(spec), kDataRoomOctets), kDataRoomOctetsMin,
                      kDataRoomOctetsMax);
  }
  if (spec.driver == "net_af_xdp") return kAfXdpDataRoomOctets;
  return kDataRoomOctets;  // longer frames come in chains
}

uint32_t exception_frame_octets_max(uint16_t mtu) {
  constexpr uint32_t kEthernetOctets = 14, kTwoTagsOctets = 8, kUnit = 8;
  return (mtu + kEthernetOctets + kTwoTagsOctets) / kUnit * kUnit + kUnit;
}

std::string why_no_exceptions(const DeviceSpec& spec) {
  if (spec.driver == "net_af_packet" || (spec.driver == "net_pcap" && !replays_files(spec))) {
    const std::vector<std::string> names = interfaces_of(spec);
    return fmt::format("{} takes copies: the kernel has all frames of {} anyway, so give that its addresses", spec.driver,
                       names.empty() ? "the interface" : names.back());
  }
  if (spec.driver == "net_pcap" || spec.driver == "net_null") return fmt::format("{} is no network", spec.driver);
  return {};
}

uint32_t data_room_min(const DeviceSpec& spec) {
  // net_null writes and tells its size whatever room there is.
  if (spec.driver == "net_null") return number_of(spec, "size", 64) + RTE_PKTMBUF_HEADROOM;
  if (spec.driver == "net_af_packet")
    return af_packet_ring(spec).frame_octets + RTE_PKTMBUF_HEADROOM;
  return 0;
}

uint32_t pool_mbufs(const DpdkPort& port, const DeviceSpec& spec) {
  if (port.mbufs != 0) return port.mbufs;
  // Descriptors, a burst in work, and what the core's cache of the pool keeps (up to 1.5 times).
  uint32_t needed = rx_descriptors_of(port) + 2 * kBurstMbufs + kPoolCacheMbufs * 3 / 2;
  if (spec.driver == "net_af_xdp") needed += kAfXdpFillMbufs;
  // It sends from the buffers that it receives in.
  if (spec.driver == "net_af_xdp" && port.exception.is_on()) needed += kAfXdpSendMbufs;
  needed += port.workers * (static_cast<uint32_t>(kLaneFrames) + kBurstMbufs + kPoolCacheMbufs * 3 / 2);
  if (spec.driver == "net_af_xdp") needed += mbufs_beyond_umem(needed);
  return std::bit_ceil(needed + 1) - 1;  // mempools like 2^n - 1
}

uint32_t pool_mbufs_min(const DpdkPort& port, const DeviceSpec& spec) {
  // A worker has a burst in work, and what its own cache of the pool keeps is out of the receive core's reach.
  const uint32_t of_workers = port.workers * (kBurstMbufs + kWorkerCacheMbufsMin * 3 / 2);
  if (!keeps_mbufs(spec)) return kPoolMbufsMin + of_workers;
  const bool is_umem = spec.driver == "net_af_xdp";
  const uint32_t needed = rx_descriptors_of(port) + (is_umem ? kAfXdpFillMbufs : 0) + 2 * kBurstMbufs + of_workers;
  return is_umem ? needed + mbufs_beyond_umem(needed) : needed;
}

std::string pool_name(uint16_t port, uint16_t queue) { return fmt::format("weir_{}_{}", port, queue); }

uint32_t pool_cache(const DpdkPort& port, const DeviceSpec& spec) {
  const uint32_t mbufs = pool_mbufs(port, spec);
  if (port.workers == 0) return std::min(kPoolCacheMbufs, mbufs / 2);
  const uint32_t least = pool_mbufs_min(port, spec);
  const uint32_t to_spare = mbufs > least ? mbufs - least : 0;
  return std::min(kPoolCacheMbufs, kWorkerCacheMbufsMin + to_spare / (2u * port.workers));
}

namespace {

/// Of the device, or of the kernel's under it.
std::optional<unsigned> node_of(const DpdkPort& port) {
  const DeviceSpec spec = DeviceSpec::parse(port.device);
  if (spec.is_pci) return node_of_pci(spec.name);
  const std::vector<std::string> names = interfaces_of(spec);
  return names.empty() ? std::nullopt : node_of_interface(names.back());
}

}  // namespace

PortDemand demand_of(const DpdkPort& port) {
  const uint16_t queues = queues_of(port, DeviceSpec::parse(port.device));
  return {port.name, queues, std::min(port.queues, queues), port.lcores, port.workers, port.worker_lcores, node_of(port)};
}

uint64_t memory_octets(const DpdkPort& port, bool hugepages) {
  const DeviceSpec spec = DeviceSpec::parse(port.device);
  const uint64_t element = data_room(port, spec) + kMbufOverheadOctets;
  const uint64_t mbufs = pool_mbufs(port, spec);
  // No mbuf lies across two pages, unless it is longer than one: without hugepages most have a page each.
  const uint64_t page = hugepages ? kHugepageOctets : kPageOctets;
  const uint64_t octets = element <= page ? (mbufs / (page / element) + 1) * page
                                          : mbufs * ((element + page - 1) / page) * page;
  const uint64_t to_receive = (octets + mbufs * kMbufPlaceOctets) * queues_of(port, spec);
  if (!port.exception.is_on()) return to_receive;
  const uint16_t mtu = port.exception.mtu != 0 ? port.exception.mtu : kMtuExpected;
  const uint64_t to_send = exception_frame_octets_max(mtu) + kMbufOverheadOctets + RTE_PKTMBUF_HEADROOM;
  return to_receive + kExceptionMbufs * ((to_send + kPageOctets - 1) / kPageOctets * kPageOctets);
}

uint64_t locked_octets(const DpdkPort& port, const DeviceSpec& spec, bool hugepages) {
  if (spec.driver == "net_af_xdp") return memory_octets(port, hugepages);
  if (spec.driver != "net_af_packet") return 0;
  const AfPacketRing ring = af_packet_ring(spec);
  return uint64_t{2} * ring.frame_octets * ring.frames * queues_of(port, spec);  // to receive and to send
}

}  // namespace weir::dataplane
