// tap_collector.h — A collector behind a TAP, and who sends to it: what leaves this host by the TAP arrives there. Needs root and ip(8), and
// a network namespace of the test's own.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "two_hosts.h"

namespace weir::dataplane::testing {

inline DataPlaneConfig collector(const std::string& device, IdlePolicy idle) {
  DataPlaneConfig config;
  config.idle = idle;
  config.eal.memory_mb = 128;
  config.eal.log = [](EalLogLevel, std::string_view) {};
  config.dpdk_ports.push_back({.name = "wire", .device = device});
  config.pipeline = netflow_pipeline();
  config.pipeline.batcher.buffers = 256;
  return config;
}

/// By tap9, to 192.0.2.2. -1: the kernel does not do it.
inline int sender_by_tap() {
  const bool is_laid = TwoHosts::here("ip link set tap9 up") && TwoHosts::here("ip addr replace 192.0.2.1/24 dev tap9") &&
                       TwoHosts::here("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev tap9 nud permanent");
  return is_laid ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
}

inline bool send_to_collector(int fd) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(kNetflowPort);
  inet_pton(AF_INET, "192.0.2.2", &to.sin_addr);
  const lab::Octets payload = v5_datagram(1);
  return sendto(fd, payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) ==
         static_cast<ssize_t>(payload.size());
}

}  // namespace weir::dataplane::testing
