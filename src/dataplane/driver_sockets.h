// driver_sockets.h — The kernel sockets inside DPDK's virtual drivers: to wait on, and to ask for
// the drops that the drivers do not report.
//
// Runs on:  control_thread. Waiting on a descriptor is the receive cores'.
// Failure:  none found: the caller naps instead, and says that drops are not counted.
//
// This leans on the drivers' insides (net_af_packet and net_af_xdp of DPDK 22.11): a driver's
// sockets are what the process has open after its port was set up and had not before, in the order
// of queues because the kernel hands out the lowest free descriptor.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace weir::dataplane {

/// Descriptors of this process that are sockets of `domain` (AF_PACKET, AF_XDP), ascending.
std::vector<int> open_sockets(int domain);

/// What is in `after` and not in `before`; both ascending.
std::vector<int> new_sockets(std::span<const int> before, std::span<const int> after);

/// Frames dropped since the last call: reading sets the kernel's counter back.
std::optional<uint64_t> take_packet_socket_drops(int fd);

/// From now on the packet socket sees only what arrives; false: it cannot be told.
bool ignore_outgoing(int fd);

/// What the kernel counts of an AF_XDP socket and the driver does not tell, in frames since it was opened.
struct XdpSocketDrops {
  uint64_t ring_full = 0;     // on receiving
  uint64_t invalid_sent = 0;  // given to be sent from where the kernel takes nothing (tx_invalid_descs)
};
std::optional<XdpSocketDrops> xdp_socket_drops(int fd);

/// Whether the NIC writes frames where the driver reads them, or the kernel copies them there. None: it does not say.
std::optional<bool> is_zero_copy(int fd);

}  // namespace weir::dataplane
