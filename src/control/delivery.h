// delivery.h — Sealed batches from every core to every publisher, and their buffers back.
//
// Runs on:  control_thread.
// Bounds:   each Destination's own; several publishers may hold three quarters of a core's buffers, an
//           equal part each, so that those that are stuck leave some to the others.
// Failure:  a publisher that cannot take a batch does with it what its policy says; the others get it all
//           the same. One that blocks leaves all batches of a core where they are, until the deadline of
//           a stop.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/thread_roles.h"
#include "control/destination.h"
#include "control/publisher_thread.h"
#include "control/view.h"
#include "export/batcher.h"

namespace weir::control {

/// What a publisher is added with; `spool` and `journal` with DropPolicy::spool.
struct PublisherBounds {
  DropPolicy policy = DropPolicy::drop_newest;
  uint64_t records_max = 0;        // held undecided; 0: no bound but the queue's
  size_t waiting_batches_max = 0;  // beside its thread's queue
  std::unique_ptr<SpoolThread> spool;
  std::unique_ptr<RunJournal> journal;
};

class Delivery {
 public:
  /// One for each core, in the order of OutboundBatch::core; they outlive this object.
  /// `batches_in_all` can exist; 0: unknown.
  explicit Delivery(std::vector<outbound::Batcher*> cores, uint64_t batches_in_all = 0);

  /// All of them before start().
  void add_publisher(std::unique_ptr<PublisherThread> publisher, PublisherBounds bounds);
  void start();

  /// Moves what there is to move, a bounded amount; whether anything moved.
  bool step() noexcept WEIR_RUNS_ON(control_thread);

  /// Gives a line to the publisher of that name; false where it takes none just now.
  bool offer_line(const std::string& publisher, const std::string& line)
      WEIR_RUNS_ON(control_thread);

  /// The cores have ended: step() until drained(), then nothing is in flight any more. Called again, it
  /// moves the deadline.
  void begin_drain(uint64_t deadline_steady_ns) noexcept WEIR_RUNS_ON(control_thread);
  /// One step more then closes the journals.
  bool drained() const noexcept WEIR_RUNS_ON(control_thread);
  /// Publishers whose threads have not ended: after the deadline they hang, in a write for instance.
  std::vector<std::string> unfinished() const WEIR_RUNS_ON(control_thread);

  /// There are publishers, and none of them can ever deliver anything again.
  bool all_broken() const noexcept;

  /// A core told that it had sealed so many records: they must come.
  void expect_sealed(size_t core, uint64_t records_sealed) noexcept WEIR_RUNS_ON(control_thread);
  /// What was sealed and has not come, or came without being sealed. Exact: none of it passes.
  std::vector<Discrepancy> discrepancies() const WEIR_RUNS_ON(control_thread);

  /// Each call looks which publishers have settled something since the last.
  std::vector<PublisherView> views(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);

 private:
  struct Added {
    std::unique_ptr<PublisherThread> thread;
    PublisherBounds bounds;
  };
  struct Routed {
    uint64_t records = 0;
    uint64_t expected = 0;   // at least so many when the ring is empty
    int64_t difference = 0;  // as it last was
  };

  /// All publishers are known: makes their destinations.
  void make_destinations();
  void check_routed(size_t core) noexcept WEIR_RUNS_ON(control_thread);
  enum class Blocking : uint8_t { heeded, over };
  bool take_from(size_t core, Blocking blocking, uint64_t now_ns) noexcept WEIR_RUNS_ON(control_thread);
  bool has_taken_all() const noexcept;
  void release(outbound::OutboundBatch* batch) noexcept WEIR_RUNS_ON(control_thread);
  void note_taken() noexcept WEIR_RUNS_ON(control_thread);

  std::vector<outbound::Batcher*> cores_;
  const uint64_t batches_in_all_;
  std::vector<Added> added_;
  std::vector<std::unique_ptr<Destination>> destinations_;
  uint64_t records_routed_ = 0;
  std::vector<Routed> routed_;      // by core
  uint64_t drain_deadline_ns_ = 0;  // 0: not draining
};

}  // namespace weir::control
