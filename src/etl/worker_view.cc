// What the worker shows of itself, between two steps.
#include "base/clock.h"
#include "etl/worker.h"
#include "service/log.h"

namespace weir::etl {
namespace {

constexpr uint64_t kViewEveryNs = kNsPerSec / 4;

}  // namespace

EventPublisherView EtlWorker::publisher_view(std::string_view name, const std::string& stream,
                                             const outbound::JetStreamPublisher& publisher) const {
  const outbound::PublisherCounters& counters = publisher.counters();
  return {.name = std::string(name),
          .stream = stream,
          .is_connected = counters.connected.value() != 0,
          .in_flight = publisher.in_flight(),
          .messages = counters.messages.value(),
          .octets = counters.octets.value(),
          .acknowledgements = counters.acknowledgements.value(),
          .negative_acknowledgements = counters.negative_acknowledgements.value(),
          .retries = counters.retries.value(),
          .reconnects = counters.reconnects.value(),
          .streams_created = counters.streams_created.value(),
          .trouble = publisher.last_error()};
}

void EtlWorker::publish_view(uint64_t now_ns) {
  next_view_ns_ = now_ns + kViewEveryNs;
  auto view = std::make_shared<EtlView>();
  view->taken_steady_ns = steady_clock_ns();
  view->started_ns = started_ns_;
  view->taken_ns = wall_clock_ns();
  view->is_stopping = is_stopping_;
  view->is_careful = is_careful_;
  view->books = books_;
  // Where no message comes they go all the same.
  if (auto rules = rules_.read(); current_ == nullptr && rules != rules_seen_) take_rules(rules);
  view->rules.version = rules_seen_->version;
  view->rules.read_ns = rules_seen_->read_ns;
  view->rules.former = former_rules_;
  if (rules_seen_->enrichment != nullptr) view->rules.sources = rules_seen_->enrichment->sources();
  if (const rules::RuleSet* const rules = rules_seen_->rules.get(); rules != nullptr) {
    view->rules.name = rules->name();
    view->rules.hash = rules->hash();
    for (size_t i = 0; i < rules->rules().size(); ++i) {
      view->rules.rules.push_back({rules->rules()[i].id, rule_counts_[i].hits, rule_drops_[i], rule_counts_[i].errors});
    }
  }
  view->source = feed::SourceView::of(*consumer_, config_.source.stream_name);
  if (names_ != nullptr) view->names = names_->view();
  view->publishers.push_back(publisher_view("events", config_.events.stream.name, *events_));
  if (uses_decisions()) view->publishers.push_back(publisher_view("decisions", config_.decisions.stream.name, *decisions_));
  view->publishers.push_back(publisher_view("dead", config_.dead.stream.name, *dead_));
  view->buffers = buffers_.size();
  view->buffers_free = free_buffers_.size();
  view_.publish(std::move(view));
}

}  // namespace weir::etl
