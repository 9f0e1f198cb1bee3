// sflow_source.h — An sFlow agent's datagrams, for benchmarks: flow samples of 128 octets of header and
// the switch's VLANs, as a switch with four ports that are sampled sends them.
#pragma once

#include <cstdint>

#include "lab/message_builder.h"
#include "lab/traffic.h"

namespace weir::perf {

inline constexpr uint32_t kSflowSamplesPerDatagram = 7;
inline constexpr uint32_t kSflowDataSources = 4;

/// The `index`-th datagram of an agent.
lab::Octets sflow_datagram(lab::TrafficModel& traffic, uint32_t index);

/// Each sample's sequence number goes on by `step`, and its pool with it.
void advance_sflow_samples(uint8_t* datagram, uint32_t step);

}  // namespace weir::perf
