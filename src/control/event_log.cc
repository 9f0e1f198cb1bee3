#include "control/event_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/socket_address.h"

namespace weir::control {
namespace {

using decode::Event;
using decode::EventKind;
using decode::TemplateUse;
using service::LogLevel;

/// The words that runbooks look for; a definition that contradicts another is a collision, however it
/// ends.
std::string_view words_of(EventKind kind) noexcept {
  switch (kind) {
    case EventKind::exporter_seen: return "Exporter seen for the first time";
    case EventKind::template_learned: return "Template learned";
    case EventKind::template_redefined:
    case EventKind::template_conflict: return "Template collision";
    case EventKind::template_evicted: return "Template evicted";
    case EventKind::template_expired: return "Template expired";
    case EventKind::template_withdrawn: return "Template withdrawn";
    case EventKind::template_missing: return "Missing template";
    case EventKind::template_refused: return "Template refused";
    case EventKind::name_learned:
    case EventKind::name_changed:
    case EventKind::count_: break;
  }
  return {};
}

LogLevel level_of(EventKind kind) noexcept {
  switch (kind) {
    case EventKind::template_redefined:
    case EventKind::template_conflict:
    case EventKind::template_evicted:
    case EventKind::template_missing:
    case EventKind::template_refused: return LogLevel::warning;
    default: return LogLevel::info;
  }
}

/// What the template caches of the exporter have done so far.
uint64_t activity_of(const decode::ExporterStats& row) {
  const auto of = [](const decode::TemplateCacheStats& c) {
    return c.hits + c.misses + c.evictions;
  };
  return row.templates_known + row.templates_new + of(row.data_templates) +
         of(row.options_templates);
}

std::string exporter_text(const IpAddress& exporter, const std::string& name) {
  return name.empty() ? exporter.to_string() : fmt::format("{} ({})", exporter.to_string(), name);
}

std::string protocols_of(const decode::ExporterStats& row) {
  const auto seen = [&row](decode::Protocol protocol) {
    return (row.protocols >> static_cast<uint32_t>(protocol) & 1) != 0;
  };
  if (!seen(decode::Protocol::ipfix)) return "V9";
  return seen(decode::Protocol::netflow_v9) ? "V9+IPFIX" : "IPFIX";
}

}  // namespace

std::string_view protocol_of(uint16_t version) noexcept {
  switch (version) {
    case 1: return "V1";
    case 5: return "V5";
    case 7: return "V7";
    case 9: return "V9";
    case 10: return "IPFIX";
    default: return "sFlow";
  }
}

std::string line_of(const Event& e, const std::string& name) {
  const std::string_view words = words_of(e.kind);
  if (words.empty()) return {};
  const std::string exporter = exporter_text(e.exporter, name);
  if (e.kind == EventKind::exporter_seen) {
    return fmt::format("{} - Exporter: {}, Protocol: {}, Domain: {}, Port: {}", words, exporter,
                       protocol_of(e.version), e.domain, e.port);
  }
  std::string line = fmt::format("{} - ID: {}, Protocol: {}, Exporter: {}, Domain: {}", words,
                                 e.template_id, protocol_of(e.version), exporter, e.domain);
  if (e.use != TemplateUse::unknown) line += fmt::format(", Kind: {}", name_of(e.use));
  switch (e.kind) {
    case EventKind::template_missing: line += "; its data waits"; break;
    case EventKind::template_conflict:
      line += fmt::format(", Fields: {}; port {} contradicts port {}: each keeps its own", e.fields,
                          e.port, e.other_port);
      break;
    case EventKind::template_redefined:
      line += fmt::format(", Fields: {}; defined anew", e.fields);
      break;
    case EventKind::template_evicted:
      line += "; the least recently used made room: raise max_templates";
      break;
    case EventKind::template_refused:
      line += fmt::format(", Fields: {}; more fields than max_template_fields, or no memory left",
                          e.fields);
      break;
    default: line += fmt::format(", Fields: {}", e.fields); break;
  }
  return line;
}

std::string template_cache_line(const decode::ExporterStats& row, const std::string& name) {
  const auto& data = row.data_templates;
  const auto& options = row.options_templates;
  return fmt::format(
      "{} Template Cache [{}] - Templates: {}/{}, Data: {}/{}, Options: {}/{}, "
      "Template Hits/Misses: {}/{}, Data Hits/Misses: {}/{}, Options Hits/Misses: {}/{}, "
      "Data Evictions: {}, Options Evictions: {}, Pending: {}{}",
      protocols_of(row), SocketAddress{row.address, row.port}.to_string(), row.templates,
      row.templates_max, data.size, row.templates_max, options.size, row.templates_max,
      row.templates_known, row.templates_new, data.hits, data.misses, options.hits, options.misses,
      data.evictions, options.evictions, row.sets_waiting, name.empty() ? "" : fmt::format(", Name: {}", name));
}

EventLog::EventLog(const EventLogLimits& limits, Write write)
    : limits_(limits),
      write_(write ? std::move(write) : [](LogLevel level, const std::string& line) {
        service::log(level, "{}", line);
      }) {}

bool EventLog::admit(const Event& e, uint64_t now_ns) {
  auto window = windows_.find({e.exporter, e.kind});
  if (window == windows_.end()) {
    if (windows_.size() >= limits_.windows_max || all_lines_ >= limits_.lines_in_all) {
      ++others_held_back_[static_cast<size_t>(e.kind)];
      return false;
    }
    window = windows_.emplace(Key{e.exporter, e.kind}, Window{now_ns, 0, 0}).first;
  }
  Window& w = window->second;
  if (w.lines >= limits_.lines_per_exporter || all_lines_ >= limits_.lines_in_all) {
    ++w.held_back;
    return false;
  }
  ++w.lines;
  ++all_lines_;
  return true;
}

void EventLog::on_event(const Event& e, uint64_t now_ns) {
  if (words_of(e.kind).empty() || !service::log_enabled(level_of(e.kind))) return;
  if (admit(e, now_ns)) write_(level_of(e.kind), line_of(e, name_of_exporter(e.exporter)));
}

void EventLog::tick(uint64_t now_ns) {
  for (auto it = windows_.begin(); it != windows_.end();) {
    const auto& [key, window] = *it;
    if (now_ns - window.start_ns < limits_.interval_ns) {
      ++it;
      continue;
    }
    if (window.held_back != 0) {
      write_(level_of(key.second),
             fmt::format("{} - Exporter: {}: {} more held back in {} s", words_of(key.second),
                         exporter_text(key.first, name_of_exporter(key.first)), window.held_back, limits_.interval_ns / kNsPerSec));
    }
    it = windows_.erase(it);
  }
  if (now_ns - all_start_ns_ < limits_.interval_ns) return;
  for (size_t i = 0; i < others_held_back_.size(); ++i) {
    if (others_held_back_[i] == 0) continue;
    const auto kind = static_cast<EventKind>(i);
    write_(level_of(kind),
           fmt::format("{} - {} more of several exporters held back in {} s", words_of(kind),
                       others_held_back_[i], limits_.interval_ns / kNsPerSec));
    others_held_back_[i] = 0;
  }
  all_start_ns_ = now_ns;
  all_lines_ = 0;
}

void EventLog::on_exporters(std::span<const decode::ExporterStats> rows, uint64_t now_ns) {
  if (now_ns < next_caches_ns_) return;
  const bool is_first_round = next_caches_ns_ == 0;
  next_caches_ns_ = now_ns + limits_.cache_interval_ns;
  if (is_first_round) return;  // the first line comes after a whole interval

  std::map<IpAddress, uint64_t> activity;
  std::vector<const decode::ExporterStats*> active;
  for (const decode::ExporterStats& row : rows) {
    const uint64_t now = activity_of(row);
    if (now == 0) continue;
    activity.emplace(row.address, now);
    const auto before = activity_.find(row.address);
    if (before == activity_.end() || before->second != now) active.push_back(&row);
  }
  activity_ = std::move(activity);

  // Where there are too many, the next round goes on behind the last one that was shown.
  size_t first = 0;
  if (active.size() > limits_.cache_lines_max) {
    while (first < active.size() && active[first]->address <= last_shown_) ++first;
    if (first == active.size()) first = 0;
  }
  const size_t shown = std::min(active.size(), limits_.cache_lines_max);
  for (size_t i = 0; i < shown; ++i) {
    const decode::ExporterStats& row = *active[(first + i) % active.size()];
    write_(LogLevel::info, template_cache_line(row, name_of_exporter(row.address)));
    last_shown_ = row.address;
  }
  if (active.size() > shown) {
    write_(LogLevel::info, fmt::format("Template Cache - {} more exporters in the next rounds",
                                       active.size() - shown));
  }
}

}  // namespace weir::control
