#include "control/appliance.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/clock.h"
#include "control/delivery/publishers.h"
#include "control/http/capture_routes.h"
#include "control/http/routes.h"
#include "control/http/rule_routes.h"
#include "control/state/identity.h"
#include "control/view_build.h"
#include "service/log.h"

namespace weir::control {

namespace {

constexpr size_t kEventsPerTurn = 1024;  // of one core, so that batches do not wait long

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
  a.directory_.set_list(config.exporter_list, steady_clock_ns(), a.started_ns_);
  a.event_log_.set_names([&a](const IpAddress& exporter) { return a.directory_.exporter_name(exporter); });

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
  for (service::HttpRoute& route : live_routes(a.live_flows_, a.listener_names_)) routes.push_back(std::move(route));
  for (service::HttpRoute& route : capture_routes(a.captures_, a.quarantine_, a.view_)) routes.push_back(std::move(route));
  routes.push_back(exporter_detail_route(a.view_, a.exporter_details_));
  routes.push_back(rules_route(a.view_));
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
  plane.pipeline.batcher.on_many_sealed = &a.waker_;
  auto data_plane = [&] {
    const RoleScope role(control_thread);
    const service::FileRights rights;  // devices may be root's
    return dataplane::DataPlane::create(plane);
  }();
  if (!data_plane) return Error{"ports: " + data_plane.error().message};
  a.data_plane_ = std::move(*data_plane);

  std::vector<outbound::Batcher*> batchers;
  const size_t cores = a.data_plane_->cores().size();
  for (size_t i = 0; i < cores; ++i) batchers.push_back(&a.data_plane_->pipeline(i).batcher());
  a.delivery_ = std::make_unique<Delivery>(std::move(batchers),
                                           cores * uint64_t{plane.pipeline.batcher.buffers});
  const size_t batches_in_all = cores * size_t{plane.pipeline.batcher.buffers};
  a.ground_ = {identity, a.subjects_, batches_in_all, &a.waker_};
  for (size_t i = 0; i < publishers->size(); ++i) {
    const PublisherConfig& settings = config.publishers[i];
    PublisherBounds bounds = publisher_bounds(config, settings);
    if (bounds.policy == DropPolicy::spool) {
      if (auto opened = open_spool(config, settings, a.ground_, bounds); !opened) return opened.error();
    }
    a.delivery_->add_publisher(
        make_publisher_thread(config, settings, std::move((*publishers)[i].publisher), a.ground_),
        std::move(bounds));
  }
  a.make_feed(std::move(*meta));

  a.census_ = std::make_unique<ExporterCensus>(
      cores, exporters_of_core(config), plane.pipeline.decoder.limits.exporters_most(), [&a](size_t core, const CoreBooks& books) {
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
  leaving_feed_.reset();
  delivery_.reset();
}

uint16_t Appliance::metrics_port() const noexcept { return http_->tcp_port(); }

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

void Appliance::show_config(const service::Origins& origins) {
  effective_.publish(
      std::make_shared<const EffectiveConfig>(appliance_schema().effective(&config_, origins)));
  listener_names_.publish(std::make_shared<const ListenerNames>(numbers_.listeners));
  captures_.set_ground({data_plane_->cores().size(), numbers_.listeners});
}

/// What somebody has written into the operator's list of exporters meanwhile.
void Appliance::watch_exporter_list(uint64_t steady_now_ns) {
  change_labels();
  auto list = list_watch_.step(config_.exporter_info.names_file, config_.exporter_list, steady_now_ns);
  if (list == nullptr) return;
  directory_.set_list(list, steady_now_ns, wall_clock_ns());
  service::log_info("exporter_info.names_file: {} was written anew: {} exporters and {} interfaces go by it",
                    config_.exporter_info.names_file, list->exporters().size(), list->interfaces());
  config_.exporter_list = std::move(list);
  labels_ = LabelChange::due;
}

/// What records carry of a list that was written anew. Not while a reload changes more than that.
void Appliance::change_labels() {
  if (labels_ == LabelChange::done || !data_plane_->settle_change()) return;
  if (labels_ == LabelChange::under_way) {
    labels_ = LabelChange::done;
    return;
  }
  auto changed = data_plane_->change(data_plane_config(config_, numbers_));
  labels_ = changed ? LabelChange::under_way : LabelChange::done;
  if (!changed) service::log_warning("exporter_info.names_file: records go by the list before: {}", changed.error().message);
}

bool Appliance::turn() {
  bool moved = delivery_->step();
  data_plane_->keep_time(steady_clock_ns());
  moved |= take_events();
  moved |= live_flows_.step(*data_plane_, directory_);
  moved |= step_feed(steady_clock_ns());
  census_->step(*data_plane_, steady_clock_ns());
  exporter_details_.step(*data_plane_, directory_, steady_clock_ns());
  state_->step(*data_plane_, steady_clock_ns());
  captures_.step(*data_plane_, steady_clock_ns());
  quarantine_.step(*data_plane_, steady_clock_ns());
  return moved;
}

Result<std::shared_ptr<const ApplianceView>> Appliance::run(const RunOptions& options) {
  auto notify = service::ServiceNotify::from_environment();
  if (options.reload) reloader_.set_source(options.reload);
  show_config(options.origins);
  delivery_->start();
  if (feed_) feed_->start();
  if (auto up = data_plane_->bring_up(); !up) return up.error();
  auto rights = options.give_up_rights ? options.give_up_rights() : service::RightsView::look();
  if (!rights) return Error{"rights cannot be given up: " + rights.error().message};
  rights_ = std::move(*rights);
  if (auto started = data_plane_->start(); !started) return started.error();
  refresh_view(ApplianceState::running);
  if (options.on_running) options.on_running(*view_.read());
  notify.ready("taking flows");

  const Reloader::Steps steps = reload_steps();
  uint64_t moved_ns = steady_clock_ns();
  for (;;) {
    const bool moved = turn();
    look_around(ApplianceState::running, notify);
    say_readiness();
    const Request request = options.poll_request ? options.poll_request() : Request::none;
    if (request == Request::stop) break;
    if (request == Request::renew && reloader_.has_source()) reloader_.ask();
    const bool begins = reloader_.step(config_, steps);
    if (begins || request == Request::renew) delivery_->reopen();
    if (options.poll_view && options.poll_view(*view_.read()) == Request::stop) break;
    if (delivery_->all_broken()) {
      service::log_error("no publisher can deliver anything any more");
      break;
    }
    if (moved) {
      moved_ns = steady_clock_ns();
    } else {
      if (options.stop_at_end && data_plane_->at_end()) break;
      // What was sealed while it looked around found it awake, and may have been the last that there was a buffer for.
      waker_.wait(idle_wait_ms(config_.batch_linger_ms, steady_clock_ns() - moved_ns), [this] {
        const RoleScope role(control_thread);
        return delivery_->has_news();
      });
    }
  }

  live_flows_.end();
  notify.stopping("delivering what is in flight", uint64_t{config_.shutdown_deadline_ms} * kNsPerMs);
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
  if (!core_is_stuck_) {
    census_->finish(*data_plane_);
    dataplane::Ledger total;
    for (size_t i = 0; i < data_plane_->cores().size(); ++i) total += data_plane_->pipeline(i).ledger();
    audit_.on_check("all cores", total.handover_discrepancies());
  }
  while (take_events()) {
  }
  look_who_is_stuck();
  delivery_->step();  // a look at what the cores said last
  refresh_view(ApplianceState::stopped);
  auto last = view_.read();
  service::log_info("stopped: {}", summary_of(*last));
  return last;
}

}  // namespace weir::control
