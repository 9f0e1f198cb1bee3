#include "service/log.h"

#include <poll.h>
#include <spdlog/async.h>
#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>


namespace weir::service {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::trace: return spdlog::level::trace;
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    default: return spdlog::level::err;
  }
}

std::string_view word_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace: return name_of(LogLevel::trace);
    case spdlog::level::debug: return name_of(LogLevel::debug);
    case spdlog::level::info: return name_of(LogLevel::info);
    case spdlog::level::warn: return name_of(LogLevel::warning);
    default: return name_of(LogLevel::error);
  }
}

/// 2026-04-14T12:00:00.123Z
std::string timestamp(spdlog::log_clock::time_point when) {
  const auto since_epoch = when.time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
  const time_t seconds = static_cast<time_t>(ms / 1000);
  tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  return fmt::format("{}.{:03}Z", std::string_view(text, length), ms % 1000);
}

class LineFormatter final : public spdlog::formatter {
 public:
  explicit LineFormatter(LogFormat format) : format_(format) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string text = printable({message.payload.data(), message.payload.size()});
    if (format_ == LogFormat::json) {
      // Built by hand for the order of its keys; only the message can hold what needs escaping.
      fmt::format_to(std::back_inserter(out),
                     "{{\"time\":\"{}\",\"level\":\"{}\",\"message\":{}}}\n",
                     timestamp(message.time), word_of(message.level), nlohmann::json(text).dump());
    } else {
      fmt::format_to(std::back_inserter(out), "{} {:<7} {}\n", timestamp(message.time),
                     word_of(message.level), text);
    }
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(format_);
  }

 private:
  LogFormat format_;
};

/// Writes to the descriptor itself: a thread that is stuck in a FILE's write holds its lock, and exit()
/// waits for the lock of each FILE.
class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FileSink(std::FILE* out) : fd_(::fileno(out)) { std::fflush(out); }
  uint64_t flushes() const noexcept { return flushes_.load(std::memory_order_acquire); }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    for (size_t written = 0; written < line.size();) {
      const ssize_t n = ::write(fd_, line.data() + written, line.size() - written);
      if (n > 0) {
        written += static_cast<size_t>(n);
      } else if (n < 0 && errno == EAGAIN) {  // whoever shares the descriptor made it so
        pollfd ready{fd_, POLLOUT, 0};
        ::poll(&ready, 1, -1);
      } else if (n == 0 || errno != EINTR) {
        return;  // there is nowhere to say so
      }
    }
  }
  void flush_() override { flushes_.fetch_add(1, std::memory_order_release); }

  const int fd_;
  std::atomic<uint64_t> flushes_{0};
};

using ThreadPool = spdlog::details::thread_pool;

struct Output {
  std::shared_ptr<FileSink> sink;
  std::shared_ptr<ThreadPool> pool;  // own_thread only
  std::shared_ptr<spdlog::logger> logger;
};

Output make_output(const LogConfig& config, std::FILE* out, LogWriting writing) {
  Output made;
  made.sink = std::make_shared<FileSink>(out);
  made.sink->set_formatter(std::make_unique<LineFormatter>(config.format));
  if (writing == LogWriting::own_thread) {
    made.pool = std::make_shared<ThreadPool>(kLogLinesWaitingMax, 1);
    made.logger = std::make_shared<spdlog::async_logger>(
        "weir", made.sink, made.pool, spdlog::async_overflow_policy::overrun_oldest);
  } else {
    made.logger = std::make_shared<spdlog::logger>("weir", made.sink);
  }
  made.logger->set_level(spdlog::level::trace);  // the level is checked before, in log_enabled()
  return made;
}

std::atomic<LogLevel> g_level{LogLevel::info};

struct Shared {
  std::mutex mutex;
  Output output;
  std::vector<LogLimit*> limits;
};

/// Never destroyed: statics may log and limits may die in any order at exit, and a thread that is
/// stuck in a write must not hold it up.
Shared& shared() {
  static Shared* const instance =
      new Shared{{}, make_output({}, stderr, LogWriting::by_caller), {}};
  return *instance;
}

}  // namespace

void start_log(const LogConfig& config, std::FILE* out, LogWriting writing) {
  Output output = make_output(config, out, writing);
  set_log_level(config.level);
  const std::lock_guard lock(shared().mutex);
  std::swap(shared().output, output);
  // What an earlier log still had to write is written when `output` goes.
}

bool finish_log(int timeout_ms) {
  Output output;
  {
    const std::lock_guard lock(shared().mutex);
    output = shared().output;
  }
  const uint64_t before = output.sink->flushes();
  output.logger->flush();
  for (int waited_ms = 0; output.sink->flushes() == before; ++waited_ms) {
    if (waited_ms >= timeout_ms) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

uint64_t log_lines_lost() {
  const std::lock_guard lock(shared().mutex);
  return shared().output.pool == nullptr ? 0 : shared().output.pool->overrun_counter();
}

void set_log_level(LogLevel level) noexcept { g_level.store(level, std::memory_order_relaxed); }
LogLevel log_level() noexcept { return g_level.load(std::memory_order_relaxed); }

void write_log(LogLevel level, std::string_view message) {
  std::shared_ptr<spdlog::logger> logger;
  {
    const std::lock_guard lock(shared().mutex);
    logger = shared().output.logger;
  }
  logger->log(to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
}

LogLimit::LogLimit(uint32_t messages_max, uint64_t interval_ns)
    : messages_max_(messages_max), interval_ns_(interval_ns) {
  const std::lock_guard lock(shared().mutex);
  shared().limits.push_back(this);
}

LogLimit::~LogLimit() {
  const std::lock_guard lock(shared().mutex);
  std::erase(shared().limits, this);
}

LogLimit::Verdict LogLimit::admit(uint64_t steady_now_ns) {
  Verdict verdict;
  if (admitted_ == 0 || steady_now_ns - interval_start_ns_ >= interval_ns_) {
    verdict.suppressed_before = suppressed_;
    interval_start_ns_ = steady_now_ns;
    admitted_ = 0;
    suppressed_ = 0;
  }
  verdict.admitted = admitted_ < messages_max_;
  if (verdict.admitted) {
    ++admitted_;
  } else {
    ++suppressed_;
  }
  return verdict;
}

uint64_t LogLimit::take_suppressed(uint64_t steady_now_ns) {
  if (suppressed_ == 0 || steady_now_ns - interval_start_ns_ < interval_ns_) return 0;
  return std::exchange(suppressed_, 0);
}

void write_limited(LogLimit& limit, LogLevel level, std::string_view message) {
  LogLimit::Verdict verdict;
  std::string suppressed_like;
  LogLevel suppressed_level{};
  {
    const std::lock_guard lock(shared().mutex);
    verdict = limit.admit(steady_clock_ns());
    if (verdict.suppressed_before > 0) {
      suppressed_like = limit.last_message_;
      suppressed_level = limit.last_level_;
    }
    if (!verdict.admitted) {
      limit.last_message_ = message;
      limit.last_level_ = level;
    }
  }
  if (verdict.suppressed_before > 0) {
    write_log(suppressed_level, fmt::format("{} more like it held back: {}",
                                            verdict.suppressed_before, suppressed_like));
  }
  if (verdict.admitted) write_log(level, message);
}

void flush_log_limits(uint64_t steady_now_ns) {
  struct Line {
    LogLevel level;
    std::string text;
  };
  std::vector<Line> lines;
  {
    const std::lock_guard lock(shared().mutex);
    for (LogLimit* limit : shared().limits) {
      const uint64_t suppressed = limit->take_suppressed(steady_now_ns);
      if (suppressed == 0) continue;
      lines.push_back({limit->last_level_, fmt::format("{} more like it held back: {}", suppressed,
                                                       limit->last_message_)});
    }
  }
  for (const Line& line : lines) write_log(line.level, line.text);
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

}  // namespace weir::service
