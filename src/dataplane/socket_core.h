// socket_core.h — A thread that receives from kernel sockets.
//
// Runs on:  control_thread; its own thread is an rx_lcore in every respect but that it makes system
//           calls, one for up to kBurst datagrams, or for what is queued of a session.
// Bounds:   kSocketsMax sockets. Their owner closes them, when this thread has given them back or has ended.
// Failure:  an Error that says what the system refused.
//
// Private to src/dataplane.
#pragma once

#include <pthread.h>

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/spsc_ring.h"
#include "dataplane/receive_core.h"
#include "dataplane/udp_socket.h"

namespace weir::dataplane {

/// What one thread can wait for.
inline constexpr size_t kSocketsMax = Waiter::kFdsMax;

/// What a thread is told beside its pipeline.
struct SocketThread {
  size_t core = 0;  // its number among all
  IdlePolicy idle = IdlePolicy::adaptive;
  uint64_t linger_ns = 0;
  int cpu = -1;  // that it is pinned to; -1: to none
};

class alignas(kCacheLineBytes) SocketCore {
 public:
  /// `tcp`: what of sessions is this thread's.
  static Result<std::unique_ptr<SocketCore>> open(const TcpLimits& tcp);
  ~SocketCore();
  SocketCore(const SocketCore&) = delete;
  SocketCore& operator=(const SocketCore&) = delete;

  /// Before start: a socket that it serves. False beyond kSocketsMax.
  bool serve(PortSocket& socket);
  /// Starts the thread, which feeds `pipeline` until stop.
  Result<void> start(Pipeline& pipeline, const Timekeeper& keeper, const SocketThread& thread_config);
  void request_stop() noexcept { waiter_.request_stop(); }
  bool has_ended() const noexcept { return !thread_ || has_ended_.load(std::memory_order_acquire); }

  /// While it runs: one more, or one less, which is read to its end first. settle_change says whether the thread
  /// has done all of that.
  void give(PortSocket& socket) WEIR_RUNS_ON(control_thread) { changes_.push({&socket, false}); }
  void take_away(PortSocket& socket) WEIR_RUNS_ON(control_thread) {
    changes_.push({&socket, true});
    ++leaving_;
  }
  bool settle_change() WEIR_RUNS_ON(control_thread);

  /// Takes what the kernel has queued; returns when the thread has ended. Idempotent.
  void stop();

 private:
  SocketCore();
  void run() noexcept WEIR_RUNS_ON(rx_lcore);

  /// What the thread is to do with a socket.
  struct Change {
    PortSocket* socket = nullptr;
    bool is_gone = false;
  };
  void take_changes(CoreClock& clock) noexcept WEIR_RUNS_ON(rx_lcore);
  void wait(CoreClock& clock) noexcept WEIR_RUNS_ON(rx_lcore);
  /// How long what comes may gather in every one of the sockets.
  uint64_t longest_pause_ns() const noexcept WEIR_RUNS_ON(rx_lcore);

  std::vector<PortSocket*> served_;                    // the thread's; kSocketsMax reserved
  FairTurn turn_;
  SpscRing<Change> changes_{2 * kSocketsMax};
  SpscRing<PortSocket*> given_back_{2 * kSocketsMax};
  size_t leaving_ = 0;  // that it is to give back; the control thread's
  std::unique_ptr<ReceiveBuffers> buffers_;
  Pipeline* pipeline_ = nullptr;
  const Timekeeper* keeper_ = nullptr;
  IdlePolicy idle_ = IdlePolicy::adaptive;
  uint64_t linger_ns_ = 0;
  Gathering gathering_;
  Waiter waiter_;
  std::optional<pthread_t> thread_;
  std::atomic<bool> has_ended_{false};
};

}  // namespace weir::dataplane
