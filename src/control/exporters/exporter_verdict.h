// exporter_verdict.h — What is wrong with an exporter, and what to do about it, in an operator's words.
//
// Runs on:  http_thread; a function of what is counted. What is over is not told: counts are those of the last
//           kRecentMinutes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/named_enum.h"
#include "control/exporters/exporter_history.h"
#include "decode/decoder.h"

namespace weir::control {

// clang-format off
#define WEIR_EXPORTER_TROUBLES(X)                                                                     \
  X(silent) X(rejected) X(templates_full) X(templates_missing) X(sequence_loss) X(clock_not_set)      \
  X(clock_wrong) X(samples_dropped)
// clang-format on
WEIR_NAMED_ENUM(ExporterTrouble, uint8_t, WEIR_EXPORTER_TROUBLES)

struct ExporterVerdict {
  ExporterTrouble about;
  std::string text;  // what is seen, and what to do
};

/// Nothing where all is well. `recent`: what it did of late. `now_ns`: wall clock.
std::vector<ExporterVerdict> verdicts_of(const decode::ExporterStats& exporter, const ExporterActivity& recent,
                                         uint64_t now_ns);

}  // namespace weir::control
