#include "service/http_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "service/http_target.h"
#include "service/log.h"

namespace weir::service {
namespace {

/// What stands for `{name}` in the route's path; empty text for an exact match.
std::optional<std::string_view> match_path(std::string_view route, std::string_view path) {
  const size_t brace = route.find('{');
  if (brace == std::string_view::npos) {
    return route == path ? std::optional<std::string_view>("") : std::nullopt;
  }
  const std::string_view prefix = route.substr(0, brace);
  if (path.substr(0, prefix.size()) != prefix) return std::nullopt;
  const std::string_view suffix = route.substr(route.find('}') + 1);
  std::string_view tail = path.substr(prefix.size());
  if (!tail.ends_with(suffix)) return std::nullopt;
  tail.remove_suffix(suffix.size());
  if (tail.empty() || tail.find('/') != std::string_view::npos) return std::nullopt;
  return tail;
}

/// What is wrong with the query's names; empty: nothing.
std::string parameter_trouble(const HttpRoute& route, const HttpRequest& request, const std::string& repeated) {
  if (route.also_on_tcp) return {};
  for (const auto& [name, value] : request.query) {
    if (std::find(route.parameters.begin(), route.parameters.end(), name) != route.parameters.end()) continue;
    const std::string known = route.parameters.empty() ? ": it has none" : ", only " + joined(route.parameters);
    return fmt::format("{} has no parameter '{}'{}", route.path, name, known);
  }
  if (!repeated.empty()) return fmt::format("the parameter '{}' is there twice", repeated);
  return {};
}

}  // namespace

Answer answer_request(const std::vector<HttpRoute>& routes, HttpRequest& request,
                      std::string_view target) {
  target = origin_form(target);
  const std::string_view raw_path = target.substr(0, target.find('?'));
  auto read = read_target(target);
  if (!read) return {http_error(400, "the request's target is malformed"), {}};
  request.path = std::move(read->path);
  request.query = std::move(read->query);

  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  std::string allow;
  // Exact routes go before those with a placeholder, whatever the order of the list.
  for (const bool placeholder : {false, true}) {
    for (const HttpRoute& route : routes) {
      if ((route.path.find('{') != std::string::npos) != placeholder) continue;
      if (!request.local && !route.also_on_tcp) continue;
      const auto tail = match_path(route.path, raw_path);
      if (!tail) continue;
      if (route.method != method) {
        allow +=
            (allow.empty() ? "" : ", ") + route.method + (route.method == "GET" ? ", HEAD" : "");
        continue;
      }
      if (!request.may_read || (route.access == HttpAccess::admin && !request.may_change)) {
        return {http_error(403, fmt::format("{} {} is not for uid {}: it takes root, the user who runs weir, or a "
                                            "member of control_socket.{}",
                                            request.method, request.path, request.peer_uid,
                                            request.may_read ? "admin_group" : "group")),
                {}};
      }
      if (const std::string trouble = parameter_trouble(route, request, read->repeated); !trouble.empty()) {
        return {http_error(400, trouble), {}};
      }
      request.tail = percent_decoded(*tail, PlusIs::plus).value_or("");
      try {
        return {route.handle(request), {}};
      } catch (const std::exception& e) {
        static LogLimit limit{3, 10 * kNsPerSec};
        log_limited(limit, LogLevel::error, "http {} {}: {}", request.method, request.path,
                    e.what());
        return {http_error(500, e.what()), {}};
      }
    }
    if (!allow.empty()) break;
  }
  if (allow.empty()) return {http_error(404, "no such route: " + request.path), {}};
  return {http_error(405, request.method + " is not allowed here, only " + allow), allow};
}

}  // namespace weir::service
