// machine_check.h — What this machine makes impossible: memory, CPUs, files, addresses, folders.
//
// Runs on:  start-up, before anything is started: `weir check` and `weir run` ask here alike.
// Failure:  an Error with one line a mistake: file:line:column, key, value, what is allowed.
//
// Starts nothing, writes nothing, and keeps nothing open. Who runs `weir check` needs the rights of who
// runs `weir run`, or hears of those that are missing.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "control/config/config.h"
#include "dataplane/plane_check.h"

namespace weir::control {

/// What another program holds just now. While weir runs, that is itself: a check only warns then.
enum class InUse : uint8_t { warn, refuse };

/// Warnings, where nothing is wrong.
Result<std::vector<std::string>> check_machine(const LoadedConfig& loaded,
                                               const dataplane::Machine& machine, InUse in_use);

/// Why `--until-end` would wait for ever; empty: there is an end.
std::string why_without_end(const ApplianceConfig& config);

}  // namespace weir::control
