#include "lab/traffic.h"

#include <algorithm>
#include <iterator>

namespace weir::lab {
namespace {

constexpr uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kGre = 47, kEsp = 50, kIcmp6 = 58;

/// A service, how many in a thousand flows are its, and how large its packets are on average.
struct Service {
  uint8_t proto;
  uint16_t port;
  uint16_t per_mille;
  uint16_t packet_octets_min;
  uint16_t packet_octets_max;
  uint8_t packets_octaves;  // at most 2^this - 1 packets a flow
};

constexpr Service kServices[] = {
    {kTcp, 443, 400, 60, 1400, 14}, {kUdp, 443, 150, 100, 1280, 14},
    {kUdp, 53, 140, 60, 300, 2},    {kTcp, 80, 70, 60, 1400, 12},
    {kTcp, 22, 30, 52, 600, 12},    {kUdp, 123, 30, 76, 76, 1},
    {kTcp, 25, 20, 60, 1200, 8},    {kTcp, 993, 20, 60, 1000, 9},
    {kUdp, 5060, 10, 400, 900, 4},  {kTcp, 3389, 10, 60, 900, 13},
    {kTcp, 8080, 20, 60, 1400, 12}, {kIcmp, 0, 40, 84, 84, 5},
    {kGre, 0, 10, 80, 1400, 14},    {kEsp, 0, 10, 120, 1400, 14},
    {kTcp, 0, 20, 40, 60, 1},  // scans of any port
    {kUdp, 0, 20, 80, 1200, 12},
};

const Service& pick_service(Random& random) noexcept {
  uint32_t at = random.below(1000);
  for (const Service& s : kServices) {
    if (at < s.per_mille) return s;
    at -= s.per_mille;
  }
  return kServices[0];
}

/// Rank 1 is the busiest host; neighbours in rank are not neighbours in the prefix.
IpAddress host_v4(uint32_t rank) noexcept {
  const uint32_t scattered = rank * 0x9E3779B1u;
  switch (scattered >> 28) {
    case 0: return IpAddress::from_v4(0xC0000200u | (scattered >> 20 & 0xff));  // 192.0.2.0/24
    case 1: return IpAddress::from_v4(0xC6336400u | (scattered >> 20 & 0xff));  // 198.51.100.0/24
    case 2: return IpAddress::from_v4(0xCB007100u | (scattered >> 20 & 0xff));  // 203.0.113.0/24
    default: return IpAddress::from_v4(0xC6120000u | (scattered >> 8 & 0x1ffff));  // 198.18.0.0/15
  }
}

IpAddress host_v6(uint32_t rank) noexcept {
  const uint32_t scattered = rank * 0x9E3779B1u;
  uint8_t octets[16] = {0x20, 0x01, 0x0d, 0xb8};
  store_be16(octets + 4, static_cast<uint16_t>(scattered >> 24));  // a /48 of 256
  store_be64(octets + 8, 0x0200'00ff'fe00'0000ull | scattered >> 8);
  return IpAddress::from_v6(octets);
}

/// Documentation AS numbers of both widths (RFC 5398); a host's never changes.
uint32_t as_of(const IpAddress& host) noexcept {
  const uint32_t i = (host.octets[5] ^ host.octets[13] ^ host.octets[14] >> 3) & 31;
  return i < 24 ? 64496 + i % 16 : 65536 + i % 16;
}

uint8_t tcp_flags_of(const Service& service, Random& random) noexcept {
  if (service.port == 0) return 0x02;  // a scan: SYN only
  constexpr uint8_t kSeen[] = {0x1b, 0x1b, 0x1b, 0x1b, 0x18, 0x1a, 0x1e, 0x12};
  return kSeen[random.below(std::size(kSeen))];
}

}  // namespace

Flow TrafficModel::next() noexcept {
  Random& r = random_;
  const Service& service = pick_service(r);
  const bool v6 = families_ == Families::ipv4_and_ipv6 && r.below(100) < 20;
  const bool response = r.below(2) == 0;
  const uint32_t client = r.by_octave(17);
  const uint32_t server = r.by_octave(12) + 0x100000;  // ranks apart from the clients'

  Flow f{};
  const IpAddress client_address = v6 ? host_v6(client) : host_v4(client);
  const IpAddress server_address = v6 ? host_v6(server) : host_v4(server);
  f.src = response ? server_address : client_address;
  f.dst = response ? client_address : server_address;
  f.next_hop = v6 ? host_v6(0x200000 + r.below(4)) : host_v4(0x200000 + r.below(4));

  f.proto = v6 && service.proto == kIcmp ? kIcmp6 : service.proto;
  if (f.proto == kTcp || f.proto == kUdp) {
    const auto port = static_cast<uint16_t>(service.port != 0 ? service.port : 1 + r.below(65535));
    const auto ephemeral = static_cast<uint16_t>(32768 + r.below(28232));
    f.src_port = response ? port : ephemeral;
    f.dst_port = response ? ephemeral : port;
  } else if (f.proto == kIcmp) {
    f.dst_port = response ? 0 : 0x0800;  // echo reply, echo request
  } else if (f.proto == kIcmp6) {
    f.dst_port = response ? 0x8100 : 0x8000;
  }
  if (f.proto == kTcp) f.tcp_flags = tcp_flags_of(service, r);

  constexpr uint8_t kTos[] = {0, 0, 0, 0, 0, 0x28, 0x48, 0xb8};
  f.tos = kTos[r.below(std::size(kTos))];
  f.src_mask = static_cast<uint8_t>(v6 ? 48 : 24);
  f.dst_mask = static_cast<uint8_t>(v6 ? 48 : 16 + r.below(9));
  f.direction = static_cast<uint8_t>(r.below(8) == 0);
  f.vlan = static_cast<uint16_t>(100 + r.below(16));
  f.in_if = response ? 1 + r.below(kUplinks) : kAccessInterfaceFirst + r.below(kAccessInterfaces);
  f.out_if = response ? kAccessInterfaceFirst + r.below(kAccessInterfaces) : 1 + r.below(kUplinks);
  f.src_as = as_of(f.src);
  f.dst_as = as_of(f.dst);
  if (v6) f.flow_label = r.below(1 << 20);
  f.src_mac = 0x0200'0000'0000ull | f.in_if;
  f.dst_mac = 0x0200'0000'0000ull | f.out_if;

  f.packets = r.by_octave(service.packets_octaves);
  const uint32_t packet_octets =
      service.packet_octets_min +
      r.below(uint32_t{service.packet_octets_max} - service.packet_octets_min + 1u);
  f.octets = uint64_t{f.packets} * packet_octets;
  f.duration_ms = f.packets == 1 ? 0 : std::min(f.packets * r.by_octave(10), 60'000u);
  f.idle_ms = r.below(15'000);
  // Idle, active, end of flow: as RFC 5102 numbers them.
  f.end_reason = static_cast<uint8_t>(f.duration_ms == 60'000 ? 2 : f.proto == kTcp ? 3 : 1);
  return f;
}

}  // namespace weir::lab
