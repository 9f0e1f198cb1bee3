// event_log.h — What decoders tell, as lines of the log that operators look for.
//
// Runs on:  control_thread.
// Bounds:   lines_per_exporter lines of one kind an interval, lines_in_all lines of all exporters; windows
//           for windows_max pairs of exporter and kind. What is held back is counted, and said when the
//           interval is over. cache_lines_max lines a round about template caches.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/thread_roles.h"
#include "decode/decoder.h"
#include "decode/events.h"
#include "service/log.h"

namespace weir::control {

struct EventLogLimits {
  uint32_t lines_per_exporter = 20;
  uint32_t lines_in_all = 500;
  uint64_t interval_ns = 60 * kNsPerSec;
  size_t windows_max = 4096;
  uint64_t cache_interval_ns = 30 * kNsPerSec;
  size_t cache_lines_max = 100;
};

class EventLog {
 public:
  using Write = std::function<void(service::LogLevel, const std::string&)>;
  using NameOf = std::function<std::string(const IpAddress&)>;

  /// `write` takes each line; by default the program's log.
  explicit EventLog(const EventLogLimits& limits = {}, Write write = {});
  /// Before the first line: what the operator calls an exporter; empty: nothing.
  void set_names(NameOf name_of_exporter) { name_of_exporter_ = std::move(name_of_exporter); }

  void on_event(const decode::Event& event, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  /// About once a second: says what was held back in intervals that are over.
  void tick(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  /// All exporters, by address: every cache_interval_ns a line for each with template traffic since the
  /// last time.
  void on_exporters(std::span<const decode::ExporterStats> rows, uint64_t steady_now_ns)
      WEIR_RUNS_ON(control_thread);

 private:
  struct Window {
    uint64_t start_ns = 0;
    uint32_t lines = 0;
    uint64_t held_back = 0;
  };
  using Key = std::pair<IpAddress, decode::EventKind>;

  std::string name_of_exporter(const IpAddress& exporter) const {
    return name_of_exporter_ ? name_of_exporter_(exporter) : std::string();
  }
  bool admit(const decode::Event& event, uint64_t steady_now_ns);

  const EventLogLimits limits_;
  const Write write_;
  NameOf name_of_exporter_;
  std::map<Key, Window> windows_;
  uint64_t all_start_ns_ = 0;
  uint32_t all_lines_ = 0;
  // Of events for which there was no window, or no line left in all.
  std::array<uint64_t, static_cast<size_t>(decode::EventKind::count_)> others_held_back_{};

  uint64_t next_caches_ns_ = 0;
  std::map<IpAddress, uint64_t> activity_;  // as of the last round
  IpAddress last_shown_;                    // where the last round ended
};

/// V5, V9, IPFIX, sFlow: as log lines name them.
std::string_view protocol_of(uint16_t version) noexcept;
/// `Template learned - ID: 256, Protocol: V9, …`; empty for what is not logged.
/// `Exporter: 192.0.2.1 (edge1)` where the operator names it.
std::string line_of(const decode::Event& event, const std::string& name = {});
/// `V9 Template Cache [192.0.2.1:2055] - Templates: 15/2000, …`
std::string template_cache_line(const decode::ExporterStats& row, const std::string& name = {});

}  // namespace weir::control
