// judge.h — The compiled OCSF schema and the linter's rules, from the folder beside the project, where it is.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "transform/json_schema.h"
#include "transform/ocsf_lint.h"

namespace weir::test {

inline std::filesystem::path ocsf_folder() {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  return std::filesystem::path(root != nullptr ? root : ".") / ".." / "shared" / "ocsf";
}

inline nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

inline bool has_ocsf_schema() {
  return std::filesystem::exists(ocsf_folder() / "network_activity-1.7.0.slim.schema.json");
}

/// Both judges of an event.
struct Judge {
  JsonSchema schema{read_json(ocsf_folder() / "network_activity-1.7.0.slim.schema.json")};
  OcsfLint lint{read_json(ocsf_folder() / "network_activity-1.7.0.resolved.json")};

  /// Everything that either finds wrong; the linter's warnings too, for our own events need none.
  std::vector<std::string> faults_of(const nlohmann::json& event) const {
    std::vector<std::string> faults = schema.errors_of(event);
    const Findings findings = lint.look_at(event);
    faults.insert(faults.end(), findings.errors.begin(), findings.errors.end());
    faults.insert(faults.end(), findings.warnings.begin(), findings.warnings.end());
    return faults;
  }
};

}  // namespace weir::test
