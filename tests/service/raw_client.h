// raw_client.h — A client of an HTTP server that sends octets as they are, good or bad.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace weir::service {

/// A client that can misbehave: octets out, octets in, until the server closes.
class RawClient {
 public:
  static RawClient local(const std::string& path) {
    RawClient client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    client.connected_ =
        connect(client.fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    return client;
  }
  static RawClient tcp(uint16_t port) {
    RawClient client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client.connected_ =
        connect(client.fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    return client;
  }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_) {}
  ~RawClient() {
    if (fd_ >= 0) close(fd_);
  }

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  bool send(std::string_view octets) {
    while (!octets.empty()) {
      const ssize_t n = ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      octets.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  /// Everything until the server closes.
  std::string read_all() {
    std::string out;
    char buffer[65536];
    for (;;) {
      const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) return out;
      out.append(buffer, static_cast<size_t>(n));
    }
  }
  /// Until `text` has come `times` times, or the server closes.
  std::string read_until(std::string_view text, size_t times = 1) {
    std::string out;
    char buffer[4096];
    for (;;) {
      size_t seen = 0;
      for (size_t at = out.find(text); at != std::string::npos; at = out.find(text, at + 1)) ++seen;
      if (seen >= times) return out;
      const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) return out;
      out.append(buffer, static_cast<size_t>(n));
    }
  }
  bool is_closed_by_peer() {
    pollfd p{fd_, POLLIN, 0};
    if (poll(&p, 1, 0) <= 0) return false;
    char octet;
    return recv(fd_, &octet, 1, MSG_PEEK) <= 0;
  }

 private:
  explicit RawClient(int fd) : fd_(fd) {}
  int fd_;
  bool connected_ = false;
};

}  // namespace weir::service
