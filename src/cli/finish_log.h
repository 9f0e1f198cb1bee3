// finish_log.h — What a program does with its log's last lines.
//
// Runs on:  main.
#pragma once

#include "service/log.h"

namespace weir::cli {

inline constexpr int kFinishLogMs = 2000;

/// Waits, as it goes out of scope, until the log's thread has written what was said, at most for kFinishLogMs.
struct FinishLog {
  ~FinishLog() { service::finish_log(kFinishLogMs); }
};

}  // namespace weir::cli
