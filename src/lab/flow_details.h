// flow_details.h — What an exporter may know of a flow beyond the flow itself: how it was translated, what BGP says of
// its path, which sampler saw it, names, the tunnel that it travels in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lab/traffic.h"

namespace weir::lab {

enum class ExportProtocol : uint8_t { netflow_v5, netflow_v9, ipfix, sflow };

/// What an exporter tells beside plain flows. NetFlow v5 can tell none of it.
struct Extras {
  bool variable = false;    // IPFIX: application, user and host as strings of variable length
  bool interfaces = false;  // v9, IPFIX: options data with the names of interfaces
  bool samplers = false;    // v9, IPFIX: kSamplers of them, told by options data, named by records
  bool nat = false;         // v9, IPFIX: NAT events, in a template of their own
  bool bgp = false;         // next hop, adjacent or path's AS numbers
  bool expanded = false;    // sFlow: expanded samples
  bool counters = false;    // sFlow: counter samples of interfaces
  bool tunnels = false;     // sFlow: VXLAN and GRE in the sampled headers
};

inline constexpr uint8_t kSamplers = 4;

/// What kind of record a flow becomes; each has a template.
enum class RecordKind : uint8_t { ipv4, ipv6, nat };
enum class Tunnel : uint8_t { none, gre, vxlan };

struct ExportedFlow : Flow {
  RecordKind kind = RecordKind::ipv4;
  Tunnel tunnel = Tunnel::none;
  uint8_t sampler = 1;
  uint8_t nat_event = 0;  // element 230
  uint16_t post_src_port = 0;
  IpAddress post_src;  // translated; destinations stay what they are
  uint32_t vrf = 0;
  IpAddress bgp_next_hop;
  uint32_t next_as = 0;      // adjacent, towards the destination
  uint32_t previous_as = 0;  // and towards the source
  std::string_view application;
  std::string user;
  std::string host;  // of HTTP; now and then longer than a length of one octet can say

  uint32_t packet_octets() const noexcept { return static_cast<uint32_t>(octets / packets); }
};

/// The same flow and the same random numbers give the same details.
ExportedFlow with_details(const Flow& flow, ExportProtocol protocol, const Extras& extras, Random& random);

}  // namespace weir::lab
