// schema.h — The store's tables, and the views that questions are asked of.
//
// Spec:     docs/STORE.md, "Schema".
// Runs on:  whoever holds a Connection that may write.
// Failure:  an Error in DuckDB's words; the transaction that the caller began is his to roll back.
//
// Rows lie in one table an hour of `time` (hour_tables.h), which is dropped as a whole when it has become a file. What is asked is
// views over them all, made anew in the transaction in which tables or files come and go.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/database.h"
#include "store/hour_tables.h"

namespace weir::store {

inline constexpr int kSchemaVersion = 7;

/// Makes what is not there, and what an older version left into this one's. A newer version's is an Error.
Result<void> prepare_schema(Connection& connection);

/// A file of rows that questions are asked of.
struct KeptFile {
  std::string path;
  int64_t octets = 0;
  int64_t hour = 0;
};
Result<std::vector<KeptFile>> kept_files(Connection& connection);
/// It is there and as long as it was.
bool looks_whole(const KeptFile& file) noexcept;

/// `FROM …`: the rows of these tables and files, with every column that a row may have.
std::string rows_sql(std::span<const HourTable> tables, std::span<const KeptFile> files);

/// Over all tables and files, as they are in this transaction; a file that does not look whole is left out, and broken without a trouble
/// until FileWatch says which.
Result<void> make_views(Connection& connection);

}  // namespace weir::store
