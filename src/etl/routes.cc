#include "etl/routes.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/version.h"
#include "etl/config.h"
#include "etl/metrics.h"
#include "feed/view_routes.h"

namespace weir::etl {
namespace {

using nlohmann::json;

json ledger_json(const EtlView& view) {
  const EtlBooks& b = view.books;
  const std::string discrepancy = b.discrepancy();
  return {{"program", "weir-etl"},
          {"balanced", discrepancy.empty()},
          {"discrepancies", discrepancy.empty() ? json::array() : json::array({discrepancy})},
          {"messages",
           {{"in", b.messages_in},
            {"redelivered", b.messages_redelivered},
            {"done", b.messages_done},
            {"dead", feed::dead_json(b.messages_dead, false)},
            {"returned", b.messages_returned},
            {"in_hand", b.messages_in_hand}}},
          {"records",
           {{"in", b.records_in},
            {"dropped", b.records_dropped},
            {"sampled_out", b.records_sampled_out},
            {"events", b.events_acknowledged},
            {"decisions", b.decisions_acknowledged},
            {"dead", feed::dead_json(b.records_dead, true)},
            {"returned", b.records_returned},
            {"in_flight", b.records_in_flight}}},
          {"event_messages", {{"acknowledged", b.event_messages}, {"duplicate", b.event_messages_duplicate}}},
          {"rule_errors", b.rule_errors},
          {"labels_left_out", b.labels_left_out}};
}

json rule_json(const RuleView& rule) {
  return {{"id", rule.id}, {"matched", rule.matched}, {"dropped", rule.dropped}, {"errors", rule.errors}};
}

json rules_json(const RulesView& rules) {
  json rows = json::array();
  for (const RuleView& rule : rules.rules) rows.push_back(rule_json(rule));
  json former = rule_json(rules.former);
  json sources = json::array();
  for (const enrich::SourceLook& s : rules.sources) {
    sources.push_back({{"kind", enrich::name_of(s.kind)}, {"path", s.path}, {"type", s.type}, {"version", s.version}, {"prefixes", s.prefixes}});
  }
  former.erase("id");
  return {{"program", "weir-etl"},    {"version", rules.version}, {"name", rules.name},        {"hash", rules.hash},
          {"read_ns", rules.read_ns}, {"rules", std::move(rows)}, {"former", std::move(former)},
          {"enrichment", std::move(sources)}};
}

/// What went when the view was taken; `pending`: what goes from the next message on, where that is something else.
json rules_json(const RulesView& rules, const RulesInUse& newest) {
  json pending;
  if (newest.version != rules.version) pending = {{"version", newest.version}, {"hash", newest.rules == nullptr ? "" : newest.rules->hash()}};
  return {{"version", rules.version}, {"name", rules.name}, {"hash", rules.hash}, {"pending", std::move(pending)}};
}

json status_json(const EtlView& view, const RulesInUse& newest, const feed::FilesView& files) {
  json publishers = json::array();
  for (const EventPublisherView& p : view.publishers) {
    publishers.push_back({{"name", p.name},
                          {"stream", p.stream},
                          {"connected", p.is_connected},
                          {"in_flight", p.in_flight},
                          {"messages", p.messages},
                          {"acknowledgements", p.acknowledgements},
                          {"refusals", p.negative_acknowledgements},
                          {"retries", p.retries},
                          {"trouble", p.trouble}});
  }
  const std::string because = view.not_ready_because();
  return {{"program", "weir-etl"},
          {"version", version()},
          {"commit", commit()},
          {"started_ns", view.started_ns},
          {"taken_ns", view.taken_ns},
          {"stopping", view.is_stopping},
          {"ready", because.empty()},
          {"because", because},
          {"careful", view.is_careful},
          {"behind", view.source.is_behind()},
          {"lag", view.source.lag()},
          {"source", feed::source_json(view.source)},
          {"names", view.names == nullptr ? json() : feed::names_json(*view.names)},
          {"rules", rules_json(view.rules, newest)},
          {"files_read", feed::files_json(files)},
          {"publishers", std::move(publishers)},
          {"buffers", {{"all", view.buffers}, {"free", view.buffers_free}}}};
}

}  // namespace

std::vector<service::HttpRoute> etl_routes(EtlSources from) {
  const auto sources = std::make_shared<const EtlSources>(std::move(from));
  feed::ViewRoutes<EtlView> routes(kProgram, kThread, sources->view, sources->started_steady_ns);
  routes.add_json("/v1/status", [sources](const EtlView& v) { return status_json(v, *sources->rules(), *sources->files()); });
  routes.add_json("/v1/ledger", ledger_json);
  routes.add_json("/v1/rules", [](const EtlView& v) { return rules_json(v.rules); });
  routes.add_metrics([sources](const EtlView& v, service::MetricPage& page) { add_metrics(v, *sources->reload(), *sources->files(), page); });
  routes.add_health([sources] { return feed::degraded(*sources->files()); });
  return routes.take();
}

}  // namespace weir::etl
