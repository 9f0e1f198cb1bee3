#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "cli/weirctl_tables.h"

namespace weir::cli {

using nlohmann::json;

void print_config(const json& config) {
  size_t keys = 0, values = 0;
  for (const json& row : config.at("values")) {
    keys = std::max(keys, text_of(row.at("key")).size());
    values = std::max(values, std::min<size_t>(text_of(row.at("value")).size(), 40));
  }
  for (const json& row : config.at("values")) {
    std::printf("%-*s  %-*s  %s\n", static_cast<int>(keys), text_of(row.at("key")).c_str(), static_cast<int>(values),
                text_of(row.at("value")).c_str(), text_of(row.at("from")).c_str());
  }
}

void print_reload(const json& reload) {
  const std::string state = text_of(reload.at("state"));
  const auto list = [&](const char* title, const char* key) {
    if (reload.at(key).empty()) return;
    fmt::print("{}\n", title);
    for (const json& line : reload.at(key)) fmt::print("  {}\n", text_of(line));
  };
  if (state == "refused") {
    fmt::print("refused; what ran goes on:\n");
    std::istringstream findings(reload.at("error").get<std::string>());
    for (std::string line; std::getline(findings, line);) fmt::print("{}\n", text_of(line));
  } else if (state == "unchanged") {
    fmt::print("nothing has changed\n");
  } else if (state == "running") {
    fmt::print("still under way: GET /v1/reload on the control socket, and the log, say how it went\n");
  }
  list("goes now:", "applied");
  list("only a restart takes up:", "needs_restart");
  list("warnings:", "warnings");
}

}  // namespace weir::cli
