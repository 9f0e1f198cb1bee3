// log.h — The program's log: one line an event on standard error, for operators.
//
// Runs on:  any thread but rx_lcore (the receive path counts instead).
// Bounds:   a message is one line: control characters are written as \xNN, so that octets from the
//           network can neither forge lines nor reach a terminal. With LogWriting::own_thread at most
//           kLogLinesWaitingMax lines wait for a reader that is stuck; then the oldest go, counted.
//
//     log_info("port {}: {} queues", port.name, port.queues);
//
//     static LogLimit limit{5, 10 * kNsPerSec};  // at most 5 in 10 s, then how many more there were
//     log_limited(limit, LogLevel::warning, "publisher {}: {}", name, error);
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/named_enum.h"
#include "base/printable.h"

namespace weir::service {

#define WEIR_LOG_LEVELS(X) X(trace) X(debug) X(info) X(warning) X(error)
WEIR_NAMED_ENUM(LogLevel, uint8_t, WEIR_LOG_LEVELS)

#define WEIR_LOG_FORMATS(X) X(text) X(json)
WEIR_NAMED_ENUM(LogFormat, uint8_t, WEIR_LOG_FORMATS)

/// Who writes to the file: the caller, or a thread of the log's own, so that a reader which is stuck
/// (a pipe, a terminal on hold) never holds up whoever logs.
enum class LogWriting : uint8_t { by_caller, own_thread };

inline constexpr size_t kLogLinesWaitingMax = 8192;

struct LogConfig {
  LogLevel level = LogLevel::info;
  LogFormat format = LogFormat::text;
};

/// Before the first call, messages go to standard error as text, written by the caller. `out` must
/// outlive the log.
void start_log(const LogConfig& config, std::FILE* out = stderr,
               LogWriting writing = LogWriting::by_caller);

/// Waits until what was logged is written, at most `timeout_ms`; whether it was.
bool finish_log(int timeout_ms);

/// Lines that went unwritten because nobody took the older ones in time.
uint64_t log_lines_lost();

void set_log_level(LogLevel level) noexcept;
LogLevel log_level() noexcept;
inline bool log_enabled(LogLevel level) noexcept { return level >= log_level(); }

/// Writes one line, whatever the level.
void write_log(LogLevel level, std::string_view message);

template <class... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(level)) write_log(level, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::debug, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::info, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::warning, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::error, format, std::forward<Args>(args)...);
}

/// How often one place may log: `messages_max` in each interval. What was held back is reported in
/// one line by the next message after the interval, or by flush_log_limits(). Any thread.
class LogLimit {
 public:
  LogLimit(uint32_t messages_max, uint64_t interval_ns);
  ~LogLimit();
  LogLimit(const LogLimit&) = delete;
  LogLimit& operator=(const LogLimit&) = delete;

  struct Verdict {
    bool admitted = false;
    uint64_t suppressed_before = 0;  // in the interval that has just ended
  };
  Verdict admit(uint64_t steady_now_ns);
  /// What was held back in an interval that has ended; 0 while it lasts.
  uint64_t take_suppressed(uint64_t steady_now_ns);

 private:
  friend void flush_log_limits(uint64_t);
  friend void write_limited(LogLimit&, LogLevel, std::string_view);

  const uint32_t messages_max_;
  const uint64_t interval_ns_;
  uint64_t interval_start_ns_ = 0;
  uint32_t admitted_ = 0;
  uint64_t suppressed_ = 0;
  LogLevel last_level_ = LogLevel::info;
  std::string last_message_;  // names the messages that were held back
};

void write_limited(LogLimit& limit, LogLevel level, std::string_view message);

template <class... Args>
void log_limited(LogLimit& limit, LogLevel level, fmt::format_string<Args...> format,
                 Args&&... args) {
  if (log_enabled(level)) {
    write_limited(limit, level, fmt::format(format, std::forward<Args>(args)...));
  }
}

/// Reports what limits have held back in intervals that are over. The control thread calls it about
/// once a second, so that the count comes even where no further message does.
void flush_log_limits(uint64_t steady_now_ns);

using weir::printable;
/// `a, b, c`.
std::string joined(const std::vector<std::string>& words);

}  // namespace weir::service
