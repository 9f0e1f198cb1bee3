// live_query.h — What somebody wants to see of the flows that pass, from the words of a request.
//
// Runs on:  http_thread. Pure.
// Failure:  an Error that names the parameter, its value and what it may be; so does one that is not known, for a
//           condition that is misspelt would show everything.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "dataplane/flow_filter.h"

namespace weir::control {

inline constexpr uint32_t kLiveSecondsDefault = 5;  // a look, for whoever says nothing
inline constexpr uint32_t kLiveSecondsMax = 3600;   // whoever wants more asks again: no watch is forgotten for ever
inline constexpr uint32_t kLiveFlowsDefault = 100;
inline constexpr uint32_t kLiveFlowsMax = 1'000'000;

struct LiveQuery {
  dataplane::FlowFilter filter;
  uint32_t seconds = kLiveSecondsDefault;
  uint32_t flows_max = kLiveFlowsDefault;
};

/// Their names.
std::vector<std::string> live_query_parameters();
/// `listeners`: names by ListenerId.
Result<LiveQuery> read_live_query(const std::map<std::string, std::string>& parameters,
                                  std::span<const std::string> listeners);

}  // namespace weir::control
