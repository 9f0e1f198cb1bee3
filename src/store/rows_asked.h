// rows_asked.h — Of the tables and files that rows lie in, those that a question can find something in.
//
// Spec:     docs/STORE.md, "Questions".
// Runs on:  whoever asks, with his Connection, in the transaction in which he asks.
// Bounds:   kEndClausesMax clauses of kEndRangesMax ranges each.
// Failure:  an Error in DuckDB's words.
//
// Hours' tables and files are chosen by time, and by address: of each day that has been rolled up, the sums by address say in which of
// its hours an address was there. Tables that rows may still come into, days that are not rolled up and days whose sums are gone
// are never left out by address.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/named_enum.h"
#include "base/result.h"
#include "store/database.h"
#include "store/file_book.h"

namespace weir::store {

inline constexpr size_t kEndClausesMax = 8;
inline constexpr size_t kEndRangesMax = 16;

#define WEIR_STORE_ENDS(X) X(src) X(dst)
WEIR_NAMED_ENUM(End, uint8_t, WEIR_STORE_ENDS)

/// An end's address is one of these, both included.
struct EndRange {
  End end{};
  AddressOctets first{}, last{};
};
/// At least one of them holds of a row.
using EndClause = std::vector<EndRange>;

/// Which rows: of one of these times, and each clause holds.
struct RowsAsked {
  std::vector<TimeRange> times;
  std::vector<EndClause> ends;
};

/// SQL for what the view flow_rows has of them, and more.
Result<std::string> sql_of(Connection& connection, const RowsAsked& asked);
/// The statement with that in place of the view; as it is where it does not name the view, or is no plain SELECT. A line more in front.
Result<std::string> narrowed(Connection& connection, std::string_view statement, const RowsAsked& asked);

}  // namespace weir::store
