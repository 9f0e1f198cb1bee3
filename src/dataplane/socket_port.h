// socket_port.h — Kernel UDP sockets and the thread that receives from all of them.
//
// Runs on:  control_thread; the core's own thread is an rx_lcore in every respect but that it makes
//           system calls, one for up to kBurst datagrams.
// Bounds:   kBurst buffers that hold the largest UDP payload there is, so that none is cut; memory
//           is touched only as far as datagrams reach.
// Failure:  an Error that names the port: an address in use, a port without privilege.
//
// One thread serves all sockets, because exporters send templates to one port and data to another:
// what is known of an exporter must not depend on where its datagrams arrive.
//
// Private to src/dataplane. SO_REUSEADDR and SO_REUSEPORT are not set: a second collector on the
// same port must fail, not take half of the datagrams.
#pragma once

#include <pthread.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/counter.h"
#include "base/result.h"
#include "base/spsc_ring.h"
#include "dataplane/data_plane.h"
#include "dataplane/receive_core.h"

namespace weir::dataplane {

/// Where recvmmsg puts a burst. One for all sockets of a core: a burst is done with when receive
/// returns.
struct ReceiveBuffers;

class UdpSocket {
 public:
  /// Opened and bound: the kernel queues datagrams from here on.
  /// `error_number`: the errno, where it fails.
  static Result<std::unique_ptr<UdpSocket>> open(const SocketPort& config,
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

  int fd() const noexcept { return fd_; }
  const std::string& name() const noexcept { return config_.name; }
  bool is_at(const SocketPort& other) const noexcept {
    return config_.address == other.address && bound_port_ == other.port;
  }
  /// Its name, its listener and its buffer become those of `config`.
  void adapt(const SocketPort& config) WEIR_RUNS_ON(control_thread);
  PortStats stats();

 private:
  explicit UdpSocket(const SocketPort& config)
      : config_(config), listener_(config.listener.value) {}
  Result<void> bind_socket();
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

/// What one thread can wait for.
inline constexpr size_t kSocketsMax = Waiter::kFdsMax;

class SocketCore {
 public:
  static Result<std::unique_ptr<SocketCore>> open(std::span<const SocketPort> ports);
  ~SocketCore();
  SocketCore(const SocketCore&) = delete;
  SocketCore& operator=(const SocketCore&) = delete;

  /// Starts the thread, which feeds `pipeline` until stop.
  Result<void> start(Pipeline& pipeline, size_t core, IdlePolicy idle, uint64_t linger_ns);
  void request_stop() noexcept { waiter_.request_stop(); }
  bool has_ended() const noexcept { return !thread_ || has_ended_.load(std::memory_order_acquire); }

  /// Opens what of `ports` is not open yet; on an Error nothing has changed. begin_change then gives the
  /// thread what is new and takes away what is gone, and settle_change says whether it has done so.
  Result<void> prepare_change(std::span<const SocketPort> ports) WEIR_RUNS_ON(control_thread);
  void begin_change() WEIR_RUNS_ON(control_thread);
  bool settle_change() WEIR_RUNS_ON(control_thread);

  /// Takes what the kernel has queued; returns when the thread has ended. Idempotent.
  void stop();

  /// `p0/netflow, p0/sflow`
  std::string serves() const;
  void append_stats(std::vector<PortStats>& stats);

 private:
  SocketCore();
  void run() noexcept WEIR_RUNS_ON(rx_lcore);

  /// What the thread is to do with a socket.
  struct Change {
    UdpSocket* socket = nullptr;
    bool is_gone = false;
  };
  void take_changes(CoreClock& clock) noexcept WEIR_RUNS_ON(rx_lcore);

  std::vector<std::unique_ptr<UdpSocket>> sockets_;   // open or about to be served
  std::vector<std::unique_ptr<UdpSocket>> leaving_;   // until the thread has given them back
  std::vector<std::unique_ptr<UdpSocket>> joining_;   // opened, and not given to it yet
  std::vector<SocketPort> next_ports_;                // of the change that was prepared
  std::vector<UdpSocket*> served_;                    // the thread's; kSocketsMax reserved
  SpscRing<Change> changes_{2 * kSocketsMax};
  SpscRing<UdpSocket*> given_back_{2 * kSocketsMax};
  std::unique_ptr<ReceiveBuffers> buffers_;
  Pipeline* pipeline_ = nullptr;
  IdlePolicy idle_ = IdlePolicy::adaptive;
  uint64_t linger_ns_ = 0;
  Waiter waiter_;
  std::optional<pthread_t> thread_;
  std::atomic<bool> has_ended_{false};
};

}  // namespace weir::dataplane
