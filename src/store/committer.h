// committer.h — Writes batches on a thread of its own, one behind the other, each until it is written.
//
// Runs on:  run on the store_writer; submit and take_done on the ingest thread; ask_to_stop and view on any.
// Bounds:   one batch that is written, one that waits, and those that are done and not taken back: kBatchesMax in all.
// Failure:  what the sink cannot write is tried again, with a wait that grows to kRetryMaxMs, until it can or the program stops; the
//           view says why it waits.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "base/snapshot.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "base/waker.h"
#include "store/sink.h"

namespace weir::store {

inline constexpr size_t kBatchesMax = 4;

struct CommitterView {
  uint64_t commits = 0;
  uint64_t rows = 0;
  uint64_t failures = 0;       // tries of batches that failed
  uint64_t busy_ns = 0;        // writing
  uint64_t last_ns = 0;        // the last commit took
  std::string trouble;         // why it waits; empty: it does not
  std::string tidy_trouble;    // of checkpoints
};

class Committer {
 public:
  /// `on_done` is called on the writer's thread when there is something to take back.
  Committer(Sink& sink, std::function<void()> on_done);

  void run() WEIR_RUNS_ON(store_writer);
  /// After what was submitted; where that cannot be written, soon.
  void ask_to_stop() noexcept;

  /// False where one waits already.
  bool submit(CommitBatch* batch) noexcept;
  /// Null: none.
  CommitBatch* take_done() noexcept;
  std::shared_ptr<const CommitterView> view() const { return view_.read(); }

 private:
  void write(CommitBatch& batch);
  void show();

  Sink& sink_;
  const std::function<void()> on_done_;
  SpscRing<CommitBatch*> to_do_{2};
  SpscRing<CommitBatch*> done_{kBatchesMax};
  std::atomic<size_t> waiting_{0};
  std::atomic<bool> is_stopping_{false};
  Waker waker_;
  // Of the last batch, because it ends. What comes behind is not written either: what it knows of messages has those of the one before
  // in it.
  bool gave_up_ = false;
  CommitterView now_;
  uint64_t next_tidy_ns_ = 0;
  Snapshot<CommitterView> view_;
};

}  // namespace weir::store
