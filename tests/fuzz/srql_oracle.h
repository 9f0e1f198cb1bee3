// srql_oracle.h — What must hold of any text that somebody takes for a query.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "query/check.h"
#include "query/parser.h"
#include "query/sql_shape.h"
#include "query/translate.h"

namespace weir::query {

/// Refused with a place in it and a message, or SQL with a parameter for each placeholder and none of its text in it.
inline void check_srql(std::string_view text) {
  constexpr int64_t kNowUs = 1'793'620'800'000'000;
  const auto fail = [&](const std::string& what) {
    std::fprintf(stderr, "does not hold: %s\n%.*s\n", what.c_str(), static_cast<int>(text.size()), text.data());
    std::abort();
  };
  const auto expect_good = [&](const Statement& statement) {
    if (const auto trouble = trouble_in(statement)) fail(*trouble + " in " + statement.sql);
  };
  Plan plan;
  if (const auto error = plan_query(text, kNowUs, plan)) {
    if (error->message.empty()) fail("a message says what is wrong");
    if (error->place.at > text.size() && text.size() <= kQueryOctetsMax) fail("a place lies in the query");
    return;
  }
  if (plan.limit < 1 || plan.limit > kLimitMax) fail("a limit is within its bounds");
  if (plan.keys.size() + plan.aggregates.size() == 0) fail("an answer has columns");
  if (plan.window.start_us && *plan.window.start_us >= *plan.window.end_us) fail("a window is not empty");
  for (const auto& page : {std::optional<PageStart>(), std::optional<PageStart>(PageStart{kNowUs, 7, 3})}) {
    const Translation t = translate(plan, duckdb_dialect(), page);
    expect_good(t.statement);
    if (t.probe) expect_good(*t.probe);
    if (t.probe && !std::holds_alternative<Instant>(t.statement.parameters.at(t.cut))) fail("the cut is a time");
    if (t.columns.size() < plan.aggregates.size()) fail("each value has a column");
    // A store refuses more.
    if (t.ends.size() > kEndClausesMax) fail("clauses of ends are bounded");
    for (const EndClause& clause : t.ends) {
      if (clause.empty() || clause.size() > kEndRangesMax) fail("ranges of a clause are bounded, and there is one");
      for (const EndRange& range : clause) {
        if (range.last < range.first) fail("a range has an address");
      }
    }
  }
}

}  // namespace weir::query
