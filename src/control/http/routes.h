// routes.h — What the appliance answers on its REST socket and to Prometheus.
//
// Runs on:  http_thread; reads the last published ApplianceView and nothing else.
// Shapes:   docs/REST.md.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/clock.h"
#include "base/snapshot.h"
#include "control/view.h"
#include "service/http_server.h"

namespace weir::control {

nlohmann::json status_json(const ApplianceView& view);
nlohmann::json ledger_json(const ApplianceView& view);
nlohmann::json exporter_json(const ApplianceView& view, const decode::ExporterStats& exporter);

/// `view` outlives the server that serves the routes. The clock tells how old it is.
std::vector<service::HttpRoute> appliance_routes(
    const Snapshot<ApplianceView>& view, uint64_t started_steady_ns,
    std::function<uint64_t()> steady_now_ns = steady_clock_ns);

}  // namespace weir::control
