#include "etl/view.h"

#include <fmt/format.h>

#include <numeric>

namespace weir::etl {

namespace {

/// A stream with less is being drained, whatever the share of it is.
constexpr uint64_t kBehindMin = 1000;

}  // namespace

uint64_t EtlBooks::messages_dead_total() const noexcept {
  return std::accumulate(messages_dead.begin(), messages_dead.end(), uint64_t{0});
}
uint64_t EtlBooks::records_dead_total() const noexcept {
  return std::accumulate(records_dead.begin(), records_dead.end(), uint64_t{0});
}

std::string EtlBooks::discrepancy() const {
  const uint64_t messages = messages_done + messages_dead_total() + messages_returned + messages_in_hand;
  if (messages != messages_in) {
    return fmt::format("messages: {} in, {} accounted for: done {}, dead {}, returned {}, in hand {}", messages_in, messages,
                       messages_done, messages_dead_total(), messages_returned, messages_in_hand);
  }
  const uint64_t records = records_dropped + records_sampled_out + events_acknowledged + records_dead_total() +
                           records_returned + records_in_flight;
  if (records != records_in) {
    return fmt::format(
        "records: {} in, {} accounted for: dropped {}, sampled out {}, acknowledged {}, dead {}, returned {}, in flight {}",
        records_in, records, records_dropped, records_sampled_out, events_acknowledged, records_dead_total(),
        records_returned, records_in_flight);
  }
  return {};
}

uint64_t EtlView::lag() const noexcept {
  uint64_t messages = 0;
  for (const outbound::ConsumerLook& input : inputs) messages += input.pending + input.ack_pending;
  return messages;
}

bool EtlView::is_behind() const noexcept { return lag() >= kBehindMin && lag() > stream.messages / 2; }

std::string EtlView::not_ready_because() const {
  if (!is_source_connected) return source_trouble.empty() ? "not connected to NATS" : source_trouble;
  if (!source_trouble.empty()) return source_trouble;
  for (const outbound::ConsumerLook& input : inputs) {
    if (!input.is_ready) return fmt::format("consumer {} has not been looked at yet", input.consumer);
  }
  for (const EventPublisherView& publisher : publishers) {
    if (!publisher.trouble.empty()) return fmt::format("{}: {}", publisher.name, publisher.trouble);
    if (!publisher.is_connected) return fmt::format("{}: not connected to NATS", publisher.name);
  }
  return {};
}

}  // namespace weir::etl
