// exporter_detail_routes.h — One exporter, with all that is known of it: what the view has, and what its cores are asked.
//
// Runs on:  http_thread. The answer comes when the cores have answered, so nothing waits for them.
// Failure:  400 no address, 404 not known, 503 starting or too many ask. A core that does not answer is named.
#pragma once

#include <functional>

#include "base/clock.h"
#include "base/snapshot.h"
#include "control/exporters/exporter_details.h"
#include "control/view.h"
#include "service/http_server.h"

namespace weir::control {

/// All outlive the server that serves the route.
service::HttpRoute exporter_detail_route(const Snapshot<ApplianceView>& view, ExporterDetails& details,
                                         std::function<uint64_t()> steady_now_ns = steady_clock_ns);

}  // namespace weir::control
