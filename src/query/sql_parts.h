// sql_parts.h — Parts of a statement: expressions of fields, predicates, where rows come from.
//
// Private to src/query.
#pragma once

#include <string>
#include <vector>

#include "query/dialect.h"
#include "query/plan.h"
#include "query/rollups.h"
#include "query/translate.h"

namespace weir::query {

/// SQL that grows, and the parameters of what is in it.
class SqlWriter {
 public:
  SqlWriter(const Plan& plan, const Dialect& dialect) : plan_(plan), dialect_(dialect) {}

  void put(std::string_view text) { out_.sql += text; }
  std::string bind(Parameter value) {
    out_.parameters.push_back(std::move(value));
    return dialect_.placeholder(out_.parameters.size());
  }
  size_t parameters() const noexcept { return out_.parameters.size(); }
  Statement take() { return std::move(out_); }

  /// ` FROM … AS f` with what is joined to it. Binds the window where it is a rollup's.
  void put_source(const Rollup* rollup);
  /// ` WHERE …` with window and filter.
  void put_where(const Rollup* rollup);

 private:
  std::string predicate(const Predicate& p);
  std::string joined(const std::vector<Predicate>& parts, std::string_view word, std::string_view of_none);
  std::vector<std::string> bind_all(const std::vector<Parameter>& values);
  std::string window(std::string_view column, const std::optional<int64_t>& start, const std::optional<int64_t>& end);
  /// Of windows behind one another, at least one.
  std::string in_one_of(std::string_view column, const std::vector<TimeWindow>& windows);
  bool uses(std::string_view prefix) const;

  const Plan& plan_;
  const Dialect& dialect_;
  Statement out_;
};

/// What of a field is computed, compared and summed up.
std::string_view column_of(const Field& field, const Plan& plan);
/// What rows are grouped by and sorted by; conversations have two.
std::vector<std::string> key_expressions(const Key& key, const Plan& plan, const Dialect& dialect);
/// What people see of it.
std::string shown(const Key& key, const std::vector<std::string>& values, const Dialect& dialect);
AnswerColumn column_of_key(const Key& key);

}  // namespace weir::query
