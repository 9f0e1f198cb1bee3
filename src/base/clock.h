// clock.h — The time, as 64-bit nanoseconds.
#pragma once

#include <cstdint>
#include <ctime>

namespace weir {

inline constexpr uint64_t kNsPerSec = 1'000'000'000;
inline constexpr uint64_t kNsPerMs = 1'000'000;
inline constexpr uint64_t kNsPerUs = 1'000;

/// Nanoseconds since the epoch (CLOCK_REALTIME): what records carry.
inline uint64_t wall_clock_ns() noexcept {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<uint64_t>(t.tv_sec) * kNsPerSec + static_cast<uint64_t>(t.tv_nsec);
}

/// Nanoseconds on a clock that never steps (CLOCK_MONOTONIC): what timers and deadlines use.
inline uint64_t steady_clock_ns() noexcept {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * kNsPerSec + static_cast<uint64_t>(t.tv_nsec);
}

/// When something came. State ages by the second, which is like the first but for steps: it goes on from where the wall
/// clock stood at the start, whatever the wall clock is set to meanwhile.
struct Moment {
  uint64_t wall_ns = 0;
  uint64_t aged_ns = 0;

  constexpr Moment() noexcept = default;
  /// What brings a time of its own, a capture, ages by that.
  constexpr Moment(uint64_t both_ns) noexcept : wall_ns(both_ns), aged_ns(both_ns) {}
  constexpr Moment(uint64_t wall, uint64_t aged) noexcept : wall_ns(wall), aged_ns(aged) {}
};

}  // namespace weir
