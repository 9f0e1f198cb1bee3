// protocol_names.h — The keywords of IP protocol numbers.
//
// Spec:     IANA's registry "Assigned Internet Protocol Numbers", column Keyword (deprecated ones
//           too, without the remark). Unassigned, private and experimental numbers have none.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace weir::outbound {

namespace detail {
/// By number; null behind the last assigned one. (Of std::string_view, g++ 12 takes the array's
/// rest for no constant.)
inline constexpr std::array<const char*, 256> kProtocolKeywords = {"HOPOPT",
                                                                   "ICMP",
                                                                   "IGMP",
                                                                   "GGP",
                                                                   "IPv4",
                                                                   "ST",
                                                                   "TCP",
                                                                   "CBT",
                                                                   "EGP",
                                                                   "IGP",
                                                                   "BBN-RCC-MON",
                                                                   "NVP-II",
                                                                   "PUP",
                                                                   "ARGUS",
                                                                   "EMCON",
                                                                   "XNET",
                                                                   "CHAOS",
                                                                   "UDP",
                                                                   "MUX",
                                                                   "DCN-MEAS",
                                                                   "HMP",
                                                                   "PRM",
                                                                   "XNS-IDP",
                                                                   "TRUNK-1",
                                                                   "TRUNK-2",
                                                                   "LEAF-1",
                                                                   "LEAF-2",
                                                                   "RDP",
                                                                   "IRTP",
                                                                   "ISO-TP4",
                                                                   "NETBLT",
                                                                   "MFE-NSP",
                                                                   "MERIT-INP",
                                                                   "DCCP",
                                                                   "3PC",
                                                                   "IDPR",
                                                                   "XTP",
                                                                   "DDP",
                                                                   "IDPR-CMTP",
                                                                   "TP++",
                                                                   "IL",
                                                                   "IPv6",
                                                                   "SDRP",
                                                                   "IPv6-Route",
                                                                   "IPv6-Frag",
                                                                   "IDRP",
                                                                   "RSVP",
                                                                   "GRE",
                                                                   "DSR",
                                                                   "BNA",
                                                                   "ESP",
                                                                   "AH",
                                                                   "I-NLSP",
                                                                   "SWIPE",
                                                                   "NARP",
                                                                   "Min-IPv4",
                                                                   "TLSP",
                                                                   "SKIP",
                                                                   "IPv6-ICMP",
                                                                   "IPv6-NoNxt",
                                                                   "IPv6-Opts",
                                                                   "",
                                                                   "CFTP",
                                                                   "",
                                                                   "SAT-EXPAK",
                                                                   "KRYPTOLAN",
                                                                   "RVD",
                                                                   "IPPC",
                                                                   "",
                                                                   "SAT-MON",
                                                                   "VISA",
                                                                   "IPCV",
                                                                   "CPNX",
                                                                   "CPHB",
                                                                   "WSN",
                                                                   "PVP",
                                                                   "BR-SAT-MON",
                                                                   "SUN-ND",
                                                                   "WB-MON",
                                                                   "WB-EXPAK",
                                                                   "ISO-IP",
                                                                   "VMTP",
                                                                   "SECURE-VMTP",
                                                                   "VINES",
                                                                   "IPTM",
                                                                   "NSFNET-IGP",
                                                                   "DGP",
                                                                   "TCF",
                                                                   "EIGRP",
                                                                   "OSPFIGP",
                                                                   "Sprite-RPC",
                                                                   "LARP",
                                                                   "MTP",
                                                                   "AX.25",
                                                                   "IPIP",
                                                                   "MICP",
                                                                   "SCC-SP",
                                                                   "ETHERIP",
                                                                   "ENCAP",
                                                                   "",
                                                                   "GMTP",
                                                                   "IFMP",
                                                                   "PNNI",
                                                                   "PIM",
                                                                   "ARIS",
                                                                   "SCPS",
                                                                   "QNX",
                                                                   "A/N",
                                                                   "IPComp",
                                                                   "SNP",
                                                                   "Compaq-Peer",
                                                                   "IPX-in-IP",
                                                                   "VRRP",
                                                                   "PGM",
                                                                   "",
                                                                   "L2TP",
                                                                   "DDX",
                                                                   "IATP",
                                                                   "STP",
                                                                   "SRP",
                                                                   "UTI",
                                                                   "SMP",
                                                                   "SM",
                                                                   "PTP",
                                                                   "ISIS over IPv4",
                                                                   "FIRE",
                                                                   "CRTP",
                                                                   "CRUDP",
                                                                   "SSCOPMCE",
                                                                   "IPLT",
                                                                   "SPS",
                                                                   "PIPE",
                                                                   "SCTP",
                                                                   "FC",
                                                                   "RSVP-E2E-IGNORE",
                                                                   "Mobility Header",
                                                                   "UDPLite",
                                                                   "MPLS-in-IP",
                                                                   "manet",
                                                                   "HIP",
                                                                   "Shim6",
                                                                   "WESP",
                                                                   "ROHC",
                                                                   "Ethernet",
                                                                   "AGGFRAG",
                                                                   "NSH",
                                                                   "Homa",
                                                                   "BIT-EMU"};
}  // namespace detail

/// Empty where the registry has no keyword.
constexpr std::string_view protocol_name(uint8_t number) noexcept {
  const char* const keyword = detail::kProtocolKeywords[number];
  return keyword != nullptr ? std::string_view(keyword) : std::string_view();
}

inline constexpr size_t kProtocolNameOctetsMax = 15;

static_assert(protocol_name(6) == "TCP" && protocol_name(17) == "UDP");
static_assert(protocol_name(47) == "GRE" && protocol_name(58) == "IPv6-ICMP");
static_assert(protocol_name(61).empty() && protocol_name(63).empty() && protocol_name(68).empty());
static_assert(protocol_name(89) == "OSPFIGP" && protocol_name(99).empty());
static_assert(protocol_name(112) == "VRRP" && protocol_name(114).empty());
static_assert(protocol_name(132) == "SCTP" && protocol_name(139) == "HIP");
static_assert(protocol_name(143) == "Ethernet" && protocol_name(147) == "BIT-EMU");
static_assert(protocol_name(148).empty() && protocol_name(255).empty());

}  // namespace weir::outbound
