// service_environment.h — The environment that the service has, for commands that look at its configuration from a shell.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace weir::cli {

inline constexpr const char* kInstalledConfig = "/etc/weir/weir.yaml";
inline constexpr const char* kInstalledEnvironment = "/etc/default/weir";  // EnvironmentFile of weir.service

inline constexpr const char* kNoEnvironmentFile = "none";

/// The variables of a file, as systemd would give them to the service, and those of this process, which win over the same names there.
class ServiceEnvironment {
 public:
  /// `file`: empty: kInstalledEnvironment where `config_path` is kInstalledConfig; kNoEnvironmentFile, and elsewhere: none.
  ServiceEnvironment(const std::string& config_path, std::string file);
  ServiceEnvironment(const ServiceEnvironment&) = delete;
  ServiceEnvironment& operator=(const ServiceEnvironment&) = delete;

  std::span<const char* const> entries() const noexcept { return entries_; }
  /// Why the file could not be read; empty: it was, or there is none.
  const std::string& trouble() const noexcept { return trouble_; }

 private:
  std::vector<std::string> of_file_;
  std::vector<const char*> entries_;
  std::string trouble_;
};

}  // namespace weir::cli
