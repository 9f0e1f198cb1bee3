// routes.h — What can be asked for over HTTP: SRQL, SQL, the paths that dashboards know, and what operators look at.
//
// Spec:     docs/API.md, docs/openapi-api.yaml.
// Runs on:  api_thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <memory>
#include <string>
#include <vector>

#include "api/answer.h"
#include "api/backend.h"
#include "api/http.h"
#include "api/http_server.h"

namespace weir::api {

struct Limits {
  uint32_t query_timeout_ms = 30'000;
  uint64_t sql_rows_max = 100'000;
};

/// What the store has of sums of each kind, and of flows. Until it has said so: what it does unless it is told otherwise.
struct Kept {
  struct Of {
    int64_t secs = 0;     // so long; 0: for ever
    int64_t from_us = 0;  // nothing from before: it was forgotten once, though it would not be now
    friend bool operator==(const Of&, const Of&) = default;
  };
  Of minutes{604'800}, hours, days, flows;
  friend bool operator==(const Kept&, const Kept&) = default;
};

/// Of what weir-store answers at /v1/kept; nothing where a value is missing.
std::optional<Kept> read_kept(std::string_view text);

struct ApiContext {
  Backend& backend;
  std::shared_ptr<Desk> desk;
  Limits limits;
  int64_t realtime_threshold_secs = 2 * 86'400;
  Kept kept;
  std::function<int64_t()> now_us;
  std::function<const ServerBooks*()> books;  // null before the server is there
  std::function<bool()> is_stopping;
};

/// `context` outlives them.
std::vector<Route> api_routes(const ApiContext& context);

// ── shared by the files of routes ────────────────────────────────────────────────────────────────

/// {"error": "at 19: …", "position": 19, "length": 3}, of a query or of a parameter's value.
Response refusal(const query::QueryError& error, std::string_view text, std::string_view of = {});
/// What `format` says, or the header Accept; `format` that is none: a response that says so.
struct FormatAsked {
  Format format = Format::json;
  std::optional<Response> trouble;
};
FormatAsked format_asked(const Request& request, std::string_view format);
/// The question of a plan. `page` goes with JSON alone.
Question question_of(const ApiContext& context, query::Plan plan, std::string_view text, Format format,
                     const std::optional<query::PageStart>& page);

/// Of one that became a larger statement than the store takes; nothing where it may be asked.
std::optional<Response> trouble_of(const Question& question);

std::vector<Route> netflow_routes(const ApiContext& context);
std::vector<Route> operator_routes(const ApiContext& context);

}  // namespace weir::api
