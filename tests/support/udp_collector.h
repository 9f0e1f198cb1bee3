// udp_collector.h — Some other collector: a UDP socket on a port of its own, and what came there from whom.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace weir::test {

class UdpCollector {
 public:
  explicit UdpCollector(int family = AF_INET, uint32_t buffer_octets = 8 << 20)
      : fd_(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const auto octets = static_cast<int>(buffer_octets);
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets);
    sockaddr_in6 any{};
    any.sin6_family = static_cast<sa_family_t>(family);
    socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof any;
    if (bind(fd_, reinterpret_cast<const sockaddr*>(&any), size) != 0) std::abort();
    getsockname(fd_, reinterpret_cast<sockaddr*>(&any), &size);
    port_ = ntohs(any.sin6_port);
  }
  ~UdpCollector() { close(fd_); }
  UdpCollector(const UdpCollector&) = delete;
  UdpCollector& operator=(const UdpCollector&) = delete;
  uint16_t port() const { return port_; }

  struct Received {
    std::string from;
    uint16_t port = 0;
    std::vector<uint8_t> octets;
  };
  std::optional<Received> receive(int within_ms = 20'000) const {
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, within_ms) <= 0) return {};
    Received received{.from = "", .port = 0, .octets = std::vector<uint8_t>(65'535)};
    sockaddr_in6 from{};
    socklen_t size = sizeof from;
    const ssize_t count =
        recvfrom(fd_, received.octets.data(), received.octets.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (count < 0) return {};
    received.octets.resize(static_cast<size_t>(count));
    char text[INET6_ADDRSTRLEN];
    sockaddr_in v4;
    std::memcpy(&v4, &from, sizeof v4);
    const void* const address = from.sin6_family == AF_INET ? static_cast<const void*>(&v4.sin_addr) : &from.sin6_addr;
    received.from = inet_ntop(from.sin6_family, address, text, sizeof text);
    received.port = ntohs(from.sin6_port);
    return received;
  }

 private:
  int fd_;
  uint16_t port_ = 0;
};

}  // namespace weir::test
