#include "etl/program.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/start_thread.h"
#include "etl/routes.h"
#include "feed/taken_up.h"
#include "service/log.h"

namespace weir::etl {
namespace {

using service::log_error;
using service::log_info;

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

}  // namespace

EtlProgram::EtlProgram(const LoadedConfig& loaded, Load load)
    : config_(loaded.config), origins_(loaded.origins), reloader_(reload_steps(std::move(load))) {
  publish_config();
}

feed::Reloader<LoadedConfig, EtlProgram::Rules>::Steps EtlProgram::reload_steps(Load load) {
  return {.load = std::move(load),
          .read_files =
              [this](const LoadedConfig& wanted, const std::atomic<bool>& gives_up, StampedFiles& files) {
                return read_rules(wanted.config, rules_.read()->version + 1, &gives_up, &files);
              },
          .take_up =
              [this](LoadedConfig& wanted, Rules& rules, service::ReloadView& view) {
                const RoleScope role(control_thread);
                take_up(wanted, rules, view);
              },
          .running = [this] { return LoadedConfig{config_, origins_, {}}; },
          .is_settled =
              [this] {
                const auto view = worker_->view();
                return view != nullptr && view->rules.version >= rules_.read()->version;
              }};
}

void EtlProgram::publish_config() {
  effective_.publish(
      std::make_shared<const std::vector<service::EffectiveValue>>(etl_schema().effective(&config_, origins_)));
}

Result<std::unique_ptr<EtlProgram>> EtlProgram::create(const LoadedConfig& loaded, std::shared_ptr<const RulesInUse> rules, Load load) {
  auto made = std::unique_ptr<EtlProgram>(new EtlProgram(loaded, std::move(load)));
  made->reloader_.begin_with(rules->files);
  made->rules_.publish(std::move(rules));
  if (auto opened = made->open(); !opened) return opened.error();
  return made;
}

Result<void> EtlProgram::open() {
  if (!config_.names.stream_name.empty())
    names_ = std::make_unique<feed::NamesReader>(feed::names_reader_config(config_, config_.names, kProgram));
  auto worker = EtlWorker::make(config_, rules_, names_.get());
  if (!worker) return worker.error();
  worker_ = std::move(*worker);

  auto routes = etl_routes({.view = [this] { return worker_->view(); },
                            .rules = [this] { return rules_.read(); },
                            .reload = [this] { return reloader_.view(); },
                            .files = [this] { return reloader_.files(); },
                            .started_steady_ns = watch_.started_steady_ns()});
  for (auto& route : service::operation_routes({.program = kProgram,
                                                .config = [this] { return effective_.read(); },
                                                .reload = [this] { return reloader_.view(); },
                                                .can_reload = [] { return true; },
                                                .ask_reload = [this] { return reloader_.ask(); }})) {
    routes.push_back(std::move(route));
  }
  auto server = service::HttpServer::start(feed::http_server_config(config_), std::move(routes));
  if (!server) return server.error();
  server_ = std::move(*server);
  return {};
}

std::shared_ptr<const EtlView> EtlProgram::run(const std::function<service::ProgramRequest()>& poll_request) {
  using service::ProgramRequest;
  const auto thread = start_thread("weir-etl", run_worker, worker_.get());
  if (!thread) {
    log_error("{}", thread.error().message);
    return nullptr;
  }
  const auto names_thread = names_ == nullptr ? Result<pthread_t>(pthread_t{}) : start_thread("weir-names", run_names, names_.get());
  if (!names_thread) log_error("{}; events go without names of exporters", names_thread.error().message);
  for (;;) {
    const uint64_t now_ns = steady_clock_ns();
    const ProgramRequest request = poll_request();
    if (request == ProgramRequest::reload) reloader_.ask_next();
    if (request == ProgramRequest::stop) {
      reloader_.give_up();
      watch_.stopping("delivering what is begun", uint64_t{config_.shutdown_deadline_ms} * kNsPerMs);
      worker_->ask_to_stop();
    }
    reloader_.step(watch_.is_stopping() ? 0 : config_.watch_files_secs * kNsPerSec);
    const auto view = worker_->view();
    if (view != nullptr && watch_.is_due(now_ns)) tell(*view, now_ns);
    watch_.beat(feed::unhealthy_because(kThread, view.get(), watch_.started_steady_ns(), now_ns).empty(), now_ns);
    if (watch_.is_stopping() && view != nullptr && pthread_tryjoin_np(*thread, nullptr) == 0) break;
    std::this_thread::sleep_for(std::chrono::nanoseconds(feed::kTurnNs));
  }
  server_.reset();
  if (names_ != nullptr && names_thread) {
    names_->ask_to_stop();
    pthread_join(*names_thread, nullptr);
  }
  return worker_->view();
}

void EtlProgram::tell(const EtlView& view, uint64_t now_ns) {
  watch_.tell(view.not_ready_because(), view.books.discrepancy(), "turning flows into events",
              fmt::format("{} of stream {} to {} in stream {}", config_.source.subjects[0].subject, config_.source.stream_name, config_.events.subject,
                          config_.events.stream.name),
              now_ns);
  source_watch_.look(view.source, "start more instances");
  service::flush_log_limits(now_ns);
}

void EtlProgram::take_up(LoadedConfig& loaded, const Rules& rules, service::ReloadView& view) {
  EtlConfig wanted = config_;
  wanted.rules = loaded.config.rules;
  wanted.enrichment = loaded.config.enrichment;
  wanted.ocsf = loaded.config.ocsf;
  wanted.log.level = loaded.config.log.level;
  wanted.watch_files_secs = loaded.config.watch_files_secs;
  const bool is_other = feed::tell_taken_up(rules_.read()->identity(), rules->identity(), etl_schema().differences(&config_, &loaded.config), "ocsf.", view);
  if (wanted.log.level != config_.log.level) service::set_log_level(wanted.log.level);
  config_ = std::move(wanted);
  origins_ = loaded.origins;
  publish_config();
  if (is_other) rules_.publish(rules);
}

}  // namespace weir::etl
