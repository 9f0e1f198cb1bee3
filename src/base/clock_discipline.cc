#include "base/clock_discipline.h"

#include <cmath>

namespace weir {
namespace {

constexpr double kRateOne = static_cast<double>(uint64_t{1} << ClockLines::kRateBits);

int64_t difference(uint64_t a, uint64_t b) noexcept { return static_cast<int64_t>(a - b); }
uint64_t size_of(int64_t n) noexcept { return n < 0 ? uint64_t{0} - static_cast<uint64_t>(n) : static_cast<uint64_t>(n); }

/// The rate that it was, and with it what takes back `error_ns` over as long as a line goes at most: readings that come more
/// seldom than expected then do not make it swing.
uint64_t steered(double ns, double ticks, int64_t error_ns) noexcept {
  const double rate = ns / ticks * (1 + static_cast<double>(error_ns) / static_cast<double>(kLineNsMax));
  return static_cast<uint64_t>(rate * kRateOne + 0.5);
}

}  // namespace

/// The offset between the clocks stands still while nobody sets one of them, however the kernel slews both.
void ClockDiscipline::look_for_step(const ClockReading& now) noexcept {
  const int64_t moved = difference(now.wall_ns - now.steady_ns, last_.wall_ns - last_.steady_ns);
  // What a reading in pieces is wrong by is no step.
  if (!has_last_ || size_of(moved) < kClockStepNs + now.width_ns + last_.width_ns) return;
  has_stepped_ = true;
  ++steps_;
  last_step_ns_ = moved;
  last_step_steady_ns_ = now.steady_ns;
}

void ClockDiscipline::begin_anew(const ClockReading& now) noexcept {
  on_line_ = now;
  has_line_ = true;
  measured_ = {};
  lines_ = {};
  agreeing_ = 0;
  has_stepped_ = false;
}

void ClockDiscipline::lose(const ClockReading& now) noexcept {
  const bool were_in_use = lines_.ticks_max != 0;
  begin_anew(now);
  if (!were_in_use) return;
  ++losses_;
  trouble_ = losses_ >= kLossesMax ? TickTrouble::given_up : TickTrouble::disagrees;
}

void ClockDiscipline::take(const ClockReading& now) noexcept {
  look_for_step(now);
  last_ = now;
  has_last_ = true;
  if (trouble_ == TickTrouble::not_invariant || trouble_ == TickTrouble::given_up || now.width_ns > kWidthNsMax) return;
  if (!has_line_) return begin_anew(now);

  const uint64_t ticks = now.ticks - on_line_.ticks;
  const uint64_t elapsed_ns = now.steady_ns - on_line_.steady_ns;
  if (elapsed_ns == 0) return;
  if (ticks == 0 || difference(now.ticks, on_line_.ticks) < 0) return lose(now);  // stopped, or set
  const bool is_measured = measured_.ticks_max != 0;
  // Who kept the lines stood still: nobody went by them by the end, and they begin where the clocks are now.
  const bool is_late = elapsed_ns >= kLineNsMax;
  error_ns_ = 0;
  int64_t wall_error_ns = 0;
  if (is_measured) {
    const double predicted_ns = static_cast<double>(ticks) * static_cast<double>(measured_.steady_rate) / kRateOne;
    const double wrong_ns = static_cast<double>(difference(now.steady_ns, measured_.steady_ns)) - predicted_ns;
    // A kernel that slews as hard as it may is no disagreement.
    if (std::fabs(wrong_ns) > static_cast<double>(elapsed_ns / 8 + kNsPerMs)) return lose(now);
    error_ns_ = static_cast<int64_t>(wrong_ns);
    const double wall_ns = static_cast<double>(ticks) * static_cast<double>(measured_.wall_rate) / kRateOne;
    wall_error_ns = difference(now.wall_ns, measured_.wall_ns) - static_cast<int64_t>(wall_ns);
  }
  const bool sets_wall = !is_measured || is_late || has_stepped_;
  ClockLines next;
  next.ticks = now.ticks;
  next.ticks_max =
      static_cast<uint64_t>(static_cast<double>(ticks) * (static_cast<double>(kLineNsMax) / static_cast<double>(elapsed_ns)));
  if (next.ticks_max == 0) return lose(now);  // a tick a second is no clock
  next.steady_ns = !is_measured || is_late ? now.steady_ns : now.steady_ns - static_cast<uint64_t>(error_ns_);
  next.wall_ns = sets_wall ? now.wall_ns : now.wall_ns - static_cast<uint64_t>(wall_error_ns);
  next.steady_rate = steered(static_cast<double>(elapsed_ns), static_cast<double>(ticks), is_late ? 0 : error_ns_);
  next.wall_rate = sets_wall ? steered(static_cast<double>(elapsed_ns), static_cast<double>(ticks), 0)
                             : steered(static_cast<double>(difference(now.wall_ns, on_line_.wall_ns)),
                                       static_cast<double>(ticks), wall_error_ns);
  measured_ = next;
  on_line_ = now;
  has_stepped_ = false;
  if (lines_.ticks_max == 0 && ++agreeing_ < kAgreeingMin) return;
  lines_ = measured_;
  trouble_ = TickTrouble::none;
}

}  // namespace weir
