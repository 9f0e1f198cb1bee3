#include "store/program.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/start_thread.h"
#include "service/log.h"
#include "store/exporter_tables.h"
#include "store/routes.h"

namespace weir::store {
namespace {

using service::log_error;
using service::log_info;
using service::log_warning;

constexpr auto kTurn = std::chrono::milliseconds(50);
constexpr uint64_t kTellEveryNs = kNsPerSec;

void* run_ingest(void* ingest) {
  const RoleScope role(ingest_thread);
  const RoleScope publishes(publisher_thread);
  static_cast<Ingest*>(ingest)->run();
  return nullptr;
}
void* run_writer(void* committer) {
  const RoleScope role(store_writer);
  static_cast<Committer*>(committer)->run();
  return nullptr;
}
void* run_keeper(void* keeper) {
  const RoleScope role(keeper_thread);
  static_cast<KeeperLoop*>(keeper)->run();
  return nullptr;
}
void* run_names(void* names) {
  static_cast<feed::NamesReader*>(names)->run();
  return nullptr;
}

/// Keys whose new values go without a restart; the file of rules is looked at in any case.
bool is_live(std::string_view key) { return key == "rules" || key == "log.level" || key.substr(0, 11) == "enrichment."; }

}  // namespace

StoreProgram::StoreProgram(LoadedConfig loaded, Load load)
    : config_(std::move(loaded.config)),
      load_(std::move(load)),
      started_steady_ns_(steady_clock_ns()),
      notify_(service::ServiceNotify::from_environment()) {
  reload_view_.publish(std::make_shared<const service::ReloadView>());
  publish_config(loaded.origins);
}

StoreProgram::~StoreProgram() { gives_up_.store(true, std::memory_order_relaxed); }

void StoreProgram::publish_config(const service::Origins& origins) {
  effective_.publish(
      std::make_shared<const std::vector<service::EffectiveValue>>(store_schema().effective(&config_, origins)));
}

Result<std::unique_ptr<StoreProgram>> StoreProgram::create(LoadedConfig loaded, std::shared_ptr<const RulesInUse> rules, Load load) {
  auto made = std::unique_ptr<StoreProgram>(new StoreProgram(std::move(loaded), std::move(load)));
  made->rules_.publish(std::move(rules));
  if (auto opened = made->open(); !opened) return opened.error();
  if (auto served = made->serve(); !served) return served.error();
  return made;
}

Result<void> StoreProgram::open() {
  auto store = OpenStore::open(database_options(config_));
  if (!store) return store.error();
  store_ = std::move(*store);
  sink_ = std::make_unique<DuckdbSink>(*store_);
  if (!config_.names.stream_name.empty()) {
    names_ = std::make_unique<feed::NamesReader>(
        feed::names_reader_config(config_, config_.names, kProgram),
        [this](const IpAddress& exporter, const flowpb::ExporterInfo& info) -> Result<void> {
          const auto database = store_->database();
          if (database == nullptr) return Error{"the store is being opened anew"};
          auto connection = database->connect();
          if (!connection) return connection.error();
          return store_exporter(*connection, exporter, info);
        });
  }
  auto ingest = Ingest::make(config_, rules_, *sink_, names_.get());
  if (!ingest) return ingest.error();
  ingest_ = std::move(*ingest);
  keeper_ = std::make_unique<KeeperLoop>(*store_, keeper_config(config_));
  sql_ = std::make_unique<SqlService>(*store_, sql_limits(config_));
  return {};
}

Result<void> StoreProgram::serve() {
  auto routes = store_routes({.view = [this] { return ingest_->view(); },
                              .keeper = [this] { return keeper_->view(); },
                              .reload = [this] { return reload_view_.read(); },
                              .store = store_.get(),
                              .started_steady_ns = started_steady_ns_});
  for (auto& route : service::operation_routes({.program = kProgram,
                                                .config = [this] { return effective_.read(); },
                                                .reload = [this] { return reload_view_.read(); },
                                                .can_reload = [] { return true; },
                                                .ask_reload = [this] { return ask_reload(); }})) {
    routes.push_back(std::move(route));
  }
  routes.push_back(sql_->route());
  auto server = service::HttpServer::start(feed::http_server_config(config_), std::move(routes));
  if (!server) return server.error();
  server_ = std::move(*server);
  return {};
}

bool StoreProgram::start_threads() {
  const auto start = [](const char* name, void* (*main)(void*), void* what, std::optional<pthread_t>& thread) {
    const auto started = start_thread(name, main, what);
    if (!started) {
      log_error("{}", started.error().message);
      return false;
    }
    thread = *started;
    return true;
  };
  return start("weir-writer", run_writer, &ingest_->committer(), writer_thread_) &&
         start("weir-ingest", run_ingest, ingest_.get(), ingest_thread_) &&
         start("weir-keeper", run_keeper, keeper_.get(), keeper_thread_) &&
         (names_ == nullptr || start("weir-names", run_names, names_.get(), names_thread_));
}

void StoreProgram::stop_threads() {
  const auto join = [](std::optional<pthread_t>& thread) {
    if (thread) pthread_join(*thread, nullptr);
    thread.reset();
  };
  if (ingest_thread_) ingest_->ask_to_stop();
  join(ingest_thread_);
  ingest_->committer().ask_to_stop();
  join(writer_thread_);
  keeper_->ask_to_stop();
  join(keeper_thread_);
  if (names_ != nullptr) names_->ask_to_stop();
  join(names_thread_);
}

std::shared_ptr<const StoreView> StoreProgram::run(const std::function<Request()>& poll_request) {
  if (!start_threads()) {
    stop_threads();
    return nullptr;
  }
  bool is_stopping = false;
  for (;;) {
    const uint64_t now_ns = steady_clock_ns();
    const Request request = poll_request();
    if (request == Request::reload) ask_reload();
    if (request == Request::stop) {
      if (!is_stopping) notify_.stopping("committing what is begun", uint64_t{config_.shutdown_deadline_ms} * kNsPerMs);
      is_stopping = true;
      ingest_->ask_to_stop();
    }
    step_reload();
    const auto view = ingest_->view();
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
    if (is_stopping && view != nullptr && pthread_tryjoin_np(*ingest_thread_, nullptr) == 0) break;
    std::this_thread::sleep_for(kTurn);
  }
  ingest_thread_.reset();
  server_.reset();
  sql_.reset();
  stop_threads();
  return ingest_->view();
}

/// What changed since it was last told.
void StoreProgram::tell(const StoreView& view, uint64_t now_ns) {
  const std::string why = view.not_ready_because();
  if (why != told_trouble_ && !why.empty()) log_warning("not ready: {}", why);
  told_trouble_ = why;
  if (why.empty() && !was_ready_) {
    was_ready_ = true;
    notify_.ready("storing flows");
    log_info("ready: {} of stream {} to {}", config_.source.subjects[0].subject, config_.source.stream_name, config_.database.path);
  }
  // A service that waits for a broker has started all the same.
  if (!was_ready_ && now_ns - started_steady_ns_ > 10 * kNsPerSec) {
    was_ready_ = true;
    notify_.ready(why);
  }
  source_watch_.look(view.source, "the disk, or this machine, is too slow for it");
  const std::string& tidy = view.committer.tidy_trouble;
  if (tidy.empty() != told_tidy_.empty() && !tidy.empty()) log_warning("{}", tidy);
  told_tidy_ = tidy;
  const std::string discrepancy = view.books.discrepancy();
  if (!discrepancy.empty() && discrepancy != told_discrepancy_) log_error("the books do not balance: {}", discrepancy);
  told_discrepancy_ = discrepancy;
}

// ------------------------------------------------------------------------------------ reload

std::optional<uint64_t> StoreProgram::ask_reload() {
  uint64_t ended = reloads_ended_.load();
  if (!reloads_asked_.compare_exchange_strong(ended, ended + 1)) return std::nullopt;
  return ended + 1;
}

StoreProgram::Reading StoreProgram::read_files(const Load& load, uint64_t version, const std::atomic<bool>& gives_up) {
  auto loaded = load();
  if (!loaded) return {loaded.error(), Error{}};
  auto rules = read_rules(loaded->config.rules, loaded->config.enrichment, version, &gives_up);
  return {std::move(loaded), std::move(rules)};
}

void StoreProgram::step_reload() {
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

void StoreProgram::reload(uint64_t number, Reading reading) {
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
  const auto now = rules_.read();
  if (!rules) return refuse(rules.error().message);

  const bool has_other_rules = hash_of(**rules) != hash_of(*now);
  if (has_other_rules) next.applied.push_back(fmt::format("rules and enrichment ({})", hash_of(**rules).substr(0, 12)));
  for (const std::string& key : store_schema().differences(&config_, &loaded->config)) {
    if (!is_live(key)) {
      next.needs_restart.push_back(key);
    } else if (key == "log.level" || !has_other_rules) {
      next.applied.push_back(key);
    }
  }
  config_.rules = loaded->config.rules;
  config_.enrichment = loaded->config.enrichment;
  config_.log.level = loaded->config.log.level;
  service::set_log_level(config_.log.level);
  publish_config(loaded->origins);
  if (has_other_rules) rules_.publish(*rules);
  if (!next.applied.empty()) log_info("reload: {}", service::joined(next.applied));
  if (!next.needs_restart.empty()) log_warning("reload: only a restart takes up {}", service::joined(next.needs_restart));
  const bool none = next.applied.empty() && next.needs_restart.empty();
  if (none) log_info("reload: nothing has changed");
  end(none ? service::ReloadState::unchanged : service::ReloadState::applied);
}

}  // namespace weir::store
