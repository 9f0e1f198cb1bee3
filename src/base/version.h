// version.h — Which build this is. In a file of its own, so that a commit recompiles one object.
#pragma once

#include <string>
#include <string_view>

namespace weir {

std::string_view version() noexcept;  // 0.1.0
std::string_view commit() noexcept;   // as git describes it; `unknown` outside of a checkout

/// `weir 0.1.0 (1a2b3c4d5e6f)`
inline std::string version_line(std::string_view program) {
  return std::string(program) + ' ' + std::string(version()) + " (" + std::string(commit()) + ')';
}

}  // namespace weir
