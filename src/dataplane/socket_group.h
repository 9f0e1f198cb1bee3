// socket_group.h — The sockets of one UDP or TCP port, one for each receive thread: an exporter's datagrams, or its
// connections, come to one of them.
//
// Runs on:  control_thread; each socket's receive and drain on the rx_lcore that serves it.
// Failure:  an Error that names the port; nothing stays open then.
//
// The first socket binds the port for itself alone, as the only socket of a port does, so that a port in use is
// refused whoever has it; then it lets the others in beside it (SO_REUSEPORT), of this process's user. Until all are
// bound and the kernel knows which is whose, none takes anything: an exporter must not meet two threads.
//
// Private to src/dataplane.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "dataplane/port_socket.h"

namespace weir::dataplane {

/// What several sockets of a port have in common.
struct SocketSpread {
  uint16_t threads = 1;
  uint32_t seed = 0;
};

class SocketGroup {
 public:
  /// `error_number`: the errno, where it fails.
  static Result<std::unique_ptr<SocketGroup>> open(const SocketPort& config, const SocketSpread& spread,
                                                   int* error_number = nullptr);

  PortSocket& of_thread(size_t thread) noexcept { return *sockets_[thread]; }
  size_t size() const noexcept { return sockets_.size(); }
  const std::string& name() const noexcept { return sockets_.front()->name(); }
  uint16_t port() const noexcept { return sockets_.front()->bound_port(); }
  Transport transport() const noexcept { return sockets_.front()->transport(); }
  bool is_at(const SocketPort& port) const noexcept { return sockets_.front()->is_at(port); }

  /// Name, listener and buffer become those of `config`.
  void adapt(const SocketPort& config) WEIR_RUNS_ON(control_thread);
  /// What the kernel has queued is all that will come, in each of them: while one goes, its datagrams must not come
  /// to another.
  void refuse_more() noexcept;
  void close();
  /// Of all of them.
  PortStats stats();

 private:
  SocketGroup() = default;

  std::vector<std::unique_ptr<PortSocket>> sockets_;
};

}  // namespace weir::dataplane
