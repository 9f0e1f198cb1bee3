// config_findings.h — Reports what is wrong with a configuration at the place of the key that says so.
//
// Runs on:  start-up and reload.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "service/config_reader.h"

namespace weir::service {

/// `listeners[2]`
inline std::string at_index(std::string_view list, size_t i) { return fmt::format("{}[{}]", list, i); }

/// Reports with the place of the key, or of the nearest thing that it stands in.
class Findings {
 public:
  Findings(const Origins& origins, ConfigReport& report)
      : origins_(origins), report_(report) {}

  /// `about`: the objects and keys that the finding rests on; when one of them was read with
  /// errors, nothing is said.
  void error(const std::string& path, std::initializer_list<std::string> about,
             std::string_view what) {
    for (const std::string& subject : about) {
      if (report_.has_error_at(subject)) return;
    }
    report_.error(place_of(path), path, what);
  }
  /// Nothing is said where the key itself was read with errors.
  void error(const std::string& path, std::string_view what) { error(path, {path}, what); }
  void warning(const std::string& path, std::string_view what) {
    report_.warning(place_of(path), path, what);
  }
  /// Whether the file, or the environment, says anything of the key.
  bool is_said(const std::string& path) const { return origins_.count(path) != 0; }

 private:
  Origin place_of(std::string path) const {
    while (!path.empty()) {
      const auto found = origins_.find(path);
      if (found != origins_.end()) return found->second;
      const size_t cut = path.find_last_of(".[");
      path.resize(cut == std::string::npos ? 0 : cut);
    }
    return {};
  }

  const Origins& origins_;
  ConfigReport& report_;
};

}  // namespace weir::service
