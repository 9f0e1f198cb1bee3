// routes.h — What weir-etl answers over its control socket and, of metrics and health, over TCP.
//
// Runs on:  http_thread; reads snapshots.
// Shapes:   docs/ETL.md.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "etl/rules_in_use.h"
#include "etl/view.h"
#include "feed/files_view.h"
#include "service/http_server.h"
#include "service/operation_routes.h"

namespace weir::etl {

inline constexpr const char* kThread = "etl";

/// Where the routes take what they show from. All of it outlives the server.
struct EtlSources {
  std::function<std::shared_ptr<const EtlView>()> view;
  std::function<std::shared_ptr<const RulesInUse>()> rules;  // the newest, which the next message goes by
  std::function<std::shared_ptr<const service::ReloadView>()> reload;
  std::function<std::shared_ptr<const feed::FilesView>()> files;
  uint64_t started_steady_ns = 0;
};
std::vector<service::HttpRoute> etl_routes(EtlSources sources);

}  // namespace weir::etl
