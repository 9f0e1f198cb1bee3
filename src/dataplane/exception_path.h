// exception_path.h — The thread that carries frames which are no export traffic to the kernel's interfaces, and what
// the kernel sends by them to the wire.
//
// Runs on:  control_thread makes, starts, stops and reads it; its own thread is the exception_thread, which is on no
//           receive core, makes the system calls, and sleeps when there is nothing to carry.
// Owns:     an interface, a lane a queue and a worker, and buffers to send from, for each port that has an interface.
// Bounds:   ExceptionConfig::frames_per_second and to_wire_per_second; what the lanes hold; a burst each way in turn.
// Failure:  an Error that names the port, at the start; afterwards every frame ends in a counter.
//
// Private to src/dataplane.
#pragma once

#include <poll.h>
#include <pthread.h>

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "base/counter.h"
#include "base/result.h"
#include "base/waker.h"
#include "dataplane/data_plane.h"
#include "dataplane/exception_lane.h"
#include "dataplane/tap_interface.h"

struct rte_mempool;

namespace weir::dataplane {

class DpdkDevice;

/// One port's.
class ExceptionPort {
 public:
  static Result<std::unique_ptr<ExceptionPort>> open(DpdkDevice& device, const ExceptionConfig& config, Waker& waker)
      WEIR_RUNS_ON(control_thread);
  ~ExceptionPort();
  ExceptionPort(const ExceptionPort&) = delete;
  ExceptionPort& operator=(const ExceptionPort&) = delete;

  /// A burst of each lane to the kernel; whether there was anything.
  bool to_kernel() noexcept WEIR_RUNS_ON(exception_thread);
  /// A burst of what the kernel has sent to the wire; whether there was anything.
  bool to_wire(uint64_t steady_now_ns) noexcept WEIR_RUNS_ON(exception_thread);
  bool has_waiting() const noexcept;
  /// -1: nothing to wait for, since it is gone or may send no more for now.
  int fd_to_wait_for() const noexcept WEIR_RUNS_ON(exception_thread);
  /// Until it may send again; 0: it may.
  uint64_t pause_ns() const noexcept WEIR_RUNS_ON(exception_thread);

  const DpdkDevice& device() const noexcept { return device_; }
  /// What that worker of the port's puts together and is the host's goes by it.
  ExceptionLane& lane_of_worker(uint16_t worker) noexcept { return *lanes_[queues_ + worker]; }
  ExceptionStats stats(bool link_up) WEIR_RUNS_ON(control_thread);

 private:
  ExceptionPort(DpdkDevice& device, const ExceptionConfig& config);
  uint32_t finish_frame(uint8_t* frame, uint32_t octets) const noexcept;
  std::string follow_mtu() WEIR_RUNS_ON(control_thread);

  DpdkDevice& device_;
  const ExceptionConfig config_;
  std::unique_ptr<TapInterface> tap_;
  std::vector<std::unique_ptr<ExceptionLane>> lanes_;  // one a queue, then one a worker
  size_t queues_ = 0;
  rte_mempool* pool_ = nullptr;
  uint16_t mtu_ = 0;       // the interface's, as the device's and the configuration have it
  uint16_t mtu_room_ = 0;  // up to which it follows the device's
  std::atomic<uint32_t> frame_octets_max_{0};  // by mtu_; the control thread's
  FrameCredit credit_;         // the thread's, as the next two
  bool is_gone_ = false;       // somebody has deleted the interface, when it was last read from
  bool has_no_mbufs_ = false;  // the device holds them all
  Counter delivered_, refused_;             // to the kernel
  Counter sent_, not_sent_, too_long_;      // from it
  bool is_told_ = false;  // that the interface was made again
  uint64_t sent_told_ = 0;                  // less those that turned out to be invalid; it never falls
};

class ExceptionPath {
 public:
  ~ExceptionPath() { stop(); }

  /// Makes the interface of a port that wants one. Before start.
  Result<void> add(DpdkDevice& device, const ExceptionConfig& config) WEIR_RUNS_ON(control_thread);
  /// Null: the port of that device has no interface.
  ExceptionLane* lane_of_worker(const DpdkDevice& device, uint16_t worker) noexcept;
  /// The devices have started.
  Result<void> start() WEIR_RUNS_ON(control_thread);
  /// No core offers frames any more: carries what waits, and ends. Idempotent.
  void stop();
  /// Of the port of that device, if it has an interface.
  std::optional<ExceptionStats> stats(const DpdkDevice& device, bool link_up) WEIR_RUNS_ON(control_thread);

 private:
  void run() noexcept WEIR_RUNS_ON(exception_thread);
  void sleep() noexcept WEIR_RUNS_ON(exception_thread);

  std::vector<std::unique_ptr<ExceptionPort>> ports_;
  std::vector<pollfd> fds_;  // the thread's; the first is the waker's
  Waker waker_;
  std::atomic<bool> is_stopping_{false};
  std::optional<pthread_t> thread_;
};

}  // namespace weir::dataplane
