// config_rules.h — The rules of classification that a configuration names: part of it, so that it is refused with them.
#pragma once

#include "control/config/config.h"
#include "service/config_reader.h"

namespace weir::control {

/// Reads and compiles what classification.rules names into `rule_set`; what is wrong is an error of that key.
void read_rule_set(LoadedConfig& loaded, Keeping keeping, service::ConfigReport& report);

/// The element of that name or number (`34`, `12356/34`), where no field of records is for it.
Result<classify::ElementKey> find_classified_element(std::string_view name);

}  // namespace weir::control
