#include "feed/source_view.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "service/log.h"

namespace weir::feed {

using nlohmann::json;
using service::MetricPage;

namespace {

/// A stream with less is being drained, whatever the share of it is.
constexpr uint64_t kBehindMin = 1000;
constexpr uint32_t kLooksBehind = 5;  // so many in a row, before it is worth a line

}  // namespace

SourceView SourceView::of(const outbound::JetStreamConsumer& consumer, const std::string& stream_name) {
  SourceView view;
  view.stream_name = stream_name;
  view.stream = consumer.stream();
  for (size_t i = 0; i < consumer.inputs(); ++i) view.inputs.push_back(consumer.look(i));
  view.is_connected = consumer.is_connected();
  view.reconnects = consumer.reconnects();
  view.trouble = consumer.trouble();
  return view;
}

uint64_t SourceView::lag() const noexcept {
  uint64_t messages = 0;
  for (const outbound::ConsumerLook& input : inputs) messages += input.pending + input.ack_pending;
  return messages;
}

bool SourceView::is_behind() const noexcept { return lag() >= kBehindMin && lag() > stream.messages / 2; }

uint64_t SourceView::expired_in_stream() const noexcept {
  uint64_t messages = 0;
  for (const outbound::ConsumerLook& input : inputs) messages += input.expired_in_stream;
  return messages;
}

std::string SourceView::not_ready_because() const {
  if (!is_connected) return trouble.empty() ? "not connected to NATS" : trouble;
  if (!trouble.empty()) return trouble;
  for (const outbound::ConsumerLook& input : inputs) {
    if (!input.is_ready) return fmt::format("consumer {} has not been looked at yet", input.consumer);
  }
  return {};
}

json source_json(const SourceView& source) {
  json inputs = json::array();
  for (const outbound::ConsumerLook& input : source.inputs) {
    inputs.push_back({{"subject", input.subject},
                      {"consumer", input.consumer},
                      {"ready", input.is_ready},
                      {"trouble", input.trouble},
                      {"pending", input.pending},
                      {"ack_pending", input.ack_pending},
                      {"redelivered", input.redelivered},
                      {"expired_in_stream", input.expired_in_stream}});
  }
  return {{"stream", source.stream_name},
          {"connected", source.is_connected},
          {"messages", source.stream.messages},
          {"first_sequence", source.stream.first},
          {"last_sequence", source.stream.last},
          {"inputs", std::move(inputs)}};
}

json dead_json(const DeadTally& tally, bool of_records) {
  json object = json::object();
  for (size_t i = 0; i < tally.size(); ++i) {
    const auto reason = static_cast<DeadReason>(i);
    if (is_of_record(reason) == of_records) object[std::string(name_of(reason))] = tally[i];
  }
  return object;
}

void add_source_metrics(MetricPage& page, const std::string& program, const SourceView& source) {
  page.gauge(program + "_source_connected", "1: connected to the servers that messages come from.", {},
             source.is_connected ? 1 : 0);
  page.counter(program + "_source_reconnects_total", "Connections to them that were won back.", {}, source.reconnects);
  page.gauge(program + "_stream_messages", "Messages that the stream has.", {{"stream", source.stream_name}},
             static_cast<double>(source.stream.messages));
  for (const outbound::ConsumerLook& input : source.inputs) {
    const service::Labels labels = {{"consumer", input.consumer}, {"subject", input.subject}};
    page.gauge(program + "_lag_messages", "Messages that are not acknowledged yet, by any instance.", labels,
               static_cast<double>(input.pending + input.ack_pending));
    page.gauge(program + "_ack_pending_messages", "Of these, those that some instance has in hand.", labels,
               static_cast<double>(input.ack_pending));
    page.counter(program + "_expired_in_stream_total", "Messages that were gone from the stream before anybody got them.",
                 labels, input.expired_in_stream);
    page.gauge(program + "_consumer_ready", "1: it can be asked for messages.", labels, input.is_ready ? 1 : 0);
  }
  page.gauge(program + "_behind", "1: more than half of what the stream has is not acknowledged yet.", {},
             source.is_behind() ? 1 : 0);
}

void add_dead_metrics(MetricPage& page, const std::string& program, const DeadTally& messages, const DeadTally& records) {
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto reason = static_cast<DeadReason>(i);
    if (is_of_record(reason)) {
      page.counter(program + "_records_dead_total", "Records that nothing could be made of, published to flows.dead.<reason>.",
                   {{"reason", name_of(reason)}}, records[i]);
    } else {
      page.counter(program + "_messages_dead_total", "Messages that could not be read, published to flows.dead.<reason>.",
                   {{"reason", name_of(reason)}}, messages[i]);
    }
  }
}

void SourceWatch::look(const SourceView& source, const char* remedy) {
  if (const uint64_t expired = source.expired_in_stream(); expired > expired_told_) {
    service::log_warning("{} messages went from stream {} before anybody had got them ({} since the start): it is too small; or {}",
                         expired - expired_told_, source.stream_name, expired, remedy);
    expired_told_ = expired;
  }
  looks_behind_ = source.is_behind() ? looks_behind_ + 1 : 0;
  if (looks_behind_ < kLooksBehind) return;
  static service::LogLimit limit{1, 60 * kNsPerSec};
  service::log_limited(limit, service::LogLevel::warning,
                       "{} messages of stream {} are not worked on yet, more than half of the {} that it has: what comes may push "
                       "them out; {}",
                       source.lag(), source.stream_name, source.stream.messages, remedy);
}

}  // namespace weir::feed
