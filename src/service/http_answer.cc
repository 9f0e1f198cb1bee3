#include "service/http_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "service/log.h"

namespace weir::service {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

enum class PlusIs : uint8_t { plus, space };  // a space only in a query

/// RFC 3986 §2.1. Nothing for a broken escape or an encoded NUL.
std::optional<std::string> percent_decoded(std::string_view text, PlusIs plus) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == PlusIs::space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
  }
  return out;
}

bool parse_query(std::string_view text, std::map<std::string, std::string>& query) {
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    auto key = percent_decoded(pair.substr(0, equals), PlusIs::space);
    auto value = percent_decoded(pair.substr(std::min(equals + 1, pair.size())), PlusIs::space);
    if (!key || !value) return false;
    query[std::move(*key)] = std::move(*value);
  }
  return true;
}

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
std::string unknown_parameter(const HttpRoute& route, const HttpRequest& request) {
  if (route.also_on_tcp) return {};
  for (const auto& [name, value] : request.query) {
    if (std::find(route.parameters.begin(), route.parameters.end(), name) != route.parameters.end()) continue;
    const std::string known = route.parameters.empty() ? ": it has none" : ", only " + joined(route.parameters);
    return fmt::format("{} has no parameter '{}'{}", route.path, name, known);
  }
  return {};
}

}  // namespace

Answer answer_request(const std::vector<HttpRoute>& routes, HttpRequest& request,
                      std::string_view target) {
  const std::string_view raw_path = target.substr(0, target.find('?'));
  auto path = percent_decoded(raw_path, PlusIs::plus);
  if (!path || path->empty() || path->front() != '/' ||
      !parse_query(target.substr(std::min(target.size(), raw_path.size() + 1)), request.query)) {
    return {http_error(400, "the request's target is malformed"), {}};
  }
  request.path = std::move(*path);

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
      if (const std::string trouble = unknown_parameter(route, request); !trouble.empty()) {
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
