// view_build.h — Rows of the view, from the counters of what runs.
//
// Runs on:  control_thread.
#pragma once

#include <string>
#include <vector>

#include "base/thread_roles.h"
#include "control/config/config.h"
#include "control/view.h"

namespace weir::control {

/// `before`: the same core's last row, null for the first.
CoreView core_view(dataplane::DataPlane& plane, size_t core, const CoreView* before,
                   uint64_t elapsed_ns, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);

/// `names`: by ListenerId, those that are gone included.
std::vector<ListenerView> listener_views(dataplane::DataPlane& plane, const ApplianceConfig& config,
                                         const std::vector<std::string>& names)
    WEIR_RUNS_ON(control_thread);

/// One line for the log at the end.
std::string summary_of(const ApplianceView& view);

}  // namespace weir::control
