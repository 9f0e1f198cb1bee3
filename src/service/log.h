// log.h — The program's log: one line an event on standard error, for operators.
//
// Runs on:  any thread but rx_lcore (the receive path counts instead).
#pragma once

#include <cstdint>

#include "base/named_enum.h"

namespace weir::service {

#define WEIR_LOG_LEVELS(X) X(trace) X(debug) X(info) X(warning) X(error)
WEIR_NAMED_ENUM(LogLevel, uint8_t, WEIR_LOG_LEVELS)

#define WEIR_LOG_FORMATS(X) X(text) X(json)
WEIR_NAMED_ENUM(LogFormat, uint8_t, WEIR_LOG_FORMATS)

struct LogConfig {
  LogLevel level = LogLevel::info;
  LogFormat format = LogFormat::text;
};

}  // namespace weir::service
