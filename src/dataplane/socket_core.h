// socket_core.h — The thread that receives from all kernel sockets.
//
// Runs on:  control_thread; its own thread is an rx_lcore in every respect but that it makes system
//           calls, one for up to kBurst datagrams.
// Bounds:   kSocketsMax sockets.
// Failure:  an Error that names the port.
//
// One thread serves all sockets, because exporters send templates to one port and data to another:
// what is known of an exporter must not depend on where its datagrams arrive.
//
// Private to src/dataplane.
#pragma once

#include <pthread.h>

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/spsc_ring.h"
#include "dataplane/receive_core.h"
#include "dataplane/udp_socket.h"

namespace weir::dataplane {

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
