// capture_routes.h — What the control socket answers to those who want to see datagrams themselves.
//
// Runs on:  http_thread. Whoever gets octets of datagrams is an admin: what flows through a network is in them.
// Shapes:   docs/REST.md.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/snapshot.h"
#include "control/taps/capture_desk.h"
#include "control/taps/quarantine_desk.h"
#include "control/view.h"
#include "service/http_server.h"

namespace weir::control {

/// A body of POST /v1/captures; an Error says which key is wrong, and what it may be.
Result<CaptureSpec> capture_spec_of(std::string_view body, const CaptureGround& ground);

/// All outlive the server that serves the routes. The view has the names of exporters.
std::vector<service::HttpRoute> capture_routes(CaptureDesk& captures, const QuarantineDesk& quarantine,
                                               const Snapshot<ApplianceView>& view);

}  // namespace weir::control
