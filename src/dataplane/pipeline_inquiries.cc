#include "dataplane/pipeline_inquiries.h"

#include <algorithm>
#include <span>

namespace weir::dataplane {
namespace {

constexpr size_t kExporterRowsPerPoll = 64;  // about 10 KiB copied between two bursts
constexpr size_t kDomainRowsPerPoll = 256;   // as many as an exporter may have, unless configured
/// Each slice moves its cursor on or is the last; the bound holds should a decoder not do so.
constexpr size_t kSlicesAtEndMax = size_t{1} << 20;

/// A bounded part of an answer; true when it is whole.
bool answer_slice(const Answerer& core, ExporterQuery& query) noexcept WEIR_RUNS_ON(rx_lcore) {
  if (!query.has_books) {
    query.books = {ledger_of(core.counters, core.reassembly, core.decoder.counters(), core.batcher.counters()),
                   core.batcher.open_records(), core.batcher.counters().records_sealed.value()};
    query.has_books = true;
  }
  const std::span<decode::ExporterStats> room =
      std::span(query.rows)
          .subspan(query.filled)
          .first(std::min(kExporterRowsPerPoll, query.rows.size() - query.filled));
  if (!query.exporters_done) {
    if (!room.empty()) query.filled += core.decoder.copy_exporters(query.cursor, room);
    query.exporters_done = query.cursor == 0 || query.filled == query.rows.size();
    const uint64_t exporters = core.decoder.counters().exporters.value();
    query.omitted = exporters > query.filled ? exporters - query.filled : 0;
    if (!query.exporters_done || !query.domains.empty()) return false;
  } else {
    const auto rows = std::span(query.domains).subspan(query.domains_filled);
    const size_t n = core.decoder.copy_domains(query.domains_cursor,
                                               rows.first(std::min(rows.size(), kDomainRowsPerPoll)));
    query.domains_filled += n;
    const bool is_over = query.domains_cursor == 0 || query.domains_filled == query.domains.size();
    if (!is_over && n != 0) return false;
  }
  return true;
}

bool answer_slice(const Answerer& core, StateQuery& query) noexcept WEIR_RUNS_ON(rx_lcore) {
  const auto room = std::span(query.octets).subspan(query.filled);
  query.filled += core.decoder.copy_state(query.cursor, room);
  const bool has_room = query.octets.size() - query.filled >= decode::kStateChunkOctetsMin;
  return query.cursor.is_over || !has_room;
}

bool answer_slice(const Answerer& core, DetailQuery& query) noexcept WEIR_RUNS_ON(rx_lcore) {
  const auto room = std::span(query.octets).subspan(query.filled);
  if (room.size() < decode::kStateChunkOctetsMin) {
    query.is_cut = true;
    return true;
  }
  query.filled += core.decoder.copy_exporter(query.exporter, query.cursor, room);
  query.record_readers = core.record_readers;
  return query.cursor.is_over;
}

bool answer_slice(const Answerer& core, QuarantineQuery& query) noexcept WEIR_RUNS_ON(rx_lcore) {
  return core.quarantine.answer_slice(query);
}

}  // namespace

template <class Query>
void PipelineInquiries::answer(const Answerer& core, Inquiry<Query>& inquiry, size_t slices_max) noexcept {
  Query* const query = inquiry.open();
  if (query == nullptr) return;
  for (size_t i = 0; i < slices_max; ++i) {
    if (!answer_slice(core, *query)) continue;
    inquiry.answer();
    return;
  }
}

void PipelineInquiries::answer_all(const Answerer& core, size_t slices_max) noexcept {
  answer(core, exporters_, slices_max);
  answer(core, state_, slices_max);
  answer(core, quarantine_, slices_max);
  answer(core, detail_, slices_max);
}

void PipelineInquiries::answer(const Answerer& core) noexcept { answer_all(core, 1); }

void PipelineInquiries::finish(const Answerer& core) noexcept { answer_all(core, kSlicesAtEndMax); }

}  // namespace weir::dataplane
