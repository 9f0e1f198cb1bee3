// routes.h — What the appliance answers on its REST socket and to Prometheus.
//
// Runs on:  http_thread; reads the last published ApplianceView and nothing else.
// Shapes:   docs/REST.md.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "base/snapshot.h"
#include "control/view.h"
#include "service/http_server.h"

namespace weir::control {

nlohmann::json status_json(const ApplianceView& view);
nlohmann::json ledger_json(const ApplianceView& view);
nlohmann::json exporter_json(const decode::ExporterStats& exporter);

/// `view` outlives the server that serves the routes.
std::vector<service::HttpRoute> appliance_routes(const Snapshot<ApplianceView>& view);

}  // namespace weir::control
