#include "control/http/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/clock.h"
#include "base/version.h"
#include "control/http/health.h"
#include "control/http/metrics.h"
#include "control/http/routes_json.h"
#include "service/metrics.h"

namespace weir::control {

using nlohmann::json;
using service::HttpRequest;
using service::HttpResponse;

namespace {

/// {"enumerator": value} for every enumerator, zeros included: a script can rely on each key.
template <class Enum>
json tally_json(const Tally<Enum>& tally) {
  json object = json::object();
  for (size_t i = 0; i < tally.values.size(); ++i) {
    object[std::string(name_of(static_cast<Enum>(i)))] = tally.values[i];
  }
  return object;
}

json books_json(const Ledger& ledger) {
  return {
      {"frames",
       {{"received", ledger.frames},
        {"verdicts", tally_json(ledger.verdicts)},
        {"fragments", tally_json(ledger.fragments)},
        {"fragments_waiting", ledger.fragments_waiting},
        {"reassembled", tally_json(ledger.reassembled)},
        {"no_listener", ledger.no_listener},
        {"exceptions", tally_json(ledger.exceptions)},
        {"handed_to_workers", tally_json(ledger.handed)},
        {"worker_full", tally_json(ledger.worker_full)},
        {"taken_by_workers", tally_json(ledger.taken)}}},
      {"datagrams",
       {{"received", ledger.datagrams},
        {"decoded", ledger.datagrams_decoded},
        {"rejected", tally_json(ledger.datagram_errors)}}},
      {"sets",
       {{"received", ledger.sets},
        {"octets", ledger.set_octets},
        {"outcomes", tally_json(ledger.set_outcomes)},
        {"outcome_octets", tally_json(ledger.set_outcome_octets)}}},
      {"before_arrival", {{"sequence_lost", ledger.sequence_lost}}},
      {"records",
       {{"decoded", ledger.records},
        {"sflow_counters", ledger.counter_records},
        {"sflow_discards", ledger.discard_records},
        {"encoded", ledger.encoded},
        {"dropped", tally_json(ledger.record_drops)}}},
  };
}

/// Null without an interface for them.
json exception_json(const std::optional<dataplane::ExceptionStats>& exception) {
  if (!exception) return {};
  return {{"interface", exception->interface}, {"trouble", exception->trouble},
          {"delivered", exception->delivered}, {"refused", exception->refused},
          {"waiting", exception->waiting},     {"sent", exception->sent},
          {"not_sent", exception->not_sent},   {"too_long", exception->too_long},
          {"invalid", exception->invalid},     {"dropped", exception->dropped}};
}

/// Null where it takes none.
json sessions_json(const std::optional<dataplane::TcpStats>& tcp) {
  if (!tcp) return {};
  return {{"open", tcp->sessions},
          {"opened", tcp->opened},
          {"refused", tally_json(tcp->refused)},
          {"ended", tally_json(tcp->ended)}};
}

json port_json(const dataplane::PortStats& port) {
  json object = {{"name", port.name},       {"kind", port.kind},       {"driver", port.driver},
                 {"device", port.device},   {"link_up", port.link_up}, {"at_end", port.at_end},
                 {"packets", port.packets}, {"octets", port.octets},   {"note", port.note},
                 {"trouble", port.trouble}};
  // What a device cannot tell is null, which differs from none.
  object["missed"] = port.missed ? json(*port.missed) : json();
  object["errors"] = port.errors ? json(*port.errors) : json();
  object["no_mbuf"] = port.no_mbuf ? json(*port.no_mbuf) : json();
  object["sessions"] = sessions_json(port.tcp);
  object["exception"] = exception_json(port.exception);
  return object;
}

json spool_json(const SpoolView& s) {
  if (s.dir.empty()) return {};
  return {{"dir", s.dir},
          {"octets", s.octets},
          {"octets_max", s.octets_max},
          {"batches", s.batches},
          {"records",
           {{"stored", s.records},
            {"restored", s.records_restored},
            {"replayed", s.records_replayed},
            {"expired", s.records_expired},
            {"damaged", s.records_damaged},
            {"left", s.records_left}}},
          {"batches_replayed", s.batches_replayed},
          {"octets_damaged", s.octets_damaged},
          {"failures", tally_json(s.failures)},
          {"killed_before", s.was_killed ? json{{"batches", s.batches_lost_before},
                                                {"records", s.records_lost_before}}
                                         : json()}};
}

/// Who lost how much, and why: the largest of them.
template <class Row>
json losses_json(const ApplianceView& view, const std::vector<Row>& losses, uint64_t total) {
  json rows = json::array();
  for (const Row& row : losses) {
    rows.push_back({{"exporter", row.exporter == IpAddress{} ? json() : json(row.exporter.to_string())},
                    {"exporter_name", exporter_name_json(view, row.exporter)},
                    {"subject", row.route.value < view.subjects.size() ? json(view.subjects[row.route.value]) : json()},
                    {"records", tally_json(row.records)}});
  }
  return {{"rows", std::move(rows)}, {"total", total}};
}

json delivery_json(const LatencyHistogram& h) {
  const auto ms = [](uint64_t ns) { return std::round(static_cast<double>(ns) / 1000) / 1000; };
  return {{"batches", h.count()},
          {"p50_ms", ms(h.quantile_ns(0.5))},
          {"p99_ms", ms(h.quantile_ns(0.99))},
          {"p999_ms", ms(h.quantile_ns(0.999))},
          {"max_ms", ms(h.max_ns())}};
}

json publisher_json(const ApplianceView& view, const PublisherView& p) {
  return {{"name", p.name},
          {"kind", p.kind},
          {"state", name_of(p.state)},
          {"handing_over", p.is_handing_over},
          {"drop_policy", name_of(p.policy)},
          {"connected", p.connected},
          {"connections", p.connections},
          {"last_error", p.trouble()},
          {"remark", p.remark},
          {"queue",
           {{"depth", p.queue_depth},
            {"capacity", p.queue_capacity},
            {"records", p.records_in_flight},
            {"records_max", p.records_max == 0 ? json() : json(p.records_max)},
            {"fill", std::round(p.queue_fill * 1000) / 1000}}},
          {"records",
           {{"acknowledged", p.records_acknowledged},
            {"failed", p.records_failed},
            {"dropped", p.records_dropped},
            {"spooled", p.records_spooled},
            {"in_flight", p.records_in_flight},
            {"waiting", p.records_waiting},
            {"absent", p.records_absent}}},
          {"batches",
           {{"acknowledged", p.batches_acknowledged},
            {"duplicate", p.batches_duplicate},
            {"failed", p.batches_failed},
            {"dropped", p.batches_dropped},
            {"spooled", p.batches_spooled},
            {"in_flight", p.batches_in_flight}}},
          {"delivery", delivery_json(p.delivery)},
          {"messages", p.messages},
          {"octets", p.octets},
          {"negative_acknowledgements", p.negative_acknowledgements},
          {"retries", p.retries},
          {"reconnects", p.reconnects},
          {"renewals", p.renewals},
          {"failures", tally_json(p.failures)},
          {"losses", losses_json(view, p.losses, p.loss_rows)},
          {"spool", spool_json(p.spool)}};
}

/// 200 where nothing speaks against it, else 503 and why.
HttpResponse verdict_response(const char* good, const char* bad, const std::string& because) {
  if (because.empty()) return json_response({{"status", good}});
  HttpResponse response = json_response({{"status", bad}, {"because", because}});
  response.status = 503;
  return response;
}

/// Null without one.
json names_file_json(const ApplianceView& view) {
  if (view.exporter_list == nullptr) return {};
  return {{"exporters", view.exporter_list->exporters().size()},
          {"interfaces", view.exporter_list->interfaces()},
          {"trouble", view.exporter_list_trouble}};
}

json state_json(const ApplianceView& view) {
  const StateView& s = view.state_kept;
  if (s.path.empty()) return {};
  uint64_t exporters = 0, templates = 0, rates = 0;
  for (const CoreView& core : view.cores) {
    exporters += core.exporters_restored;
    templates += core.template_events[decode::TemplateEvent::restored];
    rates += core.rates_restored;
  }
  json object = {
      {"path", s.path},
      {"restored", {{"exporters", exporters}, {"templates", templates}, {"rates", rates}}},
      {"error", s.error}};
  object["loaded"] = s.loaded_written_ns == 0 ? json()
                                              : json{{"exporters", s.loaded_exporters},
                                                     {"templates", s.loaded_templates},
                                                     {"rates", s.loaded_rates},
                                                     {"written_ns", s.loaded_written_ns}};
  object["saved"] = s.saved_ns == 0 ? json()
                                    : json{{"exporters", s.saved_exporters},
                                           {"templates", s.saved_templates},
                                           {"rates", s.saved_rates},
                                           {"octets", s.saved_octets},
                                           {"written_ns", s.saved_ns}};
  return object;
}

json ports_json(const ApplianceView& view) {
  json ports = json::array();
  for (const auto& port : view.ports) ports.push_back(port_json(port));
  return ports;
}

json replicas_json(const ApplianceView& view) {
  json rows = json::array();
  for (const dataplane::ReplicaStats& r : view.replicas)
    rows.push_back({{"to", r.to},
                    {"spoof_source", r.is_spoofed},
                    {"is_gone", r.is_gone},
                    {"offered", r.offered},
                    {"sent", r.sent},
                    {"sent_octets", r.sent_octets},
                    {"returned", r.returned},
                    {"dropped", tally_json(r.dropped)}});
  return rows;
}

/// Null for a core that is no worker.
json worker_json(const std::optional<dataplane::WorkerStats>& worker) {
  if (!worker) return {};
  return {{"handed", worker->handed}, {"full", worker->full}, {"waiting", worker->waiting}, {"capacity", worker->capacity}};
}

json cores_json(const ApplianceView& view) {
  json cores = json::array();
  for (const CoreView& core : view.cores) {
    cores.push_back({{"core", core.info.core},
                     {"cpu", core.info.cpu},
                     {"serves", core.info.serves},
                     {"busy_ratio", core.busy_ratio},
                     {"busy_ns", core.busy_ns},
                     {"bursts", core.bursts},
                     {"packets", core.ledger.frames},
                     {"handed", core.ledger.handed.total()},
                     {"worker", worker_json(core.worker)},
                     {"datagrams", core.ledger.datagrams},
                     {"octets", core.octets},
                     {"records", core.ledger.records},
                     {"records_fused", core.records_fused},
                     {"exporters", core.exporters},
                     {"templates", core.templates},
                     {"events", core.events},
                     {"events_dropped", core.events_dropped},
                     {"pending_octets", core.pending_octets},
                     {"sequence_lost", core.ledger.sequence_lost},
                     {"buffers_free", core.buffers_free}});
  }
  return cores;
}

json listeners_json(const ApplianceView& view) {
  json listeners = json::array();
  for (const ListenerView& l : view.listeners) {
    listeners.push_back({{"name", l.name},
                         {"port", l.port == 0 ? json() : json(l.port)},
                         {"datagrams", tally_json(l.datagrams)},
                         {"octets", tally_json(l.octets)},
                         {"records", tally_json(l.records)},
                         {"rejected", l.rejected}});
  }
  return listeners;
}

/// Where something may wait on its way, and how much does. `capacity` 0: only what is beside it bounds it.
json queue_json(std::string name, const char* unit, uint64_t depth, uint64_t capacity) {
  const double fill = capacity == 0 ? 0 : static_cast<double>(depth) / static_cast<double>(capacity);
  return {{"name", std::move(name)},
          {"unit", unit},
          {"depth", depth},
          {"capacity", capacity == 0 ? json() : json(capacity)},
          {"fill", std::round(fill * 1000) / 1000}};
}

json queues_json(const ApplianceView& view) {
  json queues = json::array();
  for (const CoreView& c : view.cores) {
    const std::string core = fmt::format("core {}: ", c.info.core);
    if (c.worker) queues.push_back(queue_json(core + "frames for this worker", "frames", c.worker->waiting, c.worker->capacity));
    queues.push_back(queue_json(core + "fragments", "fragments", c.ledger.fragments_waiting, 0));
    queues.push_back(queue_json(core + "sets without template", "octets", c.pending_octets, 0));
    queues.push_back(queue_json(core + "batch buffers in use", "buffers",
                                c.buffers - std::min(c.buffers, c.buffers_free), c.buffers));
    queues.push_back(queue_json(core + "sealed batches", "batches", c.batches_waiting, c.buffers));
  }
  for (const PublisherView& p : view.publishers) {
    if (p.state == PublisherState::gone) continue;
    queues.push_back(
        queue_json("publisher " + p.name + ": batches", "batches", p.queue_depth, p.queue_capacity));
    queues.push_back(
        queue_json("publisher " + p.name + ": undecided", "records", p.records_in_flight, p.records_max));
    if (p.spool.dir.empty()) continue;
    queues.push_back(
        queue_json("publisher " + p.name + ": spool", "octets", p.spool.octets, p.spool.octets_max));
  }
  return queues;
}

json publishers_json(const ApplianceView& view) {
  json publishers = json::array();
  for (const auto& p : view.publishers) publishers.push_back(publisher_json(view, p));
  return publishers;
}

json rights_json(const service::RightsView& rights) {
  json kept = json::array();
  for (const service::KeptRight& right : rights.kept)
    kept.push_back({{"capability", service::capability_name(right.number)}, {"why", right.why}});
  return {{"user", rights.user},
          {"uid", rights.uid},
          {"gid", rights.gid},
          {"given_up", rights.has_given_up},
          {"capabilities", rights.capabilities},
          {"kept", std::move(kept)},
          {"threads_with_more", rights.threads_with_more}};
}

json clock_json(const dataplane::TimeStats& time) {
  return {{"source", time.trouble == TickTrouble::none ? "tsc" : "kernel"},
          {"why", time.trouble == TickTrouble::none ? "" : std::string(name_of(time.trouble))},
          {"error_ns", time.error_ns},
          {"steps", time.steps},
          {"last_step_ns", time.last_step_ns},
          {"last_step_ago_ns", time.steps == 0 ? json() : json(steady_clock_ns() - time.last_step_steady_ns)},
          {"losses", time.losses}};
}

}  // namespace

json status_json(const ApplianceView& view) {
  const std::string not_ready = view.not_ready_because();
  return {{"version", version()},
          {"commit", commit()},
          {"appliance", view.appliance_uuid},
          {"partition", view.partition},
          {"state", std::string(name_of(view.state))},
          {"ready", not_ready.empty()},
          {"not_ready_because", not_ready},
          {"started_ns", view.started_ns},
          {"uptime_ns", view.uptime_ns},
          {"taken_ns", view.taken_ns},
          {"clock", clock_json(view.time)},
          {"records_per_second", view.records_per_second},
          {"datagrams_per_second", view.datagrams_per_second},
          {"state_kept", state_json(view)},
          {"rights", rights_json(view.rights)},
          {"ports", ports_json(view)},
          {"replicate", replicas_json(view)},
          {"cores", cores_json(view)},
          {"publishers", publishers_json(view)},
          {"exporter_info",
           {{"exporters", view.names.exporters},
            {"names", view.names.names},
            {"octets", view.names.octets},
            {"omitted", view.names.omitted},
            {"names_file", names_file_json(view)},
            {"forgotten", view.names.forgotten},
            {"published", view.exporter_feed.is_on},
            {"connected", view.exporter_feed.connected},
            {"last_error", view.exporter_feed.last_error},
            {"waiting", view.exporter_feed.waiting},
            {"acknowledged", view.exporter_feed.acknowledged},
            {"failed", view.exporter_feed.failed}}}};
}

json ledger_json(const ApplianceView& view) {
  json body = books_json(view.total());
  json cores = json::array();
  for (const CoreView& core : view.cores) {
    json books = books_json(core.ledger);
    books["core"] = core.info.core;
    cores.push_back(std::move(books));
  }
  body["ports"] = ports_json(view);
  body["replicate"] = replicas_json(view);
  body["cores"] = std::move(cores);
  body["publishers"] = publishers_json(view);
  body["losses"] = losses_json(view, view.losses, view.loss_rows);
  body["balanced"] = view.discrepancies.empty();
  body["discrepancies"] = view.discrepancies;
  body["mismatches"] = view.ledger_mismatches;
  return body;
}

std::vector<service::HttpRoute> appliance_routes(const Snapshot<ApplianceView>& view,
                                                 uint64_t started_steady_ns,
                                                 std::function<uint64_t()> steady_now_ns) {
  // Before the first view there is nothing true to say.
  const auto with_view = [&view](auto answer) {
    return [&view, answer](const HttpRequest& request) -> HttpResponse {
      const auto current = view.read();
      if (!current) return service::http_error(503, "the appliance is starting");
      return answer(*current, request);
    };
  };
  std::vector<service::HttpRoute> routes;
  routes.push_back(
      {.method = "GET", .path = "/v1/status", .handle = with_view([](const auto& v, const auto&) {
                                                return json_response(status_json(v));
                                              })});
  routes.push_back(
      {.method = "GET", .path = "/v1/ledger", .handle = with_view([](const auto& v, const auto&) {
                                                return json_response(ledger_json(v));
                                              })});
  const auto add_list = [&](const char* path, const char* key, json (*list)(const ApplianceView&)) {
    routes.push_back({.method = "GET", .path = path, .handle = with_view([key, list](const auto& v, const auto&) {
                        return json_response({{key, list(v)}, {"taken_ns", v.taken_ns}});
                      })});
  };
  add_list("/v1/ports", "ports", ports_json);
  add_list("/v1/cores", "cores", cores_json);
  add_list("/v1/listeners", "listeners", listeners_json);
  add_list("/v1/queues", "queues", queues_json);
  add_list("/v1/publishers", "publishers", publishers_json);
  routes.push_back({.method = "GET",
                    .path = "/v1/exporters",
                    .handle = with_view(exporters_page),
                    .parameters = {"offset", "limit"}});
  routes.push_back({.method = "GET",
                    .path = "/metrics",
                    .also_on_tcp = true,
                    .handle = with_view([](const auto& v, const auto&) {
                      return HttpResponse{.status = 200,
                                          .content_type = std::string(service::kMetricsContentType),
                                          .body = metrics_text(v)};
                    })});
  routes.push_back(
      {.method = "GET",
                    .path = "/healthz",
                    .also_on_tcp = true,
                    .handle = [&view, started_steady_ns, steady_now_ns](const HttpRequest&) {
                      const auto current = view.read();
                      return verdict_response("alive", "unhealthy",
                                              unhealthy_because(current.get(), started_steady_ns,
                                                                steady_now_ns()));
                    }});
  routes.push_back({.method = "GET",
                    .path = "/readyz",
                    .also_on_tcp = true,
                    .handle = with_view([started_steady_ns, steady_now_ns](const auto& v, const auto&) {
                      // Who takes no packets any more is not ready for them either.
                      std::string why = v.not_ready_because();
                      if (why.empty()) why = unhealthy_because(&v, started_steady_ns, steady_now_ns());
                      return verdict_response("ready", "not_ready", why);
                    })});
  return routes;
}

}  // namespace weir::control
