// exporter_history.h — What exporters have done of late, so that what is over is no longer held against them.
//
// Runs on:  control_thread.
// Bounds:   kMarks marks of each row of the view, some 400 bytes a row.
//
// A mark is what an exporter had counted at a time, by a clock that nobody sets. They are kMarkIntervalNs apart, and
// what came after the oldest is what is recent: at most kRecentNs, and at least one interval less.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/ip_address.h"
#include "base/thread_roles.h"
#include "decode/decoder.h"

namespace weir::control {

inline constexpr size_t kMarks = 5;
inline constexpr uint64_t kMarkIntervalNs = 120 * kNsPerSec;
inline constexpr uint64_t kRecentNs = kMarks * kMarkIntervalNs;
inline constexpr uint64_t kRecentMinutes = kRecentNs / (60 * kNsPerSec);  // as verdicts say

/// Of an exporter's counters those that speak of its health.
struct ExporterActivity {
  uint64_t datagrams = 0;
  uint64_t datagrams_rejected = 0;
  uint64_t records = 0;
  uint64_t template_hits = 0;  // data sets with their template
  uint64_t template_misses = 0;
  uint64_t template_evictions = 0;
  uint64_t sequence_lost = 0;
  uint64_t clock_implausible = 0;
  uint64_t samples_dropped = 0;
  friend bool operator==(const ExporterActivity&, const ExporterActivity&) = default;
};

/// All that it has done.
ExporterActivity activity_of(const decode::ExporterStats& exporter) noexcept;

class ExporterHistory {
 public:
  struct Times {
    uint64_t steady_ns = 0;
    uint64_t wall_ns = 0;  // as the rows' first_seen_ns
  };

  /// What each did of late, row by row. `rows`: by address, once each. Of one that has been there for longer and is new
  /// here, or was forgotten by its decoder meanwhile, it begins now.
  std::vector<ExporterActivity> recent(std::span<const decode::ExporterStats> rows, Times now)
      WEIR_RUNS_ON(control_thread);

 private:
  struct Past {
    IpAddress address;
    uint64_t datagrams = 0;  // as last seen
    std::array<ExporterActivity, kMarks> marks;
  };

  void follow(std::span<const decode::ExporterStats> rows, Times now);
  void mark(std::span<const decode::ExporterStats> rows, uint64_t steady_now_ns);

  std::vector<Past> pasts_;  // of the same exporters as the rows
  size_t newest_ = 0;        // mark of each
  uint64_t marked_ns_ = 0;   // when; 0: never
};

}  // namespace weir::control
