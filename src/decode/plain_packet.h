// plain_packet.h — The commonest sampled packets, straight into columns: Ethernet, one VLAN tag at most,
// IPv4 without options or IPv6 without extension headers, TCP or UDP, no tunnel, nothing cut off.
//
// Spec:     that of packet/sampled_header.h and decode/header_columns.h, which take every packet; what
//           is said here of a packet is what they say of it, to the octet (tests/decode/plain_packet_test.cc).
// Runs on:  rx_lcore. Pure.
// Bounds:   36 octets of the arena.
// Failure:  a packet that is not so plain, or an arena without room, is left to the ordinary way.
#pragma once

#include <cstdint>
#include <span>

#include "decode/plan.h"
#include "flow/flow_record.h"

namespace weir::decode {

/// False, and `record` and `arena` as they were, where `frame` is no such packet. `record` has no column
/// of a packet yet.
///
/// PERF: seven of ten instructions that a sample's header costs by way of SampledHeader
/// (decode_only/sflow_raw_header).
bool fill_from_plain_packet(std::span<const uint8_t> frame, FlowRecord& record, Arena& arena) noexcept;

}  // namespace weir::decode
