// disposal.h — What has ended is taken apart on a thread of its own: closing a connection may wait for a server.
//
// Runs on:  control_thread, but for the destructors of what was given.
// Bounds:   one at a time. What is given is bounded by whoever gives it.
// Failure:  a destructor that hangs keeps is_idle() false for good, and the others waiting.
#pragma once

#include <deque>
#include <memory>
#include <utility>

#include "base/background_job.h"

namespace weir::control {

class Disposal {
 public:
  template <class T>
  void add(std::unique_ptr<T> what) {
    if (what != nullptr) waiting_.push_back(std::move(what));
    step();
  }
  /// Where no thread can be made it is tried again at the next step.
  void step() {
    if (job_.is_running() || (in_hand_ == nullptr && waiting_.empty())) return;
    if (in_hand_ == nullptr) {
      in_hand_ = std::move(waiting_.front());
      waiting_.pop_front();
    }
    static_cast<void>(job_.begin([this] { in_hand_.reset(); }));
  }
  bool is_idle() const noexcept { return !job_.is_running() && in_hand_ == nullptr && waiting_.empty(); }

 private:
  std::deque<std::shared_ptr<void>> waiting_;
  std::shared_ptr<void> in_hand_;  // the job's while it runs
  BackgroundJob job_;
};

}  // namespace weir::control
