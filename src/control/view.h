// view.h — The appliance at one moment, as plain numbers: what HTTP, weirctl and the logs show.
//
// Runs on:  made by the control thread, immutable from then on, read by anyone.
// Bounds:   one row a core, port, publisher; kExporterRowsMax exporters.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/delivery/loss_book.h"
#include "control/delivery/publisher_view.h"
#include "control/exporters/exporter_feed.h"
#include "control/exporters/exporter_history.h"
#include "control/rule_book.h"
#include "control/state/state_view.h"
#include "dataplane/data_plane.h"
#include "dataplane/ledger.h"
#include "decode/decoder.h"
#include "export/batcher.h"
#include "service/process_rights.h"

namespace weir::control {

inline constexpr size_t kExporterRowsMax = 65'536;

using dataplane::CoreBooks;
using dataplane::Ledger;

struct CoreView {
  dataplane::CoreInfo info;
  Ledger ledger;
  std::optional<dataplane::WorkerStats> worker;  // if it is one
  uint64_t octets = 0;  // of datagrams
  uint64_t bursts = 0;
  uint64_t turns = 0;             // of its loop: it turns at least ten times a second
  uint64_t turned_steady_ns = 0;  // when they were last seen to have grown
  uint64_t busy_ns = 0;
  uint64_t holds = 0;  // polls that received nothing since buffers were short
  double busy_ratio = 0;  // since the last view
  Tally<decode::ExporterEnd> exporters_forgotten;
  uint64_t exporters_restored = 0;
  uint64_t rates_restored = 0;
  uint64_t samples_lost = 0;
  uint64_t samples_dropped = 0;
  uint64_t options_records = 0;
  uint64_t records_fused = 0;  // of the ledger's, those that went straight to wire octets
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

enum class ApplianceState : uint8_t { starting, running, draining, stopped };
std::string_view name_of(ApplianceState state) noexcept;

struct ApplianceView {
  std::string appliance_uuid;
  std::string partition;
  ApplianceState state = ApplianceState::starting;
  service::RightsView rights;
  uint64_t started_ns = 0;  // since the epoch
  uint64_t uptime_ns = 0;   // by a clock that nobody sets
  uint64_t taken_ns = 0;
  uint64_t taken_steady_ns = 0;
  dataplane::TimeStats time;  // what cores go by, and what the wall clock did
  std::vector<dataplane::PortStats> ports;
  std::vector<dataplane::ReplicaStats> replicas;  // by target
  std::vector<decode::SiteRule> sites;            // of exporters that the list says nothing of
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
  RulesView rules;                               // of classification
  std::vector<decode::ExporterStats> exporters;  // by address; one row each, whatever the core
  std::vector<uint64_t> exporters_taken_ns;      // row by row: when that was counted, by the wall clock
  std::vector<ExporterActivity> recent;          // row by row: what they did of late
  std::vector<decode::DomainStats> domains;      // by exporter's address
  StateView state_kept;
  uint64_t exporters_not_listed = 0;
  uint64_t ledger_mismatches = 0;
  std::vector<std::string> discrepancies;  // empty when the books balance
  uint64_t records_per_second = 0;         // decoded, since the last view
  uint64_t datagrams_per_second = 0;

  Ledger total() const;
  /// Which of `exporters` is its.
  std::optional<size_t> row_of(const IpAddress& exporter) const noexcept;
  /// Empty when ready to accept: ports up, and each publisher can publish or keeps on disk what it cannot; else why not.
  std::string not_ready_because() const;
};

}  // namespace weir::control
