// duckdb_sink.h — Batches into DuckDB: rows to their hours' tables and what is known of messages, in one transaction.
//
// Runs on:  the writer's thread.
// Owns:     a connection of its own.
// Bounds:   the write-ahead log grows to about kWalOctetsMax, then it goes into the file: at a moment of ours, and only where there is
//           room for it, for a checkpoint that fails makes DuckDB give up the database (docs/decisions/0183).
// Failure:  an Error, and nothing of the batch is there. After one that DuckDB does not get over the store is opened anew first.
#pragma once

#include <map>
#include <optional>

#include "store/database.h"
#include "store/hour_tables.h"
#include "store/open_store.h"
#include "store/row_source.h"
#include "store/sink.h"

namespace weir::store {

inline constexpr uint64_t kWalOctetsMax = 64ull << 20;

/// Tables of what is known of messages, where they are not there.
Result<void> prepare_identities(Connection& connection);

class DuckdbSink final : public Sink {
 public:
  explicit DuckdbSink(OpenStore& store) : store_(store) {}

  Result<StoredIdentities> identities() override;
  Result<void> write(CommitBatch& batch) override;
  Result<void> tidy() override;

 private:
  Result<void> connect();
  Result<void> open_tables(std::span<const int64_t> hours, const ColumnSet& used);
  Result<bool> try_write(CommitBatch& batch, std::span<const int64_t> hours);
  Result<bool> has_committed(const CommitBatch& batch);
  Result<void> write_identities(const IdentityLedger::Changes& changes);
  Error failed(Error error);

  OpenStore& store_;
  std::shared_ptr<Database> database_;
  std::optional<Connection> connection_;
  std::optional<RowSource> source_;  // of the connection
  std::map<int64_t, HourTable> tables_;  // as they were
  ColumnSet used_now_, used_before_;     // since the newest hour's table was made, and while the one before it was the newest
  int64_t last_seen_ = 0;     // of what is known of messages, in their order
  uint64_t last_number_ = 0;  // of the batch that was committed last
  uint64_t refused_since_ns_ = 0;  // steady; since when no checkpoint could be made for others' sake; 0: it can
  bool is_broken_ = false;
  bool is_unsure_ = false;  // the last batch failed
};

}  // namespace weir::store
