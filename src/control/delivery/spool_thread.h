// spool_thread.h — A publisher's spool on a thread of its own, between rings.
//
// Runs on:  store, take_stored, take_replay, settle, begin_close, has_ended: control_thread. The Spool:
//           its own thread.
// Owns:     kReplaysMax buffers for batches that are read back.
// Bounds:   batches_in_all to be stored, kReplaysMax read ahead.
// Failure:  what was not stored comes back with the reason. A disk that hangs stops this thread only;
//           the batches that it has are then not available to their cores.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/snapshot.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "base/waker.h"
#include "export/addressing.h"
#include "export/spool.h"

namespace weir::control {

inline constexpr size_t kReplaysMax = 16;

class SpoolThread;

/// A batch that was read from disk. Its octets are this object's.
struct ReplayBatch : outbound::OutboundBatch {
  SpoolThread* home = nullptr;
  outbound::ReplayedAs as;
  outbound::Spool::Place place;
  std::vector<uint8_t> room;
};

/// A batch of this run that was given to be stored, and what became of it.
struct StoredBatch {
  outbound::OutboundBatch* batch = nullptr;
  outbound::SpoolAppend result = outbound::SpoolAppend::stored;
};

/// Single-writer, read by any thread.
struct SpoolThreadCounters {
  Counter stored_records;    // in this run
  Counter released_records;  // that need not be stored any longer
};

class SpoolThread {
 public:
  SpoolThread(std::string name, std::unique_ptr<outbound::Spool> spool,
              outbound::Addressing addressing, size_t batches_in_all, Waker& on_news);
  ~SpoolThread();

  /// An error: no thread can be made just now; again later. What it is given meanwhile waits.
  Result<void> start();
  bool has_started() const noexcept { return thread_.joinable(); }

  /// False where the ring is full, which it is not while at most batches_in_all are in it.
  bool store(outbound::OutboundBatch* batch) noexcept WEIR_RUNS_ON(control_thread);
  bool take_stored(StoredBatch& stored) noexcept WEIR_RUNS_ON(control_thread);
  /// The next batch from disk, oldest first; it comes back by settle.
  bool take_replay(ReplayBatch*& batch) noexcept WEIR_RUNS_ON(control_thread);
  enum class Settled : uint8_t { forget, keep };
  void settle(ReplayBatch* batch, Settled how) noexcept WEIR_RUNS_ON(control_thread);

  /// Goes by other limits from its next turn on.
  void change_limits(const outbound::SpoolLimits& limits) WEIR_RUNS_ON(control_thread);

  /// Nothing more will be given to be stored, nothing more taken: ends when all is on disk.
  void begin_close() noexcept WEIR_RUNS_ON(control_thread);
  bool has_ended() const noexcept { return has_ended_.load(std::memory_order_acquire); }

  const std::string& dir() const noexcept { return dir_; }
  uint64_t octets_max() const noexcept { return octets_max_; }
  const outbound::SpoolCounters& counters() const noexcept { return spool_->counters(); }
  const SpoolThreadCounters& thread_counters() const noexcept { return counters_; }
  /// What was wrong with the disk last; empty when the last batch was stored.
  std::string last_error() const;

 private:
  struct Returned {
    ReplayBatch* batch = nullptr;
    Settled how = Settled::forget;
  };

  void run() WEIR_RUNS_ON(spool_thread);
  void take_limits() WEIR_RUNS_ON(spool_thread);
  bool store_some() WEIR_RUNS_ON(spool_thread);
  bool take_returned() WEIR_RUNS_ON(spool_thread);
  bool read_ahead() WEIR_RUNS_ON(spool_thread);
  void tell(std::string_view trouble) WEIR_RUNS_ON(spool_thread);

  const std::string name_;
  const std::unique_ptr<outbound::Spool> spool_;
  const std::string dir_;
  uint64_t octets_max_;  // the control thread's
  const outbound::Addressing addressing_;
  Waker& on_news_;
  Waker work_ready_;
  SpoolThreadCounters counters_;
  SpscRing<outbound::OutboundBatch*> to_store_;
  SpscRing<StoredBatch> stored_;
  SpscRing<ReplayBatch*> replays_{kReplaysMax};
  SpscRing<Returned> returned_{kReplaysMax};
  std::array<ReplayBatch, kReplaysMax> batches_;
  std::vector<ReplayBatch*> idle_;  // the spool thread's
  Snapshot<outbound::SpoolLimits> limits_;  // null: those that it was opened with
  std::shared_ptr<const outbound::SpoolLimits> limits_seen_;  // the spool thread's
  Snapshot<std::string> last_error_;
  std::string told_;  // there
  std::atomic<bool> is_closing_{false};
  std::atomic<bool> has_ended_{false};
  std::thread thread_;
};

}  // namespace weir::control
