// config_document.h — Configuration text (YAML, so JSON too) → a bounded tree that knows its
// places.
//
// Spec:     YAML 1.2 as yaml-cpp reads it, without aliases, anchors, tags and second documents:
//           what a configuration does not need cannot surprise.
// Bounds:   kConfigOctetsMax, kConfigNodesMax, kConfigDepthMax.
// Failure:  an Error that names file, line and column.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::service {

inline constexpr size_t kConfigOctetsMax = 1024 * 1024;
inline constexpr size_t kConfigNodesMax = 100'000;
inline constexpr size_t kConfigDepthMax = 32;

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

struct ConfigNode {
  enum class Kind : uint8_t { null, scalar, list, map };
  Kind kind = Kind::null;
  std::string text;                // of a scalar, and of a key
  std::vector<ConfigNode> keys;    // of a map: keys[i] belongs to values[i]; repeated ones are kept
  std::vector<ConfigNode> values;  // of a map or a list
  Origin origin;
};

/// `name` stands for the file in messages. An empty document is an empty map.
Result<ConfigNode> parse_config_document(std::string_view text, const std::string& name);

/// The file's text; refuses what is larger or no regular file.
Result<std::string> read_config_file(const std::string& path, size_t octets_max = kConfigOctetsMax);

}  // namespace weir::service
