// operator_routes.cc — Health, readiness, metrics, and the fields that queries may name.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/routes.h"
#include "query/fields.h"
#include "service/metrics.h"

namespace weir::api {
namespace {

using nlohmann::ordered_json;

Response json_response(unsigned status, const ordered_json& body) {
  Response response;
  response.status = status;
  response.body = body.dump() + "\n";
  return response;
}

/// Ready where the store can be asked.
Work ready(const ApiContext& context, const Done& done) {
  if (context.is_stopping()) {
    done(json_response(503, {{"status", "not ready"}, {"because", "stopping"}}));
    return nullptr;
  }
  context.backend.look([done](const std::string& why) {
    done(why.empty() ? json_response(200, {{"status", "ready"}}) : json_response(503, {{"status", "not ready"}, {"because", why}}));
  });
  return nullptr;
}

Response metrics(const ApiContext& context) {
  service::MetricPage page;
  const Desk& desk = *context.desk;
  page.counter("weir_api_questions_total", "Questions put to the store.", {}, desk.asked);
  page.counter("weir_api_questions_failed_total", "Of those, how many the store did not answer, or not wholly.", {}, desk.failed);
  page.counter("weir_api_questions_turned_away_total", "Questions beyond limits.running and limits.waiting, answered 503.", {}, desk.turned_away);
  page.gauge("weir_api_questions_running", "Questions that are being answered.", {}, static_cast<double>(desk.running));
  page.gauge("weir_api_questions_waiting", "Questions that wait until the store has answered others.", {}, static_cast<double>(desk.waiting_now()));
  page.counter("weir_api_rows_total", "Rows of answers.", {}, desk.rows);
  page.gauge("weir_api_question_seconds_total", "How long questions took, together.", {}, desk.seconds);
  if (const ServerBooks* const books = context.books()) {
    page.gauge("weir_api_connections", "Open connections.", {}, static_cast<double>(books->connections));
    page.counter("weir_api_connections_total", "Connections accepted.", {}, books->accepted);
    page.counter("weir_api_connections_refused_total", "Connections beyond limits.connections.", {}, books->refused);
    page.counter("weir_api_unauthorized_total", "Requests without a token that is known.", {}, books->unauthorized);
    for (const auto& [key, count] : books->answers) {
      const std::string status = std::to_string(key.second);
      page.counter("weir_api_answers_total", "Answers by route and status; without a route: refused before one was found.",
                   {{"route", key.first}, {"status", status}}, count);
    }
  }
  Response response;
  response.content_type = service::kMetricsContentType;
  response.body = page.render();
  return response;
}

Response list_fields() {
  ordered_json list = ordered_json::array();
  for (const query::Field& field : query::fields()) {
    ordered_json aliases = ordered_json::array();
    std::string_view rest = field.aliases;
    while (!rest.empty()) {
      const size_t blank = std::min(rest.find(' '), rest.size());
      aliases.push_back(rest.substr(0, blank));
      rest.remove_prefix(std::min(rest.size(), blank + 1));
    }
    ordered_json entry = {{"name", field.name}, {"aliases", aliases}, {"kind", name_of(field.kind)}, {"either_side", field.is_either_side()},
                          {"ordered", field.is_ordered()}, {"groups", field.can_group()}};
    if (!field.unit.empty()) entry["unit"] = field.unit;
    list.push_back(std::move(entry));
  }
  return json_response(200, {{"fields", list}});
}

}  // namespace

std::vector<Route> operator_routes(const ApiContext& context) {
  const auto at_once = [](auto make) {
    return [make](const Request&, const Done& done) -> Work {
      done(make());
      return nullptr;
    };
  };
  std::vector<Route> routes;
  routes.push_back({"GET", "/api/fields", {}, false, at_once([] { return list_fields(); })});
  routes.push_back({"GET", "/healthz", {}, true, at_once([] { return json_response(200, {{"status", "healthy"}}); })});
  routes.push_back({"GET", "/readyz", {}, true, [&context](const Request&, const Done& done) { return ready(context, done); }});
  routes.push_back({"GET", "/metrics", {}, false, at_once([&context] { return metrics(context); })});
  return routes;
}

}  // namespace weir::api
