// row_source.h — Rows of a batch as a table, so that DuckDB's threads take them, compress and write them side by side in one
// transaction, which an appender does on one.
//
// Spec:     docs/decisions/0294.
// Runs on:  the writer's thread; within `insert` also DuckDB's, which have each a part of the chunks at a time.
// Owns:     a table function of a name of its own in the connection's database, which stays there. Between calls it has no rows and is
//           refused to whoever names it; questions may not name it at all (sql_names.h).
// Failure:  an Error; what is there of the rows goes with the transaction.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/database.h"
#include "store/row_chunk.h"

namespace weir::store {

/// A row group of DuckDB's: what one thread takes at a time, so that it fills whole ones.
inline constexpr size_t kRowGroupRows = 122'880;

class RowSource {
 public:
  static Result<RowSource> make(Connection& connection);

  /// All of their rows, in any order, into these columns of the table, which are all that it has.
  Result<void> insert(Connection& connection, const std::string& table, std::span<const Column> columns,
                      std::span<const std::unique_ptr<RowChunk>> chunks);

 private:
  struct Lent;
  explicit RowSource(std::string name, std::shared_ptr<Lent> lent) : name_(std::move(name)), lent_(std::move(lent)) {}

  std::string name_;
  std::shared_ptr<Lent> lent_;
};

}  // namespace weir::store
