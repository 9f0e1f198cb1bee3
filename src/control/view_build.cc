#include "control/view_build.h"

#include <fmt/format.h>

#include <algorithm>

namespace weir::control {

CoreView core_view(dataplane::DataPlane& plane, size_t core, const CoreView* before,
                   uint64_t elapsed_ns, uint64_t steady_now_ns) {
  dataplane::Pipeline& pipeline = plane.pipeline(core);
  const auto& p = pipeline.counters();
  const auto& d = pipeline.decoder_counters();
  const auto& b = pipeline.batcher_counters();
  CoreView v;
  v.info = plane.cores()[core];
  v.ledger = pipeline.ledger();
  v.worker = plane.worker_stats(core);
  v.octets = d.octets.value();
  v.bursts = p.bursts.value();
  v.holds = p.holds.value();
  v.turns = v.bursts + p.empty_polls.value() + v.holds;
  v.turned_steady_ns =
      before != nullptr && before->turns == v.turns ? before->turned_steady_ns : steady_now_ns;
  v.busy_ns = p.busy_ns.value();
  if (before != nullptr && elapsed_ns > 0) {
    v.busy_ratio = std::min(
        1.0, static_cast<double>(v.busy_ns - before->busy_ns) / static_cast<double>(elapsed_ns));
  }
  v.exporters_forgotten = Tally(d.exporters_forgotten);
  v.exporters_restored = d.exporters_restored.value();
  v.rates_restored = d.rates_restored.value();
  v.samples_lost = d.samples_lost.value();
  v.samples_dropped = d.samples_dropped.value();
  v.options_records = d.options_records.value();
  v.records_fused = p.records_fused.value();
  v.exporters = d.exporters.value();
  v.templates = d.templates.value();
  v.events = d.events.value();
  v.events_dropped = d.events_dropped.value();
  v.pending_octets = d.pending_octets.value();
  v.buffers_free = b.buffers_free.value();
  v.buffers = pipeline.batcher().buffers();
  v.batches_waiting = pipeline.batcher().sealed_waiting();
  v.encoded_octets = b.encoded_octets.value();
  v.batches_sealed = b.batches_sealed.value();
  v.quirks = Tally(d.quirks);
  v.template_events = Tally(d.template_events);
  v.datagrams_by_protocol = Tally(d.datagrams_by_protocol);
  v.records_by_protocol = Tally(d.records_by_protocol);
  return v;
}

std::vector<ListenerView> listener_views(dataplane::DataPlane& plane, const ApplianceConfig& config,
                                         const std::vector<std::string>& names) {
  std::vector<ListenerView> views(names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    ListenerView& v = views[i];
    v.name = names[i];
    const auto found = std::find_if(config.listeners.begin(), config.listeners.end(),
                                    [&](const ListenerConfig& l) { return l.name == names[i]; });
    if (found != config.listeners.end()) v.port = found->port;
    for (size_t core = 0; core < plane.cores().size(); ++core) {
      const decode::ListenerCounters& c = plane.pipeline(core).decoder_counters().listeners[i];
      v.datagrams += Tally(c.datagrams);
      v.octets += Tally(c.octets);
      v.records += Tally(c.records);
      v.rejected += c.rejected.value();
    }
  }
  return views;
}

namespace {

/// ` (queue_full 967, timed_out 3)`: what is not nothing, and is not `fine`.
template <class E>
std::string reasons_of(const Tally<E>& tally, E fine = E::count_) {
  std::string text;
  for (size_t i = 0; i < tally.values.size(); ++i) {
    const auto reason = static_cast<E>(i);
    if (reason == fine || tally[reason] == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name_of(reason), tally[reason]);
  }
  return text.empty() ? text : fmt::format(" ({})", text);
}

}  // namespace

std::string summary_of(const ApplianceView& view) {
  const Ledger total = view.total();
  std::string text = fmt::format("received {} datagrams", total.datagrams);
  if (const uint64_t rejected = total.datagram_errors.total(); rejected != 0) {
    text += fmt::format(", rejected {}{}", rejected, reasons_of(total.datagram_errors));
  }
  if (total.sets != total.set_outcomes[decode::SetOutcome::decoded]) {
    text += fmt::format(", {} of {} sets not decoded{}", total.sets - total.set_outcomes[decode::SetOutcome::decoded],
                        total.sets, reasons_of(total.set_outcomes, decode::SetOutcome::decoded));
  }
  text += fmt::format(", decoded {} records, encoded {}", total.records, total.encoded);
  if (const uint64_t dropped = total.record_drops.total(); dropped != 0) {
    text += fmt::format(", not encoded {}{}", dropped, reasons_of(total.record_drops));
  }
  for (const PublisherView& p : view.publishers) {
    text += fmt::format("; {}: acknowledged {}, failed {}, dropped {}, in flight {}", p.name,
                        p.records_acknowledged, p.records_failed, p.records_dropped,
                        p.records_in_flight + p.records_waiting);
    text += reasons_of(p.failures);
    if (p.spool.dir.empty()) continue;
    text += fmt::format(", spooled {}, replayed {}, on disk {}{}", p.records_spooled,
                        p.spool.records_replayed, p.spool.records, reasons_of(p.spool.failures));
  }
  uint64_t missed = 0;
  for (const auto& port : view.ports) missed += port.missed.value_or(0);
  if (const uint64_t full = total.worker_full.total(); full != 0)
    text += fmt::format("; dropped {} frames whose worker was too far behind", full);
  if (missed != 0) text += fmt::format("; missed {} packets before they were received", missed);
  return text;
}

}  // namespace weir::control
