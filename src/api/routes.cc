#include "api/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "base/printable.h"
#include "base/utf8.h"
#include "base/value_named.h"
#include "query/check.h"

namespace weir::api {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr uint32_t kSqlOctetsMax = 128 * 1024;
constexpr size_t kSqlParametersMax = 1000;
constexpr int64_t kKeptMarginUs = 600 * query::kUsPerSec;  // what the store forgets while a question waits

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t octets = utf8_character_octets(reinterpret_cast<const uint8_t*>(text.data()) + at, text.size() - at);
    if (octets == 0) return false;
    at += octets;
  }
  return true;
}

bool accepts(const std::string& accept, std::string_view type) { return accept.find(type) != std::string::npos; }

struct Asked {
  json body;
  std::optional<Response> trouble;
};

/// The members of a JSON body, all of which must be known; or of a plain text the one that `main` names.
Asked read_body(const Request& request, std::string_view main, std::initializer_list<std::string_view> members) {
  Asked asked;
  const auto refuse = [&](const std::string& what) {
    asked.trouble = error_response(400, what);
    return asked;
  };
  if (request.content_type.starts_with("text/plain") || request.content_type.starts_with("application/sql")) {
    if (!is_utf8(request.body)) return refuse("the body is not UTF-8");
    asked.body = {{std::string(main), request.body}};
    return asked;
  }
  if (!request.content_type.empty() && !request.content_type.starts_with("application/json")) {
    asked.trouble = error_response(415, fmt::format("the body is {}; allowed: application/json, text/plain", request.content_type));
    return asked;
  }
  std::set<std::string> seen;
  std::string repeated;
  const auto look = [&](int depth, json::parse_event_t event, json& key) {
    if (depth == 1 && event == json::parse_event_t::key && !seen.insert(key.get<std::string>()).second && repeated.empty()) repeated = key.get<std::string>();
    return true;
  };
  try {
    asked.body = json::parse(request.body, look);
  } catch (const json::parse_error& e) {
    return refuse(fmt::format("the body must be a JSON object, such as {{\"{}\": \"…\"}}; it is no JSON at octet {}", main, e.byte));
  } catch (const json::exception&) {  // a number beyond what numbers can be
    return refuse(fmt::format("the body must be a JSON object, such as {{\"{}\": \"…\"}}, with numbers below 1e308", main));
  }
  if (!asked.body.is_object()) return refuse(fmt::format("the body must be a JSON object, such as {{\"{}\": \"…\"}}", main));
  if (!repeated.empty()) return refuse(fmt::format("the body has the member '{}' twice", printable(repeated)));
  for (const auto& [key, value] : asked.body.items()) {
    if (std::find(members.begin(), members.end(), key) != members.end()) continue;
    std::string known;
    for (const std::string_view member : members) known += (known.empty() ? "" : ", ") + std::string(member);
    return refuse(fmt::format("the body has no member '{}'; allowed: {}", printable(key), known));
  }
  if (!asked.body.contains(main) || !asked.body[std::string(main)].is_string()) return refuse(fmt::format("the body needs the text {}", main));
  for (const char* const member : {"format", "cursor"}) {
    if (asked.body.contains(member) && !asked.body[member].is_string()) return refuse(fmt::format("{} must be a text", member));
  }
  return asked;
}

std::string text_member(const json& body, const char* name) { return body.contains(name) ? body[name].get<std::string>() : std::string(); }

Work answer_srql(const ApiContext& context, const Request& request, const std::string& text, const std::string& format, const std::string& cursor_text, const Done& done) {
  const auto reply = [&](Response response) -> Work {
    done(std::move(response));
    return nullptr;
  };
  const FormatAsked asked = format_asked(request, format);
  if (asked.trouble) return reply(*asked.trouble);
  query::Plan plan;
  if (const auto error = query::plan_query(text, context.now_us(), plan)) return reply(refusal(*error, text));
  std::optional<query::PageStart> page;
  if (!cursor_text.empty()) {
    const auto cursor = read_cursor(cursor_text, text);
    if (!cursor) return reply(error_response(400, "cursor: is none of this query; take next_cursor of an answer to the very same text"));
    if (!plan.can_be_paged()) return reply(error_response(400, "cursor: only flows by time have pages"));
    plan.window = cursor->window;
    page = cursor->start;
  }
  Question question = question_of(context, plan, text, asked.format, page);
  if (auto trouble = trouble_of(question)) return reply(std::move(*trouble));
  return ask(std::move(question), done);
}

Work post_query(const ApiContext& context, const Request& request, const Done& done) {
  const Asked asked = read_body(request, "query", {"query", "format", "cursor"});
  if (asked.trouble) {
    done(*asked.trouble);
    return nullptr;
  }
  const auto parameter = [&](const char* name) {
    const auto found = request.query.find(name);
    return asked.body.contains(name) ? text_member(asked.body, name) : found != request.query.end() ? found->second : std::string();
  };
  return answer_srql(context, request, text_member(asked.body, "query"), parameter("format"), parameter("cursor"), done);
}

Work get_query(const ApiContext& context, const Request& request, const Done& done) {
  const auto parameter = [&](const char* name) {
    const auto found = request.query.find(name);
    return found != request.query.end() ? found->second : std::string();
  };
  if (parameter("query").empty()) {
    done(error_response(400, "the parameter query is missing, such as ?query=in:flows%20time:last_1h"));
    return nullptr;
  }
  return answer_srql(context, request, parameter("query"), parameter("format"), parameter("cursor"), done);
}

/// Texts, numbers, true, null, and {"addr": …}, {"time": …} as the store reads them.
std::optional<query::Parameter> sql_parameter(const json& value) {
  if (value.is_null()) return std::monostate();
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return std::nullopt;
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number()) return value.get<double>();
  if (!value.is_object() || value.size() != 1) return std::nullopt;
  if (value.contains("addr") && value["addr"].is_string()) {
    const auto address = IpAddress::parse(value["addr"].get<std::string>());
    return address ? std::optional<query::Parameter>(*address) : std::nullopt;
  }
  if (value.contains("time") && value["time"].is_string()) {
    const auto us = query::instant_of(value["time"].get<std::string>());
    return us ? std::optional<query::Parameter>(query::Instant{*us}) : std::nullopt;
  }
  return std::nullopt;
}

Work post_sql(const ApiContext& context, const Request& request, const Done& done) {
  const auto refuse = [&](unsigned status, const std::string& what) -> Work {
    done(error_response(status, what));
    return nullptr;
  };
  const Asked asked = read_body(request, "sql", {"sql", "parameters", "format", "max_rows", "timeout_ms"});
  if (asked.trouble) {
    done(*asked.trouble);
    return nullptr;
  }
  const auto in_query = request.query.find("format");
  const FormatAsked format = format_asked(request, asked.body.contains("format") ? text_member(asked.body, "format") : in_query != request.query.end() ? in_query->second : "");
  if (format.trouble) {
    done(*format.trouble);
    return nullptr;
  }
  Question question;
  question.desk = context.desk;
  question.backend = &context.backend;
  question.format = format.format;
  question.json_rows = JsonRows::lists;
  question.store.sql = text_member(asked.body, "sql");
  if (question.store.sql.size() > kSqlOctetsMax) return refuse(413, fmt::format("sql has {} octets, limit {}", question.store.sql.size(), kSqlOctetsMax));
  question.store.format = format.format == Format::parquet ? "parquet" : "json";
  const auto number = [&](const char* name, uint64_t max, uint64_t& out) {
    out = max;
    if (!asked.body.contains(name)) return true;
    if (!asked.body[name].is_number_unsigned() || asked.body[name].get<uint64_t>() < 1 || asked.body[name].get<uint64_t>() > max) return false;
    out = asked.body[name].get<uint64_t>();
    return true;
  };
  uint64_t timeout_ms = 0;
  if (!number("max_rows", context.limits.sql_rows_max, question.store.max_rows)) return refuse(400, fmt::format("max_rows: allowed: 1 to {}", context.limits.sql_rows_max));
  if (!number("timeout_ms", context.limits.query_timeout_ms, timeout_ms)) return refuse(400, fmt::format("timeout_ms: allowed: 1 to {}", context.limits.query_timeout_ms));
  question.store.timeout_ms = static_cast<uint32_t>(timeout_ms);
  if (asked.body.contains("parameters")) {
    const json& list = asked.body["parameters"];
    if (!list.is_array() || list.size() > kSqlParametersMax) return refuse(400, fmt::format("parameters: allowed: a list of at most {}", kSqlParametersMax));
    for (size_t i = 0; i < list.size(); ++i) {
      auto parameter = sql_parameter(list[i]);
      if (!parameter) return refuse(400, fmt::format("parameters[{}]: allowed are texts, integers to 2^63-1, numbers, true, false, null, {{\"addr\": \"192.0.2.1\"}} and {{\"time\": \"2026-11-01T00:00:00Z\"}}", i));
      question.store.parameters.push_back(std::move(*parameter));
    }
  }
  return ask(std::move(question), done);
}

/// Of a window that begins before the first flow that is kept the answer would look like all of it. Empty: it does not.
std::string note_of_what_is_gone(const ApiContext& context, const std::vector<query::TimeWindow>& from_flows) {
  const Kept::Of& flows = context.kept.flows;
  int64_t kept_from_us = flows.from_us;
  if (flows.secs != 0) kept_from_us = std::max(kept_from_us, context.now_us() / query::kUsPerSec * query::kUsPerSec - flows.secs * query::kUsPerSec);
  if (kept_from_us <= 0) return {};
  const bool has_earlier = std::any_of(from_flows.begin(), from_flows.end(), [&](const auto& window) { return window.start_us && *window.start_us < kept_from_us; });
  if (!has_earlier) return {};
  return fmt::format("flows before {} are no longer kept: the answer lacks what only they could tell", query::instant_text(kept_from_us));
}

std::string columns_json(const query::Translation& translation) {
  ordered_json columns = ordered_json::array();
  for (const query::AnswerColumn& column : translation.columns) {
    ordered_json c = {{"name", column.name}, {"type", column.kind}};
    if (!column.unit.empty()) c["unit"] = column.unit;
    if (!column.function.empty()) c["function"] = column.function;
    columns.push_back(std::move(c));
  }
  return columns.dump();
}

}  // namespace

Response refusal(const query::QueryError& error, std::string_view text, std::string_view of) {
  const size_t position = query::column_of(text, error.place.at);
  const size_t end = query::column_of(text, std::min(text.size(), error.place.at + error.place.octets));
  Response response;
  response.status = 400;
  const std::string where = of.empty() ? fmt::format("at {}: ", position) : fmt::format("{}, at {}: ", of, position);
  response.body = ordered_json{{"error", where + printable(error.message)}, {"position", position}, {"length", end > position ? end - position : 1}}.dump() + "\n";
  return response;
}

FormatAsked format_asked(const Request& request, std::string_view format) {
  FormatAsked asked;
  if (!format.empty()) {
    const auto named = value_named<Format>(format);
    if (named) {
      asked.format = *named;
    } else {
      asked.trouble = error_response(400, fmt::format("format: '{}'; allowed: json, ndjson, csv, parquet", printable(format)));
    }
    return asked;
  }
  for (const Format each : {Format::json, Format::ndjson, Format::csv, Format::parquet}) {
    const std::string_view type = content_type_of(each);
    if (accepts(request.accept, type.substr(0, type.find(';')))) {
      asked.format = each;
      break;
    }
  }
  return asked;
}

Question question_of(const ApiContext& context, query::Plan plan, std::string_view text, Format format, const std::optional<query::PageStart>& page) {
  const bool by_rows = format != Format::parquet;
  const auto kept_from = [&](const Kept::Of& kept) -> std::optional<int64_t> {
    int64_t from_us = kept.from_us;
    if (kept.secs != 0) from_us = std::max(from_us, context.now_us() - kept.secs * query::kUsPerSec + kKeptMarginUs);
    return from_us > 0 ? std::optional<int64_t>(from_us) : std::nullopt;
  };
  plan.rollups_kept = {kept_from(context.kept.days), kept_from(context.kept.hours), kept_from(context.kept.minutes)};
  query::Translation t = query::translate(plan, query::duckdb_dialect(), page, by_rows ? query::RowsAsked::with_place : query::RowsAsked::plain);
  Question question;
  if (std::string gone = note_of_what_is_gone(context, t.from_flows); !gone.empty()) plan.notes.push_back(std::move(gone));
  question.notes = plan.notes;
  question.desk = context.desk;
  question.backend = &context.backend;
  question.format = format;
  const auto statement = [&](query::Statement s) {
    // A file is cut by who makes it, who says so.
    return StoreQuery{std::move(s.sql), std::move(s.parameters), by_rows ? "json" : "parquet", uint64_t{plan.limit} + by_rows, context.limits.query_timeout_ms};
  };
  ordered_json head;
  head["query"] = text;
  head["window"] = {{"start", plan.window.start_us ? ordered_json(query::instant_text(*plan.window.start_us)) : ordered_json()},
                    {"end", query::instant_text(*plan.window.end_us)}};
  if (plan.bucket) head["bucket_seconds"] = plan.bucket->seconds;
  head["notes"] = plan.notes;
  head["table"] = t.table;
  const std::string members = head.dump();
  question.head = members.substr(1, members.size() - 2) + ",";
  ColumnNames columns{{}, columns_json(t)};
  for (const query::AnswerColumn& column : t.columns) columns.names.push_back(column.name);
  question.columns = std::move(columns);
  if (t.probe) {
    question.probe = statement(std::move(*t.probe));
    question.probe->format = "json";
    question.probe->reads = t.from_flows;
    question.probe->ends = t.ends;
  }
  question.cut = t.cut;
  question.store = statement(std::move(t.statement));
  question.store.reads = std::move(t.from_flows);
  question.store.ends = std::move(t.ends);
  if (!by_rows) question.store.notes = plan.notes;
  question.rows_max = plan.limit;
  question.has_page_columns = t.has_page_columns;
  question.window = plan.window;
  question.page = page;
  question.text = text;
  question.is_srql = true;
  question.has_regular_expression = plan.has_regular_expression;
  return question;
}

std::optional<Response> trouble_of(const Question& question) {
  const size_t octets = question.store.sql.size(), parameters = question.store.parameters.size();
  if (octets <= query::kStatementOctetsMax && parameters <= query::kStatementParametersMax) return std::nullopt;
  return error_response(400, fmt::format("the query becomes SQL of {} octets with {} parameters, limits {} and {}: fewer conditions, or fewer items in their lists",
                                         octets, parameters, query::kStatementOctetsMax, query::kStatementParametersMax));
}

std::optional<Kept> read_kept(std::string_view text) {
  const auto body = json::parse(text, nullptr, /*allow_exceptions=*/false);
  Kept kept;
  const std::pair<const char*, Kept::Of*> wanted[] = {{"minutes", &kept.minutes}, {"hours", &kept.hours}, {"days", &kept.days}, {"flows", &kept.flows}};
  for (const auto& [name, of] : wanted) {
    for (const auto& [key, out] : {std::pair("secs", &of->secs), std::pair("from_us", &of->from_us)}) {
      const auto at = json::json_pointer(fmt::format("/{}/{}", name, key));
      if (!body.is_object() || !body.contains(at) || !body[at].is_number_integer() || body[at] < 0) return std::nullopt;
      *out = body[at].get<int64_t>();
    }
  }
  return kept;
}

std::vector<Route> api_routes(const ApiContext& context) {
  std::vector<Route> routes;
  routes.push_back({"POST", "/api/query", {"format", "cursor"}, false, [&context](const Request& r, const Done& d) { return post_query(context, r, d); }});
  routes.push_back({"GET", "/api/query", {"query", "format", "cursor"}, false, [&context](const Request& r, const Done& d) { return get_query(context, r, d); }});
  routes.push_back({"POST", "/api/sql", {"format"}, false, [&context](const Request& r, const Done& d) { return post_sql(context, r, d); }});
  for (auto& route : netflow_routes(context)) routes.push_back(std::move(route));
  for (auto& route : operator_routes(context)) routes.push_back(std::move(route));
  return routes;
}

}  // namespace weir::api
