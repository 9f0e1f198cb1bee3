#include "control/http/rule_routes.h"

#include <fmt/format.h>

#include <charconv>

#include "control/http/routes_json.h"
#include "service/log.h"

namespace weir::control {
namespace {

using nlohmann::json;

constexpr size_t kRulesPerPageMax = 1000;

std::optional<size_t> number_in_query(const service::HttpRequest& request, const char* key, size_t fallback, size_t least) {
  const auto it = request.query.find(key);
  if (it == request.query.end()) return fallback;
  size_t value = 0;
  const char* const end = it->second.data() + it->second.size();
  const auto [parsed_to, error] = std::from_chars(it->second.data(), end, value);
  if (error != std::errc() || parsed_to != end || value < least) return std::nullopt;
  return value;
}

/// What it does, in words: `application dns, labels dns-query`.
std::string actions_of(const classify::Rule& rule) {
  std::vector<std::string> does;
  if (rule.drops) does.push_back("drop");
  if (rule.sample > 0) does.push_back("sample 1:" + std::to_string(rule.sample));
  if (!rule.route.empty()) does.push_back("route " + rule.route);
  if (!rule.application.empty()) does.push_back("application " + rule.application);
  if (rule.extracts != classify::Extract::none) does.push_back("extract " + std::string(name_of(rule.extracts)));
  for (const std::string& label : rule.labels) does.push_back("label " + label);
  return service::joined(does);
}

std::string place_of(const classify::Rule& rule) {
  if (rule.look == classify::LookPlace::nothing) return "record";
  if (rule.look != classify::LookPlace::element) return std::string(name_of(rule.look));
  return fmt::format("{}/{}", rule.element.enterprise, rule.element.id);
}

json rule_json(const classify::Rule& rule, const classify::RuleTotals& totals) {
  return {{"id", rule.id},
          {"name", rule.name},
          {"file", rule.file},
          {"line", rule.line},
          {"priority", rule.priority},
          {"looks_in", place_of(rule)},
          {"does", actions_of(rule)},
          {"hits", totals.hits},
          {"drops", totals.drops},
          {"errors", totals.errors}};
}

json body_of(const ApplianceView& view, size_t offset, size_t limit) {
  const RulesView& r = view.rules;
  const size_t total = r.rules != nullptr ? r.rules->rules().size() : 0;
  const size_t end = std::min(total, offset > SIZE_MAX - limit ? SIZE_MAX : offset + limit);
  json rows = json::array();
  for (size_t i = offset; i < end; ++i) rows.push_back(rule_json(r.rules->rules()[i], r.totals[i]));
  json body = {{"rules", std::move(rows)},
               {"total", total},
               {"files", r.rules != nullptr ? json(r.rules->files()) : json::array()},
               {"hash", r.rules != nullptr ? r.rules->hash() : ""},
               {"engine", classify::pattern_engine()},
               {"patterns", r.rules != nullptr ? r.rules->patterns() : 0},
               {"database_octets", r.rules != nullptr ? r.rules->database_octets() : 0},
               {"records", r.all.records},
               {"payload_scans", r.all.scans},
               {"scan_errors", r.all.scan_errors},
               {"records_matched", r.all.matched},
               {"names_extracted", r.all.names},
               {"matches_left_out", r.all.matches_left_out},
               {"labels_left_out", r.all.labels_left_out},
               {"taken_ns", view.taken_ns}};
  body["next_offset"] = end < total ? json(end) : json();
  return body;
}

}  // namespace

service::HttpRoute rules_route(const Snapshot<ApplianceView>& view) {
  return {.method = "GET",
          .path = "/v1/rules",
          .handle = [&view](const service::HttpRequest& request) -> service::HttpResponse {
            const auto current = view.read();
            if (!current) return service::http_error(503, "the appliance is starting");
            const auto offset = number_in_query(request, "offset", 0, 0);
            const auto limit = number_in_query(request, "limit", kRulesPerPageMax, 1);
            if (!offset || !limit || *limit > kRulesPerPageMax) {
              return service::http_error(
                  400, fmt::format("offset and limit are whole numbers; limit is from 1 to {}", kRulesPerPageMax));
            }
            return json_response(body_of(*current, *offset, *limit));
          },
          .parameters = {"offset", "limit"}};
}

}  // namespace weir::control
