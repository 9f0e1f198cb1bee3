#include "control/exporters/exporter_history.h"

#include <algorithm>

namespace weir::control {

using decode::ExporterStats;

ExporterActivity activity_of(const ExporterStats& e) noexcept {
  return {.datagrams = e.datagrams,
          .datagrams_rejected = e.datagrams_rejected,
          .records = e.records,
          .template_hits = e.data_templates.hits + e.options_templates.hits,
          .template_misses = e.data_templates.misses,
          .template_evictions = e.data_templates.evictions + e.options_templates.evictions,
          .sequence_lost = e.sequence_lost,
          .clock_implausible = e.clock_implausible,
          .samples_dropped = e.samples_dropped};
}

namespace {

/// What is missing by sequence numbers may still come, so it may be less than it was.
uint64_t since(uint64_t now, uint64_t then) noexcept { return now - std::min(now, then); }

ExporterActivity since(const ExporterActivity& now, const ExporterActivity& then) noexcept {
  return {.datagrams = since(now.datagrams, then.datagrams),
          .datagrams_rejected = since(now.datagrams_rejected, then.datagrams_rejected),
          .records = since(now.records, then.records),
          .template_hits = since(now.template_hits, then.template_hits),
          .template_misses = since(now.template_misses, then.template_misses),
          .template_evictions = since(now.template_evictions, then.template_evictions),
          .sequence_lost = since(now.sequence_lost, then.sequence_lost),
          .clock_implausible = since(now.clock_implausible, then.clock_implausible),
          .samples_dropped = since(now.samples_dropped, then.samples_dropped)};
}

/// What it had counted before anything that is recent: nothing where it was first seen of late.
ExporterActivity before_recent(const ExporterStats& e, uint64_t wall_now_ns) noexcept {
  const bool is_old = e.first_seen_ns + kRecentNs < wall_now_ns;
  return is_old ? activity_of(e) : ExporterActivity{};
}

}  // namespace

std::vector<ExporterActivity> ExporterHistory::recent(std::span<const ExporterStats> rows, Times now) {
  follow(rows, now);
  mark(rows, now.steady_ns);
  const size_t oldest = (newest_ + 1) % kMarks;
  std::vector<ExporterActivity> found;
  found.reserve(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    found.push_back(since(activity_of(rows[i]), pasts_[i].marks[oldest]));
  }
  return found;
}

/// Both are by address: one walk finds who is new and who has gone.
void ExporterHistory::follow(std::span<const ExporterStats> rows, Times now) {
  const bool are_the_same = std::equal(rows.begin(), rows.end(), pasts_.begin(), pasts_.end(),
                                       [](const ExporterStats& e, const Past& p) { return e.address == p.address; });
  if (!are_the_same) {
    std::vector<Past> next;
    next.reserve(rows.size());
    auto past = pasts_.begin();
    for (const ExporterStats& e : rows) {
      while (past != pasts_.end() && past->address < e.address) ++past;
      if (past != pasts_.end() && past->address == e.address) {
        next.push_back(*past++);
        continue;
      }
      Past& made = next.emplace_back();
      made.address = e.address;
      made.marks.fill(before_recent(e, now.wall_ns));
    }
    pasts_ = std::move(next);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    Past& past = pasts_[i];
    // It counts anew: its decoder had forgotten it.
    if (rows[i].datagrams < past.datagrams) past.marks.fill(before_recent(rows[i], now.wall_ns));
    past.datagrams = rows[i].datagrams;
  }
}

void ExporterHistory::mark(std::span<const ExporterStats> rows, uint64_t steady_now_ns) {
  if (marked_ns_ == 0) marked_ns_ = steady_now_ns;
  if (steady_now_ns - marked_ns_ < kMarkIntervalNs) return;
  marked_ns_ = steady_now_ns;
  newest_ = (newest_ + 1) % kMarks;
  for (size_t i = 0; i < rows.size(); ++i) pasts_[i].marks[newest_] = activity_of(rows[i]);
}

}  // namespace weir::control
