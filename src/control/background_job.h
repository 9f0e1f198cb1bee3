// background_job.h — One job at a time on a thread of its own: what may wait for a disk.
//
// Runs on:  whoever owns it begins jobs and waits for them.
#pragma once

#include <atomic>
#include <thread>
#include <utility>

namespace weir::control {

class BackgroundJob {
 public:
  BackgroundJob() = default;
  ~BackgroundJob() { wait(); }
  BackgroundJob(const BackgroundJob&) = delete;
  BackgroundJob& operator=(const BackgroundJob&) = delete;

  bool is_running() const noexcept { return is_running_.load(std::memory_order_acquire); }

  /// Waits for the job before.
  template <class Job>
  void begin(Job job) {
    wait();
    is_running_.store(true, std::memory_order_relaxed);
    thread_ = std::thread([this, job = std::move(job)]() mutable {
      job();
      is_running_.store(false, std::memory_order_release);
    });
  }

  void wait() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> is_running_{false};
  std::thread thread_;
};

}  // namespace weir::control
