#include "etl/program.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/start_thread.h"
#include "etl/routes.h"
#include "service/log.h"

namespace weir::etl {
namespace {

using service::log_error;
using service::log_info;
using service::log_warning;

constexpr auto kTurn = std::chrono::milliseconds(50);
constexpr uint64_t kTellEveryNs = kNsPerSec;

void* run_worker(void* worker) {
  const RoleScope role(etl_thread);
  const RoleScope publishes(publisher_thread);
  static_cast<EtlWorker*>(worker)->run();
  return nullptr;
}

void* run_names(void* names) {
  static_cast<feed::NamesReader*>(names)->run();
  return nullptr;
}

/// Keys whose new values go without a restart; the files of rules and enrichment are looked at in any case.
bool is_live(std::string_view key) {
  return key == "rules" || key == "log.level" || key.substr(0, 5) == "ocsf." || key.substr(0, 11) == "enrichment.";
}

}  // namespace

EtlProgram::EtlProgram(LoadedConfig loaded, Load load)
    : config_(std::move(loaded.config)),
      load_(std::move(load)),
      started_steady_ns_(steady_clock_ns()),
      notify_(service::ServiceNotify::from_environment()) {
  reload_view_.publish(std::make_shared<const service::ReloadView>());
  publish_config(loaded.origins);
}

EtlProgram::~EtlProgram() { gives_up_.store(true, std::memory_order_relaxed); }

void EtlProgram::publish_config(const service::Origins& origins) {
  effective_.publish(
      std::make_shared<const std::vector<service::EffectiveValue>>(etl_schema().effective(&config_, origins)));
}

Result<std::unique_ptr<EtlProgram>> EtlProgram::create(LoadedConfig loaded, std::shared_ptr<const RulesInUse> rules, Load load) {
  auto made = std::unique_ptr<EtlProgram>(new EtlProgram(std::move(loaded), std::move(load)));
  EtlProgram& p = *made;
  p.rules_.publish(std::move(rules));
  if (!p.config_.names.stream_name.empty()) {
    p.names_ = std::make_unique<feed::NamesReader>(feed::names_reader_config(p.config_, p.config_.names, kProgram));
  }
  auto worker = EtlWorker::make(p.config_, p.rules_, p.names_.get());
  if (!worker) return worker.error();
  p.worker_ = std::move(*worker);

  auto routes = etl_routes([&p] { return p.worker_->view(); }, [&p] { return p.reload_view_.read(); }, p.started_steady_ns_);
  for (auto& route : service::operation_routes({.program = "weir-etl",
                                                .config = [&p] { return p.effective_.read(); },
                                                .reload = [&p] { return p.reload_view_.read(); },
                                                .can_reload = [] { return true; },
                                                .ask_reload = [&p] { return p.ask_reload(); }})) {
    routes.push_back(std::move(route));
  }
  auto server = service::HttpServer::start(feed::http_server_config(p.config_), std::move(routes));
  if (!server) return server.error();
  p.server_ = std::move(*server);
  return made;
}

std::shared_ptr<const EtlView> EtlProgram::run(const std::function<Request()>& poll_request) {
  const auto thread = start_thread("weir-etl", run_worker, worker_.get());
  if (!thread) {
    log_error("{}", thread.error().message);
    return nullptr;
  }
  const auto names_thread = names_ == nullptr ? Result<pthread_t>(pthread_t{}) : start_thread("weir-names", run_names, names_.get());
  if (!names_thread) log_error("{}; events go without names of exporters", names_thread.error().message);
  bool is_stopping = false;
  for (;;) {
    const uint64_t now_ns = steady_clock_ns();
    const Request request = poll_request();
    if (request == Request::reload) ask_reload();
    if (request == Request::stop) {
      if (!is_stopping) notify_.stopping("delivering what is begun", uint64_t{config_.shutdown_deadline_ms} * kNsPerMs);
      is_stopping = true;
      worker_->ask_to_stop();
    }
    step_reload();
    const auto view = worker_->view();
    if (view != nullptr && now_ns >= next_tell_ns_) {
      next_tell_ns_ = now_ns + kTellEveryNs;
      tell(*view, now_ns);
      service::flush_log_limits(now_ns);
    }
    if (notify_.watchdog_interval_ns() != 0 && now_ns >= next_watchdog_ns_ &&
        unhealthy_because(view.get(), started_steady_ns_, now_ns).empty()) {
      next_watchdog_ns_ = now_ns + notify_.watchdog_interval_ns() / 2;
      notify_.watchdog();
    }
    if (is_stopping && view != nullptr && pthread_tryjoin_np(*thread, nullptr) == 0) break;
    std::this_thread::sleep_for(kTurn);
  }
  server_.reset();
  if (names_ != nullptr && names_thread) {
    names_->ask_to_stop();
    pthread_join(*names_thread, nullptr);
  }
  return worker_->view();
}

/// What changed since it was last told.
void EtlProgram::tell(const EtlView& view, uint64_t now_ns) {
  const std::string why = view.not_ready_because();
  if (why != told_trouble_ && !why.empty()) log_warning("not ready: {}", why);
  told_trouble_ = why;
  if (why.empty() && !was_ready_) {
    was_ready_ = true;
    notify_.ready("turning flows into events");
    log_info("ready: {} of stream {} to {} in stream {}", config_.source.subjects[0].subject, config_.source.stream_name,
             config_.events.subject, config_.events.stream.name);
  }
  // A service that waits for a broker has started all the same.
  if (!was_ready_ && now_ns - started_steady_ns_ > 10 * kNsPerSec) {
    was_ready_ = true;
    notify_.ready(why);
  }
  source_watch_.look(view.source, "start more instances");
  const std::string discrepancy = view.books.discrepancy();
  if (!discrepancy.empty() && discrepancy != told_discrepancy_) log_error("the books do not balance: {}", discrepancy);
  told_discrepancy_ = discrepancy;
}

// ------------------------------------------------------------------------------------ reload

std::optional<uint64_t> EtlProgram::ask_reload() {
  uint64_t ended = reloads_ended_.load();
  if (!reloads_asked_.compare_exchange_strong(ended, ended + 1)) return std::nullopt;
  return ended + 1;
}

EtlProgram::Reading EtlProgram::read_files(const Load& load, uint64_t version, const std::atomic<bool>& gives_up) {
  auto loaded = load();
  if (!loaded) return {loaded.error(), Error{}};
  auto rules = read_rules(loaded->config, version, &gives_up);
  return {std::move(loaded), std::move(rules)};
}

void EtlProgram::step_reload() {
  if (reading_number_ != 0) {
    if (!job_.is_running()) reload(std::exchange(reading_number_, 0), std::move(*reading_));
    return;
  }
  const uint64_t asked = reloads_asked_.load();
  if (asked == reloads_ended_.load()) return;
  reload_view_.publish(std::make_shared<const service::ReloadView>(service::ReloadView{.number = asked, .state = service::ReloadState::running}));
  const auto begun = job_.begin([this, version = rules_.read()->version + 1] { reading_.emplace(read_files(load_, version, gives_up_)); });
  if (!begun) return reload(asked, {begun.error(), Error{}});
  reading_number_ = asked;
}

void EtlProgram::reload(uint64_t number, Reading reading) {
  service::ReloadView next{.number = number};
  const auto end = [&](service::ReloadState state) {
    next.state = state;
    next.ended_ns = wall_clock_ns();
    reload_view_.publish(std::make_shared<const service::ReloadView>(next));
    reloads_ended_.store(number);
  };
  const auto refuse = [&](const std::string& why) {
    next.error = why;
    log_error("reload refused, what went goes on: {}", why);
    end(service::ReloadState::refused);
  };
  const auto& [loaded, rules] = reading;
  if (!loaded) return refuse(loaded.error().message);
  next.warnings = loaded->warnings;
  EtlConfig wanted = config_;
  wanted.rules = loaded->config.rules;
  wanted.enrichment = loaded->config.enrichment;
  wanted.ocsf = loaded->config.ocsf;
  wanted.log.level = loaded->config.log.level;
  const auto now = rules_.read();
  if (!rules) return refuse(rules.error().message);

  const auto hash_of = [](const RulesInUse& r) { return r.rules == nullptr ? std::string() : r.rules->hash(); };
  const bool has_other_rules = hash_of(**rules) != hash_of(*now);
  if (has_other_rules) next.applied.push_back(fmt::format("rules ({})", hash_of(**rules).substr(0, 12)));
  bool is_other = (*rules)->identity() != now->identity();
  if (is_other && !has_other_rules) next.applied.push_back("enrichment");
  for (const std::string& key : etl_schema().differences(&config_, &loaded->config)) {
    if (!is_live(key)) {
      next.needs_restart.push_back(key);
    } else if ((key != "rules" && key.substr(0, 11) != "enrichment.") || !is_other) {
      next.applied.push_back(key);
      is_other = is_other || key != "log.level";
    }
  }
  if (wanted.log.level != config_.log.level) service::set_log_level(wanted.log.level);
  config_ = std::move(wanted);
  publish_config(loaded->origins);
  if (is_other) {
    rules_.publish(*rules);
    log_info("reload: version {} of the rules goes now: {}", now->version + 1, service::joined(next.applied));
  }
  if (!next.needs_restart.empty()) {
    log_warning("reload: only a restart takes up {}", service::joined(next.needs_restart));
  }
  const bool none = next.applied.empty() && next.needs_restart.empty();
  if (none) log_info("reload: nothing has changed");
  end(none ? service::ReloadState::unchanged : service::ReloadState::applied);
}

}  // namespace weir::etl
