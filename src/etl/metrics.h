// metrics.h — What /metrics says of weir-etl.
//
// Runs on:  http_thread. Pure.
#pragma once

#include <string>

#include "etl/view.h"
#include "feed/files_view.h"
#include "service/metrics.h"
#include "service/operation_routes.h"

namespace weir::etl {

void add_metrics(const EtlView& view, const service::ReloadView& reload, const feed::FilesView& files, service::MetricPage& page);

}  // namespace weir::etl
