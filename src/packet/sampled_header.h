// sampled_header.h — The first octets of a packet, walked through its layers and tunnels.
//
// Spec:     IEEE 802.3, 802.1Q, 802.1ad; RFC 3032 (MPLS), RFC 4385 §3 (control word), RFC 2516
//           (PPPoE); RFC 791, RFC 8200 §4, RFC 8754 (SRv6), RFC 4302 (AH); RFC 2784 and 2890 (GRE),
//           RFC 2003, RFC 2473; RFC 7348 (VXLAN), RFC 8926 (Geneve), 3GPP TS 29.281 (GTP-U).
// Runs on:  rx_lcore. Pure: reads the octets given, keeps nothing.
// Bounds:   at most kSampledLayersMax layers and kSampledIpHeadersMax IP headers; each step
//           consumes at least one octet.
// Failure:  none: a sample is cut off by design. What was there is told, up to the first layer that
//           ends early, contradicts itself or is not known.
// Missing:  Teredo, L2TP, ERSPAN, LLC/SNAP, PPP outside of PPPoE.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ip_address.h"

namespace weir::packet {

inline constexpr size_t kSampledLayersMax = 32;
inline constexpr size_t kSampledIpHeadersMax = 8;
inline constexpr size_t kSampledMplsLabelsMax = 10;

/// Destination ports of UDP behind which a packet lies.
inline constexpr uint16_t kVxlanPort = 4789;
inline constexpr uint16_t kGenevePort = 6081;
inline constexpr uint16_t kGtpuPort = 2152;

/// The numbers are flowpb.LayerStack's.
enum class Layer : uint32_t {
  ethernet = 0,
  ipv4 = 1,
  ipv6 = 2,
  tcp = 3,
  udp = 4,
  mpls = 5,
  dot1q = 6,
  icmp = 7,
  icmpv6 = 8,
  gre = 9,
  ipv6_routing = 10,
  ipv6_fragment = 11,
  geneve = 12,
  vxlan = 1001,
  gtpu = 1002,
  pppoe = 1003,
  srv6 = 1004,
  ipip = 1005,
};

/// What a sampled header begins with.
enum class SampledLink : uint8_t { ethernet, ipv4, ipv6, mpls };

/// One IP header and what follows it directly. Numbers are in host order.
struct SampledIp {
  IpAddress src;
  IpAddress dst;
  uint16_t ether_type = 0;  // 0x0800, 0x86dd
  uint8_t proto = 0;        // behind IPv6's extension headers
  uint8_t ttl = 0;
  uint8_t tos = 0;
  uint8_t ip_flags =
      0;  // IPv4: three bits, don't fragment is 2; IPv6: the fragment header's low three
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;
  bool has_ports = false;
  bool has_tcp_flags = false;
  bool has_icmp = false;
  bool has_fragment = false;  // IPv4 always; IPv6 with a fragment header
  bool has_routing = false;
  uint8_t segments_left = 0;
  bool is_srv6 = false;
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
  uint16_t tcp_flags = 0;        // twelve bits
  uint16_t fragment_offset = 0;  // in units of 8 octets
  uint32_t fragment_id = 0;
  uint32_t flow_label = 0;
  std::span<const uint8_t> routing_addresses;  // 16 octets each, inside the octets given
};

struct SampledHeader {
  bool has_macs = false;
  bool has_vlan = false;
  bool is_cut = false;     // more layers or labels than there is room for
  uint8_t ip_headers = 0;  // `outer` is there from 1 on, `inner` from 2 on
  uint8_t layers = 0;
  uint8_t mpls_labels = 0;
  uint16_t vlan_id = 0;     // the outermost tag
  uint16_t ether_type = 0;  // behind the outermost tags; 0: there is none
  uint64_t src_mac = 0;
  uint64_t dst_mac = 0;
  SampledIp outer;
  SampledIp inner;  // the innermost
  // What TCP or UDP carries, if it is there and no tunnel: that of `inner` where there are two IP headers, else that of
  // `outer`.
  std::span<const uint8_t> payload;
  // The first `layers` and `mpls_labels` of these are set.
  std::array<uint32_t, kSampledLayersMax> layer_stack;
  std::array<uint32_t, kSampledLayersMax> layer_size;      // octets
  std::array<uint32_t, kSampledMplsLabelsMax> mpls_label;  // before the first IP header
  std::array<uint32_t, kSampledMplsLabelsMax> mpls_ttl;
};

/// Walks `octets` into `header`, which is overwritten. Spans of `header` point into `octets`.
void parse_sampled_header(std::span<const uint8_t> octets, SampledLink link,
                          SampledHeader& header) noexcept;

}  // namespace weir::packet
