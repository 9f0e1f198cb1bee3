// config_collector.h — The configuration file of the flow collector that this replaces: taken as it is.
//
// Runs on:  start-up and reload. Pure.
//
// Such a file is JSON and has that collector's keys only. Its consumers know one FlowMessage a message,
// and its batch_size bounds how many of them are under way: what the file does not say follows from that.
#pragma once

#include "control/config/config.h"
#include "service/config_findings.h"
#include "service/config_document.h"

namespace weir::control {

bool is_collector_file(std::string_view text, const service::ConfigNode& document);

/// Its optional keys may be there without a value (`null`).
void drop_null_values(service::ConfigNode& document);

/// What the file implies, where neither it nor the environment says otherwise; before the environment.
void imply_collector_values(ApplianceConfig& config, const service::ConfigNode& document,
                            service::ReadContext& context);

/// Keys of listeners that mean nothing for their protocol, in whatever file.
void warn_of_idle_keys(const ApplianceConfig& config, const service::Origins& origins,
                       Findings& findings);

}  // namespace weir::control
