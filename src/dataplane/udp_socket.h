// udp_socket.h — A kernel UDP socket, from which datagrams are taken in bursts.
//
// Runs on:  as PortSocket says.
// Bounds:   kBurst buffers that hold the largest UDP payload there is, so that none is cut; memory
//           is touched only as far as datagrams reach.
//
// Private to src/dataplane.
#pragma once

#include <sys/socket.h>
#include <time.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/counter.h"
#include "base/result.h"
#include "dataplane/burst.h"
#include "dataplane/port_socket.h"
#include "dataplane/tcp_sessions.h"

namespace weir::dataplane {

/// Where recvmmsg puts a burst, and what is read of a TCP session. One for all sockets of a core: it is done with when
/// receive returns, but for the sessions themselves.
struct ReceiveBuffers {
  static constexpr size_t kPayloadOctetsMax = 65'535;
  static constexpr size_t kControlOctets = CMSG_SPACE(sizeof(timespec));

  ReceiveBuffers() = default;
  ~ReceiveBuffers();
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;
  Result<void> map(const TcpLimits& tcp);

  uint8_t* payloads = nullptr;  // mapped: pages come when they are touched
  std::array<mmsghdr, kBurst> messages{};
  std::array<iovec, kBurst> parts{};
  std::array<sockaddr_storage, kBurst> sources{};
  std::unique_ptr<TcpSessions> sessions;
  alignas(cmsghdr) std::array<std::array<uint8_t, kControlOctets>, kBurst> controls{};
};

class UdpSocket final : public PortSocket {
 public:
  /// Opened and bound: the kernel queues datagrams from here on, where others share the port from admit_all on.
  /// `error_number`: the errno, where it fails.
  static Result<std::unique_ptr<UdpSocket>> open(const SocketPort& config, Sharing sharing = Sharing::none,
                                                 int* error_number = nullptr);
  ~UdpSocket() override { UdpSocket::close(); }

  /// At most kBurst datagrams.
  Turn receive(ReceiveBuffers& buffers, Pipeline& pipeline, const CoreClock& clock) noexcept override
      WEIR_RUNS_ON(rx_lcore);
  void drain(ReceiveBuffers& buffers, Pipeline& pipeline, CoreClock& clock, uint64_t hold_until_ns) noexcept override
      WEIR_RUNS_ON(rx_lcore);
  int fd_to_wait_for() const noexcept override { return fd_; }
  void close() override;
  void adapt(const SocketPort& config) override WEIR_RUNS_ON(control_thread);
  PortStats stats() override;

 private:
  explicit UdpSocket(const SocketPort& config) : PortSocket(config) {}
  Result<void> open_bound(Sharing sharing);
  Result<void> set_buffer();
  void read_kernel_drops();

  std::string buffer_note_;
  bool is_buffer_cut_ = false;  // it is smaller than asked

  Counter packets_;
  Counter octets_;
  Counter errors_;
  uint32_t kernel_drops_seen_ = 0;  // the kernel counts in 32 bits
  uint64_t kernel_drops_ = 0;
  bool has_kernel_drops_ = false;
};

}  // namespace weir::dataplane
