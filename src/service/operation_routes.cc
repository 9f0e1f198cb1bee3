#include "service/operation_routes.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "service/log.h"

namespace weir::service {
namespace {

using nlohmann::json;

HttpResponse answer(unsigned status, const json& body) {
  return {.status = status,
          .content_type = "application/json",
          .body = body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"};
}

HttpResponse effective_config(const OperationSources& sources) {
  const auto values = sources.config();
  if (!values) return http_error(503, sources.program + " is starting");
  json rows = json::array();
  for (const EffectiveValue& value : *values) {
    rows.push_back({{"key", value.path}, {"value", value.value}, {"from", value.origin.to_string()}});
  }
  return answer(200, {{"values", std::move(rows)}});
}

json reload_json(const ReloadView& reload) {
  return {{"number", reload.number},
          {"state", name_of(reload.state)},
          {"ended_ns", reload.ended_ns == 0 ? json() : json(reload.ended_ns)},
          {"applied", reload.applied},
          {"needs_restart", reload.needs_restart},
          {"warnings", reload.warnings},
          {"error", reload.error}};
}

HttpResponse begin_reload(const OperationSources& sources) {
  if (!sources.can_reload()) {
    return http_error(409, fmt::format("there is nothing to reload: {} was started without a configuration "
                                       "file, or has not come up yet",
                                       sources.program));
  }
  const auto number = sources.ask_reload();
  if (!number) return http_error(409, "a reload is under way: try again when it has ended");
  return answer(202, {{"number", *number}});
}

json level_json() { return {{"level", name_of(log_level())}}; }

HttpResponse set_level(const HttpRequest& request) {
  const json body = json::parse(request.body, nullptr, /*allow_exceptions=*/false);
  const bool is_one_level = body.is_object() && body.size() == 1 && body.contains("level");
  std::string allowed;
  for (size_t i = 0; i < static_cast<size_t>(LogLevel::count_); ++i) {
    const auto level = static_cast<LogLevel>(i);
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", name_of(level));
    if (is_one_level && body["level"] == std::string(name_of(level))) {
      if (level != log_level()) {
        write_log(LogLevel::info, fmt::format("log level: {} by request", name_of(level)));
      }
      set_log_level(level);
      return answer(200, level_json());
    }
  }
  return http_error(400, fmt::format("the body is {{\"level\": …}}, and nothing else, with one of {}", allowed));
}

}  // namespace

std::vector<HttpRoute> operation_routes(OperationSources of) {
  const auto sources = std::make_shared<const OperationSources>(std::move(of));
  std::vector<HttpRoute> routes;
  routes.push_back({.method = "GET", .path = "/v1/config", .handle = [sources](const HttpRequest&) {
                      return effective_config(*sources);
                    }});
  routes.push_back({.method = "GET", .path = "/v1/reload", .handle = [sources](const HttpRequest&) {
                      return answer(200, reload_json(*sources->reload()));
                    }});
  routes.push_back({.method = "POST",
                    .path = "/v1/reload",
                    .handle = [sources](const HttpRequest&) { return begin_reload(*sources); },
                    .access = HttpAccess::admin});
  routes.push_back({.method = "GET", .path = "/v1/log-level", .handle = [](const HttpRequest&) {
                      return answer(200, level_json());
                    }});
  routes.push_back({.method = "PUT",
                    .path = "/v1/log-level",
                    .handle = set_level,
                    .access = HttpAccess::admin});
  return routes;
}

}  // namespace weir::service
