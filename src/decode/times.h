// times.h — From the many ways in which exporters write times to nanoseconds since the epoch.
//
// Spec:     RFC 7011 §6.1.7 to §6.1.10; RFC 3954 §5.1 (uptime). Uptimes wrap after 49.7 days, so
//           that differences to the header's are taken as signed 32-bit milliseconds.
//
// Exporters' clocks are wrong and exporters disagree with the registry about units: a reading
// counts only if it lies in a window around the time of receipt, and the first that does is taken.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "decode/elements.h"

namespace weir::decode {

/// 2000-01-01. Clocks that were never set are before that; exports that are replayed are not.
inline constexpr uint64_t kTimeEarliestNs = 946'684'800 * kNsPerSec;
/// What the times of one message's records are measured against.
struct TimeBase {
  uint64_t received_ns = 0;
  uint64_t aged_ns = 0;    // the same moment, by the clock that state ages by
  uint64_t export_ns = 0;  // the header's time, as it says
  uint32_t uptime_ms = 0;  // at export_ns
  bool has_uptime = false;
  // No time may lie farther from the receipt.
  uint64_t past_max_ns = 0;  // 0: kTimeEarliestNs alone bounds it
  uint64_t future_max_ns = 0;

  uint64_t window_begin_ns() const noexcept {
    if (past_max_ns == 0 || received_ns < kTimeEarliestNs + past_max_ns) return kTimeEarliestNs;
    return received_ns - past_max_ns;
  }
  uint64_t window_span_ns() const noexcept {
    const uint64_t end = received_ns + future_max_ns;
    const uint64_t begin = window_begin_ns();
    return end > begin ? end - begin : 0;
  }
  bool plausible(uint64_t t_ns) const noexcept {
    return t_ns - window_begin_ns() <= window_span_ns();
  }
  /// What stands in where a record has no plausible time of its own.
  uint64_t fallback_ns() const noexcept { return plausible(export_ns) ? export_ns : received_ns; }
  TimeSource fallback_source() const noexcept {
    return plausible(export_ns) ? TimeSource::export_time : TimeSource::received;
  }
  uint64_t from_uptime(uint32_t ms) const noexcept {
    const auto before = static_cast<int64_t>(static_cast<int32_t>(uptime_ms - ms));
    return export_ns - static_cast<uint64_t>(before * static_cast<int64_t>(kNsPerMs));
  }
  /// The exporter booted at `init_ms` since the epoch (element 160). Before 2000 or ahead of us it did not:
  /// uptimes wrap, so that from such a time one could be made that looks like any other.
  void set_system_init(uint64_t init_ms) noexcept {
    if (init_ms < kTimeEarliestNs / kNsPerMs ||
        init_ms > (received_ns + future_max_ns) / kNsPerMs) {
      return;
    }
    uptime_ms = static_cast<uint32_t>(export_ns / kNsPerMs - init_ms);
    has_uptime = true;
  }
};

/// A value of `width` octets as nanoseconds since the epoch, by the reading that is plausible.
/// 0: there is none.
uint64_t read_time(TimeKind kind, const uint8_t* p, uint32_t width, const TimeBase& base) noexcept;

constexpr TimeSource source_of(TimeKind kind) noexcept {
  switch (kind) {
    case TimeKind::nanoseconds: return TimeSource::nanoseconds;
    case TimeKind::microseconds: return TimeSource::microseconds;
    case TimeKind::milliseconds: return TimeSource::milliseconds;
    case TimeKind::uptime: return TimeSource::uptime;
    case TimeKind::delta: return TimeSource::delta;
    case TimeKind::seconds: return TimeSource::seconds;
    case TimeKind::count_: break;
  }
  return TimeSource::unknown;
}

}  // namespace weir::decode
