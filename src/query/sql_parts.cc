#include "query/sql_parts.h"

#include <fmt/format.h>

#include <algorithm>

namespace weir::query {
namespace {

using PK = Predicate::Kind;
using K = FieldKind;

std::string_view operator_of(Comparison comparison) {
  switch (comparison) {
    case Comparison::unequal: return "<>";
    case Comparison::less: return "<";
    case Comparison::at_most: return "<=";
    case Comparison::greater: return ">";
    case Comparison::at_least: return ">=";
    default: return "=";
  }
}

/// The names of numbers are this program's own: they hold no quote.
std::string name_case(const Field& field, const std::string& number) {
  std::string sql = "CASE " + number;
  std::vector<int64_t> seen;
  for (const ValueName& value : field.names) {
    if (value.name.empty() || std::find(seen.begin(), seen.end(), value.number) != seen.end()) continue;
    seen.push_back(value.number);
    sql += fmt::format(" WHEN {} THEN '{}'", value.number, value.name);
  }
  return sql + " END";
}

std::string flags_text(const std::string& number) {
  std::string parts;
  for (const FlagName& flag : tcp_flag_names()) {
    parts += fmt::format(", CASE WHEN ({} & {}) <> 0 THEN '{}' END", number, flag.bit, flag.name);
  }
  return fmt::format("CASE WHEN {0} = 0 THEN 'none' WHEN {0} > 0 THEN concat_ws(','{1}) END", number, parts);
}

}  // namespace

std::string_view column_of(const Field& field, const Plan& plan) {
  return plan.is_raw && !field.raw_column.empty() ? field.raw_column : field.column;
}

std::vector<std::string> key_expressions(const Key& key, const Plan& plan, const Dialect& dialect) {
  const std::string column(column_of(*key.field, plan));
  if (key.field->kind == K::network) return {dialect.masked(column, key.bits)};
  if (key.field->kind == K::conversation) {
    return {"(CASE WHEN f.src_endpoint_addr <= f.dst_endpoint_addr THEN f.src_endpoint_addr ELSE f.dst_endpoint_addr END)",
            "(CASE WHEN f.src_endpoint_addr <= f.dst_endpoint_addr THEN f.dst_endpoint_addr ELSE f.src_endpoint_addr END)"};
  }
  return {column};
}

std::string shown(const Key& key, const std::vector<std::string>& values, const Dialect& dialect) {
  const std::string& value = values.front();
  switch (key.field->kind) {
    case K::address: return dialect.address_text(value);
    case K::network: return dialect.network_text(value, key.bits);
    case K::conversation: return fmt::format("{} || ' <-> ' || {}", dialect.address_text(values[0]), dialect.address_text(values[1]));
    case K::mac: return dialect.mac_text(value);
    case K::flags_label: return flags_text(value);
    case K::named_number: {
      const std::string name = name_case(*key.field, value);
      // A number that has no name is better than nothing.
      return fmt::format("coalesce({}, {})", name, dialect.as_text(value));
    }
    default: return value;
  }
}

AnswerColumn column_of_key(const Key& key) {
  std::string_view kind = "text";
  switch (key.field->kind) {
    case K::address: kind = "address"; break;
    case K::network: kind = "network"; break;
    case K::mac: kind = "mac"; break;
    case K::instant: kind = "time"; break;
    case K::boolean: kind = "boolean"; break;
    case K::number:
    case K::counter:
    case K::tcp_flags: kind = "integer"; break;
    case K::number_list:
    case K::community_list:
    case K::text_list: kind = "list"; break;
    default: break;
  }
  return {key.name, kind, key.field->unit};
}

// ── where rows come from ─────────────────────────────────────────────────────────────────────────

std::string SqlWriter::window(std::string_view column, const std::optional<int64_t>& start, const std::optional<int64_t>& end) {
  std::string sql;
  if (start) sql += fmt::format("{} >= {}", column, bind(Instant{*start}));
  if (end) sql += fmt::format("{}{} < {}", sql.empty() ? "" : " AND ", column, bind(Instant{*end}));
  return sql.empty() ? "true" : sql;
}

// PERF: from the first start to the last end, and not between two of them. DuckDB leaves out what it need not read by conditions that
// are one comparison, or a choice of such; where windows are a choice it reads the table from end to end.
std::string SqlWriter::in_one_of(std::string_view column, const std::vector<TimeWindow>& windows) {
  std::string sql = window(column, windows.front().start_us, windows.back().end_us);
  for (size_t i = 0; i + 1 < windows.size(); ++i) {
    const std::string before = bind(Instant{*windows[i].end_us});
    sql += fmt::format(" AND ({0} < {1} OR {0} >= {2})", column, before, bind(Instant{*windows[i + 1].start_us}));
  }
  return sql;
}

bool SqlWriter::uses(std::string_view prefix) const {
  const auto is_of = [&](std::string_view column) { return column.starts_with(prefix) || column.find(fmt::format("({}", prefix)) != std::string_view::npos; };
  const auto in_predicate = [&](const auto& self, const Predicate& p) -> bool {
    for (const Predicate& part : p.parts) {
      if (self(self, part)) return true;
    }
    return is_of(p.column);
  };
  if (in_predicate(in_predicate, plan_.filter)) return true;
  for (const Key& key : plan_.keys) {
    if (is_of(key.field->column)) return true;
  }
  for (const Aggregate& a : plan_.aggregates) {
    if (a.field != nullptr && is_of(a.field->column)) return true;
  }
  for (const Order& order : plan_.order) {
    if (order.field != nullptr && is_of(order.field->column)) return true;
  }
  return false;
}

void SqlWriter::put_source(const Rollup* rollup) {
  if (rollup == nullptr) {
    put(" FROM flow_rows AS f");
  } else {
    std::string columns = "time, bytes_total, packets_total, bytes_raw, packets_raw";
    std::string_view own = rollup->columns;
    while (!own.empty()) {
      const size_t blank = std::min(own.find(' '), own.size());
      columns += fmt::format(", {}", own.substr(2, blank - 2));
      own.remove_prefix(std::min(own.size(), blank + 1));
    }
    // Each table once, with all of its parts: what a view has beside its table would be looked up for each.
    // PERF: days and hours first, which lie by address: DuckDB keeps groups as they come, and finds those of the next hour side by side.
    const auto pieces = pieces_of(plan_);
    std::string parts;
    for (const std::string_view grain : {"1d", "1h", "1m", ""}) {
      std::vector<TimeWindow> windows;
      for (const Piece& piece : pieces) {
        if (piece.grain == grain) windows.push_back({piece.start_us, piece.end_us});
      }
      if (windows.empty()) continue;
      if (!parts.empty()) parts += " UNION ALL ";
      parts += grain.empty() ? fmt::format("SELECT {}, 1 AS flows FROM flow_rows", columns)
                             : fmt::format("SELECT {}, flows FROM rollup_{}_{}", columns, rollup->name, grain);
      parts += " WHERE " + in_one_of("time", windows);
    }
    put(fmt::format(" FROM ({}) AS f", parts));
  }
  // Names are unique by their keys: a join makes no row two.
  if (uses("e.")) put(" LEFT JOIN exporters AS e ON e.sampler_address = f.sampler_address");
  if (uses("i.")) put(" LEFT JOIN exporter_interfaces AS i ON i.sampler_address = f.sampler_address AND i.if_index = f.in_if");
  if (uses("o.")) put(" LEFT JOIN exporter_interfaces AS o ON o.sampler_address = f.sampler_address AND o.if_index = f.out_if");
}

void SqlWriter::put_where(const Rollup* rollup) {
  std::string sql = rollup == nullptr ? window("f.time", plan_.window.start_us, plan_.window.end_us) : std::string("true");
  if (!plan_.filter.parts.empty() || plan_.filter.field != nullptr) sql += " AND " + predicate(plan_.filter);
  put(" WHERE " + sql);
}

// ── predicates ───────────────────────────────────────────────────────────────────────────────────

std::vector<std::string> SqlWriter::bind_all(const std::vector<Parameter>& values) {
  std::vector<std::string> placeholders;
  for (const Parameter& value : values) placeholders.push_back(bind(value));
  return placeholders;
}

std::string SqlWriter::joined(const std::vector<Predicate>& parts, std::string_view word, std::string_view of_none) {
  std::string sql;
  for (const Predicate& part : parts) sql += fmt::format("{}{}", sql.empty() ? "" : word, predicate(part));
  return sql.empty() ? std::string(of_none) : fmt::format("({})", sql);
}

std::string SqlWriter::predicate(const Predicate& p) {
  const std::string column(p.column);
  // Where a text is looked at: addresses and numbers have one only for that.
  const auto as_text = [&] {
    switch (p.field->kind) {
      case K::address:
      case K::network: return dialect_.address_text(column);
      case K::number:
      case K::counter: return dialect_.as_text(column);
      case K::named_number: return fmt::format("({})", name_case(*p.field, column));
      default: return column;
    }
  };
  const ListOf list_of = p.field != nullptr && p.field->kind == K::text_list ? ListOf::texts : ListOf::numbers;
  switch (p.kind) {
    case PK::all: return joined(p.parts, " AND ", "true");
    case PK::any: return joined(p.parts, " OR ", "false");
    // Also where a field is not there: neither side is port 22 of a flow without ports.
    case PK::none: return fmt::format("({} IS NOT TRUE)", predicate(p.parts.front()));
    case PK::compare: return fmt::format("{} {} {}", column, operator_of(p.comparison), bind(p.values[0]));
    case PK::is_true: return fmt::format("{} = {}", column, bind(p.values[0]));
    case PK::in: {
      std::string list;
      for (const std::string& placeholder : bind_all(p.values)) list += (list.empty() ? "" : ", ") + placeholder;
      return fmt::format("{} IN ({})", column, list);
    }
    case PK::between: {
      const std::string first = bind(p.values[0]);
      return fmt::format("{} BETWEEN {} AND {}", column, first, bind(p.values[1]));
    }
    case PK::like: return dialect_.like(as_text(), bind(p.values[0]));
    case PK::matches: return dialect_.matches(as_text(), bind(p.values[0]));
    case PK::flags: {
      const std::string set = bind(p.values[1]);
      return fmt::format("{} = {}", dialect_.bits(column, set), bind(p.values[0]));
    }
    case PK::has_all: return dialect_.has_all(column, list_of, bind_all(p.values));
    case PK::has_any: return dialect_.has_any(column, list_of, bind_all(p.values));
    case PK::has_like: return dialect_.has_like(column, bind(p.values[0]));
    case PK::has_match: return dialect_.has_match(column, bind(p.values[0]));
  }
  return "false";
}

}  // namespace weir::query
