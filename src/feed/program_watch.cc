#include "feed/program_watch.h"

namespace weir::feed {
namespace {

constexpr uint64_t kTellEveryNs = kNsPerSec;
constexpr uint64_t kStartedAfterNs = 10 * kNsPerSec;

}  // namespace

ProgramWatch::ProgramWatch() : started_steady_ns_(steady_clock_ns()), notify_(service::ServiceNotify::from_environment()) {}

bool ProgramWatch::is_due(uint64_t now_ns) noexcept {
  if (now_ns < next_tell_ns_) return false;
  next_tell_ns_ = now_ns + kTellEveryNs;
  return true;
}

void ProgramWatch::tell(const std::string& why_not, const std::string& discrepancy, const char* status, const std::string& line,
                        uint64_t now_ns) {
  const bool is_new = why_not != told_trouble_ || !was_told_;
  told_trouble_ = why_not;
  if (is_new && why_not.empty()) {
    service::log_info("ready{}: {}", was_ready_ ? " again" : "", line);
    was_ready_ = true;
  } else if (is_new) {
    service::log_warning("not ready: {}", why_not);
  }
  was_told_ = true;
  // A service that waits for a broker has started all the same.
  const bool is_started = is_started_ || why_not.empty() || now_ns - started_steady_ns_ > kStartedAfterNs;
  const std::string state = why_not.empty() ? status : "not ready: " + why_not;
  if (is_started && !is_started_) {
    notify_.ready(state);
  } else if (is_new) {
    notify_.status(state);
  }
  is_started_ = is_started;
  if (!discrepancy.empty() && discrepancy != told_discrepancy_) service::log_error("the books do not balance: {}", discrepancy);
  told_discrepancy_ = discrepancy;
}

void ProgramWatch::beat(bool is_healthy, uint64_t now_ns) {
  if (notify_.watchdog_interval_ns() == 0 || now_ns < next_watchdog_ns_ || !is_healthy) return;
  next_watchdog_ns_ = now_ns + notify_.watchdog_interval_ns() / 2;
  notify_.watchdog();
}

void ProgramWatch::stopping(const char* what, uint64_t deadline_ns) {
  if (!is_stopping_) notify_.stopping(what, deadline_ns);
  is_stopping_ = true;
}

}  // namespace weir::feed
