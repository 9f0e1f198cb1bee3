// http_answer.cc — From a request to the route that it leads to: who asks, what is asked, and whether a browser may.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "api/http_session.h"
#include "base/ip_address.h"
#include "base/printable.h"
#include "service/http_target.h"
#include "service/log.h"

namespace weir::api {
namespace {

std::string text_of(const beast::string_view& view) { return std::string(view.data(), view.size()); }

/// Of a Host header: without the port.
std::string host_of(std::string_view host) {
  if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
  return std::string(host.substr(0, host.find(':')));
}

/// A page that a browser has loaded from elsewhere can make a name of its own lead to 127.0.0.1 and ask in it. Where nobody
/// shows who he is, only addresses and localhost are taken for names of this server.
bool is_own_host(std::string_view header) {
  const std::string host = host_of(header);
  return host.empty() || host == "localhost" || IpAddress::parse(host).has_value();
}

bool may_cross(const House& house, const std::string& origin) {
  return std::find(house.cors_origins.begin(), house.cors_origins.end(), origin) != house.cors_origins.end();
}

void allow_origin(Response& response, const std::string& origin) {
  response.headers.emplace_back("Access-Control-Allow-Origin", origin);
  response.headers.emplace_back("Vary", "Origin");
  // Without that a page could not see that its answer is not all there is.
  response.headers.emplace_back("Access-Control-Expose-Headers", fmt::format("{}, {}, {}, Retry-After", kTruncatedHeader, kLeftOutHeader, kNotesHeader));
}

Response preflight(const std::string& origin) {
  Response response;
  response.status = 204;
  allow_origin(response, origin);
  response.headers.emplace_back("Access-Control-Allow-Methods", "GET, POST");
  response.headers.emplace_back("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept");
  response.headers.emplace_back("Access-Control-Max-Age", "600");
  return response;
}

struct Asker {
  std::string name;
  bool is_known = false;
};

Asker asker_of(const House& house, const Door& door, std::string_view authorization) {
  if (door.is_local) return {door.peer, true};
  if (house.tokens != nullptr && !house.tokens->empty()) {
    constexpr std::string_view kBearer = "Bearer ";
    const bool is_bearer = authorization.size() > kBearer.size() &&
                           std::equal(kBearer.begin(), kBearer.end(), authorization.begin(), [](char a, char b) { return (a | 0x20) == (b | 0x20); });
    if (!is_bearer) return {door.peer, false};
    const std::string_view name = house.tokens->name_of(authorization.substr(kBearer.size()));
    return {name.empty() ? door.peer : std::string(name), !name.empty()};
  }
  return {door.peer, true};
}

std::string parameter_trouble(const Route& route, const Request& request, const std::string& repeated) {
  for (const auto& [name, value] : request.query) {
    if (std::find(route.parameters.begin(), route.parameters.end(), name) != route.parameters.end()) continue;
    std::string known;
    for (const std::string& each : route.parameters) known += (known.empty() ? ": only " : ", ") + each;
    return fmt::format("{} has no parameter '{}'{}", route.path, printable(name), known.empty() ? ": it has none" : known);
  }
  if (!repeated.empty()) return fmt::format("the parameter '{}' is there twice", repeated);
  return {};
}

}  // namespace

Response error_response(unsigned status, std::string_view message) {
  Response response;
  response.status = status;
  response.body = nlohmann::json{{"error", printable(message)}}.dump() + "\n";
  return response;
}

Work answer(House& house, const Door& door, const http::request<http::string_body>& message, Done done) {
  Request request;
  request.method = text_of(message.method_string());
  request.body = message.body();
  request.content_type = text_of(message[http::field::content_type]);
  request.accept = text_of(message[http::field::accept]);
  const std::string origin = text_of(message[http::field::origin]);
  const bool crosses = !origin.empty() && may_cross(house, origin);
  const auto reply = [&house, crosses, origin, done](const std::string& path, Response response) {
    if (crosses) allow_origin(response, origin);
    ++house.books.answers[{path, response.status}];
    done(std::move(response));
  };
  const auto refuse = [&](unsigned status, std::string_view what) -> Work {
    reply("", error_response(status, what));
    return nullptr;
  };

  const auto target = service::read_target(service::origin_form({message.target().data(), message.target().size()}));
  if (!target) return refuse(400, "the request's target is malformed");
  request.path = target->path;
  request.query = target->query;
  if (request.method == "OPTIONS" && crosses) {
    reply("", preflight(origin));
    return nullptr;
  }
  const bool nobody_is_asked = (house.tokens == nullptr || house.tokens->empty()) && !house.knows_clients_by_certificate;
  if (!door.is_local && nobody_is_asked && !is_own_host(text_of(message[http::field::host]))) {
    return refuse(421, "this server answers to its address and to localhost; with tokens or client certificates to every name");
  }

  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  std::string allow;
  const Route* found = nullptr;
  for (const Route& route : house.routes) {
    if (route.path != request.path) continue;
    if (route.method == method) found = &route;
    allow += (allow.empty() ? "" : ", ") + route.method + (route.method == "GET" ? ", HEAD" : "");
  }
  const Asker asker = asker_of(house, door, text_of(message[http::field::authorization]));
  request.caller = asker.name;
  if (!asker.is_known && (found == nullptr || !found->is_open)) {
    ++house.books.unauthorized;
    static service::LogLimit limit{5, 60 * kNsPerSec};
    service::log_limited(limit, service::LogLevel::warning, "{}: {} {} without a token that is known", asker.name, request.method, printable(request.path));
    Response response = error_response(401, "a bearer token is needed: Authorization: Bearer …");
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    reply("", std::move(response));
    return nullptr;
  }
  if (found == nullptr && allow.empty()) return refuse(404, "no such route: " + request.path);
  if (found == nullptr) {
    Response response = error_response(405, request.method + " is not allowed here, only " + allow);
    response.headers.emplace_back("Allow", allow);
    reply("", std::move(response));
    return nullptr;
  }
  if (const std::string trouble = parameter_trouble(*found, request, target->repeated); !trouble.empty()) return refuse(400, trouble);
  try {
    return found->handle(request, [reply, path = found->path](Response response) { reply(path, std::move(response)); });
  } catch (const std::exception& e) {
    static service::LogLimit limit{3, 10 * kNsPerSec};
    service::log_limited(limit, service::LogLevel::error, "{} {}: {}", request.method, request.path, e.what());
    return refuse(500, e.what());
  }
}

}  // namespace weir::api
