#include "flow/enumerator_names.h"

#include <array>

namespace weir {
namespace {

constexpr std::array<std::string_view, 5> kFlowTypes = {"FLOWUNKNOWN", "SFLOW_5", "NETFLOW_V5", "NETFLOW_V9", "IPFIX"};
constexpr std::array<std::string_view, 14> kLayers = {
    "Ethernet", "IPv4", "IPv6", "TCP", "UDP", "MPLS", "Dot1Q",
    "ICMP", "ICMPv6", "GRE", "IPv6HeaderRouting", "IPv6HeaderFragment", "Geneve", "Teredo"};
constexpr std::array<std::string_view, 5> kOwnLayers = {"VXLAN", "GTPU", "PPPoE", "SRv6", "IPIP"};  // from 1001
constexpr std::array<std::string_view, 9> kSamplingSources = {
    "SAMPLING_UNKNOWN", "SAMPLING_OVERRIDE", "SAMPLING_RECORD", "SAMPLING_SAMPLER", "SAMPLING_INTERFACE",
    "SAMPLING_DOMAIN", "SAMPLING_EXPORTER", "SAMPLING_HEADER", "SAMPLING_DEFAULT"};
constexpr std::array<std::string_view, 10> kTimeSources = {
    "TIME_UNKNOWN", "TIME_UPTIME", "TIME_SECONDS", "TIME_MILLISECONDS", "TIME_MICROSECONDS",
    "TIME_NANOSECONDS", "TIME_DELTA", "TIME_EXPORT", "TIME_RECEIVED", "TIME_SAMPLED"};
constexpr std::array<std::string_view, 16> kUnreachable = {
    "DROP_NET_UNREACHABLE", "DROP_HOST_UNREACHABLE", "DROP_PROTOCOL_UNREACHABLE", "DROP_PORT_UNREACHABLE",
    "DROP_FRAG_NEEDED", "DROP_SRC_ROUTE_FAILED", "DROP_DST_NET_UNKNOWN", "DROP_DST_HOST_UNKNOWN",
    "DROP_SRC_HOST_ISOLATED", "DROP_DST_NET_PROHIBITED", "DROP_DST_HOST_PROHIBITED", "DROP_DST_NET_TOS_UNREACHABLE",
    "DROP_DST_HOST_TOS_UNREACHABLE", "DROP_COMM_ADMIN_PROHIBITED", "DROP_HOST_PRECEDENCE_VIOLATION",
    "DROP_PRECEDENCE_CUTOFF"};  // ICMP's codes of destination unreachable
constexpr std::array<std::string_view, 48> kDropReasons = {
    "DROP_UNKNOWN", "DROP_TTL_EXCEEDED", "DROP_ACL", "DROP_NO_BUFFER_SPACE", "DROP_RED", "DROP_TRAFFIC_SHAPING",
    "DROP_PKT_TOO_BIG", "DROP_SRC_MAC_IS_MULTICAST", "DROP_VLAN_TAG_MISMATCH", "DROP_INGRESS_VLAN_FILTER",
    "DROP_INGRESS_SPANNING_TREE_FILTER", "DROP_PORT_LIST_IS_EMPTY", "DROP_PORT_LOOPBACK_FILTER", "DROP_BLACKHOLE_ROUTE",
    "DROP_NON_IP", "DROP_UC_DIP_OVER_MC_DMAC", "DROP_DIP_IS_LOOPBACK_ADDRESS", "DROP_SIP_IS_MC",
    "DROP_SIP_IS_LOOPBACK_ADDRESS", "DROP_IP_HEADER_CORRUPTED", "DROP_IPV4_SIP_IS_LIMITED_BC",
    "DROP_IPV6_MC_DIP_RESERVED_SCOPE", "DROP_IPV6_MC_DIP_INTERFACE_LOCAL_SCOPE", "DROP_UNRESOLVED_NEIGH",
    "DROP_MC_REVERSE_PATH_FORWARDING", "DROP_NON_ROUTABLE_PACKET", "DROP_DECAP_ERROR", "DROP_OVERLAY_SMAC_IS_MC",
    "DROP_UNKNOWN_L2", "DROP_UNKNOWN_L3", "DROP_UNKNOWN_L3_EXCEPTION", "DROP_UNKNOWN_BUFFER", "DROP_UNKNOWN_TUNNEL",
    "DROP_UNKNOWN_L4", "DROP_SIP_IS_UNSPECIFIED", "DROP_MLAG_PORT_ISOLATION", "DROP_BLACKHOLE_ARP_NEIGH",
    "DROP_SRC_MAC_IS_DMAC", "DROP_DMAC_IS_RESERVED", "DROP_SIP_IS_CLASS_E", "DROP_MC_DMAC_MISMATCH", "DROP_SIP_IS_DIP",
    "DROP_DIP_IS_LOCAL_NETWORK", "DROP_DIP_IS_LINK_LOCAL", "DROP_OVERLAY_SMAC_IS_DMAC", "DROP_EGRESS_VLAN_FILTER",
    "DROP_UC_REVERSE_PATH_FORWARDING", "DROP_SPLIT_HORIZON"};  // from 256

template <size_t N>
std::string_view name_in(const std::array<std::string_view, N>& names, uint64_t number) noexcept {
  return number < N ? names[number] : std::string_view();
}

}  // namespace

std::string_view flow_type_name(uint64_t number) noexcept {
  switch (number) {
    case 1001: return "NETFLOW_V1";
    case 1007: return "NETFLOW_V7";
    case 1012: return "SFLOW_2";
    case 1014: return "SFLOW_4";
    default: return name_in(kFlowTypes, number);
  }
}

std::string_view layer_name(uint64_t number) noexcept {
  if (number == 99) return "Custom";
  return number > 1000 ? name_in(kOwnLayers, number - 1001) : name_in(kLayers, number);
}

std::string_view sampling_source_name(uint64_t number) noexcept { return name_in(kSamplingSources, number); }

std::string_view time_source_name(uint64_t number) noexcept { return name_in(kTimeSources, number); }

std::string_view sflow_drop_reason_name(uint64_t number) noexcept {
  return number >= 256 ? name_in(kDropReasons, number - 256) : name_in(kUnreachable, number);
}

}  // namespace weir
