// rule_routes.h — /v1/rules: the rules of classification and what each has done.
//
// Runs on:  http_thread; reads the last view.
// Shapes:   docs/REST.md, docs/openapi.yaml.
#pragma once

#include <vector>

#include "base/snapshot.h"
#include "control/view.h"
#include "service/http_server.h"

namespace weir::control {

/// `view` outlives the server that serves the route.
service::HttpRoute rules_route(const Snapshot<ApplianceView>& view);

}  // namespace weir::control
