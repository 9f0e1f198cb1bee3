#include "store/routes.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/version.h"
#include "store/config.h"
#include "store/metrics.h"

namespace weir::store {
namespace {

using nlohmann::json;
using service::HttpRequest;
using service::HttpResponse;

HttpResponse answer(unsigned status, const json& body) {
  return {.status = status,
          .content_type = "application/json",
          .body = body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"};
}

HttpResponse verdict(const char* good, const char* bad, const std::string& why) {
  if (why.empty()) return answer(200, {{"status", good}});
  return answer(503, {{"status", bad}, {"because", why}});
}

FileLook file_look(const OpenStore& store) {
  return {.octets = store.file_octets(),
          .wal_octets = store.wal_octets(),
          .free_octets = store.free_octets(),
          .reopened = store.reopened()};
}

json ledger_json(const StoreView& view) {
  const StoreBooks& b = view.books;
  const std::string discrepancy = b.discrepancy();
  return {{"program", kProgram},
          {"balanced", discrepancy.empty()},
          {"discrepancies", discrepancy.empty() ? json::array() : json::array({discrepancy})},
          {"messages",
           {{"in", b.messages_in},
            {"redelivered", b.messages_redelivered},
            {"stored", b.messages_stored},
            {"unsure", b.messages_unsure},
            {"repeated", b.messages_repeated},
            {"dead", feed::dead_json(b.messages_dead, false)},
            {"returned", b.messages_returned},
            {"in_hand", b.messages_in_hand}}},
          {"records",
           {{"in", b.records_in},
            {"rows", b.rows},
            {"dropped", b.records_dropped},
            {"sampled_out", b.records_sampled_out},
            {"dead", feed::dead_json(b.records_dead, true)},
            {"returned", b.records_returned},
            {"in_flight", b.records_in_flight}}},
          {"times_replaced", b.times_replaced},
          {"remainders_cut", b.remainders_cut},
          {"rule_errors", b.rule_errors},
          {"expired_in_stream", view.source.expired_in_stream()}};
}

json keeper_json(const KeeperView* keeper) {
  if (keeper == nullptr) return nullptr;
  json tasks = json::object();
  for (size_t i = 0; i < kKeeperTasks; ++i) {
    const KeeperTaskView& task = keeper->tasks[i];
    tasks[std::string(name_of(static_cast<KeeperTask>(i)))] = {
        {"runs", task.runs}, {"done", task.done}, {"failures", task.failures}, {"trouble", task.trouble}};
  }
  return {{"hours", keeper->hours},         {"files", keeper->files},
          {"file_octets", keeper->file_octets}, {"file_rows", keeper->file_rows},
          {"broken_files", keeper->broken_files}, {"newly_broken", keeper->watch.newly_broken},
          {"files_in_doubt", keeper->watch.in_doubt}, {"unknown_files", keeper->watch.unknown},
          {"unknown_named", keeper->watch.unknown_named},
          {"clock_ahead_seconds", keeper->clock_ahead_micros / kMicrosPerSecond},
          {"tasks", std::move(tasks)}};
}

json status_json(const StoreView& view, const KeeperView* keeper, const OpenStore& store) {
  const std::string because = view.not_ready_because();
  const FileLook file = file_look(store);
  return {{"program", kProgram},
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
          {"rules", {{"version", view.rules_version}, {"name", view.rules_name}, {"hash", view.rules_hash}}},
          {"identities",
           {{"sources", view.identities.sources},
            {"ids", view.identities.ids},
            {"runs_most", view.identities.runs_most},
            {"sources_forgotten", view.identities.sources_forgotten},
            {"ids_forgotten", view.identities.ids_forgotten}}},
          {"commits",
           {{"number", view.committer.commits},
            {"rows", view.committer.rows},
            {"failures", view.committer.failures},
            {"last_ns", view.committer.last_ns},
            {"busy_ns", view.committer.busy_ns},
            {"trouble", view.committer.trouble},
            {"newest_row_us", view.newest_row_us}}},
          {"database",
           {{"path", store.options().path},
            {"octets", file.octets},
            {"log_octets", file.wal_octets},
            {"free_octets", file.free_octets},
            {"reopened", file.reopened},
            {"trouble", view.committer.tidy_trouble}}},
          {"keeper", keeper_json(keeper)}};
}

}  // namespace

std::string unhealthy_because(const StoreView* view, uint64_t started_steady_ns, uint64_t steady_now_ns) {
  const uint64_t since_ns = view == nullptr ? started_steady_ns : view->taken_steady_ns;
  const uint64_t age_ns = steady_now_ns > since_ns ? steady_now_ns - since_ns : 0;
  if (age_ns <= kStandstillMaxNs) return {};
  return fmt::format("the ingest thread has stood still for {:.0f} s", static_cast<double>(age_ns) / 1e9);
}

std::vector<service::HttpRoute> store_routes(StoreSources from) {
  const auto sources = std::make_shared<const StoreSources>(std::move(from));
  std::vector<service::HttpRoute> routes;
  const auto with_view = [sources](auto make) {
    return [sources, make](const HttpRequest&) {
      const auto current = sources->view();
      return current == nullptr ? service::http_error(503, "weir-store is starting") : make(*current);
    };
  };
  routes.push_back({.method = "GET", .path = "/v1/status", .handle = with_view([sources](const StoreView& v) {
                      return answer(200, status_json(v, sources->keeper().get(), *sources->store));
                    })});
  routes.push_back({.method = "GET", .path = "/v1/ledger", .handle = with_view([](const StoreView& v) {
                      return answer(200, ledger_json(v));
                    })});
  routes.push_back({.method = "GET", .path = "/metrics", .also_on_tcp = true, .handle = with_view([sources](const StoreView& v) {
                      service::MetricPage page;
                      add_metrics(v, sources->keeper().get(), file_look(*sources->store), *sources->reload(), page);
                      return HttpResponse{200, std::string(service::kMetricsContentType), page.render()};
                    })});
  routes.push_back({.method = "GET",
                    .path = "/healthz",
                    .also_on_tcp = true,
                    .handle = [sources](const HttpRequest&) {
                      return verdict("alive", "unhealthy",
                                     unhealthy_because(sources->view().get(), sources->started_steady_ns, steady_clock_ns()));
                    }});
  routes.push_back({.method = "GET",
                    .path = "/readyz",
                    .also_on_tcp = true,
                    .handle = with_view([sources](const StoreView& v) {
                      std::string why = v.is_stopping ? "it is stopping" : v.not_ready_because();
                      if (why.empty()) why = unhealthy_because(&v, sources->started_steady_ns, steady_clock_ns());
                      return verdict("ready", "not_ready", why);
                    })});
  return routes;
}

}  // namespace weir::store
