// bare_netflow_v5.h — What a NetFlow v5 datagram costs where nothing is checked: the yardstick.
//
// One plain loop from the datagram's octets to a FlowBatch, field by field with `while (v >=
// 0x80)`: no exporter state, no record in between, no bounds, no counters. It writes the same
// fields as the decoder and encoder do, so that the octets come to the same number.
#pragma once

#include <cstddef>
#include <cstdint>

#include "flow/export_header.h"

namespace weir::perf {

/// Returns the octets written to `out`.
size_t bare_netflow_v5(const Datagram& datagram, uint8_t* out) noexcept;

}  // namespace weir::perf
