#include "control/exporters/exporter_census.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/clock.h"

namespace weir::control {
namespace {

constexpr uint64_t kIntervalNs = kNsPerSec;
constexpr size_t kDomainRowsPerCore = 8192;

/// An exporter's datagrams may have met several cores: IPv4 and IPv6 do not, but queues without RSS do.
void merge(decode::ExporterStats& sum, const decode::ExporterStats& row) {
  sum.first_seen_ns = std::min(sum.first_seen_ns, row.first_seen_ns);
  if (row.last_seen_ns > sum.last_seen_ns && row.last_error != decode::DatagramError::count_) {
    sum.last_error = row.last_error;
  }
  if (row.last_seen_ns > sum.last_seen_ns) sum.port = row.port;
  sum.last_seen_ns = std::max(sum.last_seen_ns, row.last_seen_ns);
  sum.datagrams += row.datagrams;
  sum.octets += row.octets;
  sum.datagrams_decoded += row.datagrams_decoded;
  sum.datagrams_rejected += row.datagrams_rejected;
  sum.records += row.records;
  sum.counter_records += row.counter_records;
  sum.discard_records += row.discard_records;
  sum.options_records += row.options_records;
  sum.sets_waiting += row.sets_waiting;
  sum.sets_lost += row.sets_lost;
  sum.templates += row.templates;
  sum.templates_max = std::max(sum.templates_max, row.templates_max);
  sum.templates_known += row.templates_known;
  sum.templates_new += row.templates_new;
  sum.data_templates += row.data_templates;
  sum.options_templates += row.options_templates;
  sum.domains += row.domains;
  sum.session_domains += row.session_domains;
  sum.sequence_lost += row.sequence_lost;
  sum.clock_implausible += row.clock_implausible;
  if (row.clock_samples > sum.clock_samples) sum.clock_skew_ns = row.clock_skew_ns;
  sum.clock_samples = std::max(sum.clock_samples, row.clock_samples);
  sum.protocols |= row.protocols;
  sum.samples_lost += row.samples_lost;
  sum.samples_dropped += row.samples_dropped;
  sum.samples_taken += row.samples_taken;
  sum.sample_pool += row.sample_pool;
  for (size_t i = 0; i < sum.quirks.size(); ++i) {
    sum.quirks[i] += std::min(row.quirks[i], UINT32_MAX - sum.quirks[i]);
  }
}

}  // namespace

ExporterCensus::ExporterCensus(size_t cores, uint32_t exporters_per_core, uint32_t exporters_most, OnBooks on_books)
    : on_books_(std::move(on_books)), rows_most_(exporters_most), rows_(exporters_per_core) {
  for (size_t i = 0; i < cores; ++i) {
    Core& core = *cores_.emplace_back(std::make_unique<Core>());
    core.query.rows.resize(rows_);
    core.query.domains.resize(kDomainRowsPerCore);
  }
}

void ExporterCensus::expect(uint32_t exporters_per_core) {
  rows_ = std::clamp<size_t>(exporters_per_core, rows_, rows_most_);
}

void ExporterCensus::step(dataplane::DataPlane& plane, uint64_t steady_now_ns) {
  for (size_t i = 0; i < cores_.size(); ++i) {
    Core& core = *cores_[i];
    dataplane::ExporterQuery* answer = nullptr;
    if (!core.is_asked || !plane.pipeline(i).take_answer(answer)) continue;
    core.is_asked = false;
    core.omitted = answer->omitted;
    core.taken_ns = wall_clock_ns();
    core.rows.assign(answer->rows.begin(),
                     answer->rows.begin() + static_cast<ptrdiff_t>(answer->filled));
    core.domains.assign(answer->domains.begin(),
                        answer->domains.begin() + static_cast<ptrdiff_t>(answer->domains_filled));
    on_books_(i, answer->books);
  }
  if (steady_now_ns < next_ns_) return;
  next_ns_ = steady_now_ns + kIntervalNs;
  for (size_t i = 0; i < cores_.size(); ++i) {
    Core& core = *cores_[i];
    if (core.is_asked) continue;
    if (core.query.rows.size() < rows_) core.query.rows.resize(rows_);
    core.is_asked = plane.pipeline(i).ask_exporters(core.query);
  }
}

void ExporterCensus::finish(dataplane::DataPlane& plane) {
  // This thread may do the cores' part of the conversation now: first what was still open, then a
  // fresh question.
  for (int round = 0; round < 2; ++round) {
    next_ns_ = 0;
    step(plane, steady_clock_ns());
    for (size_t i = 0; i < cores_.size(); ++i) {
      RoleScope role(rx_lcore);
      // Each turn answers a slice of many rows, so this is a generous bound.
      const size_t turns_max = cores_[i]->query.rows.size();
      for (size_t turn = 0; turn <= turns_max; ++turn) {
        plane.pipeline(i).poll(steady_clock_ns(), wall_clock_ns());
      }
    }
  }
  next_ns_ = UINT64_MAX;
  step(plane, steady_clock_ns());
}

void ExporterCensus::fill(ApplianceView& view) const {
  struct Row {
    decode::ExporterStats stats;
    uint64_t taken_ns;
  };
  std::map<IpAddress, Row> merged;
  for (const auto& core : cores_) {
    view.exporters_not_listed += core->omitted;
    for (const decode::ExporterStats& row : core->rows) {
      const auto [it, is_new] = merged.try_emplace(row.address, Row{row, core->taken_ns});
      if (is_new) continue;
      merge(it->second.stats, row);
      it->second.taken_ns = std::max(it->second.taken_ns, core->taken_ns);
    }
    view.domains.insert(view.domains.end(), core->domains.begin(), core->domains.end());
  }
  for (const auto& [address, row] : merged) {
    if (view.exporters.size() == kExporterRowsMax) {
      view.exporters_not_listed += merged.size() - kExporterRowsMax;
      break;
    }
    view.exporters.push_back(row.stats);
    view.exporters_taken_ns.push_back(row.taken_ns);
  }
  std::stable_sort(view.domains.begin(), view.domains.end(),
                   [](const auto& x, const auto& y) { return x.exporter < y.exporter; });
}

}  // namespace weir::control
