#include "store/retention_clock.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <utility>

#include "store/schema.h"

namespace weir::store {

namespace {

constexpr int64_t kCatchUpPart = 4;
/// A store of before there was a clock: its newest hour may be so old.
constexpr int64_t kQuietMaxMicros = 7 * kAtStartMaxMicros;

}  // namespace

int64_t machine_steady_micros() noexcept {
  timespec t{};
  clock_gettime(CLOCK_BOOTTIME, &t);
  return int64_t{t.tv_sec} * 1'000'000 + t.tv_nsec / 1000;
}

std::string machine_boot() {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  return boot;
}

RetentionClock::RetentionClock(State saved, std::string boot, int64_t wall_micros, int64_t steady_micros)
    : state_(std::move(saved)), wall_micros_(wall_micros) {
  // A program that is started again and again on a machine gets nothing for it.
  const bool is_same = !boot.empty() && state_.boot == boot && steady_micros >= state_.steady_micros;
  const int64_t off = wall_micros - state_.passed_micros - state_.caught_up_micros;
  state_.passed_micros += is_same ? steady_micros - state_.steady_micros : std::clamp<int64_t>(off, 0, kAtStartMaxMicros);
  state_.boot = std::move(boot);
  state_.steady_micros = steady_micros;
}

void RetentionClock::advance(int64_t wall_micros, int64_t steady_micros) {
  const int64_t elapsed = std::max<int64_t>(0, steady_micros - state_.steady_micros);
  state_.steady_micros = steady_micros;
  state_.passed_micros += elapsed;
  wall_micros_ = wall_micros;
  state_.caught_up_micros += std::clamp<int64_t>(behind(), 0, elapsed / kCatchUpPart);
}

int64_t RetentionClock::now() const noexcept { return std::min(wall_micros_, state_.passed_micros + state_.caught_up_micros); }

Result<RetentionClock::State> load_clock(Connection& connection, int64_t wall_micros) {
  auto made = connection.execute("CREATE TABLE IF NOT EXISTS keeper_clock (boot VARCHAR, steady BIGINT, passed BIGINT, caught_up BIGINT)");
  if (!made) return made.error();
  auto rows = connection.query(fmt::format(
      "SELECT boot, steady, passed, caught_up FROM keeper_clock UNION ALL SELECT '', 0, coalesce(least({0}, (max(hour) + 1) * {1} + {2}), {0}), 0 "
      "FROM (SELECT hour FROM flow_hours UNION ALL SELECT hour FROM history_files) WHERE hour * {1} <= {0} LIMIT 1",
      wall_micros, kMicrosPerHour, kQuietMaxMicros));
  if (!rows) return rows.error();
  auto chunk = rows->next();
  if (!chunk) return chunk.error();
  if (!*chunk || chunk->rows() == 0) return Error{"the store does not say what time it was"};
  return RetentionClock::State{std::string(chunk->text(0, 0)), chunk->at<int64_t>(1, 0), chunk->at<int64_t>(2, 0), chunk->at<int64_t>(3, 0)};
}

Result<void> save_clock(Connection& connection, const RetentionClock::State& state) {
  return retry_conflicts(connection, [&]() -> Result<void> {
    auto saved = connection.execute(fmt::format("DELETE FROM keeper_clock; INSERT INTO keeper_clock VALUES ({}, {}, {}, {})", sql_text(state.boot),
                                                state.steady_micros, state.passed_micros, state.caught_up_micros));
    if (!saved) return saved.error();
    return {};
  });
}

}  // namespace weir::store
