// tcp_socket.h — A port at which exporters open TCP sessions of IPFIX Messages.
//
// Spec:     RFC 7011 §10.4 (TCP), §9.1 (malformed messages: the connection is reset).
// Runs on:  as PortSocket says.
// Bounds:   a turn takes kTurnOctets and kAcceptsPerTurn connections, so that datagrams that come to the same thread wait
//           no longer than for a burst; TcpSessions says how many there are, how long one may be silent, and how long a
//           message may take.
// Failure:  what is left of a message when its session ends is given to the pipeline, which counts it.
//
// A core that must not receive leaves octets in the kernel, whose window then closes: exporters wait, and nothing is lost.
//
// Private to src/dataplane.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <memory>

#include "base/counter.h"
#include "dataplane/port_socket.h"
#include "dataplane/tcp_sessions.h"

namespace weir::dataplane {

class TcpSocket final : public PortSocket {
 public:
  /// Bound and listening; as UdpSocket.
  static Result<std::unique_ptr<TcpSocket>> open(const SocketPort& config, Sharing sharing = Sharing::none,
                                                 int* error_number = nullptr);
  ~TcpSocket() override { TcpSocket::close(); }

  Turn receive(ReceiveBuffers& buffers, Pipeline& pipeline, const CoreClock& clock) noexcept override
      WEIR_RUNS_ON(rx_lcore);
  void drain(ReceiveBuffers& buffers, Pipeline& pipeline, CoreClock& clock, uint64_t hold_until_ns) noexcept override
      WEIR_RUNS_ON(rx_lcore);
  int fd_to_wait_for() const noexcept override { return ready_fd_; }
  /// The thread that served it has drained it, or never ran.
  void close() override;
  void adapt(const SocketPort& config) override WEIR_RUNS_ON(control_thread) { take_config(config); }
  PortStats stats() override;

 private:
  static constexpr size_t kEventsPerTurn = 64;

  /// What a session's octets go to.
  struct Way {
    ReceiveBuffers& buffers;
    Pipeline& pipeline;
    const CoreClock& clock;
  };

  explicit TcpSocket(const SocketPort& config) : PortSocket(config) {}
  Result<void> open_listening(Sharing sharing);
  Result<void> watch(int fd, uint32_t number);
  void accept_some(const Way& way) noexcept WEIR_RUNS_ON(rx_lcore);
  void begin(int fd, const sockaddr_storage& from, const Way& way) noexcept WEIR_RUNS_ON(rx_lcore);
  void refuse(int fd, TcpRefusal why) noexcept WEIR_RUNS_ON(rx_lcore);
  /// How many octets it read. The session may have ended by that.
  size_t read(TcpSession& session, const Way& way, unsigned& messages) noexcept WEIR_RUNS_ON(rx_lcore);
  bool take(TcpSession& session, std::span<const uint8_t> message, const Way& way) noexcept WEIR_RUNS_ON(rx_lcore);
  decode::Faults give(const TcpSession& session, std::span<const uint8_t> message, const Way& way) noexcept
      WEIR_RUNS_ON(rx_lcore);
  void end(TcpSession& session, TcpEnd how, const Way& way) noexcept WEIR_RUNS_ON(rx_lcore);
  void look_at_time(const Way& way, unsigned& messages) noexcept WEIR_RUNS_ON(rx_lcore);

  int ready_fd_ = -1;  // an epoll of the listening socket and its sessions
  std::array<epoll_event, kEventsPerTurn> events_{};
  size_t event_count_ = 0;
  size_t next_event_ = 0;  // those before it have had their turn
  uint64_t last_turn_ns_ = 0;
  uint64_t next_look_ns_ = 0;  // at the time
  bool is_paused_ = false;     // no connection is accepted for want of descriptors

  Counter messages_;
  Counter octets_;
  Counter errors_;
  Counter sessions_;  // gauge
  Counter opened_;
  CounterArray<TcpRefusal> refused_;
  CounterArray<TcpEnd> ended_;
};

}  // namespace weir::dataplane
