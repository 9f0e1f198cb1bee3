// routes.h — What weir-store answers over its control socket and, of metrics and health, over TCP.
//
// Runs on:  http_thread; reads snapshots, and asks the keeper for what takes time.
// Shapes:   docs/STORE.md.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "feed/files_view.h"
#include "service/http_server.h"
#include "service/operation_routes.h"
#include "store/keeper.h"
#include "store/open_store.h"
#include "store/rules_in_use.h"
#include "store/view.h"

namespace weir::store {

inline constexpr const char* kThread = "ingest";

/// Where the routes take what they show from. All of it outlives the server.
struct StoreSources {
  std::function<std::shared_ptr<const StoreView>()> view;
  std::function<std::shared_ptr<const KeeperView>()> keeper;  // null until it runs
  std::function<std::string()> keeper_trouble;  // why there is none; empty: there is one, or soon
  std::function<uint64_t()> ask_to_verify;
  std::function<std::shared_ptr<const RulesInUse>()> rules;  // the newest, which the next message goes by
  std::function<std::shared_ptr<const service::ReloadView>()> reload;
  std::function<std::shared_ptr<const feed::FilesView>()> files;
  const OpenStore* store = nullptr;
  uint64_t started_steady_ns = 0;
};
std::vector<service::HttpRoute> store_routes(StoreSources sources);

}  // namespace weir::store
