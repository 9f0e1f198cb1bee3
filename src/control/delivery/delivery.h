// delivery.h — Sealed batches from every core to every publisher, and their buffers back.
//
// Runs on:  control_thread.
// Bounds:   each Destination's own; several publishers may hold three quarters of a core's buffers, an
//           equal part each, so that those that are stuck leave some to the others. kDestinationsMax that work or
//           drain; totals of kGonePublishersMax that are gone.
// Failure:  a publisher that cannot take a batch does with it what its policy says; the others get it all
//           the same. One that blocks leaves all batches of a core where they are, until the deadline of
//           a stop.
//
// The publishers may be changed between two batches: one that is added gets what is sealed from then on, one that
// is removed has until a deadline to deliver what it has, exactly as at a stop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_roles.h"
#include "control/delivery/destination.h"
#include "control/delivery/disposal.h"
#include "control/delivery/publisher_thread.h"
#include "control/delivery/publisher_view.h"
#include "export/batcher.h"

namespace weir::control {

inline constexpr size_t kDestinationsMax = 64;     // far more than anybody has; each has a thread
inline constexpr size_t kGonePublishersMax = 32;   // names that reloads have removed; then the oldest is forgotten

/// What a publisher is added with; `spool` and `journal` with DropPolicy::spool.
struct PublisherBounds {
  DropPolicy policy = DropPolicy::drop_newest;
  uint64_t records_max = 0;        // held undecided; 0: no bound but the queue's
  size_t waiting_batches_max = 0;  // beside its thread's queue
  std::unique_ptr<SpoolThread> spool;
  std::unique_ptr<RunJournal> journal;
};

/// A publisher as another configuration wants it.
struct PublisherChange {
  std::string name;
  PublisherBounds bounds;                               // spool and journal: only where they are new
  std::unique_ptr<PublisherThread> thread;              // null: that of the publisher of this name goes on
  std::optional<outbound::SpoolLimits> spool_limits{};  // of the spool that goes on
};

class Delivery {
 public:
  /// One for each core, in the order of OutboundBatch::core; they outlive this object.
  /// `batches_in_all` can exist; 0: unknown.
  explicit Delivery(std::vector<outbound::Batcher*> cores, uint64_t batches_in_all = 0);

  /// All of them before start().
  void add_publisher(std::unique_ptr<PublisherThread> publisher, PublisherBounds bounds);
  void start();

  /// From the next batch on these get them, in this order, and no others. Nobody of them is_busy. Whoever goes, and
  /// what is replaced, has until the deadline.
  void change(std::vector<PublisherChange> publishers, uint64_t leave_deadline_ns) WEIR_RUNS_ON(control_thread);
  /// Something that had this name, or is being replaced in it, has not ended.
  bool is_busy(const std::string& name) const noexcept WEIR_RUNS_ON(control_thread);
  /// Nothing that a change has replaced or removed is left.
  bool has_changed_over() const noexcept WEIR_RUNS_ON(control_thread);
  /// Those that work and those that drain.
  size_t destinations() const noexcept { return destinations_.size() + draining_.size(); }
  /// Files are opened anew by their names.
  void reopen() noexcept WEIR_RUNS_ON(control_thread);

  /// Moves what there is to move, a bounded amount; whether anything moved.
  bool step() noexcept WEIR_RUNS_ON(control_thread);

  /// Cores have sealed more than step() left with them, which are those that a publisher who blocks does not take.
  bool has_news() const noexcept WEIR_RUNS_ON(control_thread) { return batches_waiting() > batches_left_; }

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
  struct Draining {
    std::unique_ptr<Destination> destination;
    uint64_t deadline_ns = 0;
  };
  /// What is known of a name beside its destination.
  struct Standing {
    uint64_t records_absent = 0;        // routed while it was not there, before left_at
    std::optional<uint64_t> left_at;    // records_routed_ when it went; none: it is there
    std::optional<PublisherView> past;  // totals of destinations that are gone
    uint64_t gone_ns = 0;
  };
  struct Routed {
    uint64_t records = 0;
    uint64_t expected = 0;   // at least so many when the ring is empty
    int64_t difference = 0;  // as it last was
  };

  // delivery_change.cc
  std::unique_ptr<Destination> make_destination(PublisherChange publisher) WEIR_RUNS_ON(control_thread);
  void share_buffers() noexcept;
  void start_threads() WEIR_RUNS_ON(control_thread);
  bool is_place_taken(const std::string& place) const noexcept;
  bool is_draining(const std::string& name) const noexcept;
  void come(const std::string& name);
  void go(std::unique_ptr<Destination> destination, uint64_t deadline_ns) WEIR_RUNS_ON(control_thread);
  void bury() WEIR_RUNS_ON(control_thread);
  void forget_oldest_gone();

  void check_routed(size_t core) noexcept WEIR_RUNS_ON(control_thread);
  enum class Blocking : uint8_t { heeded, over };
  bool take_from(size_t core, Blocking blocking, uint64_t now_ns) noexcept WEIR_RUNS_ON(control_thread);
  uint64_t batches_waiting() const noexcept;
  void release(outbound::OutboundBatch* batch) noexcept WEIR_RUNS_ON(control_thread);
  void note_taken() noexcept WEIR_RUNS_ON(control_thread);

  std::vector<outbound::Batcher*> cores_;
  const uint64_t batches_in_all_;
  Disposal disposal_;  // until all is gone that may have been given to it
  std::vector<std::unique_ptr<Destination>> destinations_;
  std::vector<Draining> draining_;
  std::map<std::string, Standing> standings_;  // by name
  bool is_started_ = false;
  uint64_t records_routed_ = 0;
  uint64_t batches_routed_ = 0;
  uint64_t batches_left_ = 0;  // with their cores, by the last step
  std::vector<Routed> routed_;      // by core
  uint64_t drain_deadline_ns_ = 0;  // 0: not draining
};

}  // namespace weir::control
