// http_listen.h — The sockets that HTTP is served on: opened, with the rights that were asked for.
//
// Runs on:  start-up.
// Failure:  an Error that names the key of the configuration, the value and what is wrong.
//
// For servers: of this room, and of others that have their own.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "service/http_server.h"

namespace weir::service {

/// Closes its descriptor.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

/// Owner, group and mode are set before it listens, so that nobody gets in by being early.
Result<Fd> listen_unix(const HttpServerConfig& config);

/// Who is at the other end of a unix socket, as the kernel says.
struct Peer {
  ucred credentials{};
  std::vector<gid_t> groups;  // the further ones

  static Peer of(int fd);
  bool is_in(gid_t group) const noexcept;
  /// Root, or who runs this process.
  bool is_owner() const noexcept;
};

std::optional<gid_t> group_id(const std::string& group);

struct TcpListener {
  Fd fd;
  uint16_t port;  // that was bound, for `:0`
  bool is_v6;
};
Result<TcpListener> listen_tcp(const std::string& address);

}  // namespace weir::service
