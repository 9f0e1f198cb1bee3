// metrics.h — What /metrics says of weir-store.
//
// Runs on:  http_thread. Pure.
#pragma once

#include "feed/files_view.h"
#include "service/metrics.h"
#include "service/operation_routes.h"
#include "store/keeper.h"
#include "store/view.h"

namespace weir::store {

/// Of the files that rows lie in.
struct FileLook {
  uint64_t octets = 0;
  uint64_t wal_octets = 0;
  uint64_t free_octets = 0;
  uint64_t reopened = 0;
};

void add_metrics(const StoreView& view, const KeeperView* keeper, const FileLook& file, const service::ReloadView& reload,
                 const feed::FilesView& files, service::MetricPage& page);

}  // namespace weir::store
