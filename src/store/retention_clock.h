// retention_clock.h — By which time files and sums become too old: one that a wall clock that jumps cannot move.
//
// Spec:     docs/STORE.md, "Files".
// Runs on:  the keeper's thread.
// Bounds:   from one start of the machine to the next it goes on by what the wall clock says, by kAtStartMaxMicros at most;
//           behind the wall clock it catches up by a quarter of the time that passes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "store/database.h"

namespace weir::store {

inline constexpr int64_t kAtStartMaxMicros = 24ll * 3600 * 1'000'000;

/// Microseconds that count while a machine is on, asleep too, and which start of the machine they belong to.
int64_t machine_steady_micros() noexcept;
std::string machine_boot();

class RetentionClock {
 public:
  struct State {
    std::string boot;
    int64_t steady_micros = 0;
    int64_t passed_micros = 0;
    int64_t caught_up_micros = 0;
  };
  /// `saved`: as it was when it was kept last.
  RetentionClock(State saved, std::string boot, int64_t wall_micros, int64_t steady_micros);

  void advance(int64_t wall_micros, int64_t steady_micros);
  /// A time that only time moves: for how long something has been.
  int64_t passed() const noexcept { return state_.passed_micros; }
  /// For how old something is. Never later than the wall clock.
  int64_t now() const noexcept;
  /// How far the wall clock is ahead of it.
  int64_t behind() const noexcept { return wall_micros_ - now(); }
  const State& state() const noexcept { return state_; }

 private:
  State state_;
  int64_t wall_micros_;
};

/// As kept in the database; where none is yet, as if the machine had been on up to the newest hour there is.
Result<RetentionClock::State> load_clock(Connection& connection, int64_t wall_micros);
Result<void> save_clock(Connection& connection, const RetentionClock::State& state);

}  // namespace weir::store
