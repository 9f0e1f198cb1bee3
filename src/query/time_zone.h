// time_zone.h — How far a zone's clocks are from UTC.
//
// Spec:     RFC 8536 (TZif), read from the system's zoneinfo; fixed offsets such as +02:00.
// Runs on:  any thread.
// Bounds:   kZoneFileOctetsMax. Behind the file's last transition its last offset goes on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::query {

inline constexpr size_t kZoneFileOctetsMax = 64 * 1024;

class TimeZone {
 public:
  /// From `at` on the clocks are `offset` seconds from UTC.
  struct Transition {
    int64_t at;
    int64_t offset;
  };

  /// UTC
  TimeZone() = default;
  /// UTC, Z, +02:00, -0530, or a name of the zone database: Europe/Berlin.
  static Result<TimeZone> find(std::string_view name);

  /// Empty for UTC and fixed offsets.
  const std::string& name() const noexcept { return name_; }
  bool is_utc() const noexcept { return name_.empty() && first_offset_ == 0; }
  /// Seconds to add to UTC.
  int64_t offset_at(int64_t utc_secs) const noexcept;
  /// Those behind `start_secs` and before `end_secs`.
  std::vector<Transition> transitions_between(int64_t start_secs, int64_t end_secs) const;
  /// The instant at which clocks show `local_secs` (as if it were UTC): of two the first, and of a time that is
  /// leapt over what it would have been without the leap.
  int64_t to_utc(int64_t local_secs) const noexcept;

 private:
  std::string name_;
  int64_t first_offset_ = 0;
  std::vector<Transition> transitions_;
};

}  // namespace weir::query
