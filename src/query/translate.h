// translate.h — A plan → SQL with its parameters beside it.
//
// Runs on:  any thread. Pure.
//
// No text of the user's is in the SQL: values are parameters; names are this room's own, or aliases that are identifiers and
// stand in quotes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "query/dialect.h"
#include "query/ends.h"
#include "query/plan.h"

namespace weir::query {

struct Statement {
  std::string sql;
  std::vector<Parameter> parameters;  // one for each placeholder, in their order
};

/// What people see of a column: address, number, text, …
struct AnswerColumn {
  std::string name;
  std::string_view kind;  // address, network, integer, number, text, time, mac, boolean, list
  std::string_view unit;
  std::string_view function = {};  // of values: what they were made by
};

/// Of pages: where the last one ended. Flows of the same time come by `tie`, and of the same tie `skip` were given.
struct PageStart {
  int64_t time_us = 0;
  int64_t tie = 0;
  uint32_t skip = 0;
};

/// One row more than the plan's limit is asked for, to know whether there are more. Whether each has its place behind it, so that
/// another page can follow.
enum class RowsAsked : uint8_t { with_place, plain };

struct Translation {
  Statement statement;
  // Where flows are listed by time: which time the last of the page has, as microseconds or NULL for no bound. It
  // replaces statement.parameters[cut], so that only the flows behind it are looked at in full.
  std::optional<Statement> probe;
  size_t cut = 0;
  std::vector<AnswerColumn> columns;
  bool has_page_columns = false;  // behind `columns` in each row: the time in microseconds and the tie
  std::string table;              // flow_rows, or rollup_src
  std::vector<TimeWindow> from_flows;  // whose flows are read, and with them files; of rollups what their sums do not have
  std::vector<EndClause> ends;         // of those flows
};

/// What weir-store takes of a statement.
inline constexpr size_t kStatementOctetsMax = 256 * 1024;
inline constexpr size_t kStatementParametersMax = 20'000;

inline constexpr std::string_view kPageTimeColumn = "page_time_us";
inline constexpr std::string_view kPageTieColumn = "page_tie";

Translation translate(const Plan& plan, const Dialect& dialect, const std::optional<PageStart>& page = std::nullopt,
                      RowsAsked rows = RowsAsked::with_place);

}  // namespace weir::query
