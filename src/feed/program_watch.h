// program_watch.h — What a consuming program says of itself to its operator and its service manager.
//
// Runs on:  the control thread.
#pragma once

#include <fmt/format.h>

#include <string>

#include "base/clock.h"
#include "service/log.h"
#include "service/service_notify.h"

namespace weir::feed {

/// The consuming thread shows itself four times a second; a client library may hold it for its time-outs.
inline constexpr uint64_t kStandstillMaxNs = 60 * kNsPerSec;
/// How often a control thread looks after its program.
inline constexpr uint64_t kTurnNs = 50 * kNsPerMs;

/// Empty, or that the thread is stuck. `view`: its newest, null where none was taken since `started_steady_ns`.
template <class View>
std::string unhealthy_because(const char* thread, const View* view, uint64_t started_steady_ns, uint64_t steady_now_ns) {
  const uint64_t since_ns = view == nullptr ? started_steady_ns : view->taken_steady_ns;
  const uint64_t age_ns = steady_now_ns > since_ns ? steady_now_ns - since_ns : 0;
  if (age_ns <= kStandstillMaxNs) return {};
  return fmt::format("the {} thread has stood still for {:.0f} s", thread, static_cast<double>(age_ns) / 1e9);
}

class ProgramWatch {
 public:
  ProgramWatch();
  uint64_t started_steady_ns() const noexcept { return started_steady_ns_; }

  /// Once a second at most: true where it is time to tell.
  bool is_due(uint64_t now_ns) noexcept;
  /// Readiness, and what changed since it was last told. `why_not`: empty where it is ready, which `status` says to the service manager
  /// and `line` to the log.
  void tell(const std::string& why_not, const std::string& discrepancy, const char* status, const std::string& line, uint64_t now_ns);
  /// Says to the service manager that the program lives, as often as it wants to hear it.
  void beat(bool is_healthy, uint64_t now_ns);
  /// The first time only.
  void stopping(const char* what, uint64_t deadline_ns);
  bool is_stopping() const noexcept { return is_stopping_; }

 private:
  const uint64_t started_steady_ns_;
  service::ServiceNotify notify_;
  uint64_t next_tell_ns_ = 0;
  uint64_t next_watchdog_ns_ = 0;
  bool was_told_ = false;
  bool was_ready_ = false;
  bool is_started_ = false;  // as the service manager has it
  bool is_stopping_ = false;
  std::string told_trouble_;
  std::string told_discrepancy_;
};

}  // namespace weir::feed
