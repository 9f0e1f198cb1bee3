// config_reader.h — (being laid) where configuration values came from.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace weir::service {

/// Where a value came from.
struct Origin {
  enum class Kind : uint8_t { built_in, file, environment, command_line };
  Kind kind = Kind::built_in;
  std::string name;  // the file, or the environment variable
  int line = 0;      // from 1; of a file
  int column = 0;
  /// `default`, `conf/weir.yaml:12:3`, `environment WEIR_LOG_LEVEL`, `command line`
  std::string to_string() const;
};

/// By key path: `batch_bytes`, `log.level`, `listeners[0].port`. What is absent is a default.
using Origins = std::map<std::string, Origin, std::less<>>;

}  // namespace weir::service
