// sink.h — Where committed rows go: the seam for stores other than DuckDB.
//
// Runs on:  the writer's thread.
// Failure:  an Error, and nothing of the batch is there; it is written again later, and then wholly.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "store/commit_batch.h"

namespace weir::store {

/// What a sink remembers of messages, for the ledger to begin with.
struct StoredIdentities {
  std::vector<IdentityLedger::SourceState> sources;  // quiet longest first
  std::vector<std::string> ids;
};

class Sink {
 public:
  virtual ~Sink() = default;
  virtual Result<StoredIdentities> identities() = 0;
  /// All of it, or nothing. When it returns, it has become last.
  virtual Result<void> write(CommitBatch& batch) = 0;
  /// Between batches: what it needs done now and then. What is wrong, if something is.
  virtual Result<void> tidy() = 0;
};

}  // namespace weir::store
