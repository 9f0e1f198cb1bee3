#include "lab/sflow_writer.h"

#include <algorithm>

#include "lab/frame_builder.h"

namespace weir::lab {
namespace {

constexpr uint8_t kIcmp = 1, kGre = 47, kIcmp6 = 58;
constexpr uint8_t kSyn = 0x02, kAck = 0x10;
constexpr uint16_t kVxlanPort = 4789, kEtherTypeTeb = 0x6558;
constexpr uint32_t kFrameOctetsMin = 60;  // without the checksum
constexpr uint32_t kTagOctets = 4, kEthernetOctets = 14;
constexpr size_t kIpv4Octets = 20, kIpv6Octets = 40, kUdpOctets = 8, kTcpOctets = 20, kVxlanOctets = 8;
constexpr size_t kSampleOctets = 8 + 7 * 4 + 4, kExpandedSampleOctets = 8 + 10 * 4 + 4;
constexpr uint32_t kGigabit = 1'000'000'000;
constexpr uint64_t kVni = 5000;

uint16_t ether_type_of(const IpAddress& a) { return a.is_v4() ? kEtherTypeIpv4 : kEtherTypeIpv6; }
size_t ip_octets(const IpAddress& a) { return a.is_v4() ? kIpv4Octets : kIpv6Octets; }

/// What the packet says of its length may be more than what is there: the rest was cut.
Octets ip(const ExportedFlow& f, const IpAddress& src, const IpAddress& dst, uint8_t proto, size_t payload,
          const Octets& rest) {
  if (src.is_v4()) {
    return ipv4_packet({.src = src,
                        .dst = dst,
                        .proto = proto,
                        .id = f.src_port,
                        .total_length = static_cast<uint16_t>(kIpv4Octets + payload)},
                       rest);
  }
  return ipv6_packet(
      {.src = src, .dst = dst, .next_header = proto, .payload_length = static_cast<uint16_t>(payload)}, rest);
}

/// Those of a flow are of all its packets: a packet amid it acknowledges, one of a scan begins.
uint8_t flags_of_packet(const ExportedFlow& f) { return f.tcp_flags == kSyn ? kSyn : kAck; }

Octets transport(const ExportedFlow& f, uint8_t proto, size_t octets) {
  const auto ports = [&] { return join({u16(f.src_port), u16(f.dst_port)}); };
  switch (proto) {
    case kProtoTcp:
      return join({ports(), u32(f.packets), u32(f.idle_ms), u8(5 << 4), u8(flags_of_packet(f)), u16(65535), zeros(4)});
    case kProtoUdp: return join({ports(), u16(octets), u16(0xffff)});
    case kIcmp:
    case kIcmp6: return join({u16(f.dst_port), u16(0), u16(1), u16(f.packets)});
    default: return join({u32(f.idle_ms << 16 | f.packets), u32(1)});  // ESP: SPI, sequence
  }
}

size_t transport_octets(uint8_t proto) { return proto == kProtoTcp ? kTcpOctets : kUdpOctets; }

/// The packet itself, of `octets` or as many as its headers take.
Octets packet_of(const ExportedFlow& f, uint8_t proto, size_t& octets) {
  const size_t headers = ip_octets(f.src) + transport_octets(proto);
  octets = std::max(octets, headers);
  const size_t payload = octets - ip_octets(f.src);
  Octets packet = ip(f, f.src, f.dst, proto, payload, transport(f, proto, payload));
  packet.resize(std::min(octets, kSampledHeaderOctets), 0);
  return packet;
}

/// Between two routers of the provider, which the flow's addresses are not.
Octets in_tunnel(const ExportedFlow& f, uint8_t inner_proto, size_t& octets) {
  const IpAddress from = IpAddress::from_v4(0xC6336401u), to = IpAddress::from_v4(0xC6336402u);
  Octets inner = packet_of(f, inner_proto, octets);
  if (f.tunnel == Tunnel::gre) {
    const Octets gre = join({u16(0), u16(ether_type_of(f.src)), inner});
    octets += 4;
    const Octets whole = ip(f, from, to, kGre, octets, gre);
    octets += kIpv4Octets;
    return whole;
  }
  inner = join({u8(8), u24(0), u24(kVni), u8(0), ethernet(ether_type_of(f.src), inner)});
  octets += kVxlanOctets + kEthernetOctets + kUdpOctets;
  const Octets udp = join({u16(f.src_port | 0xc000), u16(kVxlanPort), u16(octets), u16(0), inner});
  const Octets whole = ip(f, from, to, kProtoUdp, octets, udp);
  octets += kIpv4Octets;
  return whole;
}

}  // namespace

SampledFrame sampled_frame(const ExportedFlow& f) {
  size_t octets = f.packet_octets();
  const bool is_tunnel = f.tunnel != Tunnel::none;
  const uint8_t inner = f.proto == kGre ? kProtoTcp : f.proto;
  const Octets packet = is_tunnel ? in_tunnel(f, inner, octets) : packet_of(f, f.proto, octets);
  const uint16_t type = is_tunnel ? kEtherTypeIpv4 : ether_type_of(f.src);
  SampledFrame frame;
  frame.header = join({mac(f.dst_mac), mac(f.src_mac), u16(kTpid8021q), vlan(f.vlan, type, packet)});
  frame.octets = std::max<uint32_t>(static_cast<uint32_t>(kEthernetOctets + kTagOctets + octets), kFrameOctetsMin);
  frame.header.resize(std::min<size_t>(frame.octets, kSampledHeaderOctets), 0);
  return frame;
}

std::vector<sflow::FlowRecord> SflowWriter::records_of(const ExportedFlow& f) const {
  const SampledFrame frame = sampled_frame(f);
  // The length that was on the wire has the checksum, the header that was sampled has not.
  std::vector<sflow::FlowRecord> records = {sflow::raw_header(frame.header, frame.octets + kFrameCheckOctets),
                                            sflow::extended_switch(f.vlan, f.vlan)};
  records.push_back({1002, join({sflow::address(f.next_hop.to_string()), u32(f.src_mask), u32(f.dst_mask)})});
  if (config_.extras.bgp) {
    const std::string next_hop = f.bgp_next_hop.to_string();
    records.push_back(sflow::extended_gateway({.next_hop = next_hop,
                                               .as = 64511,
                                               .src_as = f.src_as,
                                               .src_peer_as = f.previous_as,
                                               .segments = {{f.next_as, f.dst_as}},
                                               .communities = {64511u << 16 | 100}}));
  }
  return records;
}

size_t SflowWriter::octets_of(const ExportedFlow& f) const {
  size_t octets = config_.extras.expanded ? kExpandedSampleOctets : kSampleOctets;
  for (const sflow::FlowRecord& r : records_of(f)) octets += 8 + (r.body.size() + 3) / 4 * 4;
  return octets;
}

void SflowWriter::add_sample(SflowBuilder& builder, const ExportedFlow& f) {
  Source& source = sources_[f.in_if];
  ++source.samples;
  source.packets += config_.sampling;
  source.octets += uint64_t{config_.sampling} * f.packet_octets();
  const SflowFlowSample sample{.sequence = source.samples,
                               .source_index = f.in_if,
                               .sampling_rate = config_.sampling,
                               .pool = source.packets,
                               .input = {0, f.in_if},
                               .output = {0, f.out_if},
                               .records = records_of(f)};
  if (config_.extras.expanded) {
    builder.expanded_flow(sample);
  } else {
    builder.flow(sample);
  }
}

/// Generic counters of one interface (sFlow v5, struct if_counters).
void SflowWriter::add_counters(SflowBuilder& builder) {
  const uint32_t turn = counter_turn_++ % (kUplinks + kAccessInterfaces);
  const uint32_t index = turn < kUplinks ? turn + 1 : kAccessInterfaceFirst + turn - kUplinks;
  Source& source = sources_[index];
  constexpr uint32_t kEthernetCsmacd = 6, kFullDuplex = 1, kUp = 3;
  const Octets body =
      join({u32(index), u32(kEthernetCsmacd), u64(kGigabit), u32(kFullDuplex), u32(kUp), u64(source.octets),
            u32(source.packets), zeros(5 * 4), u64(source.octets / 2), u32(source.packets / 2), zeros(5 * 4)});
  const SflowCounterSample sample{
      .sequence = ++source.counter_samples, .source_index = index, .blocks = {{.type = 1, .body = body}}};
  if (config_.extras.expanded) {
    builder.expanded_counters(sample);
  } else {
    builder.counters(sample);
  }
}

Octets SflowWriter::write(uint32_t uptime_ms, std::span<const ExportedFlow> flows) {
  SflowBuilder builder;
  builder.agent(config_.agent.to_string()).uptime_ms(uptime_ms);
  if (counters_due()) add_counters(builder);
  for (const ExportedFlow& f : flows) add_sample(builder, f);
  builder.sequence(++datagrams_);
  return builder.build();
}

}  // namespace weir::lab
