// flow_facts.h — What is read from several fields of a flow at once, the same for events and for rows: which end of it is a time that was
// measured, which way it went, how much it was, what one of its packets stands for, and what its application is called.
//
// Spec:     docs/OCSF.md, "Times", "Directions", "Counters".
// Runs on:  any thread. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "flow/flow_view.h"
#include "transform/decisions.h"

namespace weir::transform {

/// OCSF's long_t and SQL's BIGINT; what is larger is said to be this large.
inline constexpr uint64_t kLongMax = INT64_MAX;

inline bool is_address(std::string_view octets) noexcept { return octets.size() == 4 || octets.size() == 16; }

/// Whether the flow's end is its exporter's reading of a clock that passed for plausible: not a time that stands in
/// for it, and not one that nobody judged.
bool has_measured_end(const FlowView& flow) noexcept;

/// Which ends are in the operator's own networks; neither where these are not known.
struct Inside {
  bool source = false, destination = false;
};
Inside inside_of(const FlowView& flow, const Decisions& decisions) noexcept;

/// Where a flow goes, seen from the operator's own networks: direction_id and boundary_id.
struct Way {
  uint64_t direction = 0, boundary = 0;
};
Way way_of(const FlowView& flow, const Decisions& decisions, const Inside& inside) noexcept;

/// In the flow's own direction and, where the exporter tells them apart, in the other.
struct Volume {
  uint64_t forth = 0, back = 0;
  uint64_t sum() const noexcept { return forth > kLongMax || back > kLongMax - forth ? kLongMax : forth + back; }
};
inline Volume bytes_of(const FlowView& flow) noexcept {
  using N = NumberSlot;
  return {flow[N::bytes_out] != 0 ? flow[N::bytes_out] : flow[N::bytes], flow[N::bytes_in]};
}
inline Volume packets_of(const FlowView& flow) noexcept {
  using N = NumberSlot;
  return {flow[N::packets_out] != 0 ? flow[N::packets_out] : flow[N::packets], flow[N::packets_in]};
}

/// Packets that one packet of this flow stands for, after rules left flows out; 0: not known.
uint64_t sampling_rate_of(const FlowView& flow, const Decisions& decisions) noexcept;

/// What its application is called; empty where nobody says: the exporter, a classification, a rule, or its ports and addresses, the
/// first of them that does.
std::string_view application_of(const FlowView& flow, const Decisions& decisions) noexcept;

}  // namespace weir::transform
