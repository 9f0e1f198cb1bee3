// replay_report.h — What a replay has shown: as a table, as JSON, as a chart.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/view.h"
#include "cli/replay_stages.h"
#include "lab/replay_player.h"

namespace weir::cli {

/// One look at the appliance while it was played to.
struct ReplayMoment {
  uint64_t after_ns = 0;  // the first frame
  uint64_t frames = 0;    // given
  uint64_t records = 0;   // decoded
  uint64_t acknowledged = 0;  // by the publisher that had fewest
};

struct ReplayResult {
  // What was played.
  uint64_t frames = 0;
  uint64_t octets = 0;
  uint64_t records = 0;
  uint64_t rounds = 0;
  uint64_t refused = 0;  // frames for which the port had no room
  uint64_t lost = 0;     // and the other faults, by intent
  uint64_t duplicated = 0;
  uint64_t reordered = 0;
  uint64_t corrupted = 0;
  uint64_t behind_ns = 0;  // its rate at the end
  uint64_t exporters = 0;
  uint64_t left_out = 0;  // packets of the captures
  uint64_t play_ns = 0;       // from the first frame to the last
  uint64_t delivered_ns = 0;  // from the first frame until all was settled, within a view's age; 0: it was not
  double cycles_per_ns = 0;   // of the clock that the CPU counts
  uint64_t memory_octets = 0;  // at most, resident
  uint64_t process_cpu_ns = 0;  // of all threads but the player, while it was played and delivered
  std::shared_ptr<const control::ApplianceView> view;  // the last
  std::vector<ReplayMoment> moments;
  std::optional<ReplayStages> stages;

  /// Frames that the port refused, a worker was too far behind for or no listener is for; records dropped, failed, on disk or
  /// not delivered: 0 is what a lossless run has, whose end was waited for. Faults by intent are none.
  uint64_t records_not_delivered() const;
  uint64_t frames_lost() const;
  bool is_lossless() const { return frames_lost() == 0 && records_not_delivered() == 0 && delivered_ns != 0; }
};

nlohmann::json replay_json(const ReplayResult& result);
std::vector<std::string> replay_table(const ReplayResult& result);
/// Records a second, decoded and acknowledged, over time.
std::string replay_svg(const ReplayResult& result);

}  // namespace weir::cli
