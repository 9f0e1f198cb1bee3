// stop_deadline.h — How long a stop may wait, and that the operator may lose patience earlier.
//
// Runs on:  control_thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

namespace weir::control {

class StopDeadline {
 public:
  /// `asked_again` tells whether a stop was asked for once more since it was last called.
  StopDeadline(uint64_t deadline_ns, std::function<bool()> asked_again)
      : deadline_ns_(deadline_ns), asked_again_(std::move(asked_again)) {}

  /// Once asked again, it is over `grace_ns` later at most.
  bool is_over(uint64_t steady_now_ns, uint64_t grace_ns) {
    if (asked_again_()) {
      was_hurried_ = true;
      deadline_ns_ = std::min(deadline_ns_, steady_now_ns + grace_ns);
    }
    return steady_now_ns >= deadline_ns_;
  }
  bool was_hurried() const noexcept { return was_hurried_; }
  uint64_t ns() const noexcept { return deadline_ns_; }

 private:
  uint64_t deadline_ns_;
  const std::function<bool()> asked_again_;
  bool was_hurried_ = false;
};

}  // namespace weir::control
