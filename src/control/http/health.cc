#include "control/http/health.h"

#include <fmt/format.h>

namespace weir::control {

std::string unhealthy_because(const ApplianceView* view, uint64_t started_steady_ns,
                              uint64_t steady_now_ns) {
  const auto age_ns = [&](uint64_t then) { return steady_now_ns > then ? steady_now_ns - then : 0; };
  const auto seconds = [](uint64_t ns) { return static_cast<double>(ns) / 1e9; };
  if (view == nullptr) {
    const uint64_t age = age_ns(started_steady_ns);
    if (age <= kStartMaxNs) return {};
    return fmt::format("it has been starting for {:.0f} s", seconds(age));
  }
  if (const uint64_t age = age_ns(view->taken_steady_ns); age > kStandstillMaxNs) {
    return fmt::format("the control thread has stood still for {:.1f} s", seconds(age));
  }
  if (view->state != ApplianceState::running) return {};  // its cores may have ended
  for (const CoreView& core : view->cores) {
    const uint64_t age = age_ns(core.turned_steady_ns);
    if (age <= kStandstillMaxNs) continue;
    return fmt::format("receive core {} ({}) has stood still for {:.1f} s", core.info.core,
                       core.info.serves, seconds(age));
  }
  return {};
}

std::string http_stands_because(uint64_t turned_steady_ns, uint64_t steady_now_ns) {
  if (steady_now_ns <= turned_steady_ns + kStandstillMaxNs) return {};
  return fmt::format("the thread of the control socket and of metrics has stood still for {:.1f} s",
                     static_cast<double>(steady_now_ns - turned_steady_ns) / 1e9);
}

}  // namespace weir::control
