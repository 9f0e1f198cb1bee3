#include "control/http/operation_routes.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "service/log.h"

namespace weir::control {
namespace {

using nlohmann::json;
using service::HttpRequest;
using service::HttpResponse;

HttpResponse answer(unsigned status, const json& body) {
  return {.status = status,
          .content_type = "application/json",
          .body = body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"};
}

HttpResponse effective_config(const Snapshot<EffectiveConfig>& config) {
  const auto values = config.read();
  if (!values) return service::http_error(503, "the appliance is starting");
  json rows = json::array();
  for (const service::EffectiveValue& value : *values) {
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

HttpResponse begin_reload(Reloader& reloader) {
  if (!reloader.has_source()) {
    return service::http_error(409, "there is nothing to reload: the appliance was started without a configuration "
                                    "file, or has not come up yet");
  }
  const auto number = reloader.ask();
  if (!number) return service::http_error(409, "a reload is under way: try again when it has ended");
  return answer(202, {{"number", *number}});
}

json level_json() { return {{"level", name_of(service::log_level())}}; }

HttpResponse set_level(const HttpRequest& request) {
  const json body = json::parse(request.body, nullptr, /*allow_exceptions=*/false);
  std::string allowed;
  for (size_t i = 0; i < static_cast<size_t>(service::LogLevel::count_); ++i) {
    const auto level = static_cast<service::LogLevel>(i);
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", name_of(level));
    if (body.is_object() && body.contains("level") && body["level"] == std::string(name_of(level))) {
      if (level != service::log_level()) {
        service::write_log(service::LogLevel::info, fmt::format("log level: {} by request", name_of(level)));
      }
      service::set_log_level(level);
      return answer(200, level_json());
    }
  }
  return service::http_error(400, fmt::format("the body is {{\"level\": …}} with one of {}", allowed));
}

}  // namespace

std::vector<service::HttpRoute> operation_routes(const Snapshot<EffectiveConfig>& config,
                                                 Reloader& reloader) {
  using service::HttpAccess;
  std::vector<service::HttpRoute> routes;
  routes.push_back({.method = "GET", .path = "/v1/config", .handle = [&config](const HttpRequest&) {
                      return effective_config(config);
                    }});
  routes.push_back({.method = "GET", .path = "/v1/reload", .handle = [&reloader](const HttpRequest&) {
                      return answer(200, reload_json(*reloader.view()));
                    }});
  routes.push_back({.method = "POST",
                    .path = "/v1/reload",
                    .handle = [&reloader](const HttpRequest&) { return begin_reload(reloader); },
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

}  // namespace weir::control
