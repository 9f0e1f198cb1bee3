#include "decode/plain_packet.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>

#include "base/byte_order.h"
#include "decode/header_columns.h"
#include "packet/sampled_header.h"

namespace weir::decode {
namespace {

using packet::Layer;

constexpr uint16_t kEtherTypeVlan = 0x8100;
constexpr uint16_t kEtherTypeIpv4 = 0x0800;
constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
constexpr uint8_t kProtoTcp = 6;
constexpr uint8_t kProtoUdp = 17;
constexpr size_t kEthernetOctets = 14;
constexpr size_t kTagOctets = 4;
constexpr size_t kIpv4Octets = 20;
constexpr size_t kIpv6Octets = 40;
constexpr size_t kUdpOctets = 8;
constexpr size_t kTcpFlagsEnd = 14;  // of the TCP header: what is needed to read its flags

/// UDP ports behind which there is another packet.
constexpr bool is_tunnel(uint16_t port) noexcept {
  return port == packet::kVxlanPort || port == packet::kGenevePort || port == packet::kGtpuPort;
}

constexpr Presence presence_of(std::initializer_list<Field> fields) {
  Presence p;
  for (const Field f : fields) p.set(f);
  return p;
}
constexpr Presence kAlways =
    presence_of({Field::src_mac, Field::dst_mac, Field::src_addr, Field::dst_addr, Field::etype, Field::proto,
                 Field::ip_tos, Field::ip_ttl, Field::src_port, Field::dst_port, Field::layer_stack,
                 Field::layer_size});
constexpr Presence kOfTag = presence_of({Field::vlan_id});
constexpr Presence kOfIpv4 = presence_of({Field::ip_flags, Field::fragment_id, Field::fragment_offset});
constexpr Presence kOfIpv6 = presence_of({Field::ipv6_flow_label});
constexpr Presence kOfTcp = presence_of({Field::tcp_flags});

constexpr uint8_t kAddresses =
    address::bit(address::k_src_addr) | address::bit(address::k_dst_addr);

/// What is told of a packet, beside addresses and MACs, before it is known that all of it can be.
struct Transport {
  const uint8_t* at;
  uint32_t tcp_flags;
  uint32_t header_octets;
  uint32_t octets;  // of header and payload, as far as they are there
  bool is_tcp;
};

/// False where too little of the header is there, or it is not TCP's or plain UDP's.
inline bool read_transport(uint8_t proto, const uint8_t* p, size_t octets, Transport& t) noexcept {
  t.at = p;
  t.octets = static_cast<uint32_t>(octets);
  t.is_tcp = proto == kProtoTcp;
  if (t.is_tcp) {
    if (octets < kTcpFlagsEnd) return false;
    const uint32_t word = load_be16(p + 12);
    t.tcp_flags = word & 0x0fff;
    t.header_octets = 4 * (word >> 12);
    return true;
  }
  t.tcp_flags = 0;
  t.header_octets = kUdpOctets;
  return proto == kProtoUdp && octets >= kUdpOctets && !is_tunnel(load_be16(p + 2));
}

struct Layers {
  std::array<uint32_t, 4> layer{};
  std::array<uint32_t, 4> octets{};
  uint32_t count = 0;
  void add(Layer l, uint32_t header_octets) noexcept {
    layer[count] = static_cast<uint32_t>(l);
    octets[count++] = header_octets;
  }
};

constexpr uint32_t kArenaOctetsMax = sizeof(Layers::layer) + sizeof(Layers::octets) + 4;  // to align

}  // namespace

bool fill_from_plain_packet(std::span<const uint8_t> frame, FlowRecord& r, Arena& arena) noexcept {
  if (frame.size() < kEthernetOctets + kTagOctets) return false;
  const uint8_t* p = frame.data() + kEthernetOctets;
  const uint8_t* const end = frame.data() + frame.size();
  uint16_t type = load_be16(p - 2);
  Presence present = kAlways;
  const auto add = [&present](const Presence& more) {
    for (size_t i = 0; i < present.words.size(); ++i) present.words[i] |= more.words[i];
  };

  const bool is_tagged = type == kEtherTypeVlan;
  uint32_t vlan = 0;
  if (is_tagged) {
    vlan = load_be16(p) & 0x0fff;
    type = load_be16(p + 2);
    p += kTagOctets;
    add(kOfTag);
  }

  const uint8_t* const ip = p;
  const auto left = static_cast<size_t>(end - ip);
  const bool is_v4 = type == kEtherTypeIpv4;
  Transport transport;
  if (is_v4) {
    constexpr uint8_t kVersionAndLength = 0x45;
    if (left < kIpv4Octets || ip[0] != kVersionAndLength) return false;
    if ((load_be16(ip + 6) & 0x1fff) != 0) return false;
    // Ethernet fills short frames up; a length below the header's own is told of, not gone by.
    const size_t total = load_be16(ip + 2);
    const size_t octets = total >= kIpv4Octets ? std::min(total, left) : left;
    if (!read_transport(ip[9], ip + kIpv4Octets, octets - kIpv4Octets, transport)) return false;
  } else {
    if (type != kEtherTypeIpv6 || left < kIpv6Octets || ip[0] >> 4 != 6) return false;
    const size_t payload = load_be16(ip + 4);
    const size_t there = left - kIpv6Octets;
    const size_t octets = payload != 0 ? std::min(payload, there) : there;
    if (!read_transport(ip[6], ip + kIpv6Octets, octets, transport)) return false;
  }

  Layers layers;
  layers.add(Layer::ethernet, kEthernetOctets);
  if (is_tagged) layers.add(Layer::dot1q, kTagOctets);
  layers.add(is_v4 ? Layer::ipv4 : Layer::ipv6,
             static_cast<uint32_t>(is_v4 ? kIpv4Octets : kIpv6Octets));
  layers.add(transport.is_tcp ? Layer::tcp : Layer::udp, transport.header_octets);
  const uint32_t list_octets = layers.count * static_cast<uint32_t>(sizeof(uint32_t));
  if (arena.left() < kArenaOctetsMax) return false;

  // Nothing declines from here on.
  arena.align4();
  const uint32_t at = arena.used();
  uint8_t* const lists = arena.take(2 * list_octets);
  // Whole arrays, whose lengths the compiler knows: there is room, and what follows is not taken yet.
  std::memcpy(lists, layers.layer.data(), sizeof layers.layer);
  std::memcpy(lists + list_octets, layers.octets.data(), sizeof layers.octets);
  const auto count = static_cast<uint16_t>(layers.count);
  r.layer_stack = {static_cast<uint16_t>(at), count};
  r.layer_size = {static_cast<uint16_t>(at + list_octets), count};
  r.arena_parts |= arena_part::kNumberLists;

  r.dst_mac = load_be48(frame.data());
  r.src_mac = load_be48(frame.data() + 6);
  r.vlan_id = vlan;
  r.etype = type;
  if (is_v4) {
    r.src_addr = IpAddress::from_v4(ip + 12);
    r.dst_addr = IpAddress::from_v4(ip + 16);
    r.proto = ip[9];
    r.ip_tos = ip[1];
    r.ip_ttl = ip[8];
    r.fragment_id = load_be16(ip + 4);
    r.ip_flags = load_be16(ip + 6) >> 13;
    add(kOfIpv4);
  } else {
    const uint32_t first = load_be32(ip);
    r.src_addr = IpAddress::from_v6(ip + 8);
    r.dst_addr = IpAddress::from_v6(ip + 24);
    r.proto = ip[6];
    r.ip_tos = first >> 20 & 0xff;
    r.ip_ttl = ip[7];
    r.ipv6_flow_label = first & 0xf'ffff;
    add(kOfIpv6);
  }
  r.src_port = load_be16(transport.at);
  r.dst_port = load_be16(transport.at + 2);
  r.tcp_flags = transport.tcp_flags;
  constexpr uint32_t kTcpOctetsMin = 20;
  if (transport.header_octets < transport.octets && (!transport.is_tcp || transport.header_octets >= kTcpOctetsMin)) {
    note_payload({transport.at + transport.header_octets, transport.octets - transport.header_octets},
                 static_cast<uint8_t>(r.proto), false, arena, r);
  }
  if (transport.is_tcp) add(kOfTcp);
  constexpr uint8_t kBlocks = block::kBasic | block::kHeaders;
  r.blocks |= is_tagged ? kBlocks | block::kSecond : kBlocks;
  r.addresses |= kAddresses;
  // PERF: word by word; both at once would wait for the words that were just stored one by one.
  for (size_t i = 0; i < present.words.size(); ++i) {
    uint64_t& word = r.present.words[i];
    word = __atomic_load_n(&word, __ATOMIC_RELAXED) | present.words[i];
  }
  return true;
}

}  // namespace weir::decode
