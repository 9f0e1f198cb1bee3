// ast.h — A query as it was written: names are not looked up and values are not read yet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/named_enum.h"
#include "query/query_error.h"

namespace weir::query {

struct Text {
  std::string text;
  Place place;
  bool is_quoted = false;
};

#define WEIR_COMPARISONS(X) X(equal) X(unequal) X(less) X(at_most) X(greater) X(at_least) X(matches)
WEIR_NAMED_ENUM(Comparison, uint8_t, WEIR_COMPARISONS)

/// One value; any of ( ); [ ], which is any of or, of lists, all of; and of times from, to.
enum class Values : uint8_t { one, any, bracketed };

/// `!key:value`
struct Condition {
  Text key;  // in lower case
  bool is_negated = false;
  Comparison comparison = Comparison::equal;
  Values kind = Values::one;
  std::vector<Text> values;
  Place place;  // of all of it
};

/// What must hold of a flow.
struct Node {
  enum class Kind : uint8_t { all, any, none, condition };
  Kind kind = Kind::all;  // none: not its only child
  std::vector<Node> children;
  Condition condition;
};

/// `src_cidr:24`
struct FieldName {
  Text name;
  std::optional<Text> bits;
};

/// `sum(bytes_total) as total`; no argument: *.
struct StatsItem {
  Text function;
  std::optional<Text> argument;
  std::optional<Text> alias;
};

struct StatsClause {
  std::vector<StatsItem> items;
  std::vector<FieldName> by;
  Place place;
};

struct SortItem {
  Text name;
  bool is_descending = true;
};

struct HavingItem {
  Text alias;
  Comparison comparison = Comparison::equal;
  Text number;
};

struct Query {
  std::optional<Text> entity;
  Node filter;
  std::vector<Condition> times;
  std::vector<StatsClause> stats;
  std::vector<FieldName> group_by;
  std::vector<FieldName> fields;
  std::vector<SortItem> sort;
  std::vector<HavingItem> having;
  std::optional<FieldName> series;
  std::optional<Text> tz, limit, bucket, agg, value_field, raw;
};

}  // namespace weir::query
