// metrics.h — The ApplianceView in Prometheus' text format.
//
// Runs on:  http_thread. Names follow Prometheus' conventions; labels have as many values as there
//           are ports, cores, publishers and enumerators, never one an exporter or a template.
#pragma once

#include <string>

#include "control/view.h"

namespace weir::control {

std::string metrics_text(const ApplianceView& view);

}  // namespace weir::control
