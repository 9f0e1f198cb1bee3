#include "store/routes.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/version.h"
#include "feed/view_routes.h"
#include "store/config.h"
#include "store/metrics.h"

namespace weir::store {
namespace {

using nlohmann::json;

FileLook file_look(const OpenStore& store) {
  return {.octets = store.file_octets(),
          .wal_octets = store.wal_octets(),
          .free_octets = store.free_octets(),
          .reopened = store.reopened()};
}

/// Rows of older hours; those in files that cannot be read are in no answer.
json files_ledger_json(const KeeperView* keeper) {
  if (keeper == nullptr) return nullptr;
  const LeftOut& left_out = keeper->left_out;
  return {{"rows", keeper->file_rows + left_out.rows}, {"answered", keeper->file_rows}, {"left_out", left_out.rows}, {"files_left_out", left_out.files}};
}

/// What answers lack, though the program works: one line each.
std::vector<std::string> degraded(const KeeperView* keeper, const std::string& keeper_trouble) {
  std::vector<std::string> lines;
  if (!keeper_trouble.empty()) lines.push_back("nobody keeps older rows, sums and files: " + keeper_trouble);
  if (keeper == nullptr) return lines;
  if (std::string text = text_of(keeper->left_out); !text.empty()) lines.push_back(std::move(text));
  if (const uint64_t unknown = keeper->watch.unknown; unknown != 0) {
    lines.push_back(fmt::format("{} files in the folder of files are not this database's: nobody is shown their rows", unknown));
  }
  return lines;
}

json ledger_json(const StoreView& view, const KeeperView* keeper) {
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
          {"files", files_ledger_json(keeper)},
          {"times_replaced", b.times_replaced},
          {"remainders_cut", b.remainders_cut},
          {"rule_errors", b.rule_errors},
          {"labels_left_out", b.labels_left_out},
          {"decisions", b.decisions},
          {"decisions_missing", b.decisions_missing},
          {"expired_in_stream", view.source.expired_in_stream()}};
}

json scrub_json(const KeeperView& keeper) {
  const ScrubView& scrub = keeper.scrub;
  const VerifyView& verify = scrub.verify;
  return {{"files", scrub.files},
          {"octets", scrub.octets},
          {"damaged", scrub.damaged},
          {"summed", scrub.summed},
          {"files_without_sum", keeper.files_without_sum},
          {"unread_seconds", keeper.unread_micros / kMicrosPerSecond},
          {"verify",
           {{"number", verify.number},
            {"is_over", verify.is_over},
            {"files", verify.files},
            {"octets", verify.octets},
            {"damaged", verify.damaged},
            {"left", verify.left}}}};
}

json keeper_json(const KeeperView* keeper) {
  if (keeper == nullptr) return nullptr;
  json tasks = json::object();
  for (size_t i = 0; i < kKeeperTasks; ++i) {
    const KeeperTaskView& task = keeper->tasks[i];
    tasks[std::string(name_of(static_cast<KeeperTask>(i)))] = {
        {"runs", task.runs}, {"done", task.done}, {"failures", task.failures}, {"busy_ms", task.busy_ns / 1'000'000}, {"trouble", task.trouble}};
  }
  return {{"hours", keeper->hours},         {"files", keeper->files},
          {"file_octets", keeper->file_octets}, {"file_rows", keeper->file_rows},
          {"broken_files", keeper->left_out.files}, {"broken_rows", keeper->left_out.rows},
          {"broken_named", keeper->left_out.named}, {"newly_broken", keeper->watch.newly_broken},
          {"files_in_doubt", keeper->watch.in_doubt}, {"unknown_files", keeper->watch.unknown},
          {"unknown_named", keeper->watch.unknown_named},
          {"scrub", scrub_json(*keeper)},
          {"clock_ahead_seconds", keeper->clock_ahead_micros / kMicrosPerSecond},
          {"tasks", std::move(tasks)}};
}

/// What a question can be answered from: `secs` as configured, 0 for ever; `from_us`: what was before was forgotten all the same.
json kept_json(const KeeperView& keeper) {
  const auto kept = [](int64_t micros, int64_t from_us) { return json{{"secs", micros / kMicrosPerSecond}, {"from_us", from_us}}; };
  const KeptFrom& from = keeper.kept_from;
  return {{"minutes", kept(keeper.rollups.minutes_micros, from.minutes_micros)},
          {"hours", kept(keeper.rollups.hours_micros, from.hours_micros)},
          {"days", kept(keeper.rollups.days_micros, from.days_micros)},
          {"flows", kept(keeper.history_micros, from.flows_micros)}};
}

/// What went when the view was taken; `pending`: what goes from the next message on, where that is something else.
json rules_json(const StoreView& view, const RulesInUse& newest) {
  json pending;
  if (newest.version != view.rules_version) pending = {{"version", newest.version}, {"hash", newest.rules == nullptr ? "" : newest.rules->hash()}};
  return {{"version", view.rules_version}, {"name", view.rules_name}, {"hash", view.rules_hash}, {"pending", std::move(pending)}};
}

json status_json(const StoreView& view, const StoreSources& sources) {
  const auto newest = sources.keeper();  // null until it runs
  const KeeperView* const keeper = newest.get();
  const OpenStore& store = *sources.store;
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
          {"degraded", degraded(keeper, sources.keeper_trouble())},
          {"careful", view.is_careful},
          {"behind", view.source.is_behind()},
          {"lag", view.source.lag()},
          {"source", feed::source_json(view.source)},
          {"names", view.names == nullptr ? json() : feed::names_json(*view.names)},
          {"rules", rules_json(view, *sources.rules())},
          {"keeper_trouble", sources.keeper_trouble()},
          {"files_read", feed::files_json(*sources.files())},
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

std::vector<service::HttpRoute> store_routes(StoreSources from) {
  const auto sources = std::make_shared<const StoreSources>(std::move(from));
  feed::ViewRoutes<StoreView> routes(kProgram, kThread, sources->view, sources->started_steady_ns);
  routes.add_json("/v1/status", [sources](const StoreView& v) { return status_json(v, *sources); });
  routes.add_json("/v1/ledger", [sources](const StoreView& v) { return ledger_json(v, sources->keeper().get()); });
  routes.add_metrics([sources](const StoreView& v, service::MetricPage& page) {
    add_metrics(v, sources->keeper().get(), file_look(*sources->store), *sources->reload(), *sources->files(), page);
  });
  routes.add_health([sources] {
    auto lines = degraded(sources->keeper().get(), sources->keeper_trouble());
    for (std::string& line : feed::degraded(*sources->files())) lines.push_back(std::move(line));
    return lines;
  });
  auto all = routes.take();
  all.push_back({.method = "GET", .path = "/v1/kept", .handle = [sources](const service::HttpRequest&) {
                   const auto keeper = sources->keeper();
                   if (keeper == nullptr) return service::http_error(503, "the keeper has not looked yet");
                   return service::HttpResponse{.body = kept_json(*keeper).dump() + "\n"};
                 }});
  all.push_back({.method = "POST",
                 .path = "/v1/verify",
                 .handle = [sources](const service::HttpRequest&) {
                   if (const std::string why = sources->keeper_trouble(); !why.empty()) return service::http_error(503, "nobody can read them: " + why);
                   return service::HttpResponse{.status = 202, .body = json{{"number", sources->ask_to_verify()}}.dump() + "\n"};
                 },
                 .access = service::HttpAccess::admin});
  return all;
}

}  // namespace weir::store
