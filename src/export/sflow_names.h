// sflow_names.h — What sFlow's flow records are called that travel as they came.
//
// Spec:     sFlow Version 5 §5 and its extensions (sflow_mpls, sflow_tunnels, sflow_80211, sflow_drops,
//           sflow_transit, sflow_host_ip), in their spelling.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::outbound {

/// Empty where nobody told us. Format 0 is an output interface that is no index.
constexpr std::string_view sflow_record_name(uint32_t enterprise, uint32_t format) noexcept {
  if (enterprise != 0) {
    return enterprise == 4413 && format == 1 ? "extended_bst_egress_queue" : std::string_view();
  }
  switch (format) {
    case 0: return "output_interface";
    case 1: return "sampled_header";
    case 2: return "sampled_ethernet";
    case 3: return "sampled_ipv4";
    case 4: return "sampled_ipv6";
    case 1001: return "extended_switch";
    case 1002: return "extended_router";
    case 1003: return "extended_gateway";
    case 1004: return "extended_user";
    case 1005: return "extended_url";
    case 1006: return "extended_mpls";
    case 1007: return "extended_nat";
    case 1008: return "extended_mpls_tunnel";
    case 1009: return "extended_mpls_vc";
    case 1010: return "extended_mpls_FTN";
    case 1011: return "extended_mpls_LDP_FEC";
    case 1012: return "extended_vlantunnel";
    case 1013: return "extended_80211_payload";
    case 1014: return "extended_80211_rx";
    case 1015: return "extended_80211_tx";
    case 1016: return "extended_80211_aggregation";
    case 1020: return "extended_nat_port";
    case 1021: return "extended_L2_tunnel_egress";
    case 1022: return "extended_L2_tunnel_ingress";
    case 1023: return "extended_ipv4_tunnel_egress";
    case 1024: return "extended_ipv4_tunnel_ingress";
    case 1025: return "extended_ipv6_tunnel_egress";
    case 1026: return "extended_ipv6_tunnel_ingress";
    case 1027: return "extended_decapsulate_egress";
    case 1028: return "extended_decapsulate_ingress";
    case 1029: return "extended_vni_egress";
    case 1030: return "extended_vni_ingress";
    case 1036: return "extended_egress_queue";
    case 1037: return "extended_acl";
    case 1038: return "extended_function";
    case 1039: return "extended_transit";
    case 1040: return "extended_queue";
    case 1041: return "extended_hw_trap";
    case 1042: return "extended_linux_drop_reason";
    case 2100: return "extended_socket_ipv4";
    case 2101: return "extended_socket_ipv6";
    case 2102: return "extended_proxy_socket_ipv4";
    case 2103: return "extended_proxy_socket_ipv6";
    default: return {};
  }
}

}  // namespace weir::outbound
