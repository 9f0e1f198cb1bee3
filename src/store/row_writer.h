// row_writer.h — A flow and what rules say of it → a row.
//
// Spec:     docs/STORE.md, "Columns".
// Runs on:  one thread.
// Bounds:   a row; its texts and lists are as long as the flow's.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "flow/flow_view.h"
#include "store/row_chunk.h"
#include "transform/decisions.h"

namespace weir::store {

// A flow's own times count within these of the time it was received, and that within these of now.
inline constexpr int64_t kTimeAheadMaxUs = 3'600'000'000;
inline constexpr int64_t kTimeBehindMaxUs = 24 * 3'600'000'000LL;
inline constexpr int64_t kReceivedBehindMaxUs = 366 * 24 * 3'600'000'000LL;

/// `start`, `end`, `received`: 0: not known, or not to be believed.
struct RowTimes {
  int64_t time = 0, start = 0, end = 0, received = 0;
  bool is_replaced = false;  // what the flow said of its time was not believed
};
RowTimes times_of(const FlowView& flow, int64_t now_us) noexcept;

class RowWriter {
 public:
  RowWriter();
  /// The rules whose outcomes come from now on; null: none. Of their targets `unmapped.<column>` fills that column.
  void take_rules(const rules::Program* program);

  void write(const FlowView& flow, const transform::Decisions& decisions, const RowTimes& times, RowChunk& chunk);

  uint64_t remainders_cut() const noexcept { return remainders_cut_; }

 private:
  struct OwnTarget {
    size_t place;
    Column column;
  };
  void write_texts(const FlowView& flow, const transform::Decisions& decisions, RowChunk& chunk);
  void write_own_target(const rules::Cell& cell, Column column, RowChunk& chunk);

  std::vector<OwnTarget> own_targets_;
  uint64_t targets_elsewhere_ = 0;
  std::unique_ptr<char[]> remainder_;
  uint64_t remainders_cut_ = 0;
};

}  // namespace weir::store
