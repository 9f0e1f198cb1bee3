#include "query/check.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/printable.h"
#include "base/value_named.h"
#include "query/conditions.h"
#include "query/parser.h"
#include "query/read_values.h"
#include "query/scanner.h"

namespace weir::query {
namespace {

constexpr const char* kColumns[] = {
    "time",        "src_endpoint_ip", "src_endpoint_port", "dst_endpoint_ip", "dst_endpoint_port", "protocol_name",
    "bytes_total", "packets_total",   "tcp_flags_label",   "direction",       "app",               "sampler_address",
    "exporter_name", "in_if",         "out_if",            "flow_source"};
constexpr int64_t kFirstFlowsSecs = 946'684'800;  // 2000-01-01: of windows without a start
constexpr int64_t kSeriesPointsMax = 100;  // of bucket:auto

Place visible(const Text& text) { return {text.place.at, std::max<size_t>(1, text.place.octets)}; }

bool same_keys(const std::vector<Key>& a, const std::vector<Key>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Key& x, const Key& y) { return x.field == y.field && x.bits == y.bits; });
}

class Checker {
 public:
  Checker(const Query& query, int64_t now_us, Plan& plan) : query_(query), now_us_(now_us), plan_(plan) {}

  void run() {
    check_entity();
    read_zone();
    plan_.window = read_window(query_.times, zone_, now_us_);
    if (query_.times.empty()) plan_.notes.emplace_back("time: is not said; the last hour");
    if (query_.raw) {
      const auto is_raw = read_boolean(query_.raw->text);
      if (!is_raw) refuse(visible(*query_.raw), fmt::format("raw:'{}'; allowed: true, false", printable(query_.raw->text)));
      plan_.is_raw = *is_raw;
    }
    plan_.filter = predicate(query_.filter);
    read_groups();
    read_bucket();
    finish_shape();
    read_having();
    read_order();
    read_limit();
  }

 private:
  void check_entity() const {
    if (!query_.entity) refuse({0, 0}, "in: is missing; a query begins with in:flows");
    const std::string name = lower(query_.entity->text);
    if (name != "flows" && name != "flow" && name != "network_activity") {
      refuse(visible(*query_.entity), fmt::format("'{}' is no entity; allowed: flows, flow, network_activity", printable(query_.entity->text)));
    }
  }

  void read_zone() {
    if (!query_.tz) return;
    auto zone = TimeZone::find(query_.tz->text);
    if (!zone) refuse(visible(*query_.tz), zone.error().message);
    zone_ = std::move(*zone);
  }

  Predicate predicate(const Node& node) {
    if (node.kind == Node::Kind::condition) {
      return predicate_of(node.condition, {zone_, now_us_, plan_.is_raw, plan_.has_regular_expression});
    }
    Predicate p;
    p.kind = node.kind == Node::Kind::any ? Predicate::Kind::any : node.kind == Node::Kind::none ? Predicate::Kind::none : Predicate::Kind::all;
    for (const Node& child : node.children) p.parts.push_back(predicate(child));
    return p;
  }

  // ── groups and functions ───────────────────────────────────────────────────────────────────────

  Key group_key(const FieldName& name) const {
    const Field& field = known_field(name.name);
    if (!field.can_group()) {
      refuse(visible(name.name), field.is_either_side() ? fmt::format("{} is either side; group by src_ or dst_ of it", field.name)
                                                        : fmt::format("{} cannot be grouped by{}", field.name, field.kind == FieldKind::instant ? "; use bucket:" : ": it is a list"));
    }
    Key key{&field, -1, std::string(field.name)};
    if (field.kind == FieldKind::network) {
      if (!name.bits) refuse(visible(name.name), fmt::format("{} needs the length of its networks, as in {}:24", field.name, field.name));
      const auto bits = read_integer(name.bits->text);
      if (!bits || *bits > 128) refuse(visible(*name.bits), fmt::format("'{}' is no length of a network; allowed: 0 to 128", name.bits->text));
      key.bits = static_cast<int>(*bits);
    } else if (name.bits) {
      refuse(visible(*name.bits), fmt::format("{} takes no number; src_cidr:24 and dst_cidr:64 do", field.name));
    }
    return key;
  }

  std::vector<Key> group_keys(const std::vector<FieldName>& names) const {
    std::vector<Key> keys;
    for (const FieldName& name : names) {
      Key key = group_key(name);
      if (std::any_of(keys.begin(), keys.end(), [&](const Key& k) { return k.field == key.field && k.bits == key.bits; })) {
        refuse(visible(name.name), fmt::format("{} is named twice", key.name));
      }
      if (has_key(keys, key.name)) key.name += fmt::format("_{}", key.bits);
      if (keys.size() == kKeysMax) refuse(visible(name.name), fmt::format("more than {} fields to group by", kKeysMax));
      keys.push_back(std::move(key));
    }
    return keys;
  }
  static bool has_key(const std::vector<Key>& keys, std::string_view name) {
    return std::any_of(keys.begin(), keys.end(), [&](const Key& key) { return same_word(key.name, name); });
  }

  void set_keys(std::vector<Key> keys, Place place) {
    if (keys.empty()) return;
    if (!plan_.keys.empty() && !same_keys(keys, plan_.keys)) {
      std::string before;
      for (const Key& key : plan_.keys) before += (before.empty() ? "" : ", ") + key.name;
      refuse(place, fmt::format("groups are said twice, and otherwise before: by {}; one query has one by", before));
    }
    plan_.keys = std::move(keys);
  }

  void read_groups() {
    for (const StatsClause& clause : query_.stats) {
      for (const StatsItem& item : clause.items) add_aggregate(item);
      set_keys(group_keys(clause.by), clause.place);
    }
    if (!query_.group_by.empty()) {
      set_keys(group_keys(query_.group_by), query_.group_by.front().name.place);
      if (query_.stats.empty()) {
        plan_.aggregates = {{Function::count, nullptr, "count"},
                            {Function::sum, &field_named("bytes_total"), "bytes"},
                            {Function::sum, &field_named("packets_total"), "packets"}};
      }
    }
  }

  /// An object would have one of two members of a name, and a reader the other.
  void check_names() const {
    for (const Aggregate& a : plan_.aggregates) {
      const bool is_time = plan_.bucket && same_word(plan_.bucket->name, a.name);
      if (!is_time && !has_key(plan_.keys, a.name)) continue;
      refuse(query_.stats.empty() ? Place{} : query_.stats.front().place,
             fmt::format("{} is the name of a {} and of a value; give the value another alias", a.name, is_time ? "bucket" : "group"));
    }
  }

  void add_aggregate(const StatsItem& item) {
    Aggregate a = aggregate(item.function, item.argument);
    a.name = item.alias ? item.alias->text : a.field == nullptr ? item.function.text : fmt::format("{}_{}", item.function.text, a.field->name);
    for (const Aggregate& other : plan_.aggregates) {
      if (same_word(other.name, a.name)) refuse(visible(item.alias ? *item.alias : item.function), fmt::format("{} is the name of two values", a.name));
    }
    plan_.aggregates.push_back(std::move(a));
  }

  Aggregate aggregate(const Text& function_text, const std::optional<Text>& argument) const {
    Aggregate a;
    a.function = function_named(function_text);
    if (!argument) {
      if (a.function != Function::count && a.function != Function::rate) {
        refuse(visible(function_text), fmt::format("{} needs a field, as in {}(bytes_total)", function_text.text, function_text.text));
      }
      return a;
    }
    a.field = &known_field(*argument);
    const bool counts = a.function == Function::count || a.function == Function::count_distinct;
    const bool is_of_times = a.function == Function::min || a.function == Function::max;
    if (counts ? !a.field->can_group() && a.field->kind != FieldKind::instant : (!a.field->is_numeric() && !a.is_time()) || a.field->is_either_side()) {
      refuse(visible(*argument), fmt::format("{} of {} has no meaning; allowed: {}{}", function_text.text, a.field->name,
                                             counts ? "a field of one side that is no list" : "numbers such as bytes_total, packets_total, duration_ms",
                                             is_of_times ? ", and times" : ""));
    }
    if (a.field->kind == FieldKind::network || a.field->kind == FieldKind::conversation) {
      refuse(visible(*argument), fmt::format("{} cannot be counted; count addresses", a.field->name));
    }
    return a;
  }

  static Function function_named(const Text& text) {
    std::string name = lower(text.text);
    if (name == "mean" || name == "average") name = "avg";
    if (name == "distinct" || name == "uniq") name = "count_distinct";
    if (name == "median") name = "p50";
    if (const auto function = value_named<Function>(name)) return *function;
    refuse(visible(text), fmt::format("'{}' is no function; allowed: count, count_distinct, sum, avg, min, max, p50, p95, p99, rate", printable(text.text)));
  }

  // ── time series ────────────────────────────────────────────────────────────────────────────────

  void read_bucket() {
    for (const auto& [clause, key] : {std::pair{&query_.agg, "agg"}, std::pair{&query_.value_field, "value_field"}}) {
      if (*clause && !query_.bucket) refuse(visible(**clause), fmt::format("{}: needs bucket:, such as bucket:5m", key));
      if (*clause && !plan_.aggregates.empty()) refuse(visible(**clause), fmt::format("{}: and stats: or groupby: say two things; use one of them", key));
    }
    if (query_.series && !query_.bucket) refuse(visible(query_.series->name), "series: needs bucket:, such as bucket:5m");
    if (!query_.bucket) return;
    Bucket bucket;
    bucket.seconds = bucket_secs(*query_.bucket);
    bucket.name = "timestamp";
    set_bucket_zone(bucket);
    plan_.bucket = bucket;
    if (query_.series) {
      if (!plan_.keys.empty()) refuse(visible(query_.series->name), "series: and by say two things; use one of them");
      Key key = group_key(*query_.series);
      key.name = "series";
      plan_.keys.push_back(std::move(key));
    }
    if (!plan_.aggregates.empty()) return;
    Text function;
    function.text = query_.agg ? query_.agg->text : "sum";
    if (query_.agg) function.place = query_.agg->place;
    const bool counts = same_word(function.text, "count");
    std::optional<Text> field = query_.value_field;
    if (!field && !counts) {
      field = Text{"bytes_total", function.place, false};
      plan_.notes.emplace_back("value_field: is not said; bytes_total");
    }
    if (!query_.agg) plan_.notes.emplace_back("agg: is not said; sum");
    if (field) field->text = lower(field->text);
    if (counts && field && field->text == "*") field.reset();
    Aggregate a = aggregate(function, field);
    a.name = "value";
    plan_.aggregates.push_back(std::move(a));
  }

  int64_t bucket_secs(const Text& text) {
    if (!same_word(text.text, "auto")) {
      const auto secs = read_duration_secs(text.text);
      if (!secs || *secs > 366 * 86'400) {
        refuse(visible(text), fmt::format("'{}' is no length of a bucket; allowed: a number with s, m, h, d or w, from 1s to 366d, such as 5m; auto", printable(text.text)));
      }
      return *secs;
    }
    const int64_t end_us = plan_.window.end_us.value_or(now_us_);
    if (!plan_.window.start_us) refuse(visible(text), "bucket:auto needs a window with a start; say bucket:1h, or time:");
    static constexpr int64_t kSteps[] = {1, 5, 10, 30, 60, 300, 900, 1800, 3600, 10'800, 21'600, 43'200, 86'400, 604'800};
    int64_t chosen = 366 * 86'400;
    for (const int64_t step : kSteps) {
      // One more where the window begins in the midst of one.
      if ((end_us - *plan_.window.start_us - 1) / (step * kUsPerSec) + 2 <= kSeriesPointsMax) {
        chosen = step;
        break;
      }
    }
    plan_.notes.push_back(fmt::format("bucket:auto is {} s here", chosen));
    return chosen;
  }

  /// Hours and parts of them begin at UTC's unless the zone's begin elsewhere; longer ones begin as the zone's days do.
  void set_bucket_zone(Bucket& bucket) const {
    if (zone_.is_utc()) return;
    // The first bucket may begin before the window, and clocks may change in between.
    const int64_t start = std::max(plan_.window.start_us.value_or(0) / kUsPerSec, kFirstFlowsSecs) - bucket.seconds - 86'400;
    const int64_t offset = zone_.offset_at(start);
    auto transitions = zone_.transitions_between(start, plan_.window.end_us.value_or(now_us_) / kUsPerSec);
    const auto begins_as_utc = [&](int64_t o) { return o % bucket.seconds == 0; };
    if (bucket.seconds <= 3600 && begins_as_utc(offset) && std::all_of(transitions.begin(), transitions.end(), [&](const auto& t) { return begins_as_utc(t.offset); })) return;
    bucket.offset_secs = offset;
    bucket.transitions = std::move(transitions);
  }

  void finish_shape() {
    check_names();
    if (plan_.bucket) {
      plan_.shape = Shape::series;
    } else if (!plan_.aggregates.empty()) {
      plan_.shape = Shape::groups;
    } else {
      set_columns();
    }
    if (plan_.shape != Shape::rows && !query_.fields.empty()) {
      refuse(visible(query_.fields.front().name), "fields: chooses the columns of single flows; groups have those of stats: and by");
    }
    if (plan_.window.length_us()) return;
    for (const Aggregate& a : plan_.aggregates) {
      if (a.function == Function::rate && !plan_.bucket && !plan_.window.start_us) {
        refuse(query_.times.front().place, "rate needs a window with a start, to divide by its length");
      }
    }
    if (!plan_.window.end_us) plan_.window.end_us = std::max(now_us_, plan_.window.start_us.value_or(now_us_) + 1);
  }

  void set_columns() {
    for (const FieldName& name : query_.fields) {
      if (name.name.text == "*") {
        for (const Field& field : fields()) {
          if (field.can_show()) plan_.keys.push_back({&field, -1, std::string(field.name)});
        }
        continue;
      }
      const Field& field = known_field(name.name);
      if (!field.can_show() || name.bits) refuse(visible(name.name), fmt::format("{} is no column", field.name));
      if (!has_key(plan_.keys, field.name)) plan_.keys.push_back({&field, -1, std::string(field.name)});
    }
    if (!plan_.keys.empty()) return;
    for (const char* name : kColumns) plan_.keys.push_back({&field_named(name), -1, name});
  }

  // ── having, sort, limit ────────────────────────────────────────────────────────────────────────

  void read_having() {
    for (const HavingItem& item : query_.having) {
      const auto found = std::find_if(plan_.aggregates.begin(), plan_.aggregates.end(), [&](const Aggregate& a) { return same_word(a.name, item.alias.text); });
      if (found == plan_.aggregates.end()) refuse(visible(item.alias), fmt::format("having: '{}' is no value of this query; {}", item.alias.text, values_known()));
      if (found->is_time()) refuse(visible(item.alias), fmt::format("having: {} is a time; say time: for a window, or sort:{}", found->name, found->name));
      const auto number = read_number(item.number.text);
      if (!number) refuse(visible(item.number), fmt::format("'{}' is no number", printable(item.number.text)));
      plan_.having.push_back({static_cast<size_t>(found - plan_.aggregates.begin()), item.comparison, *number});
    }
  }

  std::string values_known() const {
    if (plan_.aggregates.empty()) return "stats: makes some, as in stats:\"sum(bytes_total) as total by src_ip\"";
    std::string known;
    for (const Aggregate& a : plan_.aggregates) known += (known.empty() ? "allowed: " : ", ") + a.name;
    return known;
  }

  void read_order() {
    for (const SortItem& item : query_.sort) plan_.order.push_back(order_of(item));
    if (!plan_.order.empty()) return;
    if (plan_.shape == Shape::rows) {
      plan_.order.push_back({Order::What::field, 0, &field_named("time"), true});
    } else if (plan_.shape == Shape::series) {
      plan_.order.push_back({Order::What::bucket, 0, nullptr, false});
    } else {
      plan_.order.push_back({Order::What::aggregate, query_.stats.empty() ? 1u : 0u, nullptr, true});
    }
  }

  Order order_of(const SortItem& item) const {
    Order order;
    order.is_descending = item.is_descending;
    if (plan_.shape == Shape::rows) {
      const Field& field = known_field(item.name);
      if (!field.can_show() || field.kind == FieldKind::text_list) refuse(visible(item.name), fmt::format("{} cannot be sorted by", field.name));
      order.what = Order::What::field;
      order.field = &field;
      return order;
    }
    for (size_t i = 0; i < plan_.aggregates.size(); ++i) {
      if (same_word(plan_.aggregates[i].name, item.name.text)) {
        order.what = Order::What::aggregate;
        order.index = i;
        return order;
      }
    }
    if (plan_.bucket && (item.name.text == "time" || item.name.text == "timestamp" || item.name.text == "bucket")) {
      order.what = Order::What::bucket;
      return order;
    }
    const Field* const field = find_field(item.name.text);
    for (size_t i = 0; i < plan_.keys.size(); ++i) {
      if (same_word(plan_.keys[i].name, item.name.text) || plan_.keys[i].field == field) {
        order.what = Order::What::key;
        order.index = i;
        return order;
      }
    }
    std::string known = values_known();
    for (const Key& key : plan_.keys) known += ", " + key.name;
    refuse(visible(item.name), fmt::format("sort: '{}' is neither a value nor a group of this query; {}", item.name.text, known));
  }

  void read_limit() {
    plan_.limit = plan_.shape == Shape::series ? kSeriesLimitDefault : kLimitDefault;
    if (!query_.limit) return;
    const auto limit = read_integer(query_.limit->text);
    if (!limit || *limit < 1 || *limit > kLimitMax) {
      refuse(visible(*query_.limit), fmt::format("limit:'{}'; allowed: 1 to {}", printable(query_.limit->text), kLimitMax));
    }
    plan_.limit = static_cast<uint32_t>(*limit);
  }

  const Query& query_;
  const int64_t now_us_;
  Plan& plan_;
  TimeZone zone_;
};

}  // namespace

std::optional<QueryError> check(const Query& query, int64_t now_us, Plan& plan) {
  try {
    Checker(query, now_us, plan).run();
    return std::nullopt;
  } catch (QueryError& error) {
    return std::move(error);
  }
}

std::optional<QueryError> plan_query(std::string_view text, int64_t now_us, Plan& plan) {
  Query query;
  if (auto error = parse(text, query)) return error;
  return check(query, now_us, plan);
}

}  // namespace weir::query
