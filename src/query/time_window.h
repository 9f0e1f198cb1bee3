// time_window.h — What `time:` says, as instants.
//
// Spec:     docs/SRQL.md, "Time": last_5m, 7d, "7 Days", today, yesterday, [start,end], comparisons.
// Runs on:  any thread. Pure but for the zone database.
//
// Private to src/query but for TimeWindow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "query/ast.h"
#include "query/time_zone.h"

namespace weir::query {

/// Half-open, in microseconds since the epoch. No start: from the first flow there is. No end: to the last.
struct TimeWindow {
  std::optional<int64_t> start_us;
  std::optional<int64_t> end_us;

  std::optional<int64_t> length_us() const noexcept {
    if (!start_us || !end_us) return std::nullopt;
    return *end_us - *start_us;
  }
};

inline constexpr int64_t kUsPerSec = 1'000'000;
inline constexpr int64_t kDefaultWindowSecs = 3600;
inline constexpr int64_t kInstantMaxUs = 253'402'300'799'999'999;  // the end of 9999: years have four digits

/// An instant: RFC 3339, `YYYY-MM-DD HH:MM:SS`, `YYYY-MM-DD`, now.
int64_t read_instant(const Text& text, const TimeZone& zone, int64_t now_us);
/// 2026-11-01T10:00:00Z, or with an offset for Z. Nothing if it is none, or one that a store could not be told.
std::optional<int64_t> instant_of(std::string_view text);
/// N with s, m, h, d or w, or a word for it. Nothing if it is none.
std::optional<int64_t> read_duration_secs(std::string_view text);

/// All `time:` of a query together; without one the last hour. Both refuse with the place of what is wrong.
TimeWindow read_window(const std::vector<Condition>& times, const TimeZone& zone, int64_t now_us);

/// 2026-11-01T00:00:00Z, with as many digits of the second as it takes.
std::string instant_text(int64_t us);

}  // namespace weir::query
