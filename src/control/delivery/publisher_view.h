// publisher_view.h — A publisher and its spool at one moment, as plain numbers.
//
// Runs on:  made by the control thread, immutable from then on, read by anyone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/latency_histogram.h"
#include "control/delivery/drop_policy.h"
#include "control/delivery/loss_book.h"
#include "dataplane/ledger.h"
#include "export/publisher.h"

namespace weir::control {

/// A publisher that has batches and settles none for so long takes nothing, whatever it says itself.
inline constexpr uint64_t kTakesNothingNs = 5'000'000'000;

using dataplane::Discrepancy;
using dataplane::Tally;

/// A publisher's spool. Records restored + spooled = replayed + failed + expired + damaged + stored + left.
struct SpoolView {
  std::string dir;  // empty: it has none
  uint64_t octets_max = 0;
  uint64_t octets = 0;
  uint64_t batches = 0;  // stored now
  uint64_t records = 0;
  uint64_t records_restored = 0;  // found at the start
  uint64_t records_replayed = 0;  // acknowledged
  uint64_t batches_replayed = 0;
  Tally<outbound::DeliveryFailure> failures;  // records that were replayed and refused for good
  uint64_t records_expired = 0;
  uint64_t records_damaged = 0;
  uint64_t octets_damaged = 0;
  uint64_t records_left = 0;  // stayed on disk when it was given up
  // Of a run before that was killed: in memory then, neither acknowledged nor stored.
  bool was_killed = false;
  uint64_t batches_lost_before = 0;
  uint64_t records_lost_before = 0;
  std::string last_error;         // what is wrong with the disk
  uint64_t takes_nothing_ns = 0;  // it has batches to write and has written none; from kTakesNothingNs on, else 0
};

/// draining: a reload has removed it, and it delivers what it has; gone: only its totals are left.
#define WEIR_PUBLISHER_STATES(X) X(running) X(draining) X(gone)
WEIR_NAMED_ENUM(PublisherState, uint8_t, WEIR_PUBLISHER_STATES)

/// records_routed = acknowledged + failed + dropped + spooled + in_flight. What is waiting is what the cores have
/// encoded beyond that; that it is still there is checked with the cores' books and by Delivery.
/// records_absent: encoded while it was not there, so it never owed them.
struct PublisherView {
  std::vector<Discrepancy> discrepancies() const;
  /// What keeps it from publishing, in an operator's words: what it says itself, or that it takes nothing; empty
  /// when all is well.
  std::string publish_trouble() const;
  /// That, and what ails its spool.
  std::string trouble() const;
  /// The same without how long, so that it is said once.
  std::string lasting_trouble() const;
  /// What it cannot publish is kept on disk, and the disk takes it.
  bool is_kept_on_disk() const noexcept;

  std::string name;
  std::string kind;
  PublisherState state = PublisherState::running;
  bool is_fresh = false;         // made by a reload a moment ago: it may still connect
  bool is_handing_over = false;  // what a reload has replaced still delivers what it had
  bool connected = false;
  uint64_t connections = 0;       // that are up
  std::string last_error;         // as the publisher says
  std::string remark;             // the same: what is not well though batches go out
  uint64_t takes_nothing_ns = 0;  // for so long, from kTakesNothingNs on; else 0
  uint64_t records_routed = 0;  // offered to it; all but what is waiting
  uint64_t records_acknowledged = 0;
  uint64_t records_failed = 0;
  uint64_t records_dropped = 0;    // before it had them (is_drop)
  uint64_t records_spooled = 0;    // to disk instead; what became of them is the spool's
  uint64_t records_in_flight = 0;  // queued or submitted
  uint64_t records_waiting = 0;    // encoded, in an open batch or on the way to the control thread
  uint64_t records_absent = 0;
  uint64_t batches_acknowledged = 0;
  uint64_t batches_duplicate = 0;
  uint64_t batches_failed = 0;
  uint64_t batches_dropped = 0;
  uint64_t batches_in_flight = 0;
  uint64_t batches_spooled = 0;
  uint64_t queue_depth = 0;  // batches
  uint64_t queue_capacity = 0;
  uint64_t records_max = 0;  // in flight; 0: only batches bound it
  double queue_fill = 0;     // of the bound that is nearest; at 1 there is no room
  LatencyHistogram delivery;  // of batches, from the first record received to the acknowledgement
  uint64_t messages = 0;
  uint64_t octets = 0;
  uint64_t negative_acknowledgements = 0;
  uint64_t retries = 0;
  uint64_t reconnects = 0;
  uint64_t renewals = 0;  // of certificates and credentials
  uint64_t streams_created = 0;
  uint64_t streams_extended = 0;
  Tally<outbound::DeliveryFailure> failures;  // records, by reason, with the dropped ones
  DropPolicy policy = DropPolicy::drop_newest;
  SpoolView spool;
  std::vector<LossRow<outbound::DeliveryFailure>> losses;  // the largest
  uint64_t loss_rows = 0;       // of how many
};

/// The row of a publisher, and what one of its name had counted that is gone: totals, not what is now.
void add_past(PublisherView& row, const PublisherView& past);

}  // namespace weir::control
