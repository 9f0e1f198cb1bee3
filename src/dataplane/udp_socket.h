// udp_socket.h — A kernel UDP socket, from which datagrams are taken in bursts.
//
// Runs on:  control_thread opens, adapts and closes; receive and drain on an rx_lcore.
// Bounds:   kBurst buffers that hold the largest UDP payload there is, so that none is cut; memory
//           is touched only as far as datagrams reach.
// Failure:  an Error that names the port: an address in use, a port without privilege.
//
// Private to src/dataplane. SO_REUSEADDR and SO_REUSEPORT are not set before a port is bound: a second collector on
// the same port must fail, not take half of the datagrams. Several sockets of a port are a SocketGroup's.
#pragma once

#include <sys/socket.h>
#include <time.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/counter.h"
#include "base/result.h"
#include "dataplane/data_plane.h"
#include "dataplane/receive_core.h"

namespace weir::dataplane {

/// Where recvmmsg puts a burst. One for all sockets of a core: a burst is done with when receive
/// returns.
struct ReceiveBuffers {
  static constexpr size_t kPayloadOctetsMax = 65'535;
  static constexpr size_t kControlOctets = CMSG_SPACE(sizeof(timespec));

  ReceiveBuffers() = default;
  ~ReceiveBuffers();
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;
  Result<void> map();

  uint8_t* payloads = nullptr;  // mapped: pages come when they are touched
  std::array<mmsghdr, kBurst> messages{};
  std::array<iovec, kBurst> parts{};
  std::array<sockaddr_storage, kBurst> sources{};
  alignas(cmsghdr) std::array<std::array<uint8_t, kControlOctets>, kBurst> controls{};
};

class UdpSocket {
 public:
  /// Whether others have the port beside it: it has it for itself, it is the first of several, or one of the rest.
  enum class Sharing : uint8_t { none, first, beside };

  /// Opened and bound: the kernel queues datagrams from here on, where others share the port from admit_all on.
  /// `error_number`: the errno, where it fails.
  static Result<std::unique_ptr<UdpSocket>> open(const SocketPort& config, Sharing sharing = Sharing::none,
                                                 int* error_number = nullptr);
  ~UdpSocket() { close(); }
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  /// Gives what has come, at most kBurst datagrams, to `pipeline`; how many.
  unsigned receive(ReceiveBuffers& buffers, Pipeline& pipeline, uint64_t wall_ns) noexcept
      WEIR_RUNS_ON(rx_lcore);
  /// Takes in what the kernel has queued already, and refuses the rest; waits for buffers at most until then.
  void drain(ReceiveBuffers& buffers, Pipeline& pipeline, CoreClock& clock,
             uint64_t hold_until_ns) noexcept
      WEIR_RUNS_ON(rx_lcore);
  void close();
  Result<void> admit_all();

  int fd() const noexcept { return fd_; }
  const std::string& name() const noexcept { return config_.name; }
  uint16_t udp_port() const noexcept { return bound_port_; }
  bool is_at(const SocketPort& other) const noexcept {
    return config_.address == other.address && bound_port_ == other.port;
  }
  /// Its name, its listener and its buffer become those of `config`.
  void adapt(const SocketPort& config) WEIR_RUNS_ON(control_thread);
  PortStats stats();

 private:
  explicit UdpSocket(const SocketPort& config)
      : config_(config), listener_(config.listener.value) {}
  Result<void> bind_socket(Sharing sharing);
  Result<void> set_buffer();
  void read_kernel_drops();
  Error error(std::string_view what, int number);

  SocketPort config_;                  // the control thread's
  std::atomic<uint16_t> listener_{0};  // of it
  int failure_ = 0;  // the errno of the last error
  int fd_ = -1;
  uint16_t bound_port_ = 0;
  std::string bound_address_;
  std::string note_;
  std::string buffer_note_;

  Counter packets_;
  Counter octets_;
  Counter errors_;
  uint32_t kernel_drops_seen_ = 0;  // the kernel counts in 32 bits
  uint64_t kernel_drops_ = 0;
  bool has_kernel_drops_ = false;
};

}  // namespace weir::dataplane
