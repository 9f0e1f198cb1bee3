// config_check.h — What no single key can say: names that follow from others, impossible
// combinations.
//
// Runs on:  start-up and reload.
#pragma once

#include "control/config/config.h"

namespace weir::control {

/// Gives ports, listeners and publishers the names and subjects that were left out, and reports
/// what cannot work together. Of an object with a wrong key nothing more is said: it is not what
/// was meant.
void complete_and_check(ApplianceConfig& config, const service::Origins& origins,
                        service::ConfigReport& report);

/// any, netflow, ipfix, sflow
std::string protocol_word(decode::ProtocolFilter filter);

}  // namespace weir::control
