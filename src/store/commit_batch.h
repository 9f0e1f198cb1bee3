// commit_batch.h — What one transaction of the store makes last, and the messages that are acknowledged then.
//
// Runs on:  filled by the ingest thread, written by the writer's, and back again.
// Owns:     its chunks; it refers to messages, which are the ingest thread's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "store/identity_ledger.h"
#include "store/row_chunk.h"

namespace weir::store {

struct HeldMessage;

inline constexpr size_t kBatchOctetsMax = 64u << 20;

/// Rows of one hour's table.
struct HourRows {
  int64_t hour = 0;
  std::vector<std::unique_ptr<RowChunk>> chunks;
};

struct CommitBatch {
  uint64_t number = 0;  // no other has it
  std::vector<HourRows> hours;
  IdentityLedger::Changes identities;
  std::vector<HeldMessage*> messages;
  uint64_t rows = 0;
  uint64_t octets = 0;  // of the records that they are of, or of the rows' texts and lists where those are more
  uint64_t newest_us = 0;  // the latest time received of them
  uint64_t opened_steady_ns = 0;
  uint64_t committed_steady_ns = 0;  // 0: not yet

  HourRows* find(int64_t hour) noexcept {
    const auto found = std::find_if(hours.begin(), hours.end(), [hour](const HourRows& of) { return of.hour == hour; });
    return found != hours.end() ? &*found : nullptr;
  }
};

}  // namespace weir::store
