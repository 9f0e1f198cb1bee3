// replay_run.h — An appliance whose one port is played to, from the first frame until all is delivered.
//
// Runs on:  the calling thread is the appliance's control thread; the player has one of its own.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/replay_report.h"
#include "control/config/config.h"
#include "lab/replay_frames.h"
#include "lab/replay_player.h"

namespace weir::cli {

inline constexpr const char* kReplayDevice = "net_ring0";

struct ReplayTarget {
  std::string config_path;  // empty: what `publish` says, and listeners for what the captures are for
  std::string publish = "discard";  // discard, file:PATH, or nats://HOST:PORT
  uint16_t queues = 1;
  uint16_t workers = 0;
  uint16_t descriptors = 4096;  // frames that a queue holds, as many as NICs have at most
};

/// The appliance's configuration, with a port of rings in place of its own, no kernel sockets, no control socket and
/// nothing kept on disk. An error names what of it cannot be.
Result<control::ApplianceConfig> replay_config(const ReplayTarget& target, const lab::ReplayFrames& frames,
                                               uint64_t exporters);

/// Runs it. `stop` ends the playing; what is in flight is delivered all the same. `on_look` is called a few times a
/// second with what has been played so far: 0 to 1, or 0 where there is no bound.
Result<ReplayResult> run_replay(const control::ApplianceConfig& config, const lab::ReplayFrames& frames,
                                const lab::ReplayPlan& plan, const std::atomic<bool>& stop,
                                const std::function<void(double progress, const ReplayMoment&)>& on_look);

}  // namespace weir::cli
