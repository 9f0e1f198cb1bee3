// config_describe.h — A configuration in an operator's words: for `weir check`.
#pragma once

#include <string>

#include "control/config/config.h"

namespace weir::control {

/// Every value with where it came from, secrets masked: one line each.
std::string describe_values(const LoadedConfig& loaded);

/// What would run: ports, receive cores, listeners, publishers, memory.
std::string describe_plan(const ApplianceConfig& config);

/// All keys of the configuration as a Markdown table, which says whose new values only a restart takes up.
std::string describe_keys();

}  // namespace weir::control
