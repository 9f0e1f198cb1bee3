// view_routes.h — What a consuming program answers of its newest view: JSON on its control socket; metrics and health over TCP as well.
//
// Runs on:  http_thread; reads snapshots.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "feed/program_watch.h"
#include "service/http_server.h"
#include "service/metrics.h"

namespace weir::feed {

inline service::HttpResponse json_answer(unsigned status, const nlohmann::json& body) {
  return {.status = status,
          .content_type = "application/json",
          .body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"};
}

/// 503 while there is no view yet.
template <class View>
class ViewRoutes {
 public:
  using Source = std::function<std::shared_ptr<const View>()>;
  /// `thread`: the one that takes views.
  ViewRoutes(const char* program, const char* thread, Source view, uint64_t started_steady_ns)
      : program_(program), thread_(thread), view_(std::move(view)), started_steady_ns_(started_steady_ns) {}

  /// `make`: of a view, JSON.
  template <class Make>
  void add_json(const char* path, Make make) {
    add(path, false, [make](const View& v) { return json_answer(200, make(v)); });
  }
  /// `fill`: of a view, into a page.
  template <class Fill>
  void add_metrics(Fill fill) {
    add("/metrics", true, [fill](const View& v) {
      service::MetricPage page;
      fill(v, page);
      return service::HttpResponse{200, std::string(service::kMetricsContentType), page.render()};
    });
  }
  /// `degraded`: what is wrong though the program does its work, which a restart would not mend; one line each.
  void add_health(std::function<std::vector<std::string>()> degraded = [] { return std::vector<std::string>(); }) {
    const auto unhealthy = [thread = thread_, started = started_steady_ns_](const View* view) {
      return unhealthy_because(thread, view, started, steady_clock_ns());
    };
    routes_.push_back({.method = "GET", .path = "/healthz", .also_on_tcp = true, .handle = [unhealthy, degraded, view = view_](const service::HttpRequest&) {
                         return verdict("alive", "unhealthy", unhealthy(view().get()), degraded());
                       }});
    add("/readyz", true, [unhealthy, degraded](const View& v) {
      std::string why = v.is_stopping ? "it is stopping" : v.not_ready_because();
      if (why.empty()) why = unhealthy(&v);
      return verdict("ready", "not_ready", why, degraded());
    });
  }
  std::vector<service::HttpRoute> take() { return std::move(routes_); }

 private:
  template <class Answer>
  void add(const char* path, bool also_on_tcp, Answer answer) {
    routes_.push_back({.method = "GET", .path = path, .also_on_tcp = also_on_tcp,
                       .handle = [view = view_, answer, program = program_](const service::HttpRequest&) {
                         const auto current = view();
                         return current == nullptr ? service::http_error(503, std::string(program) + " is starting") : answer(*current);
                       }});
  }
  static service::HttpResponse verdict(const char* good, const char* bad, const std::string& why, const std::vector<std::string>& degraded) {
    nlohmann::json body = {{"status", why.empty() ? good : bad}};
    if (!why.empty()) body["because"] = why;
    if (!degraded.empty()) body["degraded"] = degraded;
    return json_answer(why.empty() ? 200 : 503, body);
  }

  const char* const program_;
  const char* const thread_;
  const Source view_;
  const uint64_t started_steady_ns_;
  std::vector<service::HttpRoute> routes_;
};

}  // namespace weir::feed
