// pipeline_inquiries.h — What the control thread asks a core, and the core answers a slice at a time between two bursts.
//
// Runs on:  ask and take on the control_thread; answering on the rx_lcore.
// Bounds:   one question of each kind; a slice of each between two bursts.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ip_address.h"
#include "base/thread_roles.h"
#include "dataplane/inquiry.h"
#include "dataplane/ledger.h"
#include "dataplane/pipeline_counters.h"
#include "dataplane/quarantine.h"
#include "dataplane/record_path.h"
#include "decode/decoder.h"
#include "decode/exporter_detail.h"
#include "decode/state_image.h"
#include "export/batcher.h"

namespace weir::dataplane {

/// A request for copies of the core's exporters, answered in slices between bursts. Rows move while
/// exporters come and go: a table to look at, not a ledger.
struct ExporterQuery {
  std::vector<decode::ExporterStats> rows;  // sized by the asker: what does not fit is counted
  size_t filled = 0;
  uint64_t omitted = 0;  // exporters for which there was no row
  uint32_t cursor = 0;
  std::vector<decode::DomainStats> domains;  // likewise, but not counted
  size_t domains_filled = 0;
  uint32_t domains_cursor = 0;
  bool exporters_done = false;
  CoreBooks books;  // as they were when the core took the question up: between two bursts
  bool has_books = false;

  void begin() noexcept {
    filled = domains_filled = 0;
    omitted = 0;
    cursor = domains_cursor = 0;
    exporters_done = has_books = false;
  }
};

/// A request for what the core's decoder would like to remember, answered a chunk at a time: the
/// asker empties `octets` and asks on with the same cursor until it is over.
struct StateQuery {
  std::vector<uint8_t> octets;  // sized by the asker, several of decode::kStateChunkOctetsMin
  size_t filled = 0;
  decode::StateCursor cursor;

  void begin() noexcept { filled = 0; }
};

/// A request for what one exporter said, answered a slice between two bursts.
struct DetailQuery {
  IpAddress exporter;
  std::vector<uint8_t> octets;  // sized by the asker, several of decode::kStateChunkOctetsMin
  size_t filled = 0;
  decode::DetailCursor cursor;
  bool is_cut = false;  // there was more than room
  RecordReaderKinds record_readers = 0;  // of the core, when it answered

  void begin() noexcept {
    filled = 0;
    record_readers = 0;
    cursor = {};
    is_cut = false;
  }
};

/// Who knows the answers: a core's own parts.
struct Answerer {
  const PipelineCounters& counters;
  const packet::ReassemblyCounters& reassembly;
  decode::Decoder& decoder;
  const outbound::Batcher& batcher;
  Quarantine& quarantine;
  RecordReaderKinds record_readers;
};

/// The questions that are open. Each query must outlive its answer, which take hands back; `filled` and the like are set
/// anew. A core that has ended answers no more.
class PipelineInquiries {
 public:
  Inquiry<ExporterQuery>& exporters() noexcept { return exporters_; }
  Inquiry<StateQuery>& state() noexcept { return state_; }
  Inquiry<QuarantineQuery>& quarantine() noexcept { return quarantine_; }
  Inquiry<DetailQuery>& detail() noexcept { return detail_; }

  bool are_open() const noexcept WEIR_RUNS_ON(rx_lcore) {
    return exporters_.is_open() || state_.is_open() || quarantine_.is_open() || detail_.is_open();
  }
  /// Goes on with those that are open, a slice of each.
  void answer(const Answerer& core) noexcept WEIR_RUNS_ON(rx_lcore);
  /// To their ends.
  void finish(const Answerer& core) noexcept WEIR_RUNS_ON(rx_lcore);

 private:
  void answer_all(const Answerer& core, size_t slices_max) noexcept WEIR_RUNS_ON(rx_lcore);
  template <class Query>
  void answer(const Answerer& core, Inquiry<Query>& inquiry, size_t slices_max) noexcept WEIR_RUNS_ON(rx_lcore);

  Inquiry<ExporterQuery> exporters_;
  Inquiry<StateQuery> state_;
  Inquiry<QuarantineQuery> quarantine_;
  Inquiry<DetailQuery> detail_;
};

}  // namespace weir::dataplane
