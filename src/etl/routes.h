// routes.h — What weir-etl answers over its control socket and, of metrics and health, over TCP.
//
// Runs on:  http_thread; reads snapshots.
// Shapes:   docs/ETL.md.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "etl/view.h"
#include "service/http_server.h"
#include "service/operation_routes.h"

namespace weir::etl {

inline constexpr const char* kThread = "etl";

using ViewSource = std::function<std::shared_ptr<const EtlView>()>;
using ReloadSource = std::function<std::shared_ptr<const service::ReloadView>()>;
std::vector<service::HttpRoute> etl_routes(ViewSource view, ReloadSource reload, uint64_t started_steady_ns);

}  // namespace weir::etl
