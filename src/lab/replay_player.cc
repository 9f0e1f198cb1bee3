#include "lab/replay_player.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "base/clock.h"

namespace weir::lab {

namespace {

constexpr uint32_t kFramesALook = 16;          // at the clock, where nothing is waited for
constexpr uint64_t kNapMinNs = 100 * kNsPerUs;  // less is not worth a sleep
constexpr uint64_t kNapMaxNs = 5 * kNsPerMs;    // `stop` is looked at between two
constexpr double kRateMax = 1e12;
constexpr double kDueMaxNs = 1e18;  // thirty years: later is never, and must not come out as a moment that has passed

void nap(uint64_t ns) {
  const timespec time{0, static_cast<long>(std::min(ns, kNapMaxNs))};
  nanosleep(&time, nullptr);
}

std::optional<double> number_of(std::string_view text) {
  if (text.empty() || text.size() > 20) return std::nullopt;
  const std::string copy(text);
  if (copy.find_first_not_of("0123456789.") != std::string::npos) return std::nullopt;
  size_t used = 0;
  double value = 0;
  try {
    value = std::stod(copy, &used);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  if (used != copy.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

constexpr uint32_t kMillion = 1'000'000;

/// How often the dice must fall for a frame whose exporter has none held, so that of all its frames so many are: behind each that
/// is held goes one that is not.
uint32_t of_those_free(uint32_t of_a_million) {
  if (of_a_million >= kMillion / 2) return kMillion;
  const uint64_t others = kMillion - of_a_million;
  return static_cast<uint32_t>((uint64_t{of_a_million} * kMillion + others / 2) / others);
}

}  // namespace

std::optional<ReplayRate> ReplayRate::parse(std::string_view text) {
  if (text == "max") return ReplayRate{};
  if (text.starts_with('x')) {
    const auto factor = number_of(text.substr(1));
    if (!factor || *factor <= 0 || *factor > kRateMax) return std::nullopt;
    return ReplayRate{Unit::recorded, *factor};
  }
  static constexpr std::array<std::pair<std::string_view, Unit>, 3> kUnits = {
      {{"pps", Unit::packets}, {"bps", Unit::bits}, {"rps", Unit::records}}};
  for (const auto& [word, unit] : kUnits) {
    if (!text.ends_with(word)) continue;
    text.remove_suffix(word.size());
    double scale = 1;
    if (!text.empty()) {
      const char prefix = text.back();
      scale = prefix == 'k' ? 1e3 : prefix == 'M' ? 1e6 : prefix == 'G' ? 1e9 : 1;
    }
    if (scale != 1) text.remove_suffix(1);
    const auto number = number_of(text);
    if (!number || *number * scale < 1 || *number * scale > kRateMax) return std::nullopt;
    return ReplayRate{unit, *number * scale};
  }
  return std::nullopt;
}

ReplayPlayer::ReplayPlayer(const ReplayFrames& frames, const ReplayPlan& plan)
    : frames_(frames), plan_(plan), rewriter_(frames, plan.copies), random_(plan.seed), held_of_a_million_(of_those_free(plan.faults.reordered)) {
  if (plan.faults.reordered != 0) held_.resize(frames.sources().size() * plan.copies);
}

double ReplayPlayer::progress(uint64_t steady_now_ns) const noexcept {
  const uint64_t began = began_steady_ns();
  if (began == 0) return 0;
  if (ended_steady_ns() != 0) return 1;
  double done = 0;
  if (plan_.duration_ns != 0) {
    done = static_cast<double>(steady_now_ns - std::min(steady_now_ns, began)) / static_cast<double>(plan_.duration_ns);
  }
  if (plan_.rounds != 0) {
    const double all = static_cast<double>(frames_.frames().size()) * plan_.copies * static_cast<double>(plan_.rounds);
    done = std::max(done, static_cast<double>(counters_.frames.value() + counters_.lost.value()) / all);
  }
  return std::min(done, 1.0);
}

void ReplayPlayer::run(ReplayOutput& output, const std::atomic<bool>& stop) {
  wall_ns_ = wall_clock_ns();
  now_ns_ = steady_clock_ns();
  began_ns_.store(now_ns_, std::memory_order_release);
  for (uint64_t round = 0; plan_.rounds == 0 || round < plan_.rounds; ++round) {
    counters_.rounds.set(round + 1);
    if (!play_round(round, output, stop)) break;
  }
  give_held(output);
  output.flush();
  ended_ns_.store(steady_clock_ns(), std::memory_order_release);
}

/// False when it is over.
bool ReplayPlayer::play_round(uint64_t round, ReplayOutput& output, const std::atomic<bool>& stop) {
  for (const ReplayFrame& frame : frames_.frames()) {
    for (uint32_t copy = 0; copy < plan_.copies; ++copy) {
      const Play play{&frame, copy, round};
      if (!await(play, output, stop) || !throw_dice(play, output)) return false;
    }
  }
  return true;
}

/// When that frame is due, after the first.
uint64_t ReplayPlayer::due_ns(const Play& play) const noexcept {
  double done = 0;
  switch (plan_.rate.unit) {
    case ReplayRate::Unit::unlimited: return 0;
    case ReplayRate::Unit::packets: done = static_cast<double>(counters_.frames.value() + counters_.lost.value()); break;
    case ReplayRate::Unit::bits:
      done = 8.0 * static_cast<double>(counters_.octets.value() + counters_.lost_octets.value());
      break;
    case ReplayRate::Unit::records:
      done = static_cast<double>(counters_.records.value() + counters_.lost_records.value());
      break;
    case ReplayRate::Unit::recorded:
      done = static_cast<double>(play.round) * static_cast<double>(frames_.duration_ns()) / 1e9 +
             static_cast<double>(play.frame->after_ns) / 1e9;
      break;
  }
  return static_cast<uint64_t>(std::min(done / plan_.rate.value * 1e9, kDueMaxNs));
}

/// Until the frame is due; false: it is over.
bool ReplayPlayer::await(const Play& play, ReplayOutput& output, const std::atomic<bool>& stop) {
  const bool paces = plan_.rate.unit != ReplayRate::Unit::unlimited;
  if (!paces && until_look_ != 0) {
    --until_look_;
    return true;
  }
  until_look_ = kFramesALook;
  const uint64_t due = began_ns_.load(std::memory_order_relaxed) + due_ns(play);
  for (;;) {
    if (stop.load(std::memory_order_relaxed)) return false;
    now_ns_ = steady_clock_ns();
    if (plan_.duration_ns != 0 && now_ns_ - began_ns_.load(std::memory_order_relaxed) >= plan_.duration_ns) return false;
    if (!paces || now_ns_ >= due) break;
    output.flush();
    if (due - now_ns_ >= kNapMinNs) nap(due - now_ns_);
  }
  wall_ns_ = wall_clock_ns();
  counters_.behind_ns.set(paces ? now_ns_ - due : 0);
  return true;
}

bool ReplayPlayer::throw_dice(const Play& play, ReplayOutput& output) {
  const ReplayFaults& faults = plan_.faults;
  if (falls(faults.lost)) {
    counters_.lost.increment();
    counters_.lost_records.add(play.frame->records);
    counters_.lost_octets.add(play.frame->octets);
    return true;
  }
  // Other exporters' frames that come in between put nothing out of order.
  Play* const held = held_.empty() ? nullptr : &held_[exporter_of(play)];
  if (held != nullptr && held->frame == nullptr && falls(held_of_a_million_)) {
    counters_.reordered.increment();
    *held = play;
    return true;
  }
  if (!give_once_or_twice(play, output)) return false;
  return held == nullptr || held->frame == nullptr || give_once_or_twice(std::exchange(*held, Play{}), output);
}

bool ReplayPlayer::give_once_or_twice(const Play& play, ReplayOutput& output) {
  if (!give(play, output)) return false;
  if (!falls(plan_.faults.duplicated)) return true;
  counters_.duplicated.increment();
  return give(play, output);
}

/// Of those that had no next one.
void ReplayPlayer::give_held(ReplayOutput& output) {
  for (Play& held : held_) {
    if (held.frame != nullptr && !give_once_or_twice(std::exchange(held, Play{}), output)) return;
  }
}

bool ReplayPlayer::give(const Play& play, ReplayOutput& output) {
  const ReplayFrame& frame = *play.frame;
  uint8_t* const room = output.room(exporter_of(play), frame.octets);
  if (room == nullptr) return false;
  rewriter_.write(frame, play.copy, play.round, wall_ns_, room);
  if (frame.octets > frame.payload_at && falls(plan_.faults.corrupted)) {
    const uint32_t at = frame.payload_at + random_.below(frame.octets - frame.payload_at);
    room[at] = static_cast<uint8_t>(room[at] ^ (1 + random_.below(255)));
    renew_checksums({room, frame.octets}, frame.ip_at, frame.payload_at);
    counters_.corrupted.increment();
  }
  output.commit(frame.octets);
  counters_.frames.increment();
  counters_.octets.add(frame.octets);
  counters_.records.add(frame.records);
  return true;
}

}  // namespace weir::lab
