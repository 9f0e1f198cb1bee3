// routes_json.h — What the routes of the control socket have in common.
//
// Private to src/control.
#pragma once

#include <nlohmann/json.hpp>

#include "control/view.h"
#include "service/http_server.h"

namespace weir::control {

inline service::HttpResponse json_response(const nlohmann::json& body) {
  // What brokers and devices said may be no UTF-8.
  return {.status = 200,
          .content_type = "application/json",
          .body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"};
}

/// What the operator calls it; null: nothing.
nlohmann::json exporter_name_json(const ApplianceView& view, const IpAddress& exporter);

/// Those of the operator's list.
nlohmann::json interfaces_json(const ApplianceView& view, const IpAddress& exporter);

service::HttpResponse exporters_page(const ApplianceView& view, const service::HttpRequest& request);

}  // namespace weir::control
