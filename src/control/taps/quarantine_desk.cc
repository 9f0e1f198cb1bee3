#include "control/taps/quarantine_desk.h"

#include <algorithm>
#include <tuple>

#include "base/clock.h"

namespace weir::control {
namespace {

constexpr uint64_t kIntervalNs = kNsPerSec;

}  // namespace

void QuarantineDesk::step(dataplane::DataPlane& plane, uint64_t steady_now_ns) {
  while (cores_.size() < plane.cores().size()) {
    cores_.push_back(std::make_unique<Core>());
    cores_.back()->query.rows.resize(dataplane::kQuarantineRowsMax);
  }
  bool has_news = false;
  for (size_t i = 0; i < cores_.size(); ++i) {
    Core& core = *cores_[i];
    dataplane::QuarantineQuery* answer = nullptr;
    if (!core.is_asked || !plane.pipeline(i).take_quarantine(answer)) continue;
    core.is_asked = false;
    core.rows.assign(answer->rows.begin(), answer->rows.begin() + static_cast<std::ptrdiff_t>(answer->filled));
    has_news = true;
  }
  if (has_news) publish(plane);
  if (steady_now_ns < next_ns_) return;
  next_ns_ = steady_now_ns + kIntervalNs;
  for (size_t i = 0; i < cores_.size(); ++i) {
    Core& core = *cores_[i];
    const uint64_t copied = plane.pipeline(i).quarantine_counters().copied.total();
    if (core.is_asked || copied == core.copied) continue;
    core.is_asked = plane.pipeline(i).ask_quarantine(core.query);
    if (core.is_asked) core.copied = copied;
  }
}

void QuarantineDesk::publish(dataplane::DataPlane& plane) {
  auto view = std::make_shared<QuarantineView>();
  view->taken_ns = wall_clock_ns();
  for (size_t i = 0; i < cores_.size(); ++i) {
    for (const auto& datagram : cores_[i]->rows) view->rows.push_back({plane.cores()[i].core, datagram});
    const dataplane::QuarantineCounters& counters = plane.pipeline(i).quarantine_counters();
    view->copied += dataplane::Tally(counters.copied);
    view->passed_over += dataplane::Tally(counters.passed_over);
  }
  std::stable_sort(view->rows.begin(), view->rows.end(), [](const auto& a, const auto& b) {
    return std::tie(a.datagram.reason, a.datagram.note.received_ns) <
           std::tie(b.datagram.reason, b.datagram.note.received_ns);
  });
  view_.publish(std::move(view));
}

}  // namespace weir::control
