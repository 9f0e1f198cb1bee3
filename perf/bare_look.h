// bare_look.h — What bare receive loops do with a datagram or a frame.
#pragma once

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <poll.h>

#include <cstdint>

#include "base/byte_order.h"
#include "base/spsc_ring.h"

namespace weir::perf {

/// Looks at one octet of each cache line, as whoever wants to know what is in it has to at least: what another CPU wrote
/// comes over with that. Whether the datagram is of NetFlow v5.
inline bool is_v5(const uint8_t* payload, uint32_t octets) {
  uint8_t all = 0;
  for (uint32_t at = 0; at < octets; at += kCacheLineBytes) all |= payload[at];
  asm volatile("" : : "r"(all));  // it is looked at
  return load_be16(payload) == 5;
}

/// Whether a frame is a datagram of NetFlow v5 to that port, without tag and IP options.
inline bool is_export(const uint8_t* frame, uint32_t octets, uint16_t port) {
  constexpr uint32_t kIpAt = 14, kUdpAt = kIpAt + 20, kPayloadAt = kUdpAt + 8;
  return octets > kPayloadAt + 2 && load_be16(frame + 12) == ETH_P_IP && frame[kIpAt] == 0x45 && frame[kIpAt + 9] == IPPROTO_UDP &&
         load_be16(frame + kUdpAt + 2) == port && is_v5(frame + kPayloadAt, octets - kPayloadAt);
}

/// Sleeps until there is something, or for 100 ms.
inline void wait_for_frames(int fd) {
  pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
  poll(&one, 1, 100);
}

}  // namespace weir::perf
