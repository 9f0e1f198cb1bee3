// weirctl_tail.h — Flows as they pass, a line each, until somebody has seen enough.
//
// Failure:  nlohmann::json's exceptions, where an answer has another shape than this weirctl knows.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/weirctl_client.h"

namespace weir::cli {

struct TailOptions {
  std::vector<std::pair<std::string, std::string>> conditions;  // parameters of /v1/flows/live
  uint32_t count = 0;    // so many flows; 0: until Ctrl-C
  uint32_t seconds = 0;  // for so long; 0: until Ctrl-C
  bool as_json = false;  // lines as they came
};

inline constexpr uint32_t kTailFlowsMax = 1'000'000;  // of one answer: the appliance's bounds
inline constexpr uint32_t kTailSecondsMax = 3600;

std::string tail_heading();
/// Of a line with a flow.
std::string tail_row(const nlohmann::json& line);
/// What was seen, matched, shown and left out, from summaries.
std::string tail_words(const nlohmann::json& summary);

/// Flows go to standard output; at the end, what was seen and shown goes to standard error.
Answer run_tail(const std::string& socket_path, const TailOptions& options);

}  // namespace weir::cli
