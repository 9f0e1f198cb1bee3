// weirctl_top.h — What goes on right now, on one screen: rates, losses, cores, publishers, busiest exporters.
//
// Failure:  nlohmann::json's exceptions, where an answer has another shape than this weirctl knows.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/exporter_rates.h"

namespace weir::cli {

/// The answers of one look.
struct TopSample {
  nlohmann::json status;
  nlohmann::json ledger;
  nlohmann::json exporters;  // rows
};

/// The screen for what happened between two looks, at most `lines_max` lines. `exporters` has seen both.
std::vector<std::string> top_screen(const TopSample& before, const TopSample& now, const ExporterRates& exporters,
                                    size_t lines_max);

struct TopOptions {
  std::chrono::milliseconds interval{1000};
  uint32_t count = 0;  // screens; 0: until q, Ctrl-C or the end of the input
};

/// On a terminal each screen takes the place of the one before, else they follow each other. `look` returns
/// false when there is no answer any more.
void run_top(const TopOptions& options, const std::function<bool(TopSample&)>& look);

}  // namespace weir::cli
