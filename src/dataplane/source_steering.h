// source_steering.h — Which of several sockets of one UDP port a datagram comes to: by its source address.
//
// Runs on:  control_thread, when sockets are opened.
// Failure:  an Error; the kernel then goes on as without.
//
// The kernel's own choice among sockets with SO_REUSEPORT hashes ports, too: an exporter that sends templates from one
// and data from another would meet two threads. A classic BPF program at the group says the number of the socket,
// in the order of their binding, from the address in the IP header (SKF_NET_OFF), of IPv4 and IPv6 alike. It needs no
// privilege. Sockets of all ports go by the same numbers, so an exporter meets one thread whatever it sends to.
//
// Private to src/dataplane.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace weir::dataplane {

/// Returns 0 to `sockets` - 1. `seed` is drawn at start, so that nobody can choose addresses that all meet one.
std::vector<sock_filter> steering_program(uint16_t sockets, uint32_t seed);

/// `fd` is one of at least two bound sockets of the group.
Result<void> steer_by_source(int fd, uint16_t sockets, uint32_t seed);

}  // namespace weir::dataplane
