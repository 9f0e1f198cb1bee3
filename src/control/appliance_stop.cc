// How the appliance stops: the cores end, what is in flight is delivered, and who hangs is named.
#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "control/appliance.h"
#include "control/stop_deadline.h"
#include "service/log.h"

namespace weir::control {
namespace {

constexpr uint64_t kDrainGraceNs = 2 * kNsPerSec;  // for publishers to report what they gave up
// Cores take what has arrived already, a bounded amount; one that does not end is stuck.
constexpr uint64_t kCoresEndMaxNs = 10 * kNsPerSec;
constexpr uint64_t kHurriedCoresEndNs = kNsPerSec;  // when a stop was asked for twice

}  // namespace

void Appliance::begin_drain(uint64_t deadline_ns) {
  delivery_->begin_drain(deadline_ns);
  if (feed_) feed_->begin_drain(deadline_ns);
  if (leaving_feed_) leaving_feed_->begin_drain(deadline_ns);
}

/// Files are written meanwhile, behind nobody and before nobody.
bool Appliance::has_drained() {
  const bool state_is_kept = state_->has_finished();
  const bool names_are_kept = names_->has_finished();
  return state_is_kept && names_are_kept && delivery_->drained() && (!feed_ || feed_->finished()) &&
         !leaving_feed_ && disposal_.is_idle();
}

/// What has not ended by now hangs in a call of the system or of a library. It cannot be waited for.
void Appliance::look_who_is_stuck() {
  if (core_is_stuck_) stuck_.push_back("a receive core does not end; what it held is lost");
  for (const std::string& name : delivery_->unfinished()) {
    stuck_.push_back(fmt::format("publisher {} hangs in a write or a call of its library", name));
  }
  if ((feed_ && !feed_->finished()) || leaving_feed_ || !disposal_.is_idle()) {
    stuck_.push_back("exporter_info: its publisher hangs in a call of its library");
  }
  if (!state_->has_finished()) {
    stuck_.push_back("state: a write below state_dir hangs; what the decoders know now is not kept");
  }
  if (!names_->has_finished()) {
    stuck_.push_back("names: a write below state_dir hangs; the names known now are not kept");
  }
  if (list_watch_.is_reading()) stuck_.push_back("exporter_info.names_file: reading it hangs");
  if (reloader_.is_reading()) stuck_.push_back("reload: reading the configuration hangs");
  for (const std::string& what : stuck_) service::log_error("{}; it is left behind", what);
}

/// The cores still take in what has arrived already; their batches are moved on meanwhile, so that they
/// do not run out of buffers. False when one does not end.
bool Appliance::end_cores(const std::function<bool()>& asked_again,
                          service::ServiceNotify& notify) {
  StopDeadline deadline(steady_clock_ns() + kCoresEndMaxNs, asked_again);
  data_plane_->request_stop();
  while (!data_plane_->has_ended()) {
    if (deadline.is_over(steady_clock_ns(), kHurriedCoresEndNs)) return false;
    take_events();
    look_around(ApplianceState::draining, notify);
    if (!delivery_->step()) {
      waker_.wait(kIdleWaitMs, [this] {
        const RoleScope role(control_thread);
        return delivery_->has_news();
      });
    }
  }
  was_hurried_ = deadline.was_hurried();
  return true;
}

void Appliance::deliver_rest(const std::function<bool()>& asked_again,
                             service::ServiceNotify& notify) {
  const uint64_t now_ns = steady_clock_ns();
  const uint64_t patience_ns = was_hurried_ ? 0 : uint64_t{config_.shutdown_deadline_ms} * kNsPerMs;
  StopDeadline deadline(now_ns + patience_ns, asked_again);
  // What exporters said last goes out too: a bounded number of tables, as they are now.
  while (take_events()) {
  }
  names_->begin_finish(directory_);
  directory_.make_all_due();
  step_feed(now_ns);
  begin_drain(deadline.ns());
  uint64_t told_ns = deadline.ns();
  while (!has_drained()) {
    const uint64_t time_ns = steady_clock_ns();
    deadline.is_over(time_ns, 0);
    if (deadline.ns() != told_ns) {
      service::log_warning("asked to stop again: what is not delivered by now is given up");
      told_ns = deadline.ns();
      begin_drain(told_ns);
    }
    if (time_ns >= deadline.ns() + kDrainGraceNs) break;
    look_around(ApplianceState::draining, notify);
    bool moved = delivery_->step();
    moved |= step_feed(time_ns);
    if (!moved) waker_.wait(kIdleWaitMs, [] { return false; });
  }
  step_feed(steady_clock_ns());
}

}  // namespace weir::control
