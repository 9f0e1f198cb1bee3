#include "etl/view.h"

#include <fmt/format.h>

#include <numeric>

namespace weir::etl {

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
  const uint64_t records = records_dropped + records_sampled_out + events_acknowledged + decisions_acknowledged +
                           records_dead_total() + records_returned + records_in_flight;
  if (records != records_in) {
    return fmt::format(
        "records: {} in, {} accounted for: dropped {}, sampled out {}, events {}, decisions {}, dead {}, returned {}, in flight {}",
        records_in, records, records_dropped, records_sampled_out, events_acknowledged, decisions_acknowledged, records_dead_total(),
        records_returned, records_in_flight);
  }
  return {};
}

std::string EtlView::not_ready_because() const {
  if (std::string why = source.not_ready_because(); !why.empty()) return why;
  for (const EventPublisherView& publisher : publishers) {
    if (!publisher.trouble.empty()) return fmt::format("{}: {}", publisher.name, publisher.trouble);
    if (!publisher.is_connected) return fmt::format("{}: not connected to NATS", publisher.name);
  }
  return {};
}

}  // namespace weir::etl
