// operation_routes.h — What an operator may ask for and change while the appliance runs: its configuration.
//
// Runs on:  http_thread; reads snapshots, and asks the control thread for what takes time.
// Shapes:   docs/REST.md.
#pragma once

#include <vector>

#include "base/snapshot.h"
#include "control/reload.h"
#include "service/config_reader.h"
#include "service/http_server.h"

namespace weir::control {

using EffectiveConfig = std::vector<service::EffectiveValue>;

/// Both outlive the server that serves the routes.
std::vector<service::HttpRoute> operation_routes(const Snapshot<EffectiveConfig>& config,
                                                 Reloader& reloader);

}  // namespace weir::control
