// replay_stages.h — What each stage of a receive core costs a record, on the frames that a replay plays.
//
// The stages are run one on top of the other over the same frames, on one thread, without a port: parsing them, decoding
// what they hold, encoding that too. Each costs what it adds. What a replay itself shows beyond that is receiving.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "control/config/config.h"
#include "lab/replay_frames.h"

namespace weir::cli {

/// CPU ns a record.
struct ReplayStages {
  uint64_t records = 0;  // of a pass
  double parse = 0;      // Ethernet to UDP
  double decode = 0;     // to FlowRecords
  double encode = 0;     // to sealed batches; where templates go straight to wire octets this may be below 0: there is
                         // no FlowRecord then
  double all() const { return parse + decode + encode; }
};

/// Measured over the first frames that some 20 MiB hold, the best of a few passes.
Result<ReplayStages> measure_stages(const control::ApplianceConfig& config, const lab::ReplayFrames& frames);

}  // namespace weir::cli
