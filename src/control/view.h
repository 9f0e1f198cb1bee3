// view.h — The appliance at one moment, as plain numbers: what HTTP, weirctl and the logs show.
//
// Runs on:  made by the control thread, immutable from then on, read by anyone.
// Bounds:   one row a core, port, publisher; kExporterRowsMax exporters.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/latency_histogram.h"
#include "control/drop_policy.h"
#include "control/exporter_feed.h"
#include "control/loss_book.h"
#include "dataplane/data_plane.h"
#include "dataplane/ledger.h"
#include "decode/decoder.h"
#include "export/batcher.h"
#include "export/publisher.h"

namespace weir::control {

inline constexpr size_t kExporterRowsMax = 65'536;
/// A publisher that has batches and settles none for so long takes nothing, whatever it says itself.
inline constexpr uint64_t kTakesNothingNs = 5'000'000'000;

using dataplane::CoreBooks;
using dataplane::Discrepancy;
using dataplane::Ledger;
using dataplane::Tally;

struct CoreView {
  dataplane::CoreInfo info;
  Ledger ledger;
  uint64_t octets = 0;  // of datagrams
  uint64_t bursts = 0;
  uint64_t turns = 0;             // of its loop: it turns at least ten times a second
  uint64_t turned_steady_ns = 0;  // when they were last seen to have grown
  uint64_t busy_ns = 0;
  uint64_t holds = 0;  // polls that received nothing since buffers were short
  double busy_ratio = 0;  // since the last view
  uint64_t exporters_restored = 0;
  uint64_t rates_restored = 0;
  uint64_t samples_lost = 0;
  uint64_t samples_dropped = 0;
  uint64_t options_records = 0;
  uint64_t exporters = 0;
  uint64_t templates = 0;
  uint64_t events = 0;          // that the decoder told
  uint64_t events_dropped = 0;  // for want of room
  uint64_t pending_octets = 0;
  uint64_t buffers_free = 0;
  uint64_t buffers = 0;          // in all
  uint64_t batches_waiting = 0;  // sealed, not taken by the control thread
  uint64_t encoded_octets = 0;
  uint64_t batches_sealed = 0;
  Tally<decode::Quirk> quirks;
  Tally<decode::TemplateEvent> template_events;
  Tally<decode::Protocol> datagrams_by_protocol;  // decoded
  Tally<decode::Protocol> records_by_protocol;
};

/// What came by one listener, over all cores.
struct ListenerView {
  std::string name;
  uint16_t port = 0;  // 0: it is gone
  Tally<decode::Protocol> datagrams;  // decoded
  Tally<decode::Protocol> octets;
  Tally<decode::Protocol> records;
  uint64_t rejected = 0;  // datagrams
};

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
};

/// draining: a reload has removed it, and it delivers what it has; gone: only its totals are left.
#define WEIR_PUBLISHER_STATES(X) X(running) X(draining) X(gone)
WEIR_NAMED_ENUM(PublisherState, uint8_t, WEIR_PUBLISHER_STATES)

/// records_routed = acknowledged + failed + dropped + spooled + in_flight. What is waiting is what the cores have
/// encoded beyond that; that it is still there is checked with the cores' books and by Delivery.
/// records_absent: encoded while it was not there, so it never owed them.
struct PublisherView {
  std::vector<Discrepancy> discrepancies() const;
  /// In an operator's words: what it says itself, or that it takes nothing; empty when all is well.
  std::string trouble() const;

  std::string name;
  std::string kind;
  PublisherState state = PublisherState::running;
  bool is_fresh = false;         // made by a reload a moment ago: it may still connect
  bool is_handing_over = false;  // what a reload has replaced still delivers what it had
  bool connected = false;
  std::string last_error;         // as the publisher says
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

/// What is kept of the decoders over a restart.
struct StateView {
  std::string path;  // empty: nothing is kept
  // As it was found at start; exporters take it up when they are heard of again.
  uint64_t loaded_exporters = 0;
  uint64_t loaded_templates = 0;
  uint64_t loaded_rates = 0;
  uint64_t loaded_written_ns = 0;  // 0: there was none
  // As it was last saved.
  uint64_t saved_ns = 0;  // 0: not yet
  uint64_t saved_octets = 0;
  uint64_t saved_exporters = 0;
  uint64_t saved_templates = 0;
  uint64_t saved_rates = 0;
  std::string error;  // why the last attempt failed; empty: it did not
};

enum class ApplianceState : uint8_t { starting, running, draining, stopped };
std::string_view name_of(ApplianceState state) noexcept;

struct ApplianceView {
  std::string appliance_uuid;
  std::string partition;
  ApplianceState state = ApplianceState::starting;
  uint64_t started_ns = 0;  // since the epoch
  uint64_t uptime_ns = 0;   // by a clock that nobody sets
  uint64_t taken_ns = 0;
  uint64_t taken_steady_ns = 0;
  std::vector<dataplane::PortStats> ports;
  std::vector<CoreView> cores;
  std::vector<ListenerView> listeners;
  std::vector<PublisherView> publishers;
  std::vector<std::string> subjects;  // by route
  std::vector<LossRow<outbound::RecordDrop>> losses;  // before records were encoded: the largest
  uint64_t loss_rows = 0;                             // of how many
  DirectoryCounters names;                       // that options data gave
  std::shared_ptr<const ExporterList> exporter_list;  // the operator's; null: there is none
  std::string exporter_list_trouble;                  // why its file as it is now does not go; empty: it does
  ExporterFeedView exporter_feed;                // their publication
  std::vector<decode::ExporterStats> exporters;  // by address; one row each, whatever the core
  std::vector<decode::DomainStats> domains;      // by exporter's address
  StateView state_kept;
  uint64_t exporters_not_listed = 0;
  uint64_t ledger_mismatches = 0;
  std::vector<std::string> discrepancies;  // empty when the books balance
  uint64_t records_per_second = 0;         // decoded, since the last view
  uint64_t datagrams_per_second = 0;

  Ledger total() const;
  /// Empty when ready to accept: ports up and a publisher connected; else why not.
  std::string not_ready_because() const;
};

}  // namespace weir::control
