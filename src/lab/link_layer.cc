#include "lab/link_layer.h"

#include <pcap/pcap.h>

#include <algorithm>
#include <array>

#include "base/byte_order.h"

namespace weir::lab {
namespace {

using packet::LinkType;
using Span = std::span<const uint8_t>;

constexpr int kLinkWrappersMax = 3;
constexpr size_t kSnapOctets = 6;  // SAPs, control, OUI; the ethertype is behind them

Span skip(Span octets, size_t n) noexcept { return octets.subspan(std::min(n, octets.size())); }
uint16_t le16(const uint8_t* p) noexcept { return static_cast<uint16_t>(p[0] | p[1] << 8); }
uint32_t le32(const uint8_t* p) noexcept {
  return uint32_t{p[0]} | uint32_t{p[1]} << 8 | uint32_t{p[2]} << 16 | uint32_t{p[3]} << 24;
}

LinkPayload raw(Span packet) noexcept { return {LinkType::raw_ip, packet}; }
/// `octets` begin with an ethertype.
LinkPayload typed(Span octets) noexcept { return {LinkType::ether_type, octets}; }
LinkPayload nothing() noexcept { return {}; }

/// LLC: SNAP with an ethertype, or the SAPs that IP has of its own.
LinkPayload llc(Span octets) noexcept {
  if (octets.size() < 3) return nothing();
  if (octets[0] == 0xaa && octets[1] == 0xaa) return typed(skip(octets, kSnapOctets));
  if (octets[0] == 0x06 && octets[1] == 0x06) return raw(skip(octets, 3));
  return nothing();
}

/// A protocol field of one or two octets (RFC 1661 §6.5), perhaps behind address and control.
LinkPayload ppp(Span octets) noexcept {
  if (octets.size() >= 2 && (octets[0] == 0xff || octets[0] == 0x0f) &&
      (octets[1] == 0x03 || octets[1] == 0x00)) {
    // Cisco's HDLC has the ethertype where PPP has its protocol.
    if (octets[0] == 0x0f) return typed(skip(octets, 2));
    octets = skip(octets, 2);
  }
  if (octets.empty()) return nothing();
  uint16_t protocol = octets[0];
  size_t used = 1;
  if ((protocol & 1) == 0) {
    if (octets.size() < 2) return nothing();
    protocol = load_be16(octets.data());
    used = 2;
  }
  return protocol == 0x0021 || protocol == 0x0057 ? raw(skip(octets, used)) : nothing();
}

/// RFC 1490: an address of two to four octets, then NLPID or SNAP; or Cisco's way, an ethertype.
LinkPayload frame_relay(Span octets) noexcept {
  size_t address = 0;
  while (address < 4 && address < octets.size() && (octets[address] & 1) == 0) ++address;
  const Span rest = skip(octets, address + 1);
  if (address < 1 || address > 3 || rest.size() < 2) return nothing();
  if (rest[0] != 0x03) return typed(rest);
  const size_t nlpid = rest[1] == 0 ? 2 : 1;  // padding
  if (rest.size() <= nlpid) return nothing();
  switch (rest[nlpid]) {
    case 0xcc:
    case 0x8e: return raw(skip(rest, nlpid + 1));
    case 0x80: return typed(skip(rest, nlpid + 4));  // OUI, then the ethertype
    default: return nothing();
  }
}

/// A data frame in the clear.
LinkPayload wifi(Span octets) noexcept {
  constexpr size_t kHeaderOctets = 24;
  if (octets.size() < kHeaderOctets) return nothing();
  const uint8_t type = octets[0] >> 2 & 3, subtype = octets[0] >> 4, flags = octets[1];
  const bool is_protected = (flags & 0x40) != 0, has_no_data = (subtype & 4) != 0;
  if (type != 2 || has_no_data || is_protected) return nothing();
  size_t header = kHeaderOctets;
  if ((flags & 3) == 3) header += 6;  // a fourth address
  if ((subtype & 8) != 0) {
    const size_t qos = header;
    header += 2;
    if ((flags & 0x80) != 0) header += 4;  // HT control
    if (octets.size() > qos && (octets[qos] & 0x80) != 0) {
      // An A-MSDU: subframes of two addresses and a length; the first is looked at.
      header += 14;
    }
  }
  return llc(skip(octets, header));
}

LinkPayload token_ring(Span octets) noexcept {
  constexpr size_t kHeaderOctets = 14;
  if (octets.size() < kHeaderOctets + 1) return nothing();
  const bool routed = (octets[8] & 0x80) != 0;  // source routing: a length in the next octet
  return llc(skip(octets, kHeaderOctets + (routed ? octets[14] & 0x1f : 0)));
}

/// Header, then type-length-values in the order of the machine that captured (little endian here);
/// type 9 is the packet.
LinkPayload nflog(Span octets) noexcept {
  constexpr uint16_t kPayload = 9;
  octets = skip(octets, 4);
  while (octets.size() >= 4) {
    const size_t length = le16(octets.data());
    const uint16_t type = le16(octets.data() + 2) & 0x7fff;
    if (length < 4 || length > octets.size()) return nothing();
    if (type == kPayload) return raw(octets.subspan(4, length - 4));
    octets = skip(octets, (length + 3) / 4 * 4);
  }
  return nothing();
}

/// A switch's tag between the addresses and the ethertype.
LinkPayload tagged_ethernet(Span octets, size_t tag_octets) noexcept {
  return typed(skip(octets, 12 + tag_octets));
}

LinkPayload prism(Span octets) noexcept {
  constexpr size_t kPrismOctets = 144;
  if (octets.size() < 8) return nothing();
  // AVS headers come under the same number; they begin with a magic number and their length.
  const bool avs = load_be32(octets.data()) >> 12 == 0x80211;
  return wifi(skip(octets, avs ? load_be32(octets.data() + 4) : kPrismOctets));
}

LinkPayload radiotap(Span octets) noexcept {
  return octets.size() < 4 ? nothing() : wifi(skip(octets, le16(octets.data() + 2)));
}

LinkPayload juniper_ethernet(Span octets) noexcept {
  // 4d 47 43, flags, then extensions of a given length, then the frame.
  if (octets.size() < 6 || load_be(octets.data(), 3) != 0x4d4743) return nothing();
  const uint8_t flags = octets[3];
  const size_t extensions = (flags & 0x80) != 0 ? size_t{2} + load_be16(octets.data() + 4) : 0;
  if ((flags & 0x02) != 0) return nothing();  // without its link layer
  return {LinkType::ethernet, skip(octets, 4 + extensions)};
}

LinkPayload pflog(Span octets) noexcept {
  // The header's length is in its first octet, without the padding to four behind it.
  return octets.empty() ? nothing() : raw(skip(octets, (size_t{octets[0]} + 3) / 4 * 4));
}

LinkPayload sun_atm(Span octets) noexcept {
  if (octets.empty() || (octets[0] & 0x0f) != 2) return nothing();  // 2: LLC-multiplexed
  return llc(skip(octets, 4));
}

LinkPayload unwrap(int dlt, Span frame, int depth) noexcept;

LinkPayload ppi(Span octets, int depth) noexcept {
  if (octets.size() < 8) return nothing();
  const uint16_t header = le16(octets.data() + 2);
  return unwrap(static_cast<int>(le32(octets.data() + 4)), skip(octets, header), depth + 1);
}

LinkPayload pktap(Span octets, int depth) noexcept {
  if (octets.size() < 12) return nothing();
  const uint32_t header = le32(octets.data());
  return unwrap(static_cast<int>(le32(octets.data() + 8)), skip(octets, header), depth + 1);
}

LinkPayload unwrap(int dlt, Span frame, int depth) noexcept {
  if (depth > kLinkWrappersMax) return nothing();
  switch (dlt) {
    case DLT_EN10MB: return {LinkType::ethernet, frame};
    case DLT_LINUX_SLL: return {LinkType::linux_sll, frame};
    case DLT_LINUX_SLL2: return {LinkType::linux_sll2, frame};
    case DLT_NULL:
    case DLT_LOOP: return {LinkType::null_loopback, frame};
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6: return raw(frame);
    case DLT_SLIP: return raw(skip(frame, 16));
    case DLT_SLIP_BSDOS:
    case DLT_PPP_BSDOS: return raw(skip(frame, 24));
    case DLT_PPP:
    case DLT_PPP_SERIAL: return ppp(frame);
    case DLT_PPP_PPPD:
    case DLT_PPP_WITH_DIR: return ppp(skip(frame, dlt == DLT_PPP_PPPD ? 2 : 1));
    case DLT_PPP_ETHER: return ppp(skip(frame, 6));
    case DLT_C_HDLC: return typed(skip(frame, 2));
    case DLT_C_HDLC_WITH_DIR: return typed(skip(frame, 3));
    case DLT_FRELAY: return frame_relay(frame);
    case DLT_FRELAY_WITH_DIR: return frame_relay(skip(frame, 1));
    case DLT_FDDI: return llc(skip(frame, 13));
    case DLT_IEEE802: return token_ring(frame);
    case DLT_ATM_RFC1483: return llc(frame);
    case DLT_SUNATM: return sun_atm(frame);
    case DLT_IP_OVER_FC: return llc(skip(frame, 16));
    case DLT_APPLE_IP_OVER_IEEE1394: return typed(skip(frame, 16));
    case DLT_IPOIB:
      return raw(skip(frame, 44));  // two addresses, an ethertype, two reserved octets
    case DLT_IEEE802_11: return wifi(frame);
    case DLT_IEEE802_11_RADIO: return radiotap(frame);
    case DLT_PRISM_HEADER:
    case DLT_IEEE802_11_RADIO_AVS: return prism(frame);
    case DLT_PPI: return ppi(frame, depth);
    case DLT_PKTAP: return pktap(frame, depth);
    case DLT_ENC: return raw(skip(frame, 12));
    case DLT_PFLOG: return pflog(frame);
    case DLT_IPNET: return raw(skip(frame, 24));
    case DLT_NFLOG: return nflog(frame);
    case DLT_NETANALYZER: return {LinkType::ethernet, skip(frame, 4)};
    case DLT_NETANALYZER_TRANSPARENT: return {LinkType::ethernet, skip(frame, 12)};
    case DLT_ETHERNET_MPACKET: return {LinkType::ethernet, skip(frame, 8)};
    case DLT_DSA_TAG_BRCM:
    case DLT_DSA_TAG_DSA: return tagged_ethernet(frame, 4);
    case DLT_DSA_TAG_EDSA: return tagged_ethernet(frame, 8);
    case DLT_DSA_TAG_BRCM_PREPEND: return {LinkType::ethernet, skip(frame, 4)};
    case DLT_JUNIPER_ETHER: return juniper_ethernet(frame);
    default: return nothing();
  }
}

constexpr std::array kSupported = {DLT_EN10MB,
                                   DLT_LINUX_SLL,
                                   DLT_LINUX_SLL2,
                                   DLT_NULL,
                                   DLT_LOOP,
                                   DLT_RAW,
                                   DLT_IPV4,
                                   DLT_IPV6,
                                   DLT_SLIP,
                                   DLT_SLIP_BSDOS,
                                   DLT_PPP,
                                   DLT_PPP_SERIAL,
                                   DLT_PPP_BSDOS,
                                   DLT_PPP_PPPD,
                                   DLT_PPP_WITH_DIR,
                                   DLT_PPP_ETHER,
                                   DLT_C_HDLC,
                                   DLT_C_HDLC_WITH_DIR,
                                   DLT_FRELAY,
                                   DLT_FRELAY_WITH_DIR,
                                   DLT_FDDI,
                                   DLT_IEEE802,
                                   DLT_ATM_RFC1483,
                                   DLT_SUNATM,
                                   DLT_IP_OVER_FC,
                                   DLT_APPLE_IP_OVER_IEEE1394,
                                   DLT_IPOIB,
                                   DLT_IEEE802_11,
                                   DLT_IEEE802_11_RADIO,
                                   DLT_PRISM_HEADER,
                                   DLT_IEEE802_11_RADIO_AVS,
                                   DLT_PPI,
                                   DLT_PKTAP,
                                   DLT_ENC,
                                   DLT_PFLOG,
                                   DLT_IPNET,
                                   DLT_NFLOG,
                                   DLT_NETANALYZER,
                                   DLT_NETANALYZER_TRANSPARENT,
                                   DLT_ETHERNET_MPACKET,
                                   DLT_DSA_TAG_BRCM,
                                   DLT_DSA_TAG_DSA,
                                   DLT_DSA_TAG_EDSA,
                                   DLT_DSA_TAG_BRCM_PREPEND,
                                   DLT_JUNIPER_ETHER};

}  // namespace

bool is_supported_link(int dlt) noexcept {
  return std::find(kSupported.begin(), kSupported.end(), dlt) != kSupported.end();
}

LinkPayload unwrap_link(int dlt, Span frame) noexcept { return unwrap(dlt, frame, 0); }

}  // namespace weir::lab
