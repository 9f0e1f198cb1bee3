// port_socket.h — A socket of the kernel's that is bound to a port: what datagrams and connections have in common.
//
// Runs on:  control_thread opens, adapts and closes; receive and drain on the rx_lcore that serves it.
// Failure:  an Error that names the port: an address in use, a port without privilege.
//
// Private to src/dataplane. SO_REUSEPORT is not set before a port is bound: a second collector on the same port must
// fail, not take half of what comes. Several sockets of a port are a SocketGroup's.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dataplane/data_plane.h"
#include "dataplane/gathering.h"
#include "dataplane/receive_core.h"

namespace weir::dataplane {

struct ReceiveBuffers;

/// Where `from` is, and which port it has, as the kernel says it.
IpAddress address_of(const sockaddr_storage& from) noexcept;
uint16_t port_of(const sockaddr_storage& from) noexcept;
bool set_option(int fd, int level, int option, int value) noexcept;

class PortSocket {
 public:
  /// Whether others have the port beside it: it has it for itself, it is the first of several, or one of the rest.
  enum class Sharing : uint8_t { none, first, beside };

  /// What one look at a socket brought.
  struct Turn {
    unsigned received = 0;  // datagrams, or messages
    bool has_more = false;  // probably, and at once
  };

  virtual ~PortSocket() = default;
  PortSocket(const PortSocket&) = delete;
  PortSocket& operator=(const PortSocket&) = delete;

  /// Gives what has come, a bounded part, to `pipeline`.
  virtual Turn receive(ReceiveBuffers& buffers, Pipeline& pipeline, const CoreClock& clock) noexcept
      WEIR_RUNS_ON(rx_lcore) = 0;
  /// Takes in what the kernel has queued already, and refuses the rest; waits for buffers at most until then.
  virtual void drain(ReceiveBuffers& buffers, Pipeline& pipeline, CoreClock& clock, uint64_t hold_until_ns) noexcept
      WEIR_RUNS_ON(rx_lcore) = 0;
  /// What waits for something to receive waits for this.
  virtual int fd_to_wait_for() const noexcept = 0;
  virtual void close() = 0;
  virtual PortStats stats() = 0;
  /// Its name, its listener and its buffer become those of `config`.
  virtual void adapt(const SocketPort& config) WEIR_RUNS_ON(control_thread) = 0;

  /// The kernel queues what comes from here on, where others share the port.
  Result<void> admit_all();
  /// Nothing more comes in; what is queued stays.
  void refuse_more() noexcept { refuse_all(fd_); }
  int fd() const noexcept { return fd_; }
  const std::string& name() const noexcept { return config_.name; }
  Transport transport() const noexcept { return config_.transport; }
  uint16_t bound_port() const noexcept { return bound_port_; }
  bool is_at(const SocketPort& other) const noexcept {
    return config_.transport == other.transport && config_.address == other.address && bound_port_ == other.port;
  }
  /// How long what comes may gather in it.
  uint64_t longest_pause_ns() const noexcept { return longest_pause_ns_.load(std::memory_order_relaxed); }
  /// Of the last error.
  int error_number() const noexcept { return failure_; }

 protected:
  explicit PortSocket(const SocketPort& config) : config_(config), listener_(config.listener.value) {}

  /// A socket of that address's family; `::` takes IPv4 too.
  Result<void> open_socket(int type);
  Result<void> bind_socket(Sharing sharing);
  void take_config(const SocketPort& config) {
    config_ = config;
    listener_.store(config.listener.value, std::memory_order_relaxed);
  }
  void set_longest_pause(uint64_t ns) noexcept { longest_pause_ns_.store(ns, std::memory_order_relaxed); }
  ListenerId listener() const noexcept { return {listener_.load(std::memory_order_relaxed)}; }
  Error error(std::string_view what, int number);
  /// Of what has no queue of its own that the kernel counts.
  PortStats common_stats() const;

  SocketPort config_;  // the control thread's
  int fd_ = -1;
  uint16_t bound_port_ = 0;
  std::string note_;

 private:
  std::atomic<uint16_t> listener_{0};  // of config_
  std::atomic<uint64_t> longest_pause_ns_{kPauseMaxNs};
  bool is_v4_ = false;
  int failure_ = 0;
  std::string bound_address_;
};

}  // namespace weir::dataplane
