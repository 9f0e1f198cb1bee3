// plane_rules.h — What an operator may say anew while packets come: listeners, sampling, access, rates.
//
// Runs on:  made on the control thread; constant from then on. Each core takes it up between two bursts.
// Failure:  an Error that names the listener.
//
// A ListenerId is a place in the list: a listener that is gone keeps its own, without a port, for what
// waits for templates still refers to it. Routes are places in the list of subjects and stay what they are.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "dataplane/rate_limiter.h"
#include "decode/decoder_rules.h"
#include "export/addressing.h"
#include "flow/export_header.h"

namespace weir::classify {
class RuleSet;
class Stages;
}  // namespace weir::classify

namespace weir::dataplane {

struct Listener {
  std::string name;   // `netflow`, `sflow`; unique
  uint16_t port = 0;  // UDP destination port of frames; 0: comes by kernel sockets only
  RouteId route;      // where its flows go
  // Where what sFlow tells beside flows goes; nowhere: it is dropped as filtered.
  std::optional<RouteId> counters_route{};
  std::optional<RouteId> discards_route{};
  decode::ListenerRules rules;
};

struct PlaneRules {
  std::vector<Listener> listeners;
  RateLimits rate_limits;
  decode::DecoderRules decoder;  // its listeners are those of the list above
  std::vector<outbound::RouteSplit> splits;
  uint32_t buffers_in_reserve = 0;  // BatcherConfig's
  std::shared_ptr<const classify::Stages> stages;  // by core; null: records are not classified
  std::vector<RouteId> rule_routes;                // by RuleSet::routes()
  std::array<uint16_t, 65536> listener_by_port{};  // ListenerId + 1; 0: none

  /// Fills in what follows from the rest. Fails on a port that two listeners want.
  static Result<std::shared_ptr<const PlaneRules>> make(PlaneRules rules);
};

}  // namespace weir::dataplane
