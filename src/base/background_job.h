// background_job.h — One job at a time on a thread of its own: what may wait for a disk.
//
// Runs on:  whoever owns it begins jobs, and asks whether they have ended.
// Failure:  a job may hang without limit, and then so does the destructor: who ends with is_running()
//           leaves this object alone and ends the process (Appliance::stuck).
#pragma once

#include <atomic>
#include <cassert>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "base/result.h"
#include "base/thread_rights.h"

namespace weir {

class BackgroundJob {
 public:
  BackgroundJob() = default;
  ~BackgroundJob() { join(); }
  BackgroundJob(const BackgroundJob&) = delete;
  BackgroundJob& operator=(const BackgroundJob&) = delete;

  bool is_running() const noexcept { return is_running_.load(std::memory_order_acquire); }

  /// While none is running. An error: no thread can be made just now, and the job is not done.
  template <class Job>
  Result<void> begin(Job job) {
    assert(!is_running());
    join();
    is_running_.store(true, std::memory_order_relaxed);
    try {
      thread_ = std::thread([this, job = std::move(job)]() mutable {
        give_up_capabilities_unless_root();
        job();
        is_running_.store(false, std::memory_order_release);
      });
    } catch (const std::system_error& e) {
      is_running_.store(false, std::memory_order_relaxed);
      return Error{"no thread can be made: " + e.code().message()};
    }
    return {};
  }

 private:
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  std::atomic<bool> is_running_{false};
  std::thread thread_;
};

}  // namespace weir
