// config.h — What `weir-api run` goes by: one struct, its schema, and how it is read.
//
// Runs on:  start-up and reload.
// Failure:  an Error whose message has one line a mistake: file:line:column, key, value, what is allowed.
//
// The keys of the file are the names of the members. `weir-api check --keys` prints them all.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/http_server.h"
#include "api/routes.h"
#include "api/tokens.h"
#include "base/result.h"
#include "service/config_reader.h"
#include "service/log.h"

namespace weir::api {

struct ListenConfig {
  std::string unix_path = "/run/weir-api/api.sock";
  uint32_t unix_mode = 0660;
  std::string unix_group;
  std::string tcp;
};

struct ApiTlsConfig {
  std::string cert_file;
  std::string key_file;
  std::string client_ca_file;
};

/// weir-store.
struct StoreLinkConfig {
  std::string socket = "/run/weir-store/control.sock";
};

struct LimitsConfig {
  uint32_t connections = 256;
  uint32_t running = 3;
  uint32_t waiting = 64;
  uint32_t query_timeout_ms = 30'000;
  uint64_t sql_rows = 100'000;
};

struct ApiConfig {
  ListenConfig listen;
  ApiTlsConfig tls;
  std::string tokens_file;
  std::vector<std::string> cors_origins;
  StoreLinkConfig store;
  uint32_t realtime_threshold = 2 * 86'400;
  LimitsConfig limits;
  service::LogConfig log;
};

struct LoadedConfig {
  ApiConfig config;
  service::Origins origins;
  std::vector<std::string> warnings;
};

const service::Schema<ApiConfig>& api_schema();
Result<LoadedConfig> load_config(const std::string& path, std::span<const char* const> environment);
Result<LoadedConfig> read_config(std::string_view text, const std::string& name, std::span<const char* const> environment);
std::span<const char* const> process_environment() noexcept;

/// Tokens, of none an empty set; and whether sockets and certificates can be used. Warnings beside it.
struct CheckedFiles {
  std::shared_ptr<const Tokens> tokens;
  std::vector<std::string> warnings;
};
Result<CheckedFiles> check_files(const ApiConfig& config);
Result<std::shared_ptr<const Tokens>> read_tokens(const ApiConfig& config);

ServerConfig server_config(const ApiConfig& config);

std::string describe(const LoadedConfig& loaded);
std::string describe_keys();

}  // namespace weir::api
