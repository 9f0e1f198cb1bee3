// hour_tables.h — The tables that rows of flows lie in, one an hour of `time`: each has the columns that its rows have something in.
//
// Spec:     docs/STORE.md, "Schema".
// Runs on:  whoever holds a Connection that may write.
// Failure:  an Error in DuckDB's words; the transaction that the caller began is his to roll back.
//
// PERF: a column in which every row has NULL costs DuckDB 19 ns a row to append (BIGINT), 33 (a list), 50 (VARCHAR), and of the
// columns of a v5 flow's row more than half are such.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/columns.h"
#include "store/database.h"

namespace weir::store {

inline constexpr int64_t kMicrosPerHour = 3'600'000'000;

/// `flow_h<hour>`: hours since the epoch.
std::string hour_table(int64_t hour);
/// What an append adds to `commits` of its hour; who closes the hour adds one: never twice the same value, so that they meet.
inline constexpr int64_t kAppendInCommits = 1 << 20;
constexpr int64_t hour_of(int64_t micros) noexcept {
  return micros >= 0 ? micros / kMicrosPerHour : -((-micros + kMicrosPerHour - 1) / kMicrosPerHour);
}

struct HourTable {
  int64_t hour = 0;
  bool is_open = true;          // rows may be appended, and may be there that are not rolled up
  std::vector<Column> columns;  // in the table's order

  ColumnSet set() const noexcept;
};
/// Those that there are, by hour.
Result<std::vector<HourTable>> hour_tables(Connection& connection);

/// `a, NULL::BIGINT AS b, …`: every column that a row may have, of those that there are.
std::string every_column(const ColumnSet& has);
/// `SELECT …` of an hour's rows with every column that a row may have, NULL where the table has none.
std::string hour_rows(const HourTable& table, std::string_view condition = {});

/// `name TYPE, …` with how it is stored, for DDL.
std::string columns_ddl(const ColumnSet& columns);

/// Has tables for these hours that are open and have the columns `needed`; a new one gets `likely` as well, so that it need not be
/// changed soon. With the views, in transactions of its own: again while another connection makes views, too.
Result<void> open_hours(Connection& connection, std::span<const int64_t> hours, const ColumnSet& needed = all_columns(),
                        const ColumnSet& likely = {});

/// In the transaction that appends to their tables: from now to its end nobody drops or closes one (DuckDB would let him drop it, and
/// the rows were gone). False where one has been dropped or closed already, or is just being: roll back, open_hours, and begin again.
Result<bool> hold_hours(Connection& connection, std::span<const int64_t> hours);

/// All of whose rows are rolled up: it leaves `flow_tail` until it is opened again. In the caller's transaction, who has seen in it that
/// they are, and makes that view anew in it. An Error that is a conflict where somebody appends just now.
Result<void> close_hour(Connection& connection, int64_t hour);

/// Drops its table, in the caller's transaction, who makes the views anew in it. An Error that is a conflict where somebody
/// appends just now.
Result<void> drop_hour(Connection& connection, int64_t hour);

}  // namespace weir::store
