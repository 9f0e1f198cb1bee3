// frame.h — The octets of a frame, walked from its link layer to the UDP payload.
//
// Spec:     IEEE 802.3, 802.1Q, 802.1ad; RFC 791, RFC 8200 §4, RFC 4302 (AH), RFC 6946 (atomic
//           fragments), RFC 768; libpcap's LINKTYPE_LINUX_SLL, _SLL2 and _NULL.
// Runs on:  rx_lcore, and whoever reads captures. Pure: reads the octets given, keeps nothing.
// Bounds:   at most kVlanTagsMax tags and kExtensionHeadersMax IPv6 extension headers.
// Failure:  FrameVerdict; lengths come from the IP and UDP headers, never from the frame, so a
//           trailer behind the datagram is not part of it.
// Missing:  MPLS and tunnels; jumbograms (RFC 2675) are bad_udp_length or truncated. Fragments are put
//           together by reassembly.h.
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
// what is wrong. `truncated_ip` is a frame that ends before its IP packet does, `bad_ip_length` an
// IP header whose length is shorter than itself; `truncated_udp` is an IP payload too short for a
// UDP header, `bad_udp_length` a UDP length of less than 8 or more than the IP payload;
// `bad_ip_address` an IPv6 packet from an IPv4-mapped address, which would pass for the IPv4
// exporter (Linux drops it too). `other_vlan` is a datagram, or a part of one, in a VLAN that its port
// takes none of: who knows the port says it, not parse_frame.
// clang-format off
#define WEIR_FRAME_VERDICTS(X)                                                      \
  X(udp)                                                                            \
  X(not_ip) X(not_udp) X(fragment) X(other_vlan)                                    \
  X(truncated_ethernet) X(truncated_vlan) X(too_many_vlan_tags)                     \
  X(truncated_ip) X(bad_ip_version) X(bad_ip_header_length) X(bad_ip_length)        \
  X(bad_ip_address) X(too_many_extension_headers) X(truncated_extension_header)     \
  X(truncated_udp) X(bad_udp_length)                                                \
  X(bad_ip_checksum) X(bad_udp_checksum)
// clang-format on
WEIR_NAMED_ENUM(FrameVerdict, uint8_t, WEIR_FRAME_VERDICTS)

/// What a link layer begins with. The numbers are ours; lab/capture_file.h maps libpcap's to them.
/// `ether_type` is what is left of a frame behind its addresses: an ethertype and what it says.
enum class LinkType : uint8_t {
  ethernet,
  raw_ip,
  linux_sll,
  linux_sll2,
  null_loopback,
  ether_type
};

/// Nobody has looked at checksums before: NICs give on what is wrong, with a flag at most. The link's own has held the
/// frame together from the last switch on; captures and doubtful ways ask for more. Octets of a veth or a virtual
/// machine's interface may come without (their sender left them to a NIC that was not on the way).
struct ChecksumPolicy {
  enum class Check : uint8_t { skip, verify };
  Check ip_header = Check::skip;  // IPv4 only: IPv6 has none
  Check udp = Check::skip;  // 0 says "none" under IPv4 and is wrong under IPv6 (RFC 8200 §8.1)
};

/// Where a fragment belongs in its datagram.
struct FragmentPlace {
  uint32_t id = 0;             // IPv4: 16 bits
  uint16_t offset_octets = 0;  // a multiple of 8
  uint8_t next_header = 0;     // of the whole, as this fragment has it; IPv4: the protocol
  bool is_last = false;
};

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
  // Inside the octets given; of a fragment the octets of the datagram that it brings; else empty.
  std::span<const uint8_t> payload;
  FragmentPlace fragment;  // set where the verdict is fragment
};

/// Walks `frame`. `fragment` is a part of what is, as far as one can tell, a UDP datagram:
/// addresses are set, ports are not. An IPv6 fragment header that fragments nothing is walked
/// through; fragments of a packet with segments left to go are not for us, so not_udp.
FrameView parse_frame(std::span<const uint8_t> frame, LinkType link,
                      ChecksumPolicy checksums = {}) noexcept;

/// Walks on in what fragments make together: `view` is one of theirs, but its payload is the whole, and
/// `view.fragment.next_header` what that begins with. Verdict, ports and payload become the
/// datagram's. The UDP checksum is verified, unless IPv4 says that there is none; where it cannot be,
/// since segments are left to go, it is not_udp. A fragment inside is a `fragment`, without a payload.
void parse_reassembled(FrameView& view) noexcept;

/// The IP packet in a frame whose verdict was udp, without what lies before and behind it.
std::span<const uint8_t> ip_packet_of(std::span<const uint8_t> frame, LinkType link,
                                      uint8_t vlan_tags) noexcept;

}  // namespace weir::packet
