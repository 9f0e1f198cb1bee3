// bare_receivers.h — The least that receives by a kernel socket, a ring of af_packet or an AF_XDP socket: the yardsticks of ports.
//
// Each takes up to kBareBurst datagrams, looks at an octet of each cache line and gives their room back. No bounds but its own, no counters but one,
// no ledger; it sleeps in the kernel when nothing is there. Their buffers and options are those of Weir's ports.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "dataplane/data_plane.h"

namespace weir::perf {

inline constexpr unsigned kBareBurst = 32;  // as dataplane::kBurst

class BareReceiver {
 public:
  virtual ~BareReceiver() = default;
  /// Takes a burst of what is there, or sleeps for up to 100 ms until there is something. How many NetFlow v5 datagrams.
  virtual unsigned take() = 0;
};

/// At `address`, with `buffer_octets` of SO_RCVBUF and the kernel's time of arrival: recvmmsg that waits for one.
Result<std::unique_ptr<BareReceiver>> open_bare_socket(const std::string& address, uint16_t port, int buffer_octets);
/// A ring of `frames` of TPACKET_V2, and poll.
Result<std::unique_ptr<BareReceiver>> open_bare_af_packet(const std::string& interface, uint16_t port, unsigned frames);
/// An AF_XDP socket of queue 0 with a ring of `frames`, and poll. Weir's own XDP program gives it the datagrams.
Result<std::unique_ptr<BareReceiver>> open_bare_af_xdp(const std::string& interface, uint16_t port, unsigned frames);

/// DPDK's driver of that configuration's one port, and poll on its socket.
Result<std::unique_ptr<BareReceiver>> open_bare_driver(const dataplane::DataPlaneConfig& config);

}  // namespace weir::perf
