// live_routes.h — Flow records as they pass, for whoever asks on the control socket.
//
// Runs on:  http_thread.
// Shapes:   docs/REST.md: lines of JSON, each a flow or a summary; the last one is a summary that says why it ended.
// Failure:  400 for a condition that is none, 503 where too many look already.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/snapshot.h"
#include "control/taps/live_flows.h"
#include "service/http_server.h"

namespace weir::control {

using ListenerNames = std::vector<std::string>;  // by ListenerId

/// All outlive the server that serves the routes.
std::vector<service::HttpRoute> live_routes(LiveFlows& flows, const Snapshot<ListenerNames>& listeners,
                                            std::function<uint64_t()> steady_now_ns = steady_clock_ns);

}  // namespace weir::control
