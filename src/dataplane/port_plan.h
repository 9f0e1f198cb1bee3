// port_plan.h — What a DPDK port needs, as its configuration says: driver, queues, buffers, memory.
//
// Runs on:  start-up. Pure.
//
// Private to src/dataplane.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/data_plane.h"
#include "dataplane/placement.h"

namespace weir::dataplane {

inline constexpr uint32_t kDataRoomOctetsMin = 256;
inline constexpr uint32_t kDataRoomOctetsMax = 65'535;
inline constexpr uint32_t kAfXdpDataRoomOctets = 3840;  // the largest that net_af_xdp takes
inline constexpr uint64_t kEalOctets = 4u << 20;         // of DPDK's memory that it uses itself, about

/// `net_pcap0,rx_pcap=a.pcap` in its parts.
struct DeviceSpec {
  bool is_pci = false;
  std::string name;       // net_pcap0; 0000:01:00.0
  std::string driver;     // net_pcap; of a PCI device only known once it is attached
  std::string arguments;  // rx_pcap=a.pcap

  static DeviceSpec parse(std::string_view device);
  /// All values of the argument `key`, in their order.
  std::vector<std::string> values(std::string_view key) const;
};

bool replays_files(const DeviceSpec& spec);
/// It replays files and never ends.
bool replays_for_ever(const DeviceSpec& spec);

/// The argument that tells the driver how many queues to make; empty: it has none.
std::string_view queues_argument(const DeviceSpec& spec);
/// That the device's text asks for in that argument; 0: it does not say.
uint32_t queues_in_device(const DeviceSpec& spec);
/// net_af_xdp, and the operator has no XDP program for it.
bool wants_own_xdp_program(const DeviceSpec& spec);
/// Of the interface that net_af_xdp takes.
uint32_t first_queue(const DeviceSpec& spec);
/// The kernel's interfaces that it receives from. (To net_tap the argument iface names what is to be
/// made, to net_vhost a socket.)
std::vector<std::string> interfaces_of(const DeviceSpec& spec);
/// Queues that must be served: a file is a queue, and what came on one that nobody served would be
/// lost.
uint16_t queues_of(const DpdkPort& port, const DeviceSpec& spec);
/// In which net_af_packet receives; it has a second one like it for sending.
struct AfPacketRing {
  uint32_t frame_octets = 0;
  uint32_t block_octets = 0;
  uint32_t frames = 0;
};
AfPacketRing af_packet_ring(const DeviceSpec& spec);
/// With what the driver is told beyond what the operator wrote, where its own default cuts or starves.
std::string driver_arguments(const DeviceSpec& spec, uint16_t queues);

/// Memory that another program fills: it sees that there is no room, and waits or counts what it gives up.
bool tells_sender(const DeviceSpec& spec);
/// Its link is up while another program, or a guest, is at its other end.
bool tells_of_other_side(const DeviceSpec& spec);
/// Its frames may be longer than Ethernet's usual ones where it is asked to; others go by an interface's MTU, or by none.
bool takes_mtu(const DeviceSpec& spec);
/// Drivers whose counters say nothing of what they drop; a bond has the sum of its devices' counters.
bool hides_drops(const DeviceSpec& spec);

/// Of each queue, where the device itself has not been asked.
uint16_t rx_descriptors_of(const DpdkPort& port);
/// For each port, how many descriptors a queue may have so that all ports' buffers still leave a quarter of DPDK's memory: those that
/// it says, or up to kRxDescriptorsMax of a PCI device that leaves it to us.
std::vector<uint16_t> rx_descriptors_max(std::span<const DpdkPort> ports, const EalConfig& eal);
uint32_t data_room(const DpdkPort& port, const DeviceSpec& spec);
/// What of frames that the port's device would send, with an interface for exceptions: so many buffers, and how long
/// the interface's longest frame may be. No interface's own frame is as long as that: two VLAN tags leave some over.
inline constexpr uint32_t kExceptionMbufs = 2047;
uint32_t exception_frame_octets_max(uint16_t mtu);
/// Up to which the interface follows a device whose MTU somebody may change: more no frame of AF_XDP has.
inline constexpr uint16_t kExceptionMtuRoom = 3506;
/// Why no frame of this device can go to the kernel and back; empty: it can.
std::string why_no_exceptions(const DeviceSpec& spec);

/// Room that the longest frame of the driver takes, headroom included; 0: it makes chains.
uint32_t data_room_min(const DeviceSpec& spec);
uint32_t pool_mbufs(const DpdkPort& port, const DeviceSpec& spec);
/// Fewer, and rings cannot be filled or bursts never be taken.
uint32_t pool_mbufs_min(const DpdkPort& port, const DeviceSpec& spec);
/// That each core's cache of the pool may keep, and half as many again.
uint32_t pool_cache(const DpdkPort& port, const DeviceSpec& spec);
/// What DPDK knows the buffers of a queue by.
std::string pool_name(uint16_t port, uint16_t queue);
PortDemand demand_of(const DpdkPort& port);
/// Of memory that its driver locks: rings that it shares with the kernel, buffers that the kernel fills.
uint64_t locked_octets(const DpdkPort& port, const DeviceSpec& spec, bool hugepages);
/// Of DPDK's memory, about.
uint64_t memory_octets(const DpdkPort& port, bool hugepages);

}  // namespace weir::dataplane
