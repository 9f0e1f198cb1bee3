// environment_file.h — Variables of a service as systemd reads them from the file that its unit names.
//
// Spec:     systemd.exec(5), EnvironmentFile=: NAME=value a line; # and ; begin comments; quotes of both kinds, which may
//           span lines; \ takes the next octet as it is, a line's end away. Nothing is expanded.
// Bounds:   kEnvironmentFileOctetsMax.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::service {

inline constexpr size_t kEnvironmentFileOctetsMax = 1u << 20;

/// `NAME=value` each, in order; the last of a name counts. What is no assignment is left out.
std::vector<std::string> parse_environment_file(std::string_view text);

/// An error where it cannot be read; where it is not there it has nothing.
Result<std::vector<std::string>> read_environment_file(const std::string& path);

}  // namespace weir::service
