// pipeline_config.h — What a receive core is made by.
//
// Runs on:  control_thread.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/result.h"
#include "dataplane/plane_rules.h"
#include "dataplane/rate_limiter.h"
#include "decode/decoder.h"
#include "export/batcher.h"
#include "packet/reassembly.h"

namespace weir::classify {
class RuleSet;
}  // namespace weir::classify

namespace weir::dataplane {

struct PipelineConfig {
  std::vector<Listener> listeners;  // ListenerId is the place in this list
  RateLimits rate_limits;
  packet::ReassemblyLimits reassembly;
  decode::DecoderConfig decoder;  // `listeners` is filled in from the list above
  outbound::BatcherConfig batcher;
  bool may_fuse = true;  // templates straight to wire octets, where nobody needs the records
  std::shared_ptr<const classify::RuleSet> classification;  // null: records are not classified
  std::vector<RouteId> rule_routes;                         // by its routes()

  /// What of it may change later, for so many cores. Those that classify by the rules `before` had go on with them.
  Result<std::shared_ptr<const PlaneRules>> rules(size_t cores = 1, const PlaneRules* before = nullptr) const;
};

}  // namespace weir::dataplane
