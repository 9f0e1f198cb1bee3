#include "lab/flow_details.h"

#include <fmt/format.h>

namespace weir::lab {
namespace {

constexpr uint8_t kTcp = 6, kUdp = 17, kGre = 47;
// Element 230: Cisco's exporters number creation and deletion 1 and 2, RFC 8158 those of NAT44 sessions 4 and 5.
constexpr uint8_t kCiscoCreate = 1, kNat44SessionCreate = 4;
constexpr size_t kLongHostOctets = 256;  // as long as a host name can be, and more than one octet of length can say

bool is_tcp_or_udp(const Flow& f) { return f.proto == kTcp || f.proto == kUdp; }

std::string_view application_of(const Flow& f) {
  struct Known {
    uint16_t port;
    uint8_t proto;
    std::string_view name;
  };
  static constexpr Known kKnown[] = {{443, kTcp, "https"}, {443, kUdp, "quic"},  {53, kUdp, "dns"},
                                     {80, kTcp, "http"},   {22, kTcp, "ssh"},    {123, kUdp, "ntp"},
                                     {25, kTcp, "smtp"},   {993, kTcp, "imaps"}, {5060, kUdp, "sip"},
                                     {3389, kTcp, "rdp"},  {8080, kTcp, "http"}};
  for (const Known& k : kKnown) {
    if (k.proto == f.proto && (k.port == f.src_port || k.port == f.dst_port)) return k.name;
  }
  return "unknown";
}

void translate(ExportedFlow& f, ExportProtocol protocol, Random& random) {
  f.kind = RecordKind::nat;
  const uint8_t create = protocol == ExportProtocol::netflow_v9 ? kCiscoCreate : kNat44SessionCreate;
  f.nat_event = static_cast<uint8_t>(create + random.below(2));
  f.post_src = IpAddress::from_v4(0xCB007100u | random.below(16));  // a pool in 203.0.113.0/28
  f.post_src_port = static_cast<uint16_t>(1024 + random.below(64'512));
  f.vrf = random.below(4);
}

void name(ExportedFlow& f, Random& random) {
  f.application = application_of(f);
  f.user = fmt::format("user-{}", random.by_octave(10));
  if (f.application != "http") return;
  f.host = fmt::format("www{}.example.net", random.by_octave(8));
  if (random.below(16) == 0) f.host.insert(0, kLongHostOctets - f.host.size(), 'x');
}

}  // namespace

ExportedFlow with_details(const Flow& flow, ExportProtocol protocol, const Extras& extras, Random& random) {
  ExportedFlow f;
  static_cast<Flow&>(f) = flow;
  const bool is_v4 = flow.src.is_v4();
  f.kind = is_v4 ? RecordKind::ipv4 : RecordKind::ipv6;
  if (extras.samplers) f.sampler = static_cast<uint8_t>(1 + random.below(kSamplers));
  if (extras.nat && is_v4 && is_tcp_or_udp(f) && random.below(4) == 0) translate(f, protocol, random);
  if (extras.bgp) {
    f.bgp_next_hop = f.next_hop;
    f.bgp_next_hop.octets[15] ^= 0x40;  // another router than the next
    f.next_as = 64496 + random.below(8);
    f.previous_as = 65536 + random.below(8);
  }
  if (extras.variable) name(f, random);
  if (f.proto == kGre) f.tunnel = Tunnel::gre;
  if (extras.tunnels && is_tcp_or_udp(f) && random.below(4) == 0) {
    f.tunnel = random.below(2) == 0 ? Tunnel::gre : Tunnel::vxlan;
  }
  return f;
}

}  // namespace weir::lab
