// What the appliance says of itself: views for those who ask, its log, and the service manager.
#include <memory>
#include <utility>

#include "base/clock.h"
#include "control/appliance.h"
#include "control/http/health.h"
#include "control/view_build.h"
#include "service/log.h"

namespace weir::control {
namespace {

constexpr uint64_t kViewIntervalNs = 250 * kNsPerMs;
constexpr uint64_t kThreadLookEveryNs = 5 * kNsPerSec;
constexpr uint64_t kConnectGraceNs = 2 * kNsPerSec;

constexpr uint64_t kEndOfTimeNs = ~uint64_t{0};  // long after any line

}  // namespace

void Appliance::refresh_view(ApplianceState state) {
  const auto before = view_.read();
  const uint64_t now_ns = steady_clock_ns();
  next_view_ns_ = now_ns + kViewIntervalNs;
  const uint64_t elapsed_ns = before ? now_ns - before->taken_steady_ns : 0;

  auto view = std::make_shared<ApplianceView>();
  view->appliance_uuid = uuid_;
  look_at_threads(now_ns);
  view->rights = rights_;
  view->partition = config_.partition;
  view->state = state;
  view->started_ns = started_ns_;
  view->uptime_ns = now_ns - started_steady_ns_;
  view->taken_ns = wall_clock_ns();
  view->taken_steady_ns = now_ns;
  view->time = data_plane_->time_stats();
  say_clock(view->time, before ? before->time : dataplane::TimeStats{});
  view->ports = data_plane_->port_stats();
  view->replicas = data_plane_->replica_stats();
  for (const SiteConfig& site : config_.exporters.sites)
    view->sites.push_back({{site.exporters.address, site.exporters.bits}, site.site});
  const size_t cores = data_plane_->cores().size();
  for (size_t i = 0; i < cores; ++i) {
    const bool known = before && i < before->cores.size();
    view->cores.push_back(core_view(*data_plane_, i, known ? &before->cores[i] : nullptr,
                                    elapsed_ns, now_ns));
  }
  view->listeners = listener_views(*data_plane_, config_, numbers_.listeners);
  // After the cores: what was encoded since then shows as waiting, never as missing.
  view->publishers = delivery_->views(now_ns);
  view->subjects = numbers_.subjects;
  take_drops();
  view->losses = drops_.largest();
  view->loss_rows = drops_.rows();
  balance_rates();

  census_->fill(*view);
  view->recent = exporter_history_.recent(view->exporters, {.steady_ns = now_ns, .wall_ns = view->taken_ns});
  event_log_.on_exporters(view->exporters, now_ns);
  view->state_kept = state_->view();

  for (const PublisherView& publisher : view->publishers) {
    audit_.on_check("publisher " + publisher.name, publisher.discrepancies());
    if (publisher.state == PublisherState::gone) {
      said_troubles_.erase(publisher.name);  // it neither works nor complains any more
      continue;
    }
    say_trouble(publisher.name, publisher.lasting_trouble());
    say_news(publisher, before.get());
  }
  audit_.on_check("delivery", delivery_->discrepancies());
  view->discrepancies = audit_.standing();
  view->ledger_mismatches = audit_.mismatches();
  view->names = directory_.counters();
  view->exporter_list = config_.exporter_list;
  view->exporter_list_trouble = list_watch_.trouble();
  view->exporter_feed = feed_view();
  view->rules = rule_book_.view(data_plane_->stages().get());
  if (feed_) {
    say_trouble("exporter_info", view->exporter_feed.last_error);
    if (view->exporter_feed.streams_created > (before ? before->exporter_feed.streams_created : 0)) {
      service::log_info("exporter_info: stream {} was not there and was created",
                        config_.exporter_info.stream_name);
    }
  }
  // At the end nobody can ask any more: what was held back is said, however short ago its like was.
  losses_.look(*view, state == ApplianceState::stopped ? kEndOfTimeNs : now_ns);

  if (before && elapsed_ns > 0) {
    const Ledger now = view->total(), then = before->total();
    const auto per_second = [&](uint64_t n) {
      return static_cast<uint64_t>(static_cast<double>(n) * 1e9 / static_cast<double>(elapsed_ns));
    };
    view->records_per_second = per_second(now.records - then.records);
    view->datagrams_per_second = per_second(now.datagrams - then.datagrams);
  }
  view_.publish(std::move(view));
}

/// A reload makes threads, and libraries make theirs when they like: each inherits what the one that makes it has.
void Appliance::look_at_threads(uint64_t steady_now_ns) {
  if (!rights_.has_given_up || steady_now_ns < next_thread_look_ns_) return;
  const bool is_first = next_thread_look_ns_ == 0;
  next_thread_look_ns_ = steady_now_ns + kThreadLookEveryNs;
  std::vector<std::string> names = thread_watch_.look();
  if (is_first || names == rights_.threads_with_more) return;
  rights_.threads_with_more = std::move(names);
  static service::LogLimit limit(10, 60 * kNsPerSec);
  if (!rights_.threads_with_more.empty())
    service::log_limited(limit, service::LogLevel::warning, "threads have capabilities: {}", service::joined(rights_.threads_with_more));
}

/// A step is seldom, and whoever looks at records from around it needs to know.
void Appliance::say_clock(const dataplane::TimeStats& now, const dataplane::TimeStats& before) {
  static service::LogLimit limit(10, 60 * kNsPerSec);
  if (now.steps > before.steps) {
    service::log_limited(limit, service::LogLevel::warning,
                         "the wall clock was set: {} step{}, the last by {:+.3f} s; receive times follow, what ages does not",
                         now.steps - before.steps, now.steps - before.steps == 1 ? "" : "s",
                         static_cast<double>(now.last_step_ns) / 1e9);
  }
  if (now.losses > before.losses)
    service::log_limited(limit, service::LogLevel::warning, "the CPU's time stamp counter disagrees with the kernel's clock{}",
                         now.trouble == TickTrouble::given_up ? ", too often: cores ask the kernel from now on"
                                                              : ": cores ask the kernel until it agrees again");
}

/// What a publisher last complained of is in the log when it changes, and when it is over.
void Appliance::say_trouble(const std::string& name, const std::string& trouble) {
  std::string& said = said_troubles_[name];
  if (trouble == said) return;
  static service::LogLimit limit(10, 60 * kNsPerSec);
  if (trouble.empty()) {
    service::log_limited(limit, service::LogLevel::info, "publisher {}: working", name);
  } else {
    service::log_limited(limit, service::LogLevel::warning, "publisher {}: {}", name, trouble);
  }
  said = trouble;
}

/// What happens seldom and is no trouble. That a stream was made is told: what an older one of its name held is
/// not in it.
void Appliance::say_news(const PublisherView& now, const ApplianceView* before) {
  PublisherView then;
  if (before != nullptr) {
    for (const PublisherView& p : before->publishers) {
      if (p.name == now.name) then = p;
    }
  }
  static service::LogLimit limit(10, 60 * kNsPerSec);
  if (now.renewals > then.renewals) {
    service::log_limited(limit, service::LogLevel::info,
                         "publisher {}: renewed certificates or credentials were taken up", now.name);
  }
  if (now.streams_created > then.streams_created) {
    service::log_limited(limit, service::LogLevel::info, "publisher {}: stream {} was not there{} and was created",
                         now.name, config_.stream_name, now.streams_created > 1 && !now.is_fresh ? " any more" : "");
  }
  if (now.streams_extended > then.streams_extended) {
    service::log_limited(limit, service::LogLevel::info, "publisher {}: subjects were added to stream {}",
                         now.name, config_.stream_name);
  }
}

void Appliance::say_lost_log_lines() {
  const uint64_t lost = service::log_lines_lost();
  if (lost == log_lines_lost_) return;
  service::log_warning("{} log lines were lost: nobody reads the log fast enough",
                       lost - log_lines_lost_);
  log_lines_lost_ = lost;
}

/// A new view when it is time, and the word to the service manager that all is well, if it is.
void Appliance::look_around(ApplianceState state, service::ServiceNotify& notify) {
  const uint64_t now_ns = steady_clock_ns();
  if (now_ns < next_view_ns_) return;
  refresh_view(state);
  const auto view = view_.read();
  std::string why = unhealthy_because(view.get(), started_steady_ns_, now_ns);
  if (why.empty() && http_) why = http_stands_because(http_->turned_steady_ns(), now_ns);
  if (!why.empty()) {
    static service::LogLimit limit(1, 60 * kNsPerSec);
    service::log_limited(limit, service::LogLevel::error, "not healthy: {}", why);
  } else {
    if (!was_healthy_) service::log_info("healthy again");
    notify.watchdog();
  }
  was_healthy_ = why.empty();
  service::flush_log_limits(now_ns);
  say_lost_log_lines();
  event_log_.tick(now_ns);
  names_->step(directory_, now_ns);
  if (state == ApplianceState::running) watch_exporter_list(now_ns);
}

/// Said when it changes; a broker that comes and goes does not fill the log.
void Appliance::say_readiness() {
  const uint64_t now_ns = steady_clock_ns();
  const std::string why_not = view_.read()->not_ready_because();
  const bool is_ready = why_not.empty();
  // Publishers get a moment to connect first.
  if (is_ready == was_ready_ || (!is_ready && now_ns < started_steady_ns_ + kConnectGraceNs)) return;
  was_ready_ = is_ready;
  static service::LogLimit limit(6, 60 * kNsPerSec);
  if (is_ready) {
    service::log_limited(limit, service::LogLevel::info, "ready");
  } else {
    service::log_limited(limit, service::LogLevel::warning, "not ready: {}", why_not);
  }
}

}  // namespace weir::control
