// udp_sender.h — Datagrams to a port of the loopback.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "lab/message_builder.h"

namespace weir::dataplane::testing {

class Sender {
 public:
  explicit Sender(int family)
      : family_(family), fd_(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}
  /// From an address of 127.0.0.0/8.
  explicit Sender(uint32_t from) : Sender(AF_INET) {
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(from);
    if (bind(fd_, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) close(std::exchange(fd_, -1));
  }
  ~Sender() { close(fd_); }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  bool is_open() const { return fd_ >= 0; }

  bool send(uint16_t port, const lab::Octets& payload) const {
    if (family_ == AF_INET) {
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      return sendto(fd_, payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&to),
                    sizeof to) == static_cast<ssize_t>(payload.size());
    }
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    to.sin6_addr = in6addr_loopback;
    return sendto(fd_, payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&to),
                  sizeof to) == static_cast<ssize_t>(payload.size());
  }

 private:
  int family_;
  int fd_;
};

}  // namespace weir::dataplane::testing
