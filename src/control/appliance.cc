#include "control/appliance.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cassert>
#include <map>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "control/identity.h"
#include "control/publishers.h"
#include "control/routes.h"
#include "service/log.h"
#include "service/service_notify.h"

namespace weir::control {

namespace {

constexpr int kIdleWaitMs = 2;  // how long a sealed batch may wait for an idle control thread
constexpr uint64_t kViewIntervalNs = 250 * kNsPerMs;
constexpr uint64_t kExportersIntervalNs = kNsPerSec;
constexpr size_t kEventsPerTurn = 1024;  // of one core, so that batches do not wait long
constexpr size_t kDomainRowsPerCore = 8192;
constexpr uint64_t kConnectGraceNs = 2 * kNsPerSec;
constexpr uint64_t kDrainGraceNs = 2 * kNsPerSec;  // for publishers to report what they gave up

uint64_t random_seed() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = steady_clock_ns() ^ wall_clock_ns();
  return seed;
}

/// EAL and its drivers speak of virtual devices' oddities at length; what matters is warnings and errors.
void log_of_eal(dataplane::EalLogLevel level, std::string_view line) {
  switch (level) {
    case dataplane::EalLogLevel::error: service::log_error("dpdk: {}", line); break;
    case dataplane::EalLogLevel::warning: service::log_warning("dpdk: {}", line); break;
    case dataplane::EalLogLevel::info:
    case dataplane::EalLogLevel::debug: service::log_debug("dpdk: {}", line); break;
  }
}

std::string summary_of(const ApplianceView& view) {
  const Ledger total = view.total();
  std::string text = fmt::format("received {} datagrams, decoded {} records, encoded {}",
                                 total.datagrams, total.records, total.encoded);
  for (const PublisherView& p : view.publishers) {
    text += fmt::format("; {}: acknowledged {}, failed {}, dropped {}, in flight {}", p.name,
                        p.records_acknowledged, p.records_failed, p.records_dropped,
                        p.records_in_flight + p.records_waiting);
  }
  uint64_t missed = 0;
  for (const auto& port : view.ports) missed += port.missed.value_or(0);
  if (missed != 0) text += fmt::format("; missed {} packets before they were received", missed);
  return text;
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
    : config_(config), directory_(directory_limits(config), config.partition) {}

Result<std::unique_ptr<Appliance>> Appliance::create(const ApplianceConfig& config) {
  std::unique_ptr<Appliance> appliance(new Appliance(config));
  Appliance& a = *appliance;
  a.started_ns_ = wall_clock_ns();
  a.uuid_ = load_or_make_appliance_uuid(config.state_dir);

  const uint64_t state_interval_ns = uint64_t{config.state_interval_secs} * kNsPerSec;
  a.names_ = std::make_unique<NamesKeeper>(config.state_dir, state_interval_ns);
  a.names_->restore(a.directory_, steady_clock_ns());

  // Publishers are made first: bad certificates and the like are found before any packet is taken.
  const outbound::RunIdentity identity{.appliance_uuid = a.uuid_, .start_ns = a.started_ns_};
  auto publishers = make_publishers(config, identity);
  if (!publishers) return publishers.error();
  auto meta = make_meta_publisher(config);
  if (!meta) return Error{"exporter_info: " + meta.error().message};

  auto server = service::HttpServer::start(http_server_config(config), appliance_routes(a.view_));
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
  if (!data_plane) return data_plane.error();
  a.data_plane_ = std::move(*data_plane);

  std::vector<outbound::Batcher*> batchers;
  const size_t cores = a.data_plane_->cores().size();
  for (size_t i = 0; i < cores; ++i) batchers.push_back(&a.data_plane_->pipeline(i).batcher());
  a.delivery_ = std::make_unique<Delivery>(std::move(batchers),
                                           cores * uint64_t{plane.pipeline.batcher.buffers});
  for (NamedPublisher& p : *publishers) {
    PublisherThreadConfig thread{
        .name = p.name,
        .queue_batches_max = publisher_queue_batches(config),
        .batches_in_all = cores * size_t{plane.pipeline.batcher.buffers},
    };
    a.delivery_->add_publisher(
        std::make_unique<PublisherThread>(std::move(thread), std::move(p.publisher), a.waker_),
        uint64_t{config.channel_size} * kRecordsPerChannelDatagram);
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

  a.queries_.resize(cores);
  a.asked_.assign(cores, 0);
  a.exporters_by_core_.resize(cores);
  a.exporters_omitted_.assign(cores, 0);
  a.domains_by_core_.resize(cores);
  for (auto& query : a.queries_) {
    query = std::make_unique<dataplane::ExporterQuery>();
    query->rows.resize(config.limits.exporters_per_core);
    query->domains.resize(kDomainRowsPerCore);
  }
  return appliance;
}

Appliance::~Appliance() {
  http_.reset();  // nobody reads views of what is being taken down
  if (data_plane_) {
    RoleScope role(control_thread);
    data_plane_->stop();
  }
  feed_.reset();
  delivery_.reset();
}

uint16_t Appliance::metrics_port() const noexcept { return http_->tcp_port(); }

CoreView Appliance::core_view(size_t core, const CoreView* before, uint64_t elapsed_ns) {
  dataplane::Pipeline& pipeline = data_plane_->pipeline(core);
  const auto& p = pipeline.counters();
  const auto& d = pipeline.decoder_counters();
  const auto& b = pipeline.batcher_counters();
  CoreView v;
  v.info = data_plane_->cores()[core];
  v.ledger.frames = p.frames.value();
  v.ledger.verdicts = Tally(p.verdicts);
  v.ledger.no_listener = p.no_listener.value();
  v.ledger.datagrams = d.datagrams.value();
  v.ledger.datagrams_decoded = d.datagrams_decoded.value();
  v.ledger.datagram_errors = Tally(d.datagram_errors);
  v.ledger.sets = d.sets.value();
  v.ledger.set_octets = d.set_octets.value();
  v.ledger.set_outcomes = Tally(d.set_outcomes);
  v.ledger.set_outcome_octets = Tally(d.set_outcome_octets);
  v.ledger.records = d.records.value();
  v.ledger.counter_records = d.counter_records.value();
  v.ledger.discard_records = d.discard_records.value();
  v.ledger.encoded = b.encoded.value();
  v.ledger.record_drops = Tally(b.drops);
  v.octets = d.octets.value();
  v.bursts = p.bursts.value();
  v.busy_ns = p.busy_ns.value();
  if (before != nullptr && elapsed_ns > 0) {
    v.busy_ratio = std::min(
        1.0, static_cast<double>(v.busy_ns - before->busy_ns) / static_cast<double>(elapsed_ns));
  }
  v.ledger.sequence_lost = d.sequence_lost.value();
  v.exporters_restored = d.exporters_restored.value();
  v.rates_restored = d.rates_restored.value();
  v.samples_lost = d.samples_lost.value();
  v.samples_dropped = d.samples_dropped.value();
  v.options_records = d.options_records.value();
  v.exporters = d.exporters.value();
  v.templates = d.templates.value();
  v.events = d.events.value();
  v.events_dropped = d.events_dropped.value();
  v.pending_octets = d.pending_octets.value();
  v.buffers_free = b.buffers_free.value();
  v.encoded_octets = b.encoded_octets.value();
  v.batches_sealed = b.batches_sealed.value();
  v.quirks = Tally(d.quirks);
  v.template_events = Tally(d.template_events);
  v.datagrams_by_protocol = Tally(d.datagrams_by_protocol);
  v.records_by_protocol = Tally(d.records_by_protocol);
  return v;
}

void Appliance::refresh_view(ApplianceState state) {
  const auto before = view_.read();
  const uint64_t now_ns = steady_clock_ns();
  const uint64_t elapsed_ns = before ? now_ns - last_view_steady_ns_ : 0;
  last_view_steady_ns_ = now_ns;

  auto view = std::make_shared<ApplianceView>();
  view->appliance_uuid = uuid_;
  view->partition = config_.partition;
  view->state = state;
  view->started_ns = started_ns_;
  view->taken_ns = wall_clock_ns();
  view->ports = data_plane_->port_stats();
  const size_t cores = data_plane_->cores().size();
  for (size_t i = 0; i < cores; ++i) {
    const bool known = before && i < before->cores.size();
    view->cores.push_back(core_view(i, known ? &before->cores[i] : nullptr, elapsed_ns));
  }
  // After the cores: what was encoded since then shows as waiting, never as missing.
  view->publishers = delivery_->views();

  // One row an exporter: its datagrams may have met several cores (IPv4 and IPv6 do not, but queues
  // without RSS do).
  std::map<IpAddress, decode::ExporterStats> merged;
  for (const auto& rows : exporters_by_core_) {
    for (const decode::ExporterStats& row : rows) {
      const auto [it, is_new] = merged.try_emplace(row.address, row);
      if (is_new) continue;
      decode::ExporterStats& sum = it->second;
      sum.first_seen_ns = std::min(sum.first_seen_ns, row.first_seen_ns);
      if (row.last_seen_ns > sum.last_seen_ns && row.last_error != decode::DatagramError::count_) {
        sum.last_error = row.last_error;
      }
      if (row.last_seen_ns > sum.last_seen_ns) sum.port = row.port;
      sum.last_seen_ns = std::max(sum.last_seen_ns, row.last_seen_ns);
      sum.datagrams += row.datagrams;
      sum.octets += row.octets;
      sum.datagrams_decoded += row.datagrams_decoded;
      sum.datagrams_rejected += row.datagrams_rejected;
      sum.records += row.records;
      sum.counter_records += row.counter_records;
      sum.discard_records += row.discard_records;
      sum.options_records += row.options_records;
      sum.sets_waiting += row.sets_waiting;
      sum.sets_lost += row.sets_lost;
      sum.templates += row.templates;
      sum.templates_max = std::max(sum.templates_max, row.templates_max);
      sum.templates_known += row.templates_known;
      sum.templates_new += row.templates_new;
      sum.data_templates += row.data_templates;
      sum.options_templates += row.options_templates;
      sum.domains += row.domains;
      sum.sequence_lost += row.sequence_lost;
      sum.clock_implausible += row.clock_implausible;
      if (row.clock_samples > sum.clock_samples) sum.clock_skew_ns = row.clock_skew_ns;
      sum.clock_samples = std::max(sum.clock_samples, row.clock_samples);
      sum.protocols |= row.protocols;
      sum.samples_lost += row.samples_lost;
      sum.samples_dropped += row.samples_dropped;
      sum.samples_taken += row.samples_taken;
      sum.sample_pool += row.sample_pool;
    }
  }
  for (const uint64_t omitted : exporters_omitted_) view->exporters_not_listed += omitted;
  for (auto& [address, row] : merged) {
    if (view->exporters.size() == kExporterRowsMax) {
      view->exporters_not_listed += merged.size() - kExporterRowsMax;
      break;
    }
    view->exporters.push_back(row);
  }
  event_log_.on_exporters(view->exporters, now_ns);

  for (const auto& rows : domains_by_core_) {
    view->domains.insert(view->domains.end(), rows.begin(), rows.end());
  }
  std::stable_sort(view->domains.begin(), view->domains.end(),
                   [](const auto& x, const auto& y) { return x.exporter < y.exporter; });
  view->state_kept = state_->view();

  // A working core's counters are not read at one instant; a difference that is still the same a
  // view later is a true one.
  std::vector<Discrepancy> discrepancies;
  const auto add = [&](const std::string& whose, std::vector<Discrepancy> found) {
    for (Discrepancy& d : found) {
      discrepancies.push_back({whose + ": " + d.equation, d.difference});
    }
  };
  for (const CoreView& core : view->cores) {
    add(fmt::format("core {}", core.info.core), core.ledger.discrepancies());
  }
  for (const PublisherView& publisher : view->publishers) {
    add("publisher " + publisher.name, publisher.discrepancies());
  }
  for (const Discrepancy& d : discrepancies) {
    const auto& before_this = last_discrepancies_;
    if (std::find(before_this.begin(), before_this.end(), d) == before_this.end()) continue;
    ++ledger_mismatches_;
    view->discrepancies.push_back(d.text());
    static service::LogLimit limit(3, 60 * kNsPerSec);
    service::log_limited(limit, service::LogLevel::error, "the ledger does not balance: {}",
                         d.text());
  }
  last_discrepancies_ = std::move(discrepancies);
  for (const PublisherView& publisher : view->publishers) {
    say_trouble(publisher.name, publisher.last_error);
  }
  view->names = directory_.counters();
  if (feed_) {
    view->exporter_feed = feed_->view(directory_);
    say_trouble("exporter_info", view->exporter_feed.last_error);
  }
  view->ledger_mismatches = ledger_mismatches_;
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

void Appliance::say_lost_log_lines() {
  const uint64_t lost = service::log_lines_lost();
  if (lost == log_lines_lost_) return;
  service::log_warning("{} log lines were lost: nobody reads the log fast enough",
                       lost - log_lines_lost_);
  log_lines_lost_ = lost;
}

void Appliance::collect_exporters() {
  for (size_t i = 0; i < queries_.size(); ++i) {
    dataplane::ExporterQuery* answer = nullptr;
    if (asked_[i] && data_plane_->pipeline(i).take_answer(answer)) {
      exporters_omitted_[i] = answer->omitted;
      exporters_by_core_[i].assign(answer->rows.begin(),
                                   answer->rows.begin() + static_cast<ptrdiff_t>(answer->filled));
      domains_by_core_[i].assign(
          answer->domains.begin(),
          answer->domains.begin() + static_cast<ptrdiff_t>(answer->domains_filled));
      asked_[i] = 0;
    }
  }
  const uint64_t now_ns = steady_clock_ns();
  if (now_ns < next_exporters_ns_) return;
  next_exporters_ns_ = now_ns + kExportersIntervalNs;
  for (size_t i = 0; i < queries_.size(); ++i) {
    if (asked_[i]) continue;  // a core that has not answered yet is not asked twice
    dataplane::ExporterQuery& query = *queries_[i];
    asked_[i] = data_plane_->pipeline(i).ask_exporters(query);
  }
}

void Appliance::gather_all_exporters() {
  // The cores have ended, so this thread may do their part of the conversation: first what was still
  // open, then a fresh question.
  for (int round = 0; round < 2; ++round) {
    next_exporters_ns_ = 0;
    collect_exporters();
    for (size_t i = 0; i < queries_.size(); ++i) {
      RoleScope role(rx_lcore);
      // Each turn answers a slice of many rows, so this is a generous bound.
      for (uint32_t turns = 0; turns <= config_.limits.exporters_per_core; ++turns) {
        data_plane_->pipeline(i).poll(steady_clock_ns(), wall_clock_ns());
      }
    }
  }
  next_exporters_ns_ = UINT64_MAX;
  collect_exporters();
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

bool Appliance::turn() {
  bool moved = delivery_->step();
  moved |= take_events();
  if (feed_) moved |= feed_->step(directory_, steady_clock_ns());
  collect_exporters();
  state_->step(*data_plane_, steady_clock_ns());
  return moved;
}

void Appliance::begin_drain(uint64_t deadline_ns) {
  delivery_->begin_drain(deadline_ns);
  if (feed_) feed_->begin_drain(deadline_ns);
}

bool Appliance::has_drained() const {
  return delivery_->drained() && (!feed_ || feed_->finished());
}

Result<std::shared_ptr<const ApplianceView>> Appliance::run(const RunOptions& options) {
  auto notify = service::ServiceNotify::from_environment();
  delivery_->start();
  if (feed_) feed_->start();
  if (auto started = data_plane_->start(); !started) return started.error();
  refresh_view(ApplianceState::running);
  if (options.on_running) options.on_running(*view_.read());
  notify.ready("taking flows");

  uint64_t next_view_ns = 0;
  std::optional<bool> was_ready;  // as last logged; publishers get a moment to connect first
  const uint64_t say_not_ready_ns = steady_clock_ns() + kConnectGraceNs;
  for (;;) {
    const bool moved = turn();
    const uint64_t now_ns = steady_clock_ns();
    if (now_ns >= next_view_ns) {
      next_view_ns = now_ns + kViewIntervalNs;
      refresh_view(ApplianceState::running);
      const std::string why_not = view_.read()->not_ready_because();
      const bool is_ready = why_not.empty();
      if (is_ready != was_ready && (is_ready || now_ns >= say_not_ready_ns)) {
        was_ready = is_ready;
        if (is_ready) {
          service::log_info("ready");
        } else {
          service::log_warning("not ready: {}", why_not);
        }
      }
      notify.watchdog();
      service::flush_log_limits(now_ns);
      say_lost_log_lines();
      event_log_.tick(now_ns);
      names_->step(directory_, now_ns);
    }
    if (options.poll_request && options.poll_request() == Request::stop) break;
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
  // The cores still take in what has arrived already; their batches are moved on meanwhile, so that
  // they do not run out of buffers.
  data_plane_->request_stop();
  while (!data_plane_->has_ended()) {
    take_events();
    if (!delivery_->step()) waker_.wait(kIdleWaitMs, [] { return false; });
  }
  data_plane_->stop();
  state_->finish(*data_plane_);
  uint64_t deadline_ns = steady_clock_ns() + uint64_t{config_.shutdown_deadline_ms} * kNsPerMs;
  // What exporters said last goes out too: a bounded number of tables, as they are now.
  while (take_events()) {
  }
  directory_.make_all_due();
  if (feed_) feed_->step(directory_, steady_clock_ns());
  begin_drain(deadline_ns);
  while (!has_drained() && steady_clock_ns() < deadline_ns + kDrainGraceNs) {
    if (options.poll_request && options.poll_request() == Request::stop) {
      service::log_warning("asked to stop again: what is not delivered by now is given up");
      deadline_ns = std::min(deadline_ns, steady_clock_ns());
      begin_drain(deadline_ns);
    }
    bool moved = delivery_->step();
    if (feed_) moved |= feed_->step(directory_, steady_clock_ns());
    if (!moved) waker_.wait(kIdleWaitMs, [] { return false; });
  }
  if (feed_) feed_->step(directory_, steady_clock_ns());
  gather_all_exporters();
  while (take_events()) {
  }
  names_->finish(directory_);
  refresh_view(ApplianceState::stopped);
  refresh_view(ApplianceState::stopped);  // the second look confirms or clears a discrepancy
  auto last = view_.read();
  service::log_info("stopped: {}", summary_of(*last));
  return last;
}

}  // namespace weir::control
