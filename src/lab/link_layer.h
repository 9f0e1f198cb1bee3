// link_layer.h — The link layers of captures, taken off as far as the IP packet or its ethertype.
//
// Spec:     libpcap's link-layer header types; RFC 1662, RFC 2516 (PPP, PPPoE), RFC 1490 (Frame
//           Relay), RFC 1042 and IEEE 802.2 (LLC, SNAP), IEEE 802.11, RFC 4391 (IPoIB), RFC 2734.
// Runs on:  whoever reads captures. Pure.
// Bounds:   at most kLinkWrappersMax wrappers (PPI, PKTAP) around each other.
// Failure:  a frame that ends early, or that carries no IP, comes back as an empty raw IP packet or
//           with the ethertype that it has: the frame parser says so.
#pragma once

#include <cstdint>
#include <span>

#include "packet/frame.h"

namespace weir::lab {

struct LinkPayload {
  packet::LinkType link = packet::LinkType::raw_ip;
  std::span<const uint8_t> octets;
};

/// Whether frames of libpcap's link type `dlt` can be walked.
bool is_supported_link(int dlt) noexcept;

/// What is to be given to packet::parse_frame.
LinkPayload unwrap_link(int dlt, std::span<const uint8_t> frame) noexcept;

}  // namespace weir::lab
