#include "transform/flow_facts.h"

#include <algorithm>

#include "rules/sets.h"

namespace weir::transform {

bool has_measured_end(const FlowView& flow) noexcept {
  if (flow[NumberSlot::time_flow_end_ns] == 0) return false;
  switch (static_cast<TimeSource>(flow[NumberSlot::time_source])) {
    case TimeSource::uptime:
    case TimeSource::seconds:
    case TimeSource::milliseconds:
    case TimeSource::microseconds:
    case TimeSource::nanoseconds:
    case TimeSource::delta:
    case TimeSource::sampled: return true;
    case TimeSource::unknown:
    case TimeSource::export_time:
    case TimeSource::received: break;
  }
  return false;
}

Inside inside_of(const FlowView& flow, const Decisions& decisions) noexcept {
  if (decisions.local == nullptr) return {};
  const auto is_inside = [&](OctetsSlot slot) {
    const auto address = rules::address_of(flow[slot]);
    return address && decisions.local->contains(*address);
  };
  return {is_inside(OctetsSlot::src_addr), is_inside(OctetsSlot::dst_addr)};
}

Way way_of(const FlowView& flow, const Decisions& decisions, const Inside& inside) noexcept {
  const std::string_view source = flow[OctetsSlot::src_addr], destination = flow[OctetsSlot::dst_addr];
  if (!is_address(source) || !is_address(destination)) return {};
  if (source == destination) return {4, 1};
  if (decisions.local == nullptr) return {};
  if (inside.source && inside.destination) return {3, 2};
  return {inside.source ? 2u : inside.destination ? 1u : 0u, 3};
}

uint64_t sampling_rate_of(const FlowView& flow, const Decisions& decisions) noexcept {
  const uint64_t rate = flow[NumberSlot::sampling_rate];
  if (decisions.outcome == nullptr || decisions.outcome->sampling_factor == 1) return rate;
  uint64_t scaled = 0;
  if (__builtin_mul_overflow(std::max<uint64_t>(rate, 1), decisions.outcome->sampling_factor, &scaled)) return kLongMax;
  return scaled;
}

std::string_view application_of(const FlowView& flow, const Decisions& decisions) noexcept {
  if (const std::string_view said = flow[OctetsSlot::application_name]; !said.empty()) return said;
  if (const std::string_view set = decisions.text(EventTarget::app_name); !set.empty()) return set;
  const enrich::ApplicationTable* const table = decisions.known != nullptr ? decisions.known->applications() : nullptr;
  const uint64_t protocol = flow[NumberSlot::proto];
  if (table == nullptr || protocol > UINT8_MAX) return {};
  const auto end = [&](OctetsSlot address, NumberSlot port) {
    return enrich::FlowEnd{flow[address], static_cast<uint16_t>(flow[port] <= UINT16_MAX ? flow[port] : 0)};
  };
  return table->find(static_cast<uint8_t>(protocol), end(OctetsSlot::src_addr, NumberSlot::src_port),
                     end(OctetsSlot::dst_addr, NumberSlot::dst_port));
}

}  // namespace weir::transform
