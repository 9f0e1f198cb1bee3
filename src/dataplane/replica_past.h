// replica_past.h — What other collectors got that a reload has taken away: totals do not fall, and one that comes again
// counts on.
//
// Runs on:  control_thread.
// Bounds:   kRowsMax rows; those that went longest ago are one together, kOthers.
//
// Private to src/dataplane.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/data_plane.h"

namespace weir::dataplane {

class ReplicaPast {
 public:
  static constexpr size_t kRowsMax = 64;
  static constexpr const char* kOthers = "others";

  /// It has gone, and nothing of it waits any more.
  void add(ReplicaStats stats) {
    stats.is_gone = true;
    rows_.push_back(std::move(stats));
    if (rows_.size() <= kRowsMax) return;
    rows_.front().to = kOthers;
    rows_.front().is_spoofed = false;
    rows_.front() += rows_[1];
    rows_.erase(rows_.begin() + 1);
  }
  /// It comes again: what it had until it went.
  ReplicaStats take(const std::string& to, bool is_spoofed) {
    const auto row = std::find_if(rows_.begin(), rows_.end(),
                                  [&](const ReplicaStats& r) { return r.to == to && r.is_spoofed == is_spoofed; });
    if (row == rows_.end()) return {};
    ReplicaStats stats = std::move(*row);
    rows_.erase(row);
    return stats;
  }
  const std::vector<ReplicaStats>& rows() const noexcept { return rows_; }

 private:
  std::vector<ReplicaStats> rows_;  // by when they went
};

}  // namespace weir::dataplane
