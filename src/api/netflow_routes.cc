// netflow_routes.cc — /api/netflow and its two halves, as dashboards of existing installations ask for them.
//
// Spec:     docs/API.md, "Dashboards": time_range, group_by, filter (`src_ip=192.0.2.1`, several with commas).
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/routes.h"
#include "base/printable.h"
#include "query/check.h"
#include "query/parser.h"

namespace weir::api {
namespace {

enum class Half : uint8_t { both, realtime, historical };

constexpr const char* kColumns[][2] = {{"timestamp", "time"},           {"src_ip", "src_endpoint_ip"},     {"dst_ip", "dst_endpoint_ip"},
                                       {"src_port", "src_endpoint_port"}, {"dst_port", "dst_endpoint_port"}, {"protocol", "protocol_num"},
                                       {"bytes", "bytes_total"}};

/// What is checked together comes of several parameters: a place says of which, too, for each has so many octets of its own.
constexpr size_t kPartOctets = size_t{1} << 20;  // more than a request's header may have
constexpr const char* kParts[] = {"time_range", "group_by", "filter", "limit"};
enum Part : size_t { kTimeRange, kGroupBy, kFilter, kLimit };

void move_to(Part part, query::Text& text) { text.place.at += part * kPartOctets; }

query::Text text_of(std::string_view text) { return {std::string(text), {0, text.size()}, false}; }

/// One `field=value`, with !=, >, >=, < and <= for =.
std::optional<query::QueryError> add_condition(std::string_view part, size_t at, query::Query& query) {
  const size_t key_end = part.find_first_of("=!<>");
  const auto wrong = [&](const char* what) { return query::QueryError{what, {at, std::max<size_t>(1, part.size())}}; };
  if (key_end == 0 || key_end == std::string_view::npos) return wrong("a filter is field=value, such as src_ip=192.0.2.1; several have commas between them");
  const std::string_view key = part.substr(0, key_end);
  std::string_view value = part.substr(key_end);
  const bool is_negated = value.front() == '!';
  if (is_negated) value.remove_prefix(1);
  if (is_negated && !value.starts_with('=')) return wrong("allowed: =, !=, >, >=, <, <=");
  if (value.starts_with('=')) value.remove_prefix(1);
  query::Node node;
  node.kind = query::Node::Kind::condition;
  const size_t value_at = at + static_cast<size_t>(value.data() - part.data());
  if (auto error = query::parse_value(key, value, node.condition)) {
    error->place.at += value_at;
    return error;
  }
  node.condition.key.place = {at, key.size()};
  node.condition.is_negated = is_negated;
  node.condition.place = {at, part.size()};
  for (query::Text& each : node.condition.values) each.place.at += value_at;
  query.filter.children.push_back(std::move(node));
  return std::nullopt;
}

/// Where the text that begins at `i` with a quote ends; `i` where it is no quoted value.
size_t end_of_quoted(std::string_view text, size_t i) {
  const char quote = text[i];
  if (quote != '"' && quote != '\'' && quote != '`') return i;
  size_t before = i;
  while (before > 0 && text[before - 1] == ' ') --before;
  if (before == 0 || std::string_view("=<>([,").find(text[before - 1]) == std::string_view::npos) return i;
  const size_t end = text.find(quote, i + 1);
  return end == std::string_view::npos ? i : end;
}

/// Split at commas that stand in no list and no quotes.
std::optional<query::QueryError> add_filter(std::string_view text, query::Query& query) {
  size_t depth = 0, from = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size()) i = end_of_quoted(text, i);
    const char c = i < text.size() ? text[i] : ',';
    if (c == '(' || c == '[') ++depth;
    if ((c == ')' || c == ']') && depth > 0) --depth;
    if (c != ',' || (depth > 0 && i < text.size())) continue;
    std::string_view part = text.substr(from, i - from);
    size_t at = from;
    while (!part.empty() && part.front() == ' ') {
      part.remove_prefix(1);
      ++at;
    }
    from = i + 1;
    if (part.empty() && text.empty()) return std::nullopt;
    if (query.filter.children.size() == query::kConditionsMax) return query::QueryError{"too many conditions", {at, 1}};
    if (auto error = add_condition(part, at, query)) return error;
  }
  return std::nullopt;
}

class NetflowRequest {
 public:
  NetflowRequest(const ApiContext& context, const Request& request, Half half) : context_(context), request_(request), half_(half) {}

  Work answer(const Done& done) {
    const FormatAsked format = format_asked(request_, parameter("format"));
    if (format.trouble) return reply(done, *format.trouble);
    if (auto trouble = read_query()) return reply(done, std::move(*trouble));
    query::Plan plan;
    const int64_t now_us = context_.now_us();
    if (const auto error = query::check(query_, now_us, plan)) return reply(done, refusal_of(*error));
    name_columns(plan);
    const bool is_empty = !cut_to_half(plan, now_us);
    if (is_empty) plan.window.start_us = plan.window.end_us;
    Question question = question_of(context_, plan, /*text=*/{}, format.format, std::nullopt);
    question.head = fmt::format("\"time_range\":{{\"start\":{},\"end\":\"{}\"}},",
                                plan.window.start_us ? fmt::format("\"{}\"", query::instant_text(*plan.window.start_us)) : "null",
                                query::instant_text(*plan.window.end_us));
    if (!question.notes.empty()) question.head += fmt::format("\"notes\":{},", nlohmann::json(question.notes).dump());
    if (format.format != Format::parquet && !query_.group_by.empty()) add_timestamp(question, *plan.window.end_us);
    if (is_empty) return reply(done, empty_answer(question));
    if (auto trouble = trouble_of(question)) return reply(done, std::move(*trouble));
    return ask(std::move(question), done);
  }

 private:
  static Work reply(const Done& done, Response response) {
    done(std::move(response));
    return nullptr;
  }
  std::string parameter(const char* name) const {
    const auto found = request_.query.find(name);
    return found != request_.query.end() ? found->second : std::string();
  }

  std::optional<Response> read_query() {
    query_.entity = text_of("flows");
    const std::string window = request_.query.count("time_range") != 0 ? parameter("time_range") : half_ == Half::historical ? "last_7d" : "last_1h";
    query::Condition time;
    if (const auto error = query::parse_value("time", window, time)) return refusal(*error, window, "time_range");
    query_.times.push_back(std::move(time));
    if (const std::string limit = parameter("limit"); !limit.empty()) {
      query_.limit = text_of(limit);
      move_to(kLimit, *query_.limit);
    }
    if (const std::string group = parameter("group_by"); !group.empty()) {
      if (const auto error = query::parse_fields(group, query_.group_by)) return refusal(*error, group, "group_by");
      for (query::FieldName& field : query_.group_by) {
        move_to(kGroupBy, field.name);
        if (field.bits) move_to(kGroupBy, *field.bits);
      }
    } else {
      for (const auto& column : kColumns) query_.fields.push_back({text_of(column[1]), std::nullopt});
    }
    const std::string filter = parameter("filter");
    if (const auto error = add_filter(filter, query_)) return refusal(*error, filter, "filter");
    for (query::Node& node : query_.filter.children) {
      node.condition.place.at += kFilter * kPartOctets;
      move_to(kFilter, node.condition.key);
      for (query::Text& value : node.condition.values) move_to(kFilter, value);
    }
    return std::nullopt;
  }

  Response refusal_of(query::QueryError error) const {
    const char* const part = kParts[std::min(error.place.at / kPartOctets, std::size(kParts) - 1)];
    error.place.at %= kPartOctets;
    return refusal(error, parameter(part), part);
  }

  /// As the caller names them: group_by=src_ip answers with src_ip.
  void name_columns(query::Plan& plan) const {
    if (query_.group_by.empty()) {
      for (size_t i = 0; i < plan.keys.size(); ++i) plan.keys[i].name = kColumns[i][0];
      return;
    }
    std::vector<std::string> taken = {"bytes", "timestamp"};
    for (const query::Key& key : plan.keys) taken.push_back(key.name);
    for (size_t i = 0; i < plan.keys.size() && i < query_.group_by.size(); ++i) {
      const std::string& name = query_.group_by[i].name.text;
      if (std::find(taken.begin(), taken.end(), name) != taken.end()) continue;
      taken.push_back(name);
      plan.keys[i].name = name;
    }
    plan.aggregates = {{query::Function::sum, &query::field_named("bytes_total"), "bytes"}};
    plan.order = {{query::Order::What::aggregate, 0, nullptr, true}};
  }

  /// False where nothing of the window lies in the half.
  bool cut_to_half(query::Plan& plan, int64_t now_us) const {
    const int64_t threshold = now_us - context_.realtime_threshold_secs * query::kUsPerSec;
    if (half_ == Half::realtime) plan.window.start_us = std::max(plan.window.start_us.value_or(threshold), threshold);
    if (half_ == Half::historical) plan.window.end_us = std::min(plan.window.end_us.value_or(threshold), threshold);
    return !plan.window.start_us || *plan.window.start_us < *plan.window.end_us;
  }

  void add_timestamp(Question& question, int64_t us) const {
    question.more_cells.push_back(fmt::format("\"{}\"", query::instant_text(us)));
    question.columns->names.emplace_back("timestamp");
    question.columns->json.insert(question.columns->json.size() - 1, ",{\"name\":\"timestamp\",\"type\":\"time\"}");
  }

  static Response empty_answer(const Question& question) {
    Response response;
    response.content_type = content_type_of(question.format);
    response.headers.emplace_back(kTruncatedHeader, "false");
    if (question.format == Format::parquet) return error_response(404, "nothing of this window lies here, and an empty file of Parquet is none");
    const auto format = row_format(question.format, question.head, question.json_rows);
    format->begin(response.body, *question.columns);
    format->end(response.body, "\"count\":0,\"truncated\":false,\"elapsed_ms\":0");
    return response;
  }

  const ApiContext& context_;
  const Request& request_;
  const Half half_;
  query::Query query_;
};

}  // namespace

std::vector<Route> netflow_routes(const ApiContext& context) {
  const auto route = [&](const char* path, Half half) {
    return Route{"GET", path, {"time_range", "group_by", "filter", "limit", "format"}, false,
                 [&context, half](const Request& r, const Done& d) { return NetflowRequest(context, r, half).answer(d); }};
  };
  return {route("/api/netflow", Half::both), route("/api/netflow/realtime", Half::realtime), route("/api/netflow/historical", Half::historical)};
}

}  // namespace weir::api
