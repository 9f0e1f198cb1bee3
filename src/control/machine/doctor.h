// doctor.h — What is wrong with the machine, the broker or the appliance, and what to type.
//
// Runs on:  `weir doctor`. diagnose is pure; ask_broker makes one connection and a few requests, each bounded.
// Failure:  none: what cannot be found out is a finding.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/named_enum.h"
#include "control/config/config.h"
#include "control/machine/host_facts.h"

namespace weir::control {

// fine: nothing to do. note: good to know, perhaps slower than it could be. warning: will hurt under load
// or in an outage. wrong: it cannot work like that.
#define WEIR_DOCTOR_GRADES(X) X(fine) X(note) X(warning) X(wrong)
WEIR_NAMED_ENUM(DoctorGrade, uint8_t, WEIR_DOCTOR_GRADES)

struct DoctorFinding {
  std::string about;  // hugepages, clock, stream, …
  DoctorGrade grade = DoctorGrade::fine;
  std::string found;
  std::string advice;  // what to type or change; empty where nothing is to be done
};

/// What is known of a device of the configuration.
using PciLookup = PciFacts (*)(const std::string& address);

std::vector<DoctorFinding> diagnose_host(const HostFacts& facts, const ApplianceConfig& config,
                                         PciLookup pci);
/// `status` as GET /v1/status answers.
std::vector<DoctorFinding> diagnose_appliance(const nlohmann::json& status);

/// The broker's settings as it told them: STREAM.INFO's `config`.
std::vector<DoctorFinding> diagnose_stream(const nlohmann::json& stream, uint64_t payload_max,
                                           const ApplianceConfig& config);
/// Where the broker is and who asks, as far as the running appliance goes by something else than what was loaded here.
struct BrokerDifference {
  std::vector<std::string> keys;  // empty: it goes by the same
  std::string from;               // where the appliance has the first of them from
  std::string nats_url;           // the appliance's, where that is all and hides no secret
};
/// `values` as GET /v1/config answers: secrets are masked, so two that are set are taken for the same.
BrokerDifference compare_broker(const nlohmann::json& values, const LoadedConfig& loaded);

/// Connects as the appliance would; none where it publishes nothing to NATS.
std::vector<DoctorFinding> ask_broker(const ApplianceConfig& config);

}  // namespace weir::control
