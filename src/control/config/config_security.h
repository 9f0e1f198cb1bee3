// config_security.h — The connection's protection: what its keys mean together, and the files they name.
//
// Runs on:  start-up and reload.
#pragma once

#include "control/config/config.h"
#include "service/config_findings.h"
#include "control/machine/machine_check.h"
#include "export/nats_client.h"

namespace weir::control {

/// Whether anything is published to NATS.
bool publishes_to_nats(const ApplianceConfig& config) noexcept;

/// Servers, credentials and certificates of every connection to NATS.
outbound::NatsConfig nats_config(const ApplianceConfig& config);

/// Before the check: tls:// in nats_url is a demand for TLS.
void complete_security(ApplianceConfig& config, const service::Origins& origins);
/// What no single key can say.
void check_security(const ApplianceConfig& config, const service::Origins& origins,
                    Findings& findings);

/// The files, as they are now; false when no connection can be made with them. A certificate whose time
/// is over is an error where that is the question (InUse::warn), and only a warning for a program that
/// starts: the file may be replaced, or the clock be set, while it runs.
bool check_security_files(const ApplianceConfig& config, InUse in_use, Findings& findings);

}  // namespace weir::control
