#include "etl/metrics.h"

#include "base/version.h"
#include "service/log.h"

namespace weir::etl {

using service::MetricPage;

namespace {

double seconds(uint64_t ns) { return static_cast<double>(ns) / 1e9; }

void add_rules(MetricPage& page, const RulesView& rules) {
  page.gauge("weir_etl_rules_info", "1; the rules that flows go by, and the SHA-256 of them and their dictionaries.",
             {{"name", rules.name}, {"hash", rules.hash}}, 1);
  page.gauge("weir_etl_rules_version", "How often rules were taken since the start.", {}, static_cast<double>(rules.version));
  page.gauge("weir_etl_rules_read_timestamp_seconds", "When they were read.", {}, seconds(rules.read_ns));
  const auto add = [&](const RuleView& rule) {
    const service::Labels labels = {{"rule", rule.id}};
    page.counter("weir_etl_rule_matched_total", "Flows that a rule matched; empty rule: those that are there no more.", labels,
                 rule.matched);
    page.counter("weir_etl_rule_dropped_total", "Flows that a rule dropped or did not sample.", labels, rule.dropped);
    page.counter("weir_etl_rule_errors_total", "Flows for which an expression of a rule had no value.", labels, rule.errors);
  };
  for (const enrich::SourceLook& source : rules.sources) {
    page.gauge("weir_etl_enrichment_prefixes", "Of how many prefixes something is known, by source and its version.",
               {{"path", source.path}, {"type", source.type}, {"version", source.version}}, static_cast<double>(source.prefixes));
  }
  for (const RuleView& rule : rules.rules) add(rule);
  add(rules.former);
}

void add_publisher(MetricPage& page, const EventPublisherView& publisher) {
  const service::Labels labels = {{"publisher", publisher.name}, {"stream", publisher.stream}};
  page.gauge("weir_etl_publisher_connected", "1: connected.", labels, publisher.is_connected ? 1 : 0);
  page.gauge("weir_etl_publisher_in_flight", "Messages without an outcome.", labels, static_cast<double>(publisher.in_flight));
  page.counter("weir_etl_publisher_messages_total", "Messages sent, retries included.", labels, publisher.messages);
  page.counter("weir_etl_publisher_octets_total", "Octets sent.", labels, publisher.octets);
  page.counter("weir_etl_publisher_acknowledgements_total", "Positive answers.", labels, publisher.acknowledgements);
  page.counter("weir_etl_publisher_refusals_total", "Negative answers.", labels, publisher.negative_acknowledgements);
  page.counter("weir_etl_publisher_retries_total", "Messages sent again.", labels, publisher.retries);
  page.counter("weir_etl_publisher_reconnects_total", "Connections won back.", labels, publisher.reconnects);
}

}  // namespace

void add_metrics(const EtlView& view, const service::ReloadView& reload, const feed::FilesView& files, MetricPage& page) {
  const EtlBooks& books = view.books;
  page.gauge("weir_etl_build_info", "1; the version and commit of this build.", {{"version", version()}, {"commit", commit()}}, 1);
  page.gauge("weir_etl_start_time_seconds", "When it was started.", {}, seconds(view.started_ns));
  page.gauge("weir_etl_ready", "1: nothing stands in its way.", {}, view.not_ready_because().empty() ? 1 : 0);
  page.counter("weir_etl_messages_in_total", "Messages that came in; one that comes again is another.", {}, books.messages_in);
  page.counter("weir_etl_octets_in_total", "Their octets.", {}, books.octets_in);
  page.counter("weir_etl_messages_redelivered_total", "Of these, those that somebody had been given before.", {},
               books.messages_redelivered);
  page.counter("weir_etl_messages_done_total", "Messages all of whose events are acknowledged.", {}, books.messages_done);
  page.counter("weir_etl_messages_returned_total", "Messages left to be delivered again.", {}, books.messages_returned);
  page.gauge("weir_etl_messages_in_hand", "Messages that are worked on.", {}, static_cast<double>(books.messages_in_hand));
  page.counter("weir_etl_records_in_total", "Flows read from messages.", {}, books.records_in);
  page.counter("weir_etl_records_dropped_total", "Flows that a rule dropped.", {}, books.records_dropped);
  page.counter("weir_etl_rule_labels_left_out_total", "Labels of rules that a flow had no room for.", {}, books.labels_left_out);
  page.counter("weir_etl_records_sampled_out_total", "Flows that a rule's sampling left out.", {}, books.records_sampled_out);
  page.counter("weir_etl_records_returned_total", "Flows whose events were not acknowledged; they come again.", {},
               books.records_returned);
  page.gauge("weir_etl_records_in_flight", "Flows whose events are on their way.", {}, static_cast<double>(books.records_in_flight));
  page.counter("weir_etl_events_total", "Events that were acknowledged.", {}, books.events_acknowledged);
  page.counter("weir_etl_decisions_total", "Results of a decision file that were acknowledged.", {}, books.decisions_acknowledged);
  page.counter("weir_etl_event_octets_total", "Octets of events and decisions made.", {}, books.event_octets);
  page.counter("weir_etl_event_messages_total", "Messages of events or decisions that were acknowledged.", {}, books.event_messages);
  page.counter("weir_etl_event_messages_duplicate_total", "Of these, those that the stream had already.", {},
               books.event_messages_duplicate);
  feed::add_dead_metrics(page, "weir_etl", books.messages_dead, books.records_dead);
  page.gauge("weir_etl_ledger_balanced", "1: every message and every flow is accounted for.", {},
             books.discrepancy().empty() ? 1 : 0);
  page.gauge("weir_etl_careful", "1: messages are taken one by one, for some were delivered before.", {}, view.is_careful ? 1 : 0);
  page.gauge("weir_etl_buffers", "Buffers of events.", {}, static_cast<double>(view.buffers));
  page.gauge("weir_etl_buffers_free", "Of these, those that are free.", {}, static_cast<double>(view.buffers_free));
  add_rules(page, view.rules);
  page.counter("weir_etl_reloads_total", "Reloads asked for that have ended.", {}, reload.number);
  page.gauge("weir_etl_reload_good", "0: the last reload was refused.", {},
             reload.state == service::ReloadState::refused ? 0 : 1);
  feed::add_files_metrics(page, "weir_etl", files);
  feed::add_source_metrics(page, "weir_etl", view.source);
  if (view.names != nullptr) feed::add_names_metrics(page, "weir_etl", *view.names);
  for (const EventPublisherView& publisher : view.publishers) add_publisher(page, publisher);
  page.counter("weir_etl_log_lines_lost_total", "Lines of the log that nobody took in time.", {}, service::log_lines_lost());
}

}  // namespace weir::etl
