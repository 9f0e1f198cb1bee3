#include "store/sql_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "store/sql_names.h"
#include "store/sql_scan.h"

namespace weir::store {
namespace {

using nlohmann::json;

constexpr double kLeafOctets = 16;  // what a column's text is taken for

constexpr std::string_view kExpressions[] = {"BETWEEN",  "CASE",   "CAST",       "COLLATE",   "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT",
                                             "FUNCTION", "LAMBDA", "LAMBDA_REF", "OPERATOR",  "PARAMETER",  "POSITIONAL_REFERENCE",
                                             "STAR",     "SUBQUERY", "WINDOW"};
constexpr std::string_view kNodes[] = {"SELECT_NODE",    "SET_OPERATION_NODE", "CTE_NODE",         "JOIN",      "SUBQUERY",
                                       "EXPRESSION_LIST", "EMPTY",             "ORDER_MODIFIER",   "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER",
                                       "DISTINCT_MODIFIER", "ORDER_DEFAULT",   "ASCENDING",        "DESCENDING"};

template <size_t N>
bool is_in(const std::string_view (&list)[N], std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const json& member(const json& object, const char* key) {
  static const json none;
  const auto found = object.find(key);
  return found != object.end() ? *found : none;
}

std::optional<size_t> place_of(const json& object) {
  const json& at = member(object, "query_location");
  if (!at.is_number_unsigned() || at.get<uint64_t>() > kSqlOctetsMax) return std::nullopt;
  return at.get<size_t>();
}

std::optional<double> number_of(const json& expression) {
  const json& value = member(member(expression, "value"), "value");
  return text_of(expression, "class") == "CONSTANT" && value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

/// Each visit answers how many octets what it saw may make of one row's, roughly; the first trouble is kept.
class Checker {
 public:
  explicit Checker(size_t parameter_octets) : parameter_octets_(std::max(kLeafOctets, static_cast<double>(parameter_octets))) {}

  double visit(const json& v) {
    if (trouble_) return 0;
    if (v.is_array()) {
      double most = 0;
      for (const json& each : v) most = std::max(most, visit(each));
      return most;
    }
    if (!v.is_object()) return 0;
    if (++nodes_ > kNodesMax) return refuse(v, "the statement has too many parts");
    const std::string kind = text_of(v, "class"), type = text_of(v, "type");
    return !kind.empty() ? expression(v, kind) : !type.empty() ? node(v, type) : members(v);
  }

  std::optional<SqlTrouble> trouble() { return std::move(trouble_); }

 private:
  static constexpr size_t kNodesMax = 200'000;

  double refuse(const json& at, std::string why) {
    if (!trouble_) trouble_ = SqlTrouble{std::move(why), place_of(at)};
    return 0;
  }

  double bounded(const json& at, double octets) {
    if (octets <= kSqlRowOctetsMax) return octets;
    return refuse(at, fmt::format("the statement makes texts or lists of more than {} octets of one row", static_cast<size_t>(kSqlRowOctetsMax)));
  }

  double members(const json& v) {
    double most = 0;
    for (const auto& [key, value] : v.items()) most = std::max(most, visit(value));
    return most;
  }

  // ── expressions ────────────────────────────────────────────────────────────────────────────────

  double expression(const json& v, const std::string& kind) {
    if (!is_in(kExpressions, kind)) return refuse(v, fmt::format("{} is not answered", kind));
    if (++depth_ > kSqlExpressionMax) return refuse(v, fmt::format("more than {} operators within each other", kSqlExpressionMax));
    const double octets = any_expression(v, kind);
    --depth_;
    return octets;
  }

  double any_expression(const json& v, const std::string& kind) {
    if (v.contains("function_name")) return call(v);
    if (kind == "CONSTANT") {
      const json& value = member(member(v, "value"), "value");
      return value.is_string() ? static_cast<double>(value.get_ref<const std::string&>().size()) : kLeafOctets;
    }
    if (kind == "COLUMN_REF") return kLeafOctets;
    if (kind == "PARAMETER") return parameter_octets_;
    if (kind == "STAR" && ++stars_ > kSqlStarsMax) return refuse(v, fmt::format("more than {} times *", kSqlStarsMax));
    if (kind == "CAST") return cast(v);
    const double octets = members(v);
    if (kind == "COMPARISON" || kind == "CONJUNCTION" || kind == "BETWEEN") return kLeafOctets;
    return octets;
  }

  double cast(const json& v) {
    double cells = 1;
    for (const json* type = &member(v, "cast_type"); type->is_object(); type = &member(member(*type, "type_info"), "child_type")) {
      const json& size = member(member(*type, "type_info"), "size");
      if (text_of(*type, "id") == "ARRAY") cells *= size.is_number() ? size.get<double>() : kSqlCountMax;
    }
    if (cells > 1000) return refuse(v, "arrays of more than 1000 elements are not made");
    return visit(member(v, "child")) * cells;
  }

  double call(const json& v) {
    const double octets = call_one(v);
    made_ += octets;
    return octets;
  }

  double call_one(const json& v) {
    const std::string name = lower(text_of(v, "function_name"));
    const std::string schema = lower(text_of(v, "schema")), catalog = lower(text_of(v, "catalog"));
    const auto growth = growth_of(name);
    const bool is_ours = (schema.empty() || schema == "main") && (catalog.empty() || catalog == "system");
    if (!growth || !is_ours) return refuse(v, fmt::format("there is no function {} for questions", name));
    double most = 0, sum = 0, first = 0, inner = 1;
    const json& arguments = member(v, "children");
    for (size_t i = 0; i < arguments.size(); ++i) {
      const double octets = visit(arguments[i]);
      most = std::max(most, octets);
      sum += octets;
      if (i == 0) first = octets;
      if (i == 1 || i == 2) inner = std::max(1.0, octets);  // a separator, a lambda; of three what is put in place
    }
    for (const char* rest : {"filter", "order_bys", "partitions", "orders", "start_expr", "end_expr", "offset_expr", "default_expr", "filter_expr", "arg_orders"}) {
      visit(member(v, rest));
    }
    if (trouble_) return 0;
    switch (*growth) {
      case Growth::largest: return most;
      case Growth::sum: return sum;
      case Growth::product: return first * inner;
      case Growth::twice: return 2 * most;
      case Growth::eightfold: return 8 * most;
      case Growth::counted: return most * count(v, name, arguments, 1, 2);
      case Growth::padded: return std::max(most, padded(v, name, arguments));
      case Growth::format: return std::max(sum, format(v, name, arguments));
      case Growth::small: break;
    }
    return kLeafOctets;
  }

  /// The largest of the arguments from `begin` to `end`, which are to be numbers.
  double count(const json& v, const std::string& name, const json& arguments, size_t begin, size_t end) {
    double most = 1;
    for (size_t i = begin; i < std::min(end, arguments.size()); ++i) {
      const auto number = number_of(arguments[i]);
      if (!number || std::abs(*number) > kSqlCountMax) {
        return refuse(v, fmt::format("{} takes a number of at most {} here, written out", name, static_cast<size_t>(kSqlCountMax)));
      }
      most = std::max(most, std::abs(*number));
    }
    return most;
  }

  double padded(const json& v, const std::string& name, const json& arguments) {
    const bool is_range = name == "range" || name == "generate_series";
    return 8 * (is_range ? count(v, name, arguments, 0, 3) : count(v, name, arguments, 1, 2));
  }

  /// Widths have at most three digits, and are not taken from arguments.
  double format(const json& v, const std::string& name, const json& arguments) {
    const json& value = arguments.empty() ? arguments : member(member(arguments[0], "value"), "value");
    bool is_plain = value.is_string(), is_open = false;
    unsigned digits = 0;
    for (const char c : is_plain ? value.get<std::string>() : std::string()) {
      digits = c >= '0' && c <= '9' ? digits + 1 : 0;
      if (digits > 3 || c == '*' || (c == '{' && is_open)) is_plain = false;
      is_open = c == '{' || (is_open && c != '}');
    }
    if (!is_plain) return refuse(v, fmt::format("{} takes a format that is written out, with widths below 1000", name));
    return 1000;
  }

  // ── queries and what they are from ─────────────────────────────────────────────────────────────

  double node(const json& v, const std::string& type) {
    if (type == "BASE_TABLE") return base_table(v);
    if (type == "TABLE_FUNCTION") return table_function(v);
    if (type == "SHOW_REF") return show(v);
    if (type == "RECURSIVE_CTE_NODE") return refuse(v, "WITH RECURSIVE is not answered");
    if (!is_in(kNodes, type)) return refuse(v, fmt::format("{} is not answered", type));
    if (!type.ends_with("_NODE")) return members(v);
    if (++selects_ > kSqlSelectsMax) return refuse(v, fmt::format("more than {} SELECTs", kSqlSelectsMax));
    const bool is_deeper = type == "SELECT_NODE";
    if (is_deeper && ++select_depth_ > kSqlSelectNestingMax) {
      return refuse(v, fmt::format("more than {} SELECTs within each other", kSqlSelectNestingMax));
    }
    const double octets = query(v, type);
    select_depth_ -= is_deeper ? 1 : 0;
    return octets;
  }

  double query(const json& v, const std::string& type) {
    const size_t outside = ctes_.size();
    double grown = 1;
    const json& map = member(member(v, "cte_map"), "map");
    const std::string own = type == "CTE_NODE" ? lower(text_of(v, "cte_name")) : std::string();
    bool has_own = false;
    for (const json& each : map) {
      const std::string name = lower(text_of(each, "key"));
      if (type == "CTE_NODE" && name == own) grown *= grown_by(visit(member(v, "query")));
      has_own |= name == own;
      grown *= grown_by(visit(member(each, "value")));
      add_cte(v, name);
    }
    if (type == "CTE_NODE") {
      if (!has_own) grown *= grown_by(visit(member(v, "query")));
      add_cte(v, own);
    }
    if (member(v, "select_list").size() > kSqlColumnsMax) return refuse(v, fmt::format("more than {} columns", kSqlColumnsMax));
    if (member(v, "group_sets").size() > kSqlGroupingSetsMax) return refuse(v, fmt::format("more than {} grouping sets", kSqlGroupingSetsMax));
    grown *= grown_by(visit(member(v, "from_table")));
    const double made_outside = std::exchange(made_, 0);
    double octets = kLeafOctets;
    for (const auto& [key, value] : v.items()) {
      if (key != "cte_map" && key != "query" && key != "from_table") octets = std::max(octets, visit(value));
    }
    bounded(v, std::max(made_, octets) * grown);
    made_ = made_outside;
    ctes_.resize(outside);
    return octets * grown;
  }
  static double grown_by(double octets) { return std::max(1.0, octets / kLeafOctets); }

  void add_cte(const json& v, const std::string& name) {
    // What is not found by its name must not become a file or one of DuckDB's own views.
    for (const std::string_view prefix : {"duckdb_", "pragma_", "sqlite_", "pg_"}) {
      if (name.starts_with(prefix)) refuse(v, fmt::format("WITH takes other names than {}…", prefix));
    }
    if (name.find_first_of("./\\:*?[") != std::string::npos) refuse(v, "WITH takes names without dots and the like");
    ctes_.push_back(name);
  }

  double base_table(const json& v) {
    const std::string name = lower(text_of(v, "table_name")), schema = lower(text_of(v, "schema_name"));
    visit(member(v, "sample"));
    if (++tables_ > kSqlTablesMax) return refuse(v, fmt::format("more than {} tables", kSqlTablesMax));
    const bool is_cte = schema.empty() && std::find(ctes_.begin(), ctes_.end(), name) != ctes_.end();
    const bool is_table = (schema.empty() || schema == "main") && is_store_table(name);
    const bool is_look = schema == "information_schema" && (name == "tables" || name == "columns");
    if (!text_of(v, "catalog_name").empty() || !member(v, "at_clause").is_null() || (!is_cte && !is_table && !is_look)) {
      return refuse(v, fmt::format("there is no table {} for questions; SHOW TABLES lists them", text_of(v, "table_name")));
    }
    return kLeafOctets;
  }

  double table_function(const json& v) {
    const json& function = member(v, "function");
    const std::string name = lower(text_of(function, "function_name"));
    if (++tables_ > kSqlTablesMax) return refuse(v, fmt::format("more than {} tables", kSqlTablesMax));
    const std::string schema = lower(text_of(function, "schema"));
    if (!is_table_function(name) || !(schema.empty() || schema == "main") || !text_of(function, "catalog").empty()) {
      return refuse(v, fmt::format("there is no function {} for FROM; allowed: range, generate_series, unnest, json_each, json_tree, pragma_table_info", name));
    }
    visit(member(v, "sample"));
    return visit(member(function, "children"));
  }

  double show(const json& v) {
    const json& asked = member(v, "query");
    if (asked.is_object()) return visit(asked);
    const std::string name = text_of(v, "table_name");
    const bool is_tables = name == "\"tables\"" || name == "__show_tables_expanded";
    if (!is_tables || !text_of(v, "schema_name").empty() || !text_of(v, "catalog_name").empty()) {
      return refuse(v, "of SHOW only TABLES, ALL TABLES and a table's name are answered");
    }
    return kLeafOctets;
  }

  const double parameter_octets_;
  std::optional<SqlTrouble> trouble_;
  std::vector<std::string> ctes_;  // those that a name may mean here
  double made_ = 0;                // by all functions of the SELECT that is looked at
  size_t nodes_ = 0, tables_ = 0, stars_ = 0, selects_ = 0;
  unsigned depth_ = 0, select_depth_ = 0;
};

}  // namespace

std::optional<SqlTrouble> find_text_trouble(std::string_view sql) {
  if (sql.size() > kSqlOctetsMax) return SqlTrouble{fmt::format("a statement has at most {} octets", kSqlOctetsMax)};
  if (sql.find('\0') != std::string_view::npos) return SqlTrouble{"a statement cannot hold an octet 0", sql.find('\0')};
  const SqlLook look = look_at_sql(sql);
  if (look.statement.empty()) return SqlTrouble{"only one SELECT is answered"};
  if (look.nesting > kSqlNestingMax) return SqlTrouble{fmt::format("more than {} brackets within each other", kSqlNestingMax)};
  if (look.with_nesting > kSqlWithNestingMax) return SqlTrouble{fmt::format("more than {} WITH within each other", kSqlWithNestingMax)};
  return std::nullopt;
}

std::optional<SqlTrouble> find_trouble(const json& tree, size_t parameter_octets) {
  const json& statements = member(tree, "statements");
  if (member(tree, "error") != false || statements.size() != 1) return SqlTrouble{"only one SELECT is answered"};
  Checker checker(parameter_octets);
  checker.visit(statements[0]);
  return checker.trouble();
}

}  // namespace weir::store
