#include "store/program.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/start_thread.h"
#include "feed/taken_up.h"
#include "service/log.h"
#include "store/exporter_tables.h"
#include "store/routes.h"

namespace weir::store {
namespace {

using service::log_error;
using service::log_warning;

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

}  // namespace

StoreProgram::StoreProgram(const LoadedConfig& loaded, Load load)
    : config_(loaded.config), origins_(loaded.origins), reloader_(reload_steps(std::move(load))) {
  publish_config();
}

feed::Reloader<LoadedConfig, StoreProgram::Rules>::Steps StoreProgram::reload_steps(Load load) {
  return {.load = std::move(load),
          .read_files =
              [this](const LoadedConfig& wanted, const std::atomic<bool>& gives_up, StampedFiles& files) {
                return read_rules(wanted.config.rules, wanted.config.enrichment, rules_.read()->version + 1, &gives_up, &files);
              },
          .take_up =
              [this](LoadedConfig& wanted, Rules& rules, service::ReloadView& view) {
                const RoleScope role(control_thread);
                take_up(wanted, rules, view);
              },
          .running = [this] { return LoadedConfig{config_, origins_, {}}; },
          .is_settled =
              [this] {
                const auto view = ingest_->view();
                return view != nullptr && view->rules_version >= rules_.read()->version;
              }};
}

void StoreProgram::publish_config() {
  effective_.publish(
      std::make_shared<const std::vector<service::EffectiveValue>>(store_schema().effective(&config_, origins_)));
}

Result<std::unique_ptr<StoreProgram>> StoreProgram::create(const LoadedConfig& loaded, std::shared_ptr<const RulesInUse> rules, Load load) {
  auto made = std::unique_ptr<StoreProgram>(new StoreProgram(loaded, std::move(load)));
  made->reloader_.begin_with(rules->files);
  made->rules_.publish(std::move(rules));
  if (auto opened = made->open(); !opened) return opened.error();
  if (auto served = made->serve(); !served) return served.error();
  return made;
}

Result<void> StoreProgram::open() {
  if (auto made = make_folders(config_); !made) return made.error();
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
                              .keeper_trouble =
                                  [this] {
                                    const auto why = keeper_->trouble();
                                    return why == nullptr ? std::string() : *why;
                                  },
                              .ask_to_verify = [this] { return keeper_->ask_to_verify(); },
                              .rules = [this] { return rules_.read(); },
                              .reload = [this] { return reloader_.view(); },
                              .files = [this] { return reloader_.files(); },
                              .store = store_.get(),
                              .started_steady_ns = watch_.started_steady_ns()});
  for (auto& route : service::operation_routes({.program = kProgram,
                                                .config = [this] { return effective_.read(); },
                                                .reload = [this] { return reloader_.view(); },
                                                .can_reload = [] { return true; },
                                                .ask_reload = [this] { return reloader_.ask(); }})) {
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

std::shared_ptr<const StoreView> StoreProgram::run(const std::function<service::ProgramRequest()>& poll_request) {
  using service::ProgramRequest;
  if (!start_threads()) {
    stop_threads();
    return nullptr;
  }
  for (;;) {
    const uint64_t now_ns = steady_clock_ns();
    const ProgramRequest request = poll_request();
    if (request == ProgramRequest::reload) reloader_.ask_next();
    if (request == ProgramRequest::stop) {
      reloader_.give_up();
      watch_.stopping("committing what is begun", uint64_t{config_.shutdown_deadline_ms} * kNsPerMs);
      ingest_->ask_to_stop();
    }
    reloader_.step(watch_.is_stopping() ? 0 : config_.watch_files_secs * kNsPerSec);
    const auto view = ingest_->view();
    if (view != nullptr && watch_.is_due(now_ns)) tell(*view, now_ns);
    watch_.beat(feed::unhealthy_because(kThread, view.get(), watch_.started_steady_ns(), now_ns).empty(), now_ns);
    if (watch_.is_stopping() && view != nullptr && pthread_tryjoin_np(*ingest_thread_, nullptr) == 0) break;
    std::this_thread::sleep_for(std::chrono::nanoseconds(feed::kTurnNs));
  }
  ingest_thread_.reset();
  server_.reset();
  sql_.reset();
  stop_threads();
  const auto last = ingest_->view();
  // Now, for whoever leaves this object alone (is_stuck) does not close it.
  names_.reset();
  keeper_.reset();
  ingest_.reset();
  sink_.reset();
  store_.reset();
  return last;
}

void StoreProgram::tell(const StoreView& view, uint64_t now_ns) {
  watch_.tell(view.not_ready_because(), view.books.discrepancy(), "storing flows",
              fmt::format("{} of stream {} to {}", config_.source.subjects[0].subject, config_.source.stream_name, config_.database.path), now_ns);
  source_watch_.look(view.source, "the disk, or this machine, is too slow for it");
  const std::string& tidy = view.committer.tidy_trouble;
  if (tidy.empty() != told_tidy_.empty() && !tidy.empty()) log_warning("{}", tidy);
  told_tidy_ = tidy;
  service::flush_log_limits(now_ns);
}

void StoreProgram::take_up(LoadedConfig& loaded, const Rules& rules, service::ReloadView& view) {
  const bool is_other =
      feed::tell_taken_up(identity_of(*rules_.read()), identity_of(*rules), store_schema().differences(&config_, &loaded.config), "", view);
  config_.rules = loaded.config.rules;
  config_.enrichment = loaded.config.enrichment;
  config_.log.level = loaded.config.log.level;
  config_.watch_files_secs = loaded.config.watch_files_secs;
  service::set_log_level(config_.log.level);
  origins_ = loaded.origins;
  publish_config();
  if (is_other) rules_.publish(rules);
}

}  // namespace weir::store
