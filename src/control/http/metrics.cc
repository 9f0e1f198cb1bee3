#include "control/http/metrics.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/version.h"
#include "service/metrics.h"

namespace weir::control {

namespace {

constexpr size_t kExporterMetricsMax = 1000;
constexpr size_t kRuleMetricsMax = 1000;
const std::vector<double> kDeliveryBoundsSecs = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                 0.5,   1,      2.5,   5,    10,    30,   60};

using service::Labels;
using service::MetricPage;

/// A row for each enumerator, under the label `key`, behind the labels in `common`.
template <class Enum>
void counter_each(MetricPage& page, const char* name, const char* help, const Labels& common,
                  const char* key, const Tally<Enum>& tally) {
  for (size_t i = 0; i < tally.values.size(); ++i) {
    Labels labels = common;
    labels.emplace_back(key, name_of(static_cast<Enum>(i)));
    page.counter(name, help, labels, tally.values[i]);
  }
}

void add_exception(MetricPage& page, const std::string& port, const dataplane::ExceptionStats& e) {
  const auto counter = [&](const char* name, const char* help, const char* outcome, uint64_t value) {
    page.counter(name, help, {{"port", port}, {"interface", e.interface}, {"outcome", outcome}}, value);
  };
  constexpr const char* kIn = "weir_port_to_kernel_total";
  constexpr const char* kInHelp = "Frames for the port's interface of the kernel's, by whether it took them.";
  counter(kIn, kInHelp, "delivered", e.delivered);
  counter(kIn, kInHelp, "refused", e.refused);
  constexpr const char* kOut = "weir_port_from_kernel_total";
  constexpr const char* kOutHelp = "Frames that the kernel sent by the port's interface, by whether they went out.";
  counter(kOut, kOutHelp, "sent", e.sent);
  counter(kOut, kOutHelp, "not_sent", e.not_sent);
  counter(kOut, kOutHelp, "invalid", e.invalid);
  counter(kOut, kOutHelp, "too_long", e.too_long);
  counter(kOut, kOutHelp, "dropped", e.dropped);
}

void add_sessions(MetricPage& page, const std::string& port, const dataplane::TcpStats& tcp) {
  const Labels labels = {{"port", port}};
  page.gauge("weir_tcp_sessions", "TCP sessions that exporters have open.", labels, static_cast<double>(tcp.sessions));
  page.counter("weir_tcp_sessions_opened_total", "TCP sessions that exporters opened.", labels, tcp.opened);
  counter_each(page, "weir_tcp_sessions_refused_total", "Connections that were closed before they were sessions, by reason.",
               labels, "reason", tcp.refused);
  counter_each(page, "weir_tcp_sessions_ended_total", "TCP sessions that ended, by how.", labels, "how", tcp.ended);
}

void add_ports(MetricPage& page, const ApplianceView& view) {
  for (const dataplane::PortStats& port : view.ports) {
    const Labels labels = {{"port", port.name}, {"driver", port.driver}};
    // What the device cannot tell has no row, which differs from 0.
    const auto counter = [&](const char* name, const char* help, std::optional<uint64_t> value) {
      if (value) page.counter(name, help, labels, *value);
    };
    counter("weir_port_packets_total", "Packets taken from the port.", port.packets);
    counter("weir_port_octets_total", "Octets taken from the port.", port.octets);
    counter("weir_port_missed_total",
            "Packets dropped by the NIC or the kernel before Weir saw them.", port.missed);
    counter("weir_port_errors_total", "Packets that the device received wrongly.", port.errors);
    counter("weir_port_no_mbuf_total", "Packets lost for want of a buffer.", port.no_mbuf);
    page.gauge("weir_port_up", "1 while the port's link is up.", labels, port.link_up);
    if (port.tcp) add_sessions(page, port.name, *port.tcp);
    if (port.exception) add_exception(page, port.name, *port.exception);
  }
}

/// By address: one whose spoof_source a reload has changed goes on in its series.
void add_replicas(MetricPage& page, const ApplianceView& view) {
  std::map<std::string, dataplane::ReplicaStats> by_target;
  for (const dataplane::ReplicaStats& r : view.replicas) by_target[r.to] += r;
  for (const auto& [to, r] : by_target) {
    const Labels labels = {{"to", to}};
    page.counter("weir_replica_offered_total", "Datagrams that another collector was to get.", labels, r.offered);
    page.counter("weir_replica_sent_total", "Datagrams that were sent on to another collector.", labels, r.sent);
    page.counter("weir_replica_sent_octets_total", "Octets of payload in datagrams sent on.", labels, r.sent_octets);
    page.counter("weir_replica_returned_total", "Datagrams sent on of which the network said that nobody got them (ICMP).",
                 labels, r.returned);
    counter_each(page, "weir_replica_dropped_total", "Datagrams that did not go on to another collector, by reason.", labels,
                 "reason", r.dropped);
  }
}

void add_core(MetricPage& page, const CoreView& core) {
  const std::string number = std::to_string(core.info.core);
  const Labels labels = {{"core", number}};
  const auto counter = [&](const char* name, const char* help, uint64_t value) {
    page.counter(name, help, labels, value);
  };
  const auto gauge = [&](const char* name, const char* help, double value) {
    page.gauge(name, help, labels, value);
  };
  const auto each = [&](const char* name, const char* help, const char* key, const auto& tally) {
    counter_each(page, name, help, labels, key, tally);
  };
  const Ledger& ledger = core.ledger;
  each("weir_frames_total", "Frames by what they turned out to be.", "verdict", ledger.verdicts);
  each("weir_fragments_total", "IP fragments that wait no more, by what became of them.", "outcome",
       ledger.fragments);
  gauge("weir_fragments_waiting", "IP fragments whose datagram is not complete.",
        static_cast<double>(ledger.fragments_waiting));
  each("weir_reassembled_total", "Datagrams put together from fragments, by what they turned out to be.",
       "verdict", ledger.reassembled);
  counter("weir_no_listener_total", "UDP datagrams for a port without a listener.",
          ledger.no_listener);
  each("weir_exceptions_total", "Sound frames that are no export traffic, by what the core did with them.", "outcome",
       ledger.exceptions);
  each("weir_worker_handed_total", "Frames that the core handed to workers.", "kind", ledger.handed);
  each("weir_worker_full_total", "Frames that the core dropped, since the worker they were for was too far behind.", "kind",
       ledger.worker_full);
  each("weir_worker_taken_total", "Frames that the core, a worker, took from those that receive.", "kind", ledger.taken);
  if (core.worker) {
    gauge("weir_worker_waiting", "Frames that wait for the worker.", static_cast<double>(core.worker->waiting));
    gauge("weir_worker_capacity", "Frames that may wait for the worker.", static_cast<double>(core.worker->capacity));
    counter("weir_worker_missed_total", "Frames for the worker that were dropped, since it was too far behind.",
            core.worker->full);
  }
  counter("weir_datagrams_total", "Datagrams given to the decoder.", ledger.datagrams);
  counter("weir_datagram_octets_total", "Octets of the datagrams given to the decoder.",
          core.octets);
  counter("weir_datagrams_decoded_total", "Datagrams that were decoded.", ledger.datagrams_decoded);
  each("weir_datagram_errors_total", "Datagrams rejected, by reason.", "reason",
       ledger.datagram_errors);
  // Waiting is a state that a set leaves again, so this family is a gauge as a whole.
  for (size_t i = 0; i < ledger.set_outcomes.values.size(); ++i) {
    page.gauge("weir_sets", "Sets of decoded datagrams, by what became of them.",
               {{"core", number}, {"outcome", name_of(static_cast<decode::SetOutcome>(i))}},
               static_cast<double>(ledger.set_outcomes.values[i]));
  }
  for (size_t i = 0; i < static_cast<size_t>(decode::Protocol::count_); ++i) {
    const auto protocol = static_cast<decode::Protocol>(i);
    const Labels by_protocol = {{"core", number}, {"protocol", name_of(protocol)}};
    page.counter("weir_datagrams_by_protocol_total", "Datagrams decoded, by protocol.", by_protocol,
                 core.datagrams_by_protocol[protocol]);
    page.counter("weir_records_total", "Flow records decoded, by protocol.", by_protocol,
                 core.records_by_protocol[protocol]);
  }
  counter("weir_sflow_counters_records_total", "Counter samples decoded.", ledger.counter_records);
  counter("weir_sflow_discard_records_total", "Discarded packets decoded.", ledger.discard_records);
  counter("weir_sflow_samples_lost_total", "Missing in the sample sequences of sFlow data sources.",
          core.samples_lost);
  counter("weir_sflow_samples_dropped_total", "Samples that sFlow agents say they had to drop.",
          core.samples_dropped);
  counter("weir_records_fused_total", "Flow records that went straight from template to wire octets: not those that a form cannot express, nor what was dropped.", core.records_fused);
  counter("weir_records_encoded_total", "Records of every kind encoded into batches.",
          ledger.encoded);
  each("weir_record_drops_total", "Decoded records that were not encoded, by reason.", "reason",
       ledger.record_drops);
  counter("weir_options_records_total", "Options data records taken as state.",
          core.options_records);
  counter("weir_encoded_octets_total", "Octets of encoded records.", core.encoded_octets);
  counter("weir_batches_sealed_total", "Batches sealed.", core.batches_sealed);
  counter("weir_sequence_lost_total",
          "Missing in the exporters' sequence numbers: lost before arrival, or refused by a rate of datagrams.",
          core.ledger.sequence_lost);
  each("weir_quirks_total", "Deviations from the standards that were tolerated.", "quirk",
       core.quirks);
  each("weir_template_events_total", "What happened to templates.", "event", core.template_events);
  counter("weir_events_total", "Events that the decoder told: exporters, templates, names.",
          core.events);
  counter("weir_events_dropped_total", "Events that were lost because too many waited.",
          core.events_dropped);
  each("weir_exporters_forgotten_total", "Silent exporters whose state was given up, by reason: others came while all places were taken, or a reload lowered their number.",
       "reason", core.exporters_forgotten);
  counter("weir_exporters_restored_total",
          "Exporters for which there was state from before the start.", core.exporters_restored);
  counter("weir_rates_restored_total", "Sampling rates taken up from before the start.",
          core.rates_restored);
  gauge("weir_exporters", "Exporters known to the core.", static_cast<double>(core.exporters));
  gauge("weir_templates", "Templates held by the core.", static_cast<double>(core.templates));
  gauge("weir_pending_octets", "Octets waiting for their template.",
        static_cast<double>(core.pending_octets));
  gauge("weir_batch_buffers_free", "Batch buffers that the core can still fill.",
        static_cast<double>(core.buffers_free));
  counter("weir_core_holds_total",
          "Polls that received nothing, since buffers were short and a publisher blocks.", core.holds);
  gauge("weir_core_busy_ratio", "Share of the last interval that the core spent on packets.",
        core.busy_ratio);
}

void add_publisher(MetricPage& page, const PublisherView& p) {
  const Labels labels = {{"publisher", p.name}, {"kind", p.kind}};
  const auto counter = [&](const char* name, const char* help, uint64_t value) {
    page.counter(name, help, labels, value);
  };
  // Of what is gone there are totals only, and what it had ailed needs nobody any more.
  const auto gauge = [&](const char* name, const char* help, double value) {
    if (p.state != PublisherState::gone) page.gauge(name, help, labels, value);
  };
  if (p.state == PublisherState::running) {
    gauge("weir_publisher_connected", "1 while the publisher reaches its destination.", p.connected);
    gauge("weir_publisher_connections", "Connections of it that are up; of a file or standard output, 1 while it can be written.",
          static_cast<double>(p.connections));
  }
  counter("weir_publisher_records_acknowledged_total", "Records acknowledged by the destination.",
          p.records_acknowledged);
  counter_each(page, "weir_publisher_records_lost_total",
               "Records that the destination did not get, by reason.", labels, "reason",
               p.failures);
  counter("weir_publisher_records_spooled_total", "Records written to disk instead.",
          p.records_spooled);
  counter("weir_publisher_records_absent_total", "Records encoded while the publisher was not there.",
          p.records_absent);
  if (!p.spool.dir.empty()) {
    const SpoolView& s = p.spool;
    gauge("weir_spool_records", "Records on disk.", static_cast<double>(s.records));
    gauge("weir_spool_octets", "Octets of the spool on disk.", static_cast<double>(s.octets));
    gauge("weir_spool_octets_max", "Octets that it may take.", static_cast<double>(s.octets_max));
    counter("weir_spool_records_replayed_total", "Records from disk that were acknowledged.",
            s.records_replayed);
    counter("weir_spool_records_expired_total", "Records that grew too old on disk.",
            s.records_expired);
    counter("weir_spool_records_damaged_total", "Records that could not be read back.",
            s.records_damaged);
    counter_each(page, "weir_spool_records_lost_total",
                 "Records from disk that the destination refused, by reason.", labels, "reason",
                 s.failures);
  }
  gauge("weir_publisher_records_in_flight", "Records encoded and not yet decided.",
        static_cast<double>(p.records_in_flight + p.records_waiting));
  counter("weir_publisher_batches_duplicate_total",
          "Acknowledged batches that were stored already.", p.batches_duplicate);
  gauge("weir_publisher_queue_depth", "Batches waiting for the publisher.", static_cast<double>(p.queue_depth));
  gauge("weir_publisher_queue_capacity", "Batches that may wait for the publisher.",
        static_cast<double>(p.queue_capacity));
  if (p.records_max != 0) {
    gauge("weir_publisher_queue_records_max", "Records that the publisher may hold undecided.",
          static_cast<double>(p.records_max));
  }
  gauge("weir_publisher_queue_records", "Records that the publisher holds undecided.",
        static_cast<double>(p.records_in_flight));
  gauge("weir_publisher_queue_fill_ratio", "Fill of the bound that is nearest: near 1 records are dropped.",
        p.queue_fill);
  gauge("weir_publisher_takes_nothing_seconds",
        "How long the publisher has settled none of its batches, from 5 s on; else 0.",
        static_cast<double>(p.takes_nothing_ns) / 1e9);
  counter("weir_publisher_messages_total", "Messages sent, retries included.", p.messages);
  counter("weir_publisher_octets_total", "Octets sent, retries included.", p.octets);
  counter("weir_publisher_retries_total", "Messages sent again.", p.retries);
  counter("weir_publisher_negative_acknowledgements_total",
          "Messages that the destination refused.", p.negative_acknowledgements);
  counter("weir_publisher_streams_created_total", "Times the stream was absent and was created.",
          p.streams_created);
  counter("weir_publisher_reconnects_total", "Times the connection was made again.", p.reconnects);
  std::vector<uint64_t> batches;
  uint64_t below = 0;
  for (const double seconds : kDeliveryBoundsSecs) {
    const uint64_t up_to = p.delivery.count_up_to(static_cast<uint64_t>(seconds * kNsPerSec));
    batches.push_back(up_to - below);
    below = up_to;
  }
  batches.push_back(p.delivery.count() - below);
  page.histogram("weir_publisher_delivery_seconds",
                 "Batches acknowledged, by the time since their first record was received.", labels,
                 kDeliveryBoundsSecs, batches, static_cast<double>(p.delivery.sum_ns()) / kNsPerSec);
}

void add_listeners(MetricPage& page, const ApplianceView& view) {
  for (const ListenerView& l : view.listeners) {
    for (size_t i = 0; i < static_cast<size_t>(decode::Protocol::count_); ++i) {
      const auto protocol = static_cast<decode::Protocol>(i);
      const Labels labels = {{"listener", l.name}, {"protocol", name_of(protocol)}};
      page.counter("weir_listener_datagrams_total", "Datagrams decoded, by listener and protocol.", labels,
                   l.datagrams[protocol]);
      page.counter("weir_listener_octets_total", "Octets of these datagrams.", labels, l.octets[protocol]);
      page.counter("weir_listener_records_total", "Flow records decoded, by listener and protocol.", labels,
                   l.records[protocol]);
    }
    page.counter("weir_listener_rejected_total", "Datagrams rejected, by listener.", {{"listener", l.name}},
                 l.rejected);
  }
}

void add_names(MetricPage& page, const ApplianceView& view) {
  page.gauge("weir_names", "Names of interfaces, VRFs, applications and samplers that are known.",
             {}, static_cast<double>(view.names.names));
  page.counter("weir_names_omitted_total", "Names for which there was no room.", {},
               view.names.omitted);
  page.counter("weir_names_exporters_forgotten_total",
               "Exporters whose names made room for those of others.", {}, view.names.forgotten);
  const ExporterFeedView& feed = view.exporter_feed;
  if (!feed.is_on) return;
  page.gauge("weir_exporter_info_connected", "1 while tables of names can be published.", {},
             feed.connected);
  page.gauge("weir_exporter_info_waiting", "Tables that changed and are not acknowledged.", {},
             static_cast<double>(feed.waiting));
  page.counter("weir_exporter_info_acknowledged_total", "Tables acknowledged by the stream.", {},
               feed.acknowledged);
  page.counter("weir_exporter_info_failed_total", "Tables that the stream refused for good.", {},
               feed.failed);
  page.counter("weir_exporter_info_messages_total", "Tables sent, retries included.", {},
               feed.messages);
}

void add_rules(MetricPage& page, const RulesView& view) {
  if (view.rules == nullptr) return;
  page.gauge("weir_rules", "Rules of classification.", {}, static_cast<double>(view.rules->rules().size()));
  page.counter("weir_rules_records_total", "Records that rules looked at.", {}, view.all.records);
  page.counter("weir_rules_records_matched_total", "Records that some rule matched.", {}, view.all.matched);
  page.counter("weir_rules_payload_scans_total", "Scans of sampled packets' payloads, with a database each.", {}, view.all.scans);
  page.counter("weir_rules_scan_errors_total", "Scans that the engine did not end: what it would have found is not known.", {}, view.all.scan_errors);
  page.counter("weir_rules_names_total", "Names that were taken out of sampled packets.", {}, view.all.names);
  page.counter("weir_rules_left_out_total", "What rules found and records had no room for.", {{"what", "matches"}}, view.all.matches_left_out);
  page.counter("weir_rules_left_out_total", "What rules found and records had no room for.", {{"what", "labels"}}, view.all.labels_left_out);
  // /v1/rules has them all.
  const size_t shown = std::min(view.totals.size(), kRuleMetricsMax);
  for (size_t i = 0; i < shown; ++i) {
    const Labels labels = {{"rule", view.rules->rules()[i].id}};
    page.counter("weir_rule_hits_total", "Records that the rule matched.", labels, view.totals[i].hits);
    page.counter("weir_rule_drops_total", "Records that the rule dropped or sampled away.", labels, view.totals[i].drops);
    page.counter("weir_rule_errors_total", "Times that the rule's condition had no value.", labels, view.totals[i].errors);
  }
}

void add_template_caches(MetricPage& page, const ApplianceView& view) {
  // A page of metrics is not for tens of thousands of rows; /v1/exporters has them all.
  const size_t shown = std::min(view.exporters.size(), kExporterMetricsMax);
  for (size_t i = 0; i < shown; ++i) {
    const decode::ExporterStats& e = view.exporters[i];
    const std::string address = e.address.to_string();
    page.gauge("weir_exporter_templates_max", "Templates that the exporter may have.",
               {{"exporter", address}}, static_cast<double>(e.templates_max));
    for (const auto& [kind, cache] :
         {std::pair{"data", &e.data_templates}, std::pair{"options", &e.options_templates}}) {
      const Labels labels = {{"exporter", address}, {"kind", kind}};
      page.gauge("weir_exporter_templates", "Templates that the exporter has.", labels,
                 static_cast<double>(cache->size));
      page.counter("weir_exporter_template_hits_total", "Data sets whose template was known.",
                   labels, cache->hits);
      page.counter("weir_exporter_template_misses_total", "Data sets whose template was missing.",
                   labels, cache->misses);
      page.counter("weir_exporter_template_evictions_total", "Templates that made room for others.",
                   labels, cache->evictions);
    }
    page.gauge("weir_exporter_sets_waiting", "Data sets that wait for their template.",
               {{"exporter", address}}, static_cast<double>(e.sets_waiting));
  }
}

/// Of the exporters whose clock is farthest off; all, unless there are very many.
void add_clocks(MetricPage& page, const ApplianceView& view) {
  constexpr size_t kClocksMax = 1000;
  std::vector<const decode::ExporterStats*> rows;
  for (const decode::ExporterStats& e : view.exporters) {
    if (e.clock_samples != 0) rows.push_back(&e);
  }
  const auto off = [](const decode::ExporterStats* e) { return std::abs(e->clock_skew_ns); };
  const size_t shown = std::min(rows.size(), kClocksMax);
  std::partial_sort(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(shown), rows.end(),
                    [&off](const auto* a, const auto* b) { return off(a) > off(b); });
  rows.resize(shown);
  for (const decode::ExporterStats* e : rows) {
    page.gauge("weir_exporter_clock_skew_seconds",
               "How far the exporter's clock is behind the collector's, smoothed.",
               {{"exporter", e->address.to_string()}}, static_cast<double>(e->clock_skew_ns) / 1e9);
  }
}

void add_state(MetricPage& page, const StateView& state) {
  if (state.path.empty()) return;
  page.gauge("weir_state_saved_timestamp_seconds",
             "When the decoders' state was last saved, since the epoch; 0: not since the start.",
             {}, static_cast<double>(state.saved_ns) / 1e9);
  page.gauge("weir_state_octets", "Octets of the decoders' state as last saved.", {},
             static_cast<double>(state.saved_octets));
  page.gauge("weir_state_save_failed", "1 while the decoders' state cannot be saved.", {},
             !state.error.empty());
}

}  // namespace

std::string metrics_text(const ApplianceView& view) {
  MetricPage page;
  page.gauge("weir_build_info", "The running build; always 1.",
             {{"version", version()}, {"commit", commit()}}, 1);
  page.gauge("weir_start_time_seconds", "When the appliance started, since the epoch.", {},
             static_cast<double>(view.started_ns) / 1e9);
  page.gauge("weir_clock_ticks", "1 while receive cores take the time from the CPU's time stamp counter; 0: they ask the kernel.", {},
             view.time.trouble == TickTrouble::none);
  page.gauge("weir_clock_error_seconds", "What the time stamp counter was wrong by at the last look at the kernel's clock.", {},
             static_cast<double>(view.time.error_ns) / 1e9);
  page.counter("weir_clock_steps_total", "Times that the wall clock was set by a millisecond or more.", {}, view.time.steps);
  page.gauge("weir_clock_last_step_seconds", "By how much the wall clock was last set.", {},
             static_cast<double>(view.time.last_step_ns) / 1e9);
  page.counter("weir_clock_losses_total", "Times that the time stamp counter disagreed with the kernel's clock.", {},
               view.time.losses);
  page.gauge("weir_ready", "1 while the appliance can take and deliver flows.", {},
             view.not_ready_because().empty());
  page.gauge("weir_ledger_balanced", "1 while every record is accounted for.", {},
             view.discrepancies.empty());
  page.counter("weir_ledger_mismatches_total", "Checks in which the books did not balance.", {},
               view.ledger_mismatches);
  add_ports(page, view);
  add_replicas(page, view);
  for (const CoreView& core : view.cores) add_core(page, core);
  add_listeners(page, view);
  for (const PublisherView& publisher : view.publishers) add_publisher(page, publisher);
  add_template_caches(page, view);
  add_names(page, view);
  add_rules(page, view.rules);
  add_clocks(page, view);
  add_state(page, view.state_kept);
  return page.render();
}

}  // namespace weir::control
