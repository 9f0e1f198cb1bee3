#include "control/reload.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "service/log.h"

namespace weir::control {
namespace {

constexpr std::string_view kLiveKeys[] = {
    "listeners", "sampling", "replicate", "exporters", "exporter_info", "classification", "limits.exporters_per_core",
    "limits.exporters_total", "limits.records_per_second",
    "limits.records_per_second_per_exporter", "limits.packets_per_second_per_exporter", "log.level", "shutdown_deadline_ms",
    // of publishers
    "publishers", "nats_url", "nats_creds_file", "nats_nkey_file", "nats_user", "nats_password", "nats_token", "nats_connections",
    "security", "stream_name", "stream_subjects", "stream_max_bytes", "stream_replicas", "stream_storage",
    "stream_retention", "stream_max_age_secs", "stream_duplicate_window_secs", "stream_adopt", "publish_timeout_ms",
    "framing", "compression", "channel_size", "drop_policy", "spool"};

bool stands_in(std::string_view key, std::string_view live) {
  if (key.substr(0, live.size()) != live) return false;
  return key.size() == live.size() || key[live.size()] == '.' || key[live.size()] == '[';
}

/// What decoders have reserved when they were made: neither exporters nor any of `wanted`'s listeners get more.
void find_beyond_reserve(const ApplianceConfig& started, const ApplianceConfig& wanted,
                         ConfigChange& change) {
  std::vector<std::string>& found = change.at_restart;
  const decode::DecoderLimits have = data_plane_config(started).pipeline.decoder.limits;
  if (const uint32_t wants = exporters_of_core(wanted); wants > have.exporters_most()) {
    if (wanted.limits.exporters_per_core > started.limits.exporters_per_core) found.push_back("limits.exporters_per_core");
    if (wanted.limits.exporters_total > started.limits.exporters_total) found.push_back("limits.exporters_total");
    change.notes.push_back(fmt::format("limits: {} exporters a core are wanted, and the start made room for {}", wants,
                                       have.exporters_most()));
  }
  const auto names_kept = [](const ApplianceConfig& config) {
    return std::any_of(config.listeners.begin(), config.listeners.end(),
                       [](const ListenerConfig& listener) { return listener.inline_names; });
  };
  for (size_t i = 0; i < wanted.listeners.size(); ++i) {
    const ListenerConfig& l = wanted.listeners[i];
    const auto more = [&](uint64_t wants, uint64_t has, std::string_view key) {
      if (wants > has) found.push_back(fmt::format("listeners[{}].{}", i, key));
    };
    more(l.max_templates, have.templates_per_exporter_max, "max_templates");
    more(l.max_template_fields, have.template_fields_max, "max_template_fields");
    more(l.pending_flows.max_pending_flows, have.pending_sets_per_exporter_max,
         "pending_flows.max_pending_flows");
    more(l.pending_flows.max_entries_per_template, have.pending_entries_per_template_max,
         "pending_flows.max_entries_per_template");
    more(l.pending_flows.max_entry_size_bytes, have.pending_entry_octets_max,
         "pending_flows.max_entry_size_bytes");
    if (l.inline_names && !names_kept(started)) found.push_back(fmt::format("listeners[{}].inline_names", i));
  }
}

/// Rules that say the same are the same: they need not be compiled for cores again.
bool say_the_same(const std::shared_ptr<const classify::RuleSet>& a, const std::shared_ptr<const classify::RuleSet>& b) {
  return a == b || (a != nullptr && b != nullptr && a->hash() == b->hash());
}

}  // namespace

std::span<const std::string_view> live_keys() noexcept { return kLiveKeys; }

bool goes_without_restart(std::string_view key) noexcept {
  return std::any_of(std::begin(kLiveKeys), std::end(kLiveKeys),
                     [key](std::string_view live) { return stands_in(key, live); });
}

ConfigChange compare(const ApplianceConfig& started, const ApplianceConfig& running,
                     const ApplianceConfig& wanted) {
  ConfigChange change;
  find_beyond_reserve(started, with_live_keys(running, wanted), change);  // on the cores that there are
  for (std::string& key : appliance_schema().differences(&running, &wanted)) {
    if (std::find(change.at_restart.begin(), change.at_restart.end(), key) != change.at_restart.end()) continue;
    (goes_without_restart(key) ? change.now : change.at_restart).push_back(std::move(key));
  }
  // What a file says may differ where its name does not.
  constexpr const char* kNamesFile = "exporter_info.names_file";
  if (!say_the_same(running.exporter_list, wanted.exporter_list) &&
      std::find(change.now.begin(), change.now.end(), kNamesFile) == change.now.end()) {
    change.now.push_back(kNamesFile);
  }
  constexpr const char* kRules = "classification.rules";
  if (!say_the_same(running.rule_set, wanted.rule_set) &&
      std::find(change.now.begin(), change.now.end(), kRules) == change.now.end()) {
    change.now.push_back(kRules);
  }
  return change;
}

ApplianceConfig with_live_keys(const ApplianceConfig& running, const ApplianceConfig& wanted) {
  ApplianceConfig config = running;
  config.listeners = wanted.listeners;
  config.sampling = wanted.sampling;
  config.replicate = wanted.replicate;
  config.exporters = wanted.exporters;
  config.exporter_info = wanted.exporter_info;
  config.exporter_list = wanted.exporter_list;
  config.classification = wanted.classification;
  config.rule_set = say_the_same(running.rule_set, wanted.rule_set) ? running.rule_set : wanted.rule_set;
  config.limits.exporters_per_core = wanted.limits.exporters_per_core;
  config.limits.exporters_total = wanted.limits.exporters_total;
  config.limits.records_per_second = wanted.limits.records_per_second;
  config.limits.records_per_second_per_exporter = wanted.limits.records_per_second_per_exporter;
  config.limits.packets_per_second_per_exporter = wanted.limits.packets_per_second_per_exporter;
  config.log.level = wanted.log.level;
  config.shutdown_deadline_ms = wanted.shutdown_deadline_ms;
  config.publishers = wanted.publishers;
  config.nats_url = wanted.nats_url;
  config.nats_creds_file = wanted.nats_creds_file;
  config.nats_nkey_file = wanted.nats_nkey_file;
  config.nats_user = wanted.nats_user;
  config.nats_password = wanted.nats_password;
  config.nats_token = wanted.nats_token;
  config.nats_connections = wanted.nats_connections;
  config.security = wanted.security;
  config.stream_name = wanted.stream_name;
  config.stream_subjects = wanted.stream_subjects;
  config.stream_max_bytes = wanted.stream_max_bytes;
  config.stream_replicas = wanted.stream_replicas;
  config.stream_storage = wanted.stream_storage;
  config.stream_retention = wanted.stream_retention;
  config.stream_max_age_secs = wanted.stream_max_age_secs;
  config.stream_duplicate_window_secs = wanted.stream_duplicate_window_secs;
  config.stream_adopt = wanted.stream_adopt;
  config.publish_timeout_ms = wanted.publish_timeout_ms;
  config.framing = wanted.framing;
  config.compression = wanted.compression;
  config.channel_size = wanted.channel_size;
  config.drop_policy = wanted.drop_policy;
  config.spool = wanted.spool;
  return config;
}

Reloader::Reloader(const ApplianceConfig& started) : started_(started) {
  view_.publish(std::make_shared<const ReloadView>());
}

std::optional<uint64_t> Reloader::ask() {
  uint64_t ended = ended_.load(std::memory_order_acquire);
  if (!asked_.compare_exchange_strong(ended, ended + 1)) return std::nullopt;
  return ended + 1;
}

void Reloader::end(ReloadState state) {
  next_.state = state;
  next_.ended_ns = wall_clock_ns();
  phase_ = Phase::idle;
  for (const std::string& warning : next_.warnings) service::log_warning("{}", warning);
  switch (state) {
    case ReloadState::refused:
      service::log_error("reload refused, the configuration that runs goes on: {}", next_.error);
      break;
    case ReloadState::unchanged:
      service::log_info("reload: nothing has changed");
      break;
    default:
      if (!next_.applied.empty()) service::log_info("reload: now goes {}", service::joined(next_.applied));
      break;
  }
  if (!next_.needs_restart.empty()) {
    service::log_warning("reload: only a restart takes up {}", service::joined(next_.needs_restart));
  }
  view_.publish(std::make_shared<const ReloadView>(next_));
  ended_.store(next_.number, std::memory_order_release);
}

void Reloader::refuse(std::string why) {
  next_.needs_restart.clear();
  next_.applied.clear();
  next_.error = std::move(why);
  end(ReloadState::refused);
}

/// What was read differs from what goes in keys that go now, in others, or not at all.
void Reloader::judge(const ApplianceConfig& running, const Steps& steps) {
  if (!*loaded_) return refuse(loaded_->error().message);
  const LoadedConfig& wanted = **loaded_;
  next_.warnings = wanted.warnings;
  ConfigChange change = compare(started_, running, wanted.config);
  next_.needs_restart = std::move(change.at_restart);
  next_.warnings.insert(next_.warnings.end(), change.notes.begin(), change.notes.end());
  next_.applied = std::move(change.now);
  if (next_.applied.empty()) {
    return end(next_.needs_restart.empty() ? ReloadState::unchanged : ReloadState::applied);
  }
  auto preparation = steps.prepare(with_live_keys(running, wanted.config));
  if (!preparation) return refuse(preparation.error().message);
  if (!*preparation) return apply(running, steps);
  prepared_.reset();
  phase_ = Phase::preparing;
  auto begun = job_.begin([this, prepare = std::move(*preparation)] { prepared_.emplace(prepare()); });
  if (!begun) refuse(begun.error().message);
}

void Reloader::apply(const ApplianceConfig& running, const Steps& steps) {
  const LoadedConfig& wanted = **loaded_;
  if (auto applied = steps.apply(with_live_keys(running, wanted.config), wanted.origins); !applied) {
    return refuse(applied.error().message);
  }
  phase_ = Phase::settling;
}

bool Reloader::step(const ApplianceConfig& running, const Steps& steps) {
  switch (phase_) {
    case Phase::idle: {
      const uint64_t asked = asked_.load(std::memory_order_acquire);
      if (asked == next_.number) return false;
      next_ = {.number = asked, .state = ReloadState::running};
      view_.publish(std::make_shared<const ReloadView>(next_));
      loaded_.reset();
      phase_ = Phase::reading;
      if (auto begun = job_.begin([this] { loaded_.emplace(load_()); }); !begun) refuse(begun.error().message);
      return true;
    }
    case Phase::reading:
      if (!job_.is_running()) judge(running, steps);
      return false;
    case Phase::preparing:
      if (job_.is_running()) return false;
      if (!*prepared_) {
        refuse(prepared_->error().message);
      } else {
        apply(running, steps);
      }
      return false;
    case Phase::settling:
      if (steps.is_settled()) end(ReloadState::applied);
      return false;
  }
  return false;
}

}  // namespace weir::control
