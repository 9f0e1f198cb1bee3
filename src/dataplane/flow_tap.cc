#include "dataplane/flow_tap.h"

#include <algorithm>
#include <cassert>

namespace weir::dataplane {
namespace {

constexpr uint64_t kFlowNs = kNsPerSec / kTapFlowsPerSecond;
constexpr uint64_t kCreditMaxNs = kTapFlowsAtOnce * kFlowNs;

}  // namespace

// What may be shown grows with the time and is spent as soon as something matches: of a flood, records come one at a
// time and evenly, and of what is rare, all.
void TapLane::tick(uint64_t steady_now_ns) noexcept {
  const uint64_t elapsed_ns = last_tick_ns_ == 0 ? kCreditMaxNs : steady_now_ns - last_tick_ns_;
  last_tick_ns_ = steady_now_ns;
  credit_ns_ = std::min(credit_ns_ + std::min(elapsed_ns, kCreditMaxNs), kCreditMaxNs);
}

/// The places of those that match, and how many they are.
size_t TapLane::find(std::span<const FlowRecord> records, std::span<uint8_t, kBurstRecords> places) const noexcept {
  size_t found = 0;
  for (size_t i = 0; i < records.size(); ++i) {
    const bool admits = (!has_numbers_ || filter_.admits_numbers(records[i])) &&
                        (!has_addresses_ || filter_.admits_addresses(records[i]));
    places[found] = static_cast<uint8_t>(i);
    found += admits ? 1 : 0;
  }
  return found;
}

void TapLane::look(const RecordBurst& burst) noexcept {
  assert(burst.records.size() <= kBurstRecords);
  counters_.seen.add(burst.records.size());
  if (!filter_.admits(burst.header, burst.listener)) return;
  std::array<uint8_t, kBurstRecords> matches;
  const size_t matched = find(burst.records, matches);
  if (matched == 0) return;
  counters_.matched.add(matched);
  const size_t shown = std::min<size_t>(matched, credit_ns_ / kFlowNs);
  counters_.sampled_away.add(matched - shown);
  if (shown == 0) return;
  credit_ns_ -= shown * kFlowNs;

  // Not always the first ones of a datagram: exporters put alike flows at alike places.
  const outbound::HeaderPrefix prefix(burst.header);
  const size_t begin = shown < matched ? turn_++ % matched : 0;
  for (size_t i = 0; i < shown; ++i) {
    const size_t place = (begin + i * matched / shown) % matched;
    copy(burst, prefix, burst.records[matches[place]]);
  }
}

void TapLane::copy(const RecordBurst& burst, const outbound::HeaderPrefix& prefix,
                   const FlowRecord& record) noexcept {
  if (outbound::Encoder::octets_max(prefix, record) + outbound::kStoreSlackOctets > flow_.framed.size()) {
    return counters_.too_large.increment();
  }
  flow_.exporter = burst.header.exporter_address;
  flow_.in_interface = record.in_if;
  flow_.out_interface = record.out_if;
  flow_.listener = burst.listener;
  flow_.octets = static_cast<uint16_t>(encoder_.encode(prefix, {&record, 1}, burst.arena, flow_.framed.data()));
  copies_.push(flow_) ? counters_.copied.increment() : counters_.no_room.increment();
}

}  // namespace weir::dataplane
