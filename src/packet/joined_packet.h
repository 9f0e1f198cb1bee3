// joined_packet.h — What fragments were put together to, as the one packet that it was before it was cut.
//
// Spec:     RFC 791 §3.1, RFC 8200 §3, RFC 1071.
// Runs on:  rx_lcore. Pure.
//
// For whoever takes packets that no link carries: a kernel looks at lengths when it sends and not when it receives. Options
// of IPv4 and headers before IPv6's fragment header are not in it; what is behind that is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "packet/frame.h"

namespace weir::packet {

/// Ethernet, its tags, IPv6.
inline constexpr size_t kJoinedHeaderOctetsMax = 14 + 4 * kVlanTagsMax + 40;

/// Writes what goes before the `octets` octets that were put together, and returns how much that is. `frame` is Ethernet and
/// brought one of the fragments; `joined` is what Reassembler::add made of its view.
size_t write_joined_headers(std::span<const uint8_t> frame, const FrameView& joined, size_t octets,
                            std::span<uint8_t, kJoinedHeaderOctetsMax> out) noexcept;

}  // namespace weir::packet
