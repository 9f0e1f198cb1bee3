#include "dataplane/eal.h"

#include <fmt/format.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_pdump.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>

namespace weir::dataplane {
namespace {

constexpr size_t kComplaintsMax = 3;
constexpr size_t kLogLineOctetsMax = 512;

EalLogLevel level_of(int rte_level) noexcept {
  if (rte_level <= static_cast<int>(RTE_LOG_CRIT)) return EalLogLevel::critical;
  if (rte_level == static_cast<int>(RTE_LOG_ERR)) return EalLogLevel::error;
  if (rte_level == static_cast<int>(RTE_LOG_WARNING)) return EalLogLevel::warning;
  if (rte_level == static_cast<int>(RTE_LOG_DEBUG)) return EalLogLevel::debug;
  return EalLogLevel::info;
}

// Where DPDK's log goes. It lives as long as the process: drivers may log until the very end.
class LogSink {
 public:
  void set_hook(std::function<void(EalLogLevel, std::string_view)> hook) {
    const std::lock_guard lock(mutex_);
    hook_ = std::move(hook);
  }

  void write(std::string_view text) {
    const std::lock_guard lock(mutex_);
    for (char c : text) {
      if (c != '\n') line_.push_back(c);
      if (c == '\n' || line_.size() >= kLogLineOctetsMax) end_line();
    }
  }

  std::string complaints() {
    const std::lock_guard lock(mutex_);
    std::string text;
    for (const std::string& line : complaints_) text += (text.empty() ? " (" : "; ") + line;
    return text.empty() ? text : text + ")";
  }

  void forget_complaints() {
    const std::lock_guard lock(mutex_);
    complaints_.clear();
  }

 private:
  void end_line() {
    while (!line_.empty() && (line_.back() == ' ' || line_.back() == '\r')) line_.pop_back();
    if (!line_.empty()) {
      const EalLogLevel level = level_of(rte_log_cur_msg_loglevel());
      if (level <= EalLogLevel::warning) {
        complaints_.push_back(line_);
        if (complaints_.size() > kComplaintsMax) complaints_.pop_front();
      }
      if (hook_) {
        hook_(level, line_);
      } else {
        std::fprintf(stderr, "%s\n", line_.c_str());
      }
    }
    line_.clear();
  }

  std::mutex mutex_;
  std::function<void(EalLogLevel, std::string_view)> hook_;
  std::string line_;
  std::deque<std::string> complaints_;
};

LogSink& log_sink() {
  static LogSink* const sink = new LogSink;  // never destroyed
  return *sink;
}

ssize_t write_log(void*, const char* text, size_t octets) {
  log_sink().write({text, octets});
  return static_cast<ssize_t>(octets);
}

bool capture_log() {
  static FILE* stream = nullptr;
  cookie_io_functions_t functions{};
  functions.write = write_log;
  stream = fopencookie(nullptr, "w", functions);
  if (stream == nullptr) return false;
  setvbuf(stream, nullptr, _IOLBF, BUFSIZ);
  return rte_openlog_stream(stream) == 0;
}

// EAL has pinned this thread; threads that it makes from now on would inherit that.
void set_control_affinity(const EalConfig& config, const Placement& placement, cpu_set_t before,
                          IdlePolicy idle) {
  if (config.main_lcore) return;  // as the operator wants it
  cpu_set_t without_burning = before;
  if (idle == IdlePolicy::poll)
    for (const CorePlacement& core : placement.cores) CPU_CLR(core.cpu, &without_burning);
  const cpu_set_t& wanted = CPU_COUNT(&without_burning) > 0 ? without_burning : before;
  pthread_setaffinity_np(pthread_self(), sizeof wanted, &wanted);
}

}  // namespace

std::vector<std::string> eal_arguments(const EalConfig& config, const Placement& placement,
                                       std::span<const std::string> pci_devices) {
  std::vector<std::string> arguments;
  if (!config.hugepages) arguments.emplace_back("--no-huge");
  if (config.file_prefix.empty()) {
    // No files that another instance could meet. --in-memory says more, but needs hugepages.
    arguments.emplace_back(config.hugepages ? "--in-memory" : "--no-shconf");
    arguments.emplace_back("--no-telemetry");
  } else {
    arguments.emplace_back("--file-prefix=" + config.file_prefix);
  }
  arguments.emplace_back("-m");
  arguments.emplace_back(std::to_string(config.memory_mb));

  std::string lcores = fmt::format("0@{}", placement.main_cpu);
  for (size_t i = 0; i < placement.cores.size(); ++i)
    lcores += fmt::format(",{}@{}", Eal::lcore_of(i), placement.cores[i].cpu);
  arguments.emplace_back("--lcores");
  arguments.emplace_back(lcores);
  arguments.emplace_back("--main-lcore");
  arguments.emplace_back("0");

  if (pci_devices.empty()) arguments.emplace_back("--no-pci");
  for (const std::string& device : pci_devices) {
    arguments.emplace_back("-a");
    arguments.emplace_back(device);
  }
  arguments.insert(arguments.end(), config.extra_args.begin(), config.extra_args.end());
  return arguments;
}

Result<std::unique_ptr<Eal>> Eal::start(const EalConfig& config, const Placement& placement,
                                        std::span<const std::string> pci_devices, IdlePolicy idle) {
  static bool used = false;
  if (used) return Error{"DPDK can be started only once in a process"};

  used = true;
  log_sink().set_hook(config.log);
  if (!capture_log()) return Error{"DPDK's log cannot be captured"};

  // EAL keeps pointers into its arguments.
  static std::vector<std::string> arguments;
  static std::vector<char*> argv;
  arguments = eal_arguments(config, placement, pci_devices);
  arguments.insert(arguments.begin(), "weir");
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  cpu_set_t before;
  pthread_getaffinity_np(pthread_self(), sizeof before, &before);
  forget_complaints();
  if (rte_eal_init(static_cast<int>(arguments.size()), argv.data()) < 0) {
    const int error = rte_errno;
    pthread_setaffinity_np(pthread_self(), sizeof before, &before);
    return Error{fmt::format("DPDK does not start: {}{}", rte_strerror(error), complaints())};
  }
  set_control_affinity(config, placement, before, idle);
  std::unique_ptr<Eal> eal(new Eal);
  // Another process sees its memory then, and may ask for copies of what is received (dpdk-dumpcap).
  if (config.hugepages && !config.file_prefix.empty()) {
    eal->answers_dumpcap_ = rte_pdump_init() == 0;
    if (!eal->answers_dumpcap_ && config.log)
      config.log(EalLogLevel::warning, fmt::format("dpdk-dumpcap will not work: {}", rte_strerror(rte_errno)));
  }
  return eal;
}

Eal::~Eal() {
  if (answers_dumpcap_) rte_pdump_uninit();
  rte_eal_cleanup();
  log_sink().set_hook(nullptr);
}

std::string Eal::complaints() { return log_sink().complaints(); }
void Eal::forget_complaints() { log_sink().forget_complaints(); }

}  // namespace weir::dataplane
