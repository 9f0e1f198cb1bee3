#include "control/appliance.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/clock.h"
#include "control/health.h"
#include "control/identity.h"
#include "control/publishers.h"
#include "control/routes.h"
#include "control/stop_deadline.h"
#include "control/view_build.h"
#include "service/log.h"

namespace weir::control {

namespace {

constexpr int kIdleWaitMs = 2;  // how long a sealed batch may wait for an idle control thread
constexpr uint64_t kViewIntervalNs = 250 * kNsPerMs;
constexpr size_t kEventsPerTurn = 1024;  // of one core, so that batches do not wait long
constexpr uint64_t kConnectGraceNs = 2 * kNsPerSec;
constexpr uint64_t kDrainGraceNs = 2 * kNsPerSec;  // for publishers to report what they gave up
// Cores take what has arrived already, a bounded amount; one that does not end is stuck.
constexpr uint64_t kCoresEndMaxNs = 10 * kNsPerSec;
constexpr uint64_t kHurriedCoresEndNs = kNsPerSec;  // when a stop was asked for twice

uint64_t random_seed() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = steady_clock_ns() ^ wall_clock_ns();
  return seed;
}

/// Drivers call errors what they get over, such as an offload that a device does not have. What they cannot
/// get over comes back as an Error with their words, and is logged as one.
void log_of_eal(dataplane::EalLogLevel level, std::string_view line) {
  switch (level) {
    case dataplane::EalLogLevel::critical: service::log_error("dpdk: {}", line); break;
    case dataplane::EalLogLevel::error: service::log_warning("dpdk: {}", line); break;
    case dataplane::EalLogLevel::warning: service::log_info("dpdk: {}", line); break;
    case dataplane::EalLogLevel::info:
    case dataplane::EalLogLevel::debug: service::log_debug("dpdk: {}", line); break;
  }
}

DirectoryLimits directory_limits(const ApplianceConfig& config) {
  DirectoryLimits limits;
  limits.names_per_exporter = config.limits.names_per_exporter;
  limits.octets_per_exporter = config.limits.name_octets_per_exporter;
  limits.octets_total = config.limits.name_octets_total;
  return limits;
}

}  // namespace

Appliance::Appliance(const ApplianceConfig& config)
    : config_(config), numbers_(config), subjects_(numbers_.subjects), directory_(directory_limits(config), config.partition),
      reloader_(config),
      audit_([](const std::string& line) {
        static service::LogLimit limit(3, 60 * kNsPerSec);
        service::log_limited(limit, service::LogLevel::error, "the ledger does not balance: {}", line);
      }),
      rates_(config.limits.records_per_second) {}

Result<std::unique_ptr<Appliance>> Appliance::create(const ApplianceConfig& config) {
  std::unique_ptr<Appliance> appliance(new Appliance(config));
  Appliance& a = *appliance;
  a.started_ns_ = wall_clock_ns();
  a.started_steady_ns_ = steady_clock_ns();
  auto lock = StateLock::take(config.state_dir);
  if (!lock) return lock.error();
  a.state_lock_ = std::move(*lock);
  a.uuid_ = load_or_make_appliance_uuid(config.state_dir);

  const uint64_t state_interval_ns = uint64_t{config.state_interval_secs} * kNsPerSec;
  a.names_ = std::make_unique<NamesKeeper>(config.state_dir, state_interval_ns);
  a.names_->restore(a.directory_, steady_clock_ns());

  // Publishers are made first: bad certificates and the like are found before any packet is taken.
  const outbound::RunIdentity identity{.appliance_uuid = a.uuid_, .start_ns = a.started_ns_};
  auto publishers = make_publishers(config, identity, a.subjects_);
  if (!publishers) return publishers.error();
  auto meta = make_meta_publisher(config);
  if (!meta) return Error{"exporter_info: " + meta.error().message};

  std::vector<service::HttpRoute> routes = appliance_routes(a.view_, a.started_steady_ns_);
  for (service::HttpRoute& route : operation_routes(a.effective_, a.reloader_)) {
    routes.push_back(std::move(route));
  }
  auto server = service::HttpServer::start(http_server_config(config), std::move(routes));
  if (!server) return server.error();
  a.http_ = std::move(*server);

  dataplane::DataPlaneConfig plane = data_plane_config(config);
  plane.pipeline.decoder.hash_seed = random_seed();
  a.state_ = std::make_unique<StateKeeper>(config.state_dir, state_interval_ns);
  const bool any_names = std::any_of(config.listeners.begin(), config.listeners.end(),
                                     [](const auto& listener) { return listener.inline_names; });
  plane.pipeline.decoder.restored = a.state_->load(any_names ? &a.directory_ : nullptr);
  plane.eal.log = log_of_eal;
  auto data_plane = dataplane::DataPlane::create(plane);
  if (!data_plane) return Error{"ports: " + data_plane.error().message};
  a.data_plane_ = std::move(*data_plane);

  std::vector<outbound::Batcher*> batchers;
  const size_t cores = a.data_plane_->cores().size();
  for (size_t i = 0; i < cores; ++i) batchers.push_back(&a.data_plane_->pipeline(i).batcher());
  a.delivery_ = std::make_unique<Delivery>(std::move(batchers),
                                           cores * uint64_t{plane.pipeline.batcher.buffers});
  const size_t batches_in_all = cores * size_t{plane.pipeline.batcher.buffers};
  for (size_t i = 0; i < publishers->size(); ++i) {
    NamedPublisher& p = (*publishers)[i];
    a.publishers_.push_back(p.publisher.get());
    const PublisherConfig& settings = config.publishers[i];
    auto bounds = publisher_bounds(config, settings, identity, a.subjects_, batches_in_all, a.waker_);
    if (!bounds) return bounds.error();
    PublisherThreadConfig thread{
        .name = p.name,
        .queue_batches_max =
            batches_at_hand(settings.channel_size.value_or(config.channel_size)),
        .batches_in_all = batches_in_all + kReplaysMax,
    };
    a.delivery_->add_publisher(
        std::make_unique<PublisherThread>(std::move(thread), std::move(p.publisher), a.waker_),
        std::move(*bounds));
  }

  ExporterFeed::PrintLine print;
  for (const PublisherConfig& p : config.publishers) {
    if (!p.exporter_info) continue;
    print = [&a, name = p.name](const std::string& line) {
      RoleScope role(control_thread);
      return a.delivery_->offer_line(name, line);
    };
  }
  if (*meta != nullptr || print) {
    a.feed_ = std::make_unique<ExporterFeed>(
        ExporterFeedConfig{config.exporter_info.subject_prefix,
                           fmt::format("{}.{}", a.uuid_, a.started_ns_)},
        std::move(*meta), std::move(print));
  }

  a.census_ = std::make_unique<ExporterCensus>(
      cores, exporters_of_core(config), [&a](size_t core, const CoreBooks& books) {
        RoleScope role(control_thread);
        a.audit_.on_check(fmt::format("core {}", core), books.discrepancies());
        a.delivery_->expect_sealed(core, books.records_sealed);
      });
  return appliance;
}

Appliance::~Appliance() {
  http_.reset();  // nobody reads views of what is being taken down
  assert(stuck_.empty());
  if (data_plane_) {
    RoleScope role(control_thread);
    data_plane_->stop();
  }
  feed_.reset();
  delivery_.reset();
}

uint16_t Appliance::metrics_port() const noexcept { return http_->tcp_port(); }

void Appliance::refresh_view(ApplianceState state) {
  const auto before = view_.read();
  const uint64_t now_ns = steady_clock_ns();
  next_view_ns_ = now_ns + kViewIntervalNs;
  const uint64_t elapsed_ns = before ? now_ns - before->taken_steady_ns : 0;

  auto view = std::make_shared<ApplianceView>();
  view->appliance_uuid = uuid_;
  view->partition = config_.partition;
  view->state = state;
  view->started_ns = started_ns_;
  view->uptime_ns = now_ns - started_steady_ns_;
  view->taken_ns = wall_clock_ns();
  view->taken_steady_ns = now_ns;
  view->ports = data_plane_->port_stats();
  const size_t cores = data_plane_->cores().size();
  for (size_t i = 0; i < cores; ++i) {
    const bool known = before && i < before->cores.size();
    view->cores.push_back(core_view(*data_plane_, i, known ? &before->cores[i] : nullptr,
                                    elapsed_ns, now_ns));
  }
  // After the cores: what was encoded since then shows as waiting, never as missing.
  view->publishers = delivery_->views(now_ns);
  view->subjects = numbers_.subjects;
  take_drops();
  view->losses = drops_.largest();
  view->loss_rows = drops_.rows();
  balance_rates();

  census_->fill(*view);
  event_log_.on_exporters(view->exporters, now_ns);
  view->state_kept = state_->view();

  for (const PublisherView& publisher : view->publishers) {
    audit_.on_check("publisher " + publisher.name, publisher.discrepancies());
    // Without the seconds, so that it is said once.
    const bool takes_nothing = publisher.last_error.empty() && publisher.takes_nothing_ns > 0;
    say_trouble(publisher.name, takes_nothing ? "takes nothing any more" : publisher.last_error);
    say_news(publisher, before.get());
  }
  audit_.on_check("delivery", delivery_->discrepancies());
  view->discrepancies = audit_.standing();
  view->ledger_mismatches = audit_.mismatches();
  view->names = directory_.counters();
  if (feed_) {
    view->exporter_feed = feed_->view(directory_);
    say_trouble("exporter_info", view->exporter_feed.last_error);
    if (view->exporter_feed.streams_created > (before ? before->exporter_feed.streams_created : 0)) {
      service::log_info("exporter_info: stream {} was not there and was created",
                        config_.exporter_info.stream_name);
    }
  }
  losses_.look(*view, now_ns);

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
                         now.name, config_.stream_name, now.streams_created > 1 ? " any more" : "");
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

/// What the decoders had to tell, a bounded amount; whether there was anything.
bool Appliance::take_events() {
  bool taken = false;
  const uint64_t now_ns = steady_clock_ns();
  for (size_t core = 0; core < data_plane_->cores().size(); ++core) {
    decode::Event event;
    for (size_t i = 0; i < kEventsPerTurn && data_plane_->pipeline(core).take_event(event); ++i) {
      event_log_.on_event(event, now_ns);
      directory_.on_event(event, now_ns);
      taken = true;
    }
  }
  return taken;
}

/// What the cores dropped, and whose it was.
void Appliance::take_drops() {
  outbound::DropRow row;
  for (size_t core = 0; core < data_plane_->cores().size(); ++core) {
    outbound::Batcher& batcher = data_plane_->pipeline(core).batcher();
    for (size_t i = 0; i < 2 * outbound::kDropRowsMax && batcher.take_drops(row); ++i) {
      drops_.add(row.exporter, row.route, row.why, row.records);
    }
  }
}

void Appliance::balance_rates() {
  if (rates_.is_off()) return;
  std::vector<uint64_t> offered;
  const size_t cores = data_plane_->cores().size();
  for (size_t core = 0; core < cores; ++core) {
    offered.push_back(data_plane_->pipeline(core).batcher_counters().records.value());
  }
  const std::vector<uint64_t> shares = rates_.shares(offered);
  for (size_t core = 0; core < cores; ++core) {
    data_plane_->pipeline(core).rate_limiter().set_total_rate(shares[core]);
  }
}

/// What was judged already: `config` differs from what goes in keys that need no restart.
Result<void> Appliance::take_config(const ApplianceConfig& config, const service::Origins& origins) {
  Numbering numbers = numbers_;
  numbers.extend(config);
  // Before the first batch that has a new route.
  subjects_.replace(numbers.subjects);
  rates_.set_total(config.limits.records_per_second);
  balance_rates();
  if (auto changed = data_plane_->change(data_plane_config(config, numbers)); !changed) {
    rates_.set_total(config_.limits.records_per_second);
    return changed.error();
  }
  numbers_ = std::move(numbers);
  service::set_log_level(config.log.level);
  config_ = config;
  show_config(origins);
  return {};
}

void Appliance::show_config(const service::Origins& origins) {
  effective_.publish(
      std::make_shared<const EffectiveConfig>(appliance_schema().effective(&config_, origins)));
}

bool Appliance::turn() {
  bool moved = delivery_->step();
  moved |= take_events();
  if (feed_) moved |= feed_->step(directory_, steady_clock_ns());
  census_->step(*data_plane_, steady_clock_ns());
  state_->step(*data_plane_, steady_clock_ns());
  return moved;
}

void Appliance::begin_drain(uint64_t deadline_ns) {
  delivery_->begin_drain(deadline_ns);
  if (feed_) feed_->begin_drain(deadline_ns);
}

/// Files are written meanwhile, behind nobody and before nobody.
bool Appliance::has_drained() {
  const bool state_is_kept = state_->has_finished();
  const bool names_are_kept = names_->has_finished();
  return state_is_kept && names_are_kept && delivery_->drained() && (!feed_ || feed_->finished());
}

/// A new view when it is time, and the word to the service manager that all is well, if it is.
void Appliance::look_around(ApplianceState state, service::ServiceNotify& notify) {
  const uint64_t now_ns = steady_clock_ns();
  if (now_ns < next_view_ns_) return;
  refresh_view(state);
  const auto view = view_.read();
  if (const std::string why = unhealthy_because(view.get(), started_steady_ns_, now_ns);
      !why.empty()) {
    static service::LogLimit limit(1, 60 * kNsPerSec);
    service::log_limited(limit, service::LogLevel::error, "not healthy: {}", why);
  } else {
    notify.watchdog();
  }
  service::flush_log_limits(now_ns);
  say_lost_log_lines();
  event_log_.tick(now_ns);
  names_->step(directory_, now_ns);
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

Result<std::shared_ptr<const ApplianceView>> Appliance::run(const RunOptions& options) {
  auto notify = service::ServiceNotify::from_environment();
  if (options.reload) reloader_.set_source(options.reload);
  show_config(options.origins);
  delivery_->start();
  if (feed_) feed_->start();
  if (auto started = data_plane_->start(); !started) return started.error();
  refresh_view(ApplianceState::running);
  if (options.on_running) options.on_running(*view_.read());
  notify.ready("taking flows");

  for (;;) {
    const bool moved = turn();
    look_around(ApplianceState::running, notify);
    say_readiness();
    const Request request = options.poll_request ? options.poll_request() : Request::none;
    if (request == Request::stop) break;
    if (request == Request::renew) {
      for (outbound::Publisher* publisher : publishers_) publisher->reopen();
      if (reloader_.has_source()) reloader_.ask();
    }
    reloader_.step(
        config_, [this](const auto& config, const auto& origins) { return take_config(config, origins); },
        [this] { return data_plane_->settle_change(); });
    if (options.poll_view && options.poll_view(*view_.read()) == Request::stop) break;
    if (delivery_->all_broken()) {
      service::log_error("no publisher can deliver anything any more");
      break;
    }
    if (!moved) {
      if (options.stop_at_end && data_plane_->at_end()) break;
      waker_.wait(kIdleWaitMs, [] { return false; });
    }
  }

  notify.stopping("delivering what is in flight");
  refresh_view(ApplianceState::draining);
  service::log_info("stopping: no more packets are taken");
  const auto asked_again = [&] {
    return options.poll_request && options.poll_request() == Request::stop;
  };
  core_is_stuck_ = !end_cores(asked_again, notify);
  if (!core_is_stuck_) {
    data_plane_->stop();
    state_->begin_finish(*data_plane_);
  }
  deliver_rest(asked_again, notify);
  if (!core_is_stuck_) census_->finish(*data_plane_);
  while (take_events()) {
  }
  look_who_is_stuck();
  delivery_->step();  // a look at what the cores said last
  refresh_view(ApplianceState::stopped);
  auto last = view_.read();
  service::log_info("stopped: {}", summary_of(*last));
  return last;
}

/// What has not ended by now hangs in a call of the system or of a library. It cannot be waited for.
void Appliance::look_who_is_stuck() {
  if (core_is_stuck_) stuck_.push_back("a receive core does not end; what it held is lost");
  for (const std::string& name : delivery_->unfinished()) {
    stuck_.push_back(fmt::format("publisher {} hangs in a write or a call of its library", name));
  }
  if (feed_ && !feed_->finished()) {
    stuck_.push_back("exporter_info: its publisher hangs in a call of its library");
  }
  if (!state_->has_finished()) {
    stuck_.push_back("state: a write below state_dir hangs; what the decoders know now is not kept");
  }
  if (!names_->has_finished()) {
    stuck_.push_back("names: a write below state_dir hangs; the names known now are not kept");
  }
  if (reloader_.is_reading()) stuck_.push_back("reload: reading the configuration hangs");
  for (const std::string& what : stuck_) service::log_error("{}; it is left behind", what);
}

/// The cores still take in what has arrived already; their batches are moved on meanwhile, so that they
/// do not run out of buffers. False when one does not end.
bool Appliance::end_cores(const std::function<bool()>& asked_again,
                          service::ServiceNotify& notify) {
  StopDeadline deadline(steady_clock_ns() + kCoresEndMaxNs, asked_again);
  data_plane_->request_stop();
  while (!data_plane_->has_ended()) {
    if (deadline.is_over(steady_clock_ns(), kHurriedCoresEndNs)) return false;
    take_events();
    look_around(ApplianceState::draining, notify);
    if (!delivery_->step()) waker_.wait(kIdleWaitMs, [] { return false; });
  }
  was_hurried_ = deadline.was_hurried();
  return true;
}

void Appliance::deliver_rest(const std::function<bool()>& asked_again,
                             service::ServiceNotify& notify) {
  const uint64_t now_ns = steady_clock_ns();
  const uint64_t patience_ns = was_hurried_ ? 0 : uint64_t{config_.shutdown_deadline_ms} * kNsPerMs;
  StopDeadline deadline(now_ns + patience_ns, asked_again);
  // What exporters said last goes out too: a bounded number of tables, as they are now.
  while (take_events()) {
  }
  names_->begin_finish(directory_);
  directory_.make_all_due();
  if (feed_) feed_->step(directory_, now_ns);
  begin_drain(deadline.ns());
  uint64_t told_ns = deadline.ns();
  while (!has_drained()) {
    const uint64_t time_ns = steady_clock_ns();
    deadline.is_over(time_ns, 0);
    if (deadline.ns() != told_ns) {
      service::log_warning("asked to stop again: what is not delivered by now is given up");
      told_ns = deadline.ns();
      begin_drain(told_ns);
    }
    if (time_ns >= deadline.ns() + kDrainGraceNs) break;
    look_around(ApplianceState::draining, notify);
    bool moved = delivery_->step();
    if (feed_) moved |= feed_->step(directory_, time_ns);
    if (!moved) waker_.wait(kIdleWaitMs, [] { return false; });
  }
  if (feed_) feed_->step(directory_, steady_clock_ns());
}

}  // namespace weir::control
