// rollups.h — Sums of flows by minute, hour and day, always complete: what they do not hold yet comes from rows.
//
// Spec:     docs/STORE.md, "Rollups".
// Runs on:  the keeper's thread, with its Connection; views are made by whoever makes views.
// Bounds:   a fold takes at most kFoldRowsMax rows of each hour's table.
// Failure:  an Error in DuckDB's words; nothing of the step is kept then.
//
// Rows are folded into minutes as they lie in the hours' tables, from `folded` on: a table is only appended to, so a place in it
// stays. Hours are made of minutes once they are over, days of hours. A late row goes to its minute, and also to its hour and
// day where these are made already.
//
// A day of an address says in which of its hours the address was there (`hours`, bit n: the n-th, UTC; NULL: not known, an older version made it), and
// its rows lie by address.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/database.h"
#include "store/hour_tables.h"

namespace weir::store {

inline constexpr uint64_t kFoldRowsMax = 4'000'000;
/// An hour (a day) is made so long after it is over, for most of what is late to be there.
inline constexpr int64_t kRollupGraceMicros = 300'000'000;

struct RollupSpec {
  std::string_view name;
  std::string_view dimensions;   // columns, with commas
  std::string_view condition;    // of rows that are in it; empty: all
  bool is_of_addresses = false;  // the one dimension is an address: of its groups there are many
};
std::span<const RollupSpec> rollup_specs() noexcept;

/// Tables of what is rolled up, and of how far.
std::string rollup_tables_ddl();

/// `rollup_<name>_<1m|1h|1d>` for each, and `bgp_routing_info`; they ask `flow_tail` for what is not folded.
Result<std::vector<std::string>> rollup_views(Connection& connection);
/// `flow_tail`: rows that are not folded, of all tables that are open.
Result<std::string> tail_view(Connection& connection, std::span<const HourTable> tables);

/// Folds what was appended since, in a transaction of its own. How many rows.
Result<uint64_t> fold(Connection& connection);

/// Closes hours' tables that it finds folded, so that who asks for sums need not look into them. How many.
Result<uint64_t> close_folded(Connection& connection, std::span<const int64_t> hours);

/// Makes hours and days that are over at `now`. How many of both.
Result<uint64_t> roll_up(Connection& connection, int64_t now_micros);

struct RollupRetention {
  int64_t minutes_micros;  // how long minutes are kept, 0: for ever; likewise hours and days
  int64_t hours_micros;
  int64_t days_micros;
};
/// Since when there are sums of each kind, and flows: what was before has been forgotten once. 0: nothing has.
struct KeptFrom {
  int64_t minutes_micros = 0;
  int64_t hours_micros = 0;
  int64_t days_micros = 0;
  int64_t flows_micros = 0;
};
Result<KeptFrom> kept_from(Connection& connection);
/// Forgets older ones, but nothing of which hours or days have yet to be made.
Result<uint64_t> expire_rollups(Connection& connection, int64_t now_micros, const RollupRetention& retention);

}  // namespace weir::store
