#include "query/translate.h"

#include <fmt/format.h>

#include <algorithm>

#include "query/sql_parts.h"

namespace weir::query {
namespace {

constexpr int64_t kMondayUs = 946'857'600 * kUsPerSec;  // 2000-01-03: weeks begin on Mondays

/// With one more.
std::string limit_of(const Plan& plan, uint32_t skip = 0) {
  std::string sql = fmt::format(" LIMIT {}", uint64_t{plan.limit} + 1);
  if (skip != 0) sql += fmt::format(" OFFSET {}", skip);
  return sql;
}

/// Nothing where its sums would all be made of flows: a window within a minute has nothing of it.
const Rollup* rollup_in_use(const Plan& plan) {
  const Rollup* const rollup = rollup_for(plan);
  if (rollup == nullptr) return nullptr;
  const auto pieces = pieces_of(plan);
  return std::any_of(pieces.begin(), pieces.end(), [](const Piece& piece) { return !piece.grain.empty(); }) ? rollup : nullptr;
}

// ── groups and series ────────────────────────────────────────────────────────────────────────────

/// In four steps: sums by key (g), what is made of sums (v), the page of them (p), and what people see. Only the page's
/// rows are made text.
class GroupQuery {
 public:
  GroupQuery(const Plan& plan, const Dialect& dialect)
      : plan_(plan), dialect_(dialect), rollup_(rollup_in_use(plan)), out_(plan, dialect) {}

  Translation translate() {
    Translation t;
    t.table = rollup_ != nullptr ? fmt::format("rollup_{}", rollup_->name) : "flow_rows";
    if (rollup_ == nullptr) {
      t.from_flows = {plan_.window};
    } else {
      for (const Piece& piece : pieces_of(plan_)) {
        if (piece.grain.empty()) t.from_flows.push_back({piece.start_us, piece.end_us});
      }
    }
    name_keys();
    put_shown(t.columns);
    out_.put(" FROM (SELECT * FROM (");
    put_values();
    out_.put(" FROM (");
    put_sums();
    out_.put(") AS g) AS v");
    put_having();
    const std::string order = order_by();
    out_.put(order + limit_of(plan_) + ") AS p" + order);
    t.statement = out_.take();
    return t;
  }

 private:
  /// k0, k1 … for each expression that is grouped by.
  void name_keys() {
    size_t n = 0;
    for (const Key& key : plan_.keys) {
      auto& names = key_names_.emplace_back();
      for (const std::string& expression : key_expressions(key, plan_, dialect_)) {
        names.push_back(fmt::format("k{}", n++));
        expressions_.push_back(expression);
      }
    }
  }

  void put_shown(std::vector<AnswerColumn>& columns) {
    std::string list;
    const auto add = [&](const std::string& sql, AnswerColumn column) {
      list += fmt::format("{}{} AS {}", list.empty() ? "" : ", ", sql, dialect_.quoted(column.name));
      columns.push_back(std::move(column));
    };
    if (plan_.bucket) add(dialect_.instant("b"), {plan_.bucket->name, "time", {}});
    for (size_t i = 0; i < plan_.keys.size(); ++i) {
      add(shown(plan_.keys[i], key_names_[i], dialect_), column_of_key(plan_.keys[i]));
    }
    for (size_t i = 0; i < plan_.aggregates.size(); ++i) {
      const Aggregate& a = plan_.aggregates[i];
      const bool is_count = a.function == Function::count || a.function == Function::count_distinct;
      const bool is_whole = is_count || a.function == Function::sum || a.function == Function::min || a.function == Function::max;
      add(fmt::format("a{}", i), {a.name, a.is_time() ? "time" : is_whole ? "integer" : "number", is_count || a.field == nullptr ? std::string_view() : a.field->unit, name_of(a.function)});
    }
    out_.put("SELECT " + list);
  }

  /// Rates of buckets are over the part of the bucket that lies in the window.
  void put_values() {
    std::string list;
    const auto add = [&](const std::string& sql) { list += (list.empty() ? "" : ", ") + sql; };
    if (plan_.bucket) add(utc_of("l") + " AS b");
    for (const auto& names : key_names_) {
      for (const std::string& name : names) add(name);
    }
    for (size_t i = 0; i < plan_.aggregates.size(); ++i) {
      if (plan_.aggregates[i].function != Function::rate) {
        add(fmt::format("a{}", i));
        continue;
      }
      add(fmt::format("CAST(a{0} AS DOUBLE) / {1} AS a{0}", i, seconds()));
    }
    out_.put("SELECT " + list);
  }

  std::string seconds() const {
    if (!plan_.bucket) return fmt::format("{:.6f}", static_cast<double>(*plan_.window.length_us()) / kUsPerSec);
    std::string end = utc_of(fmt::format("(l + {})", plan_.bucket->seconds * kUsPerSec)), start = utc_of("l");
    if (plan_.window.end_us) end = fmt::format("least({}, {})", end, *plan_.window.end_us);
    if (plan_.window.start_us) start = fmt::format("greatest({}, {})", start, *plan_.window.start_us);
    return fmt::format("((({}) - ({})) / 1000000.0)", end, start);
  }

  void put_sums() {
    std::string list;
    size_t groups = 0;
    if (plan_.bucket) {
      list = local_bucket() + " AS l";
      ++groups;
    }
    for (size_t i = 0; i < expressions_.size(); ++i, ++groups) {
      list += fmt::format("{}{} AS k{}", list.empty() ? "" : ", ", expressions_[i], i);
    }
    for (size_t i = 0; i < plan_.aggregates.size(); ++i) {
      list += fmt::format("{}{} AS a{}", list.empty() ? "" : ", ", aggregate(plan_.aggregates[i]), i);
    }
    out_.put("SELECT " + list);
    out_.put_source(rollup_);
    out_.put_where(rollup_);
    for (size_t i = 1; i <= groups; ++i) out_.put(fmt::format("{}{}", i == 1 ? " GROUP BY " : ", ", i));
  }

  // Buckets begin by local clocks: flows are grouped by what those show there, in microseconds as if it were UTC. Only the answer has
  // UTC, so that of an hour that clocks show twice nothing is apart. A bucket ends where the next begins.

  /// What clocks show where the bucket begins that a flow is in.
  std::string local_bucket() const {
    const int64_t width = plan_.bucket->seconds * kUsPerSec;
    const int64_t shift = kMondayUs % width;  // weeks begin on Mondays, shorter ones as in each day
    const std::string time = dialect_.epoch_us("f.time");
    std::string offset = fmt::format("{}", plan_.bucket->offset_secs * kUsPerSec);
    if (!plan_.bucket->transitions.empty()) {
      offset = by_transitions(time, [](const TimeZone::Transition& t, int64_t) { return t.at; }, [](int64_t offset_us) { return fmt::format("{}", offset_us); });
    }
    return fmt::format("{} + {}", dialect_.multiple(fmt::format("{} + {} - {}", time, offset, shift), width), shift);
  }

  /// When clocks show `local`: of two times the first; of one that is leapt over what it would have been without the leap.
  std::string utc_of(const std::string& local) const {
    if (plan_.bucket->transitions.empty()) return fmt::format("{} - {}", local, plan_.bucket->offset_secs * kUsPerSec);
    return by_transitions(
        local, [](const TimeZone::Transition& t, int64_t before_secs) { return t.at + std::max(before_secs, t.offset); },
        [&](int64_t offset_us) { return fmt::format("{} - {}", local, offset_us); });
  }

  /// One of several, by which change of clocks `what` is behind. Beside each other: within each other they would be as many deep.
  template <class From, class Each>
  std::string by_transitions(const std::string& what, From from, Each each) const {
    std::string sql = "CASE";
    int64_t offset = plan_.bucket->offset_secs;
    for (const TimeZone::Transition& t : plan_.bucket->transitions) {
      sql += fmt::format(" WHEN {} < {} THEN {}", what, from(t, offset) * kUsPerSec, each(offset * kUsPerSec));
      offset = t.offset;
    }
    return fmt::format("{} ELSE {} END", sql, each(offset * kUsPerSec));
  }

  std::string aggregate(const Aggregate& a) const {
    if (a.field == nullptr) return rollup_ != nullptr ? dialect_.sum("f.flows") : "count(*)";
    const std::string column(column_of(*a.field, plan_));
    switch (a.function) {
      case Function::count: return fmt::format("count({})", column);
      case Function::count_distinct: return fmt::format("count(DISTINCT {})", column);
      case Function::sum:
      case Function::rate: return dialect_.sum(column);
      case Function::avg:
        return rollup_ != nullptr ? fmt::format("CAST(sum({}) AS DOUBLE) / sum(f.flows)", column) : fmt::format("avg({})", column);
      case Function::min: return fmt::format("min({})", column);
      case Function::max: return fmt::format("max({})", column);
      case Function::p50: return dialect_.percentile(column, 0.5);
      case Function::p95: return dialect_.percentile(column, 0.95);
      case Function::p99: return dialect_.percentile(column, 0.99);
      default: return "NULL";
    }
  }

  void put_having() {
    for (size_t i = 0; i < plan_.having.size(); ++i) {
      const Having& h = plan_.having[i];
      static constexpr std::string_view kOperators[] = {"=", "<>", "<", "<=", ">", ">="};
      out_.put(fmt::format("{}a{} {} {}", i == 0 ? " WHERE " : " AND ", h.aggregate, kOperators[static_cast<size_t>(h.comparison)],
                           out_.bind(h.number)));
    }
  }

  /// As asked for, then by all else, so that an answer is always in the same order.
  std::string order_by() const {
    std::vector<std::string> terms;
    const auto add = [&](const std::string& name, bool is_descending) {
      for (const std::string& term : terms) {
        if (term.substr(0, term.find(' ')) == name) return;
      }
      terms.push_back(fmt::format("{} {} NULLS LAST", name, is_descending ? "DESC" : "ASC"));
    };
    for (const Order& order : plan_.order) {
      if (order.what == Order::What::bucket) add("b", order.is_descending);
      if (order.what == Order::What::aggregate) add(fmt::format("a{}", order.index), order.is_descending);
      if (order.what == Order::What::key) {
        for (const std::string& name : key_names_[order.index]) add(name, order.is_descending);
      }
    }
    if (plan_.bucket) add("b", false);
    for (const auto& names : key_names_) {
      for (const std::string& name : names) add(name, false);
    }
    std::string sql;
    for (const std::string& term : terms) sql += (sql.empty() ? " ORDER BY " : ", ") + term;
    return sql;
  }

  const Plan& plan_;
  const Dialect& dialect_;
  const Rollup* const rollup_;
  SqlWriter out_;
  std::vector<std::vector<std::string>> key_names_;
  std::vector<std::string> expressions_;
};

// ── single flows ─────────────────────────────────────────────────────────────────────────────────

struct Columns {
  std::string inner;  // f.src_endpoint_addr AS k0, …
  std::string outer;  // ip_text(k0) AS "src_endpoint_ip", …
  std::vector<std::string> expressions;
};

Columns columns_for(const Plan& plan, const Dialect& dialect, std::vector<AnswerColumn>& answer) {
  Columns columns;
  for (size_t i = 0; i < plan.keys.size(); ++i) {
    const Key& key = plan.keys[i];
    const std::string expression = key_expressions(key, plan, dialect).front();
    const std::string_view comma = i == 0 ? "" : ", ";
    columns.inner += fmt::format("{}{} AS k{}", comma, expression, i);
    columns.outer += fmt::format("{}{} AS {}", comma, shown(key, {fmt::format("k{}", i)}, dialect), dialect.quoted(key.name));
    columns.expressions.push_back(expression);
    answer.push_back(column_of_key(key));
  }
  return columns;
}

Translation rows_by_time(const Plan& plan, const Dialect& dialect, const std::optional<PageStart>& page, RowsAsked rows) {
  Translation t;
  t.table = "flow_rows";
  t.from_flows = {plan.window};
  t.has_page_columns = rows == RowsAsked::with_place;
  const bool newest_first = plan.order.front().is_descending;
  const std::string_view way = newest_first ? "DESC" : "ASC";
  const std::string_view behind = newest_first ? "<" : ">";

  SqlWriter probe(plan, dialect);
  probe.put(fmt::format("SELECT CASE WHEN count(*) > {} THEN {} END AS cut FROM (SELECT f.time AS t", plan.limit,
                        dialect.epoch_us(newest_first ? "min(t)" : "max(t)")));
  probe.put_source(nullptr);
  probe.put_where(nullptr);
  if (page) probe.put(fmt::format(" AND f.time {} {}", behind, probe.bind(Instant{page->time_us})));
  probe.put(fmt::format(" ORDER BY t {}{}) AS n", way, limit_of(plan)));
  t.probe = probe.take();

  SqlWriter out(plan, dialect);
  const Columns columns = columns_for(plan, dialect, t.columns);
  out.put("SELECT " + columns.outer);
  if (t.has_page_columns) {
    out.put(fmt::format(", {} AS {}, h AS {}", dialect.epoch_us("t"), dialect.quoted(kPageTimeColumn), dialect.quoted(kPageTieColumn)));
  }
  out.put(fmt::format(" FROM (SELECT f.time AS t, {}, {} AS h", columns.inner, dialect.hash(columns.expressions)));
  out.put_source(nullptr);
  out.put_where(nullptr);
  t.cut = out.parameters();
  const int64_t no_cut = newest_first ? plan.window.start_us.value_or(0) : *plan.window.end_us;
  out.put(fmt::format(" AND f.time {}= {}) AS r", newest_first ? ">" : "<", out.bind(Instant{no_cut})));
  const std::string order = fmt::format(" ORDER BY t {0}, h {0}", way);
  if (page) {
    const std::string time = out.bind(Instant{page->time_us});
    const std::string same_time = out.bind(Instant{page->time_us});
    const std::string tie = out.bind(page->tie);
    out.put(fmt::format(" WHERE (t {} {} OR (t = {} AND h {}= {}))", behind, time, same_time, behind, tie));
  }
  out.put(order + limit_of(plan, page ? page->skip : 0));
  t.statement = out.take();
  return t;
}

Translation rows_by_fields(const Plan& plan, const Dialect& dialect) {
  Translation t;
  t.table = "flow_rows";
  t.from_flows = {plan.window};
  SqlWriter out(plan, dialect);
  const Columns columns = columns_for(plan, dialect, t.columns);
  std::string sort, order;
  for (size_t i = 0; i < plan.order.size(); ++i) {
    const Key key{plan.order[i].field, -1, {}};
    sort += fmt::format(", {} AS s{}", key_expressions(key, plan, dialect).front(), i);
    order += fmt::format("{}s{} {} NULLS LAST", i == 0 ? " ORDER BY " : ", ", i, plan.order[i].is_descending ? "DESC" : "ASC");
  }
  out.put(fmt::format("SELECT {} FROM (SELECT f.time AS t, {}{}", columns.outer, columns.inner, sort));
  out.put_source(nullptr);
  out.put_where(nullptr);
  order += ", t DESC";
  out.put(fmt::format("{}{}) AS r{}", order, limit_of(plan), order));
  t.statement = out.take();
  return t;
}

}  // namespace

Translation translate(const Plan& plan, const Dialect& dialect, const std::optional<PageStart>& page, RowsAsked rows) {
  Translation t = plan.shape != Shape::rows ? GroupQuery(plan, dialect).translate()
                  : plan.can_be_paged()     ? rows_by_time(plan, dialect, page, rows)
                                            : rows_by_fields(plan, dialect);
  t.ends = ends_of(plan);
  return t;
}

}  // namespace weir::query
