// frame.h — The octets of an Ethernet frame, walked to the UDP payload.
//
// Spec:     IEEE 802.3, 802.1Q, 802.1ad; RFC 791, RFC 8200, RFC 768.
// Runs on:  rx_lcore, and whoever reads captures. Pure: reads the octets given, keeps nothing.
// Bounds:   at most kVlanTagsMax tags and kExtensionHeadersMax IPv6 extension headers.
// Failure:  FrameVerdict; lengths come from the IP and UDP headers, never from the frame, so a
//           trailer behind the datagram is not part of it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ip_address.h"
#include "base/named_enum.h"

namespace weir::packet {

inline constexpr size_t kVlanTagsMax = 4;
inline constexpr size_t kExtensionHeadersMax = 16;

// udp: the payload is there. Then what is not for us (the kernel's, by the exception path), then
// what is wrong.
#define WEIR_FRAME_VERDICTS(X)                                                                  \
  X(udp)                                                                                        \
  X(not_ip) X(not_udp) X(fragment)                                                              \
  X(truncated_ethernet) X(truncated_vlan) X(too_many_vlan_tags)                                 \
  X(truncated_ip) X(bad_ip_version) X(bad_ip_header_length) X(bad_ip_length)                    \
  X(too_many_extension_headers) X(truncated_extension_header)                                   \
  X(truncated_udp) X(bad_udp_length)                                                            \
  X(bad_ip_checksum) X(bad_udp_checksum)
WEIR_NAMED_ENUM(FrameVerdict, uint8_t, WEIR_FRAME_VERDICTS)

/// What a link layer begins with. The numbers are ours; lab/capture_file.h maps libpcap's to them.
enum class LinkType : uint8_t { ethernet, raw_ip, linux_sll, linux_sll2, null_loopback };

struct FrameView {
  FrameVerdict verdict = FrameVerdict::truncated_ethernet;
  uint8_t vlan_tags = 0;
  std::array<uint16_t, kVlanTagsMax> vlan_ids{};  // outermost first
  std::array<uint8_t, 6> src_mac{};
  std::array<uint8_t, 6> dst_mac{};
  IpAddress src;
  IpAddress dst;
  uint16_t src_port = 0;  // host order
  uint16_t dst_port = 0;
  std::span<const uint8_t> payload;  // inside the octets given; empty unless verdict is udp
};

/// Walks `frame`. With verdict `fragment` the addresses are set, the ports and payload are not.
FrameView parse_frame(std::span<const uint8_t> frame, LinkType link) noexcept;

}  // namespace weir::packet
