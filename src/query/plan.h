// plan.h — A query that is known to be right: fields looked up, values read, defaults filled in. What a dialect makes SQL of.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ip_address.h"
#include "base/named_enum.h"
#include "query/ast.h"
#include "query/fields.h"
#include "query/time_window.h"

namespace weir::query {

struct Instant {
  int64_t us = 0;  // since the epoch
  friend bool operator==(const Instant&, const Instant&) = default;
};

/// A value that goes beside the SQL, never into it; monostate: NULL.
using Parameter = std::variant<int64_t, double, bool, std::string, IpAddress, Instant, std::monostate>;

/// What must hold of a flow. A field that the flow does not carry meets no predicate but `none`.
struct Predicate {
  enum class Kind : uint8_t {
    all, any, none,       // of `parts`; none: not the only one
    compare,              // with values[0]
    in,                   // one of values
    between,              // values[0] to values[1], both included
    like,                 // values[0], any case; % is anything, \ takes % _ \ literally
    matches,              // values[0], a regular expression
    flags,                // of values[0] those of values[1] are set and the others are not
    has_all, has_any,     // a list has values
    has_like, has_match,  // a list has something like values[0]
    is_true,              // values[0]
  };
  Kind kind = Kind::all;
  std::vector<Predicate> parts;
  const Field* field = nullptr;
  std::string_view column;  // of the field: of either side one
  Comparison comparison = Comparison::equal;
  std::vector<Parameter> values;
};

#define WEIR_QUERY_FUNCTIONS(X) X(count) X(count_distinct) X(sum) X(avg) X(min) X(max) X(p50) X(p95) X(p99) X(rate)
WEIR_NAMED_ENUM(Function, uint8_t, WEIR_QUERY_FUNCTIONS)

/// What flows are grouped by, or a column of a list of flows.
struct Key {
  const Field* field = nullptr;
  int bits = -1;     // of networks
  std::string name;  // of the column in the answer
};

struct Aggregate {
  Function function = Function::count;
  const Field* field = nullptr;  // none: *
  std::string name;

  /// When a group was seen first, or last.
  bool is_time() const noexcept {
    return field != nullptr && field->kind == FieldKind::instant && (function == Function::min || function == Function::max);
  }
};

struct Order {
  enum class What : uint8_t { bucket, key, aggregate, field };
  What what = What::key;
  size_t index = 0;  // of keys or aggregates
  const Field* field = nullptr;
  bool is_descending = true;
};

struct Having {
  size_t aggregate = 0;
  Comparison comparison = Comparison::equal;
  double number = 0;
};

struct Bucket {
  int64_t seconds = 0;
  std::string name;  // of the column
  // Whose days and hours begin buckets: how far its clocks are from UTC in the window, and from when on otherwise.
  int64_t offset_secs = 0;
  std::vector<TimeZone::Transition> transitions;
};

#define WEIR_QUERY_SHAPES(X) X(rows) X(groups) X(series)
WEIR_NAMED_ENUM(Shape, uint8_t, WEIR_QUERY_SHAPES)

/// Since when the store has sums of each kind, in microseconds: older ones it has forgotten, and flows tell.
struct RollupsKept {
  std::optional<int64_t> days_from_us, hours_from_us, minutes_from_us;
};

struct Plan {
  Shape shape = Shape::rows;
  TimeWindow window;
  Predicate filter;
  bool is_raw = false;
  std::vector<Key> keys;  // rows: the columns
  std::vector<Aggregate> aggregates;
  std::optional<Bucket> bucket;
  std::vector<Having> having;
  std::vector<Order> order;
  uint32_t limit = 0;
  std::vector<std::string> notes;  // what was not said and is taken to be meant
  bool has_regular_expression = false;
  RollupsKept rollups_kept;

  /// Whether flows come by time alone, so that a page can begin where another ended.
  bool can_be_paged() const noexcept {
    return shape == Shape::rows && order.size() == 1 && order[0].what == Order::What::field && order[0].field->name == "time";
  }
};

}  // namespace weir::query
