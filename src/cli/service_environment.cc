#include "cli/service_environment.h"

#include <fmt/format.h>

#include <utility>

#include "service/config_text.h"
#include "service/environment_file.h"

namespace weir::cli {

ServiceEnvironment::ServiceEnvironment(const std::string& config_path, std::string file) {
  if (file.empty() && config_path == kInstalledConfig) file = kInstalledEnvironment;
  if (!file.empty() && file != kNoEnvironmentFile) {
    if (auto read = service::read_environment_file(file)) {
      of_file_ = std::move(*read);
    } else {
      trouble_ = fmt::format("{}; what it says is not looked at", read.error().message);
    }
  }
  for (const std::string& variable : of_file_) entries_.push_back(variable.c_str());
  for (const char* const variable : service::process_environment()) entries_.push_back(variable);
}

}  // namespace weir::cli
