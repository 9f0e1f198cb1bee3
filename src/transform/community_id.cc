#include "transform/community_id.h"

#include <cstring>
#include <utility>

#include "base/byte_order.h"
#include "transform/flow_facts.h"

namespace weir::transform {
namespace {

constexpr uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmpv6 = 58, kSctp = 132;

/// What answers a message, and what it answers. Others are of one way, and their ends are not put in order.
struct IcmpPair {
  uint8_t type, answer;
};
constexpr IcmpPair kIcmpPairs[] = {{8, 0}, {13, 14}, {15, 16}, {10, 9}, {17, 18}};
constexpr IcmpPair kIcmpv6Pairs[] = {{128, 129}, {130, 131}, {133, 134}, {135, 136}, {139, 140}, {144, 145}};

/// -1 where there is none.
template <size_t N>
int answer_of(const IcmpPair (&pairs)[N], uint64_t type) noexcept {
  for (const IcmpPair& pair : pairs) {
    if (pair.type == type) return pair.answer;
    if (pair.answer == type) return pair.type;
  }
  return -1;
}

struct Ends {
  std::string_view source, destination;
  uint16_t source_port = 0, destination_port = 0;
  bool has_ports = false;
  bool keeps_order = false;
};

/// False of ICMPv6 whose type is not told: 0 is none.
bool take_ports(const FlowView& flow, uint8_t protocol, Ends& ends) noexcept {
  if (protocol == kTcp || protocol == kUdp || protocol == kSctp) {
    ends.has_ports = true;
    ends.source_port = static_cast<uint16_t>(flow[NumberSlot::src_port]);
    ends.destination_port = static_cast<uint16_t>(flow[NumberSlot::dst_port]);
  } else if (protocol == kIcmp || protocol == kIcmpv6) {
    const uint64_t type = flow[NumberSlot::icmp_type];
    if (protocol == kIcmpv6 && type == 0) return false;
    const int answer = protocol == kIcmp ? answer_of(kIcmpPairs, type) : answer_of(kIcmpv6Pairs, type);
    ends.has_ports = true;
    ends.keeps_order = answer < 0;
    ends.source_port = static_cast<uint16_t>(type);
    ends.destination_port = static_cast<uint16_t>(answer < 0 ? flow[NumberSlot::icmp_code] : static_cast<uint64_t>(answer));
  }
  return true;
}

void write_base64(const Sha1Digest& digest, char* out) noexcept {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto put = [&](uint32_t three) {
    for (int shift = 18; shift >= 0; shift -= 6) *out++ = kDigits[three >> shift & 63];
  };
  for (size_t i = 0; i < 18; i += 3) put(static_cast<uint32_t>(digest[i] << 16 | digest[i + 1] << 8 | digest[i + 2]));
  put(static_cast<uint32_t>(digest[18] << 16 | digest[19] << 8));
  out[-1] = '=';  // one octet short of three
}

}  // namespace

std::string_view community_id_of(const FlowView& flow, std::array<char, kCommunityIdOctets>& room) noexcept {
  Ends ends{.source = flow[OctetsSlot::src_addr], .destination = flow[OctetsSlot::dst_addr]};
  const uint64_t protocol = flow[NumberSlot::proto];
  if (!is_address(ends.source) || ends.source.size() != ends.destination.size()) return {};
  if (protocol == 0 || protocol > UINT8_MAX || !take_ports(flow, static_cast<uint8_t>(protocol), ends)) return {};
  const size_t octets = ends.source.size();
  const int order = std::memcmp(ends.source.data(), ends.destination.data(), octets);
  if (!ends.keeps_order && (order > 0 || (order == 0 && ends.source_port > ends.destination_port))) {
    std::swap(ends.source, ends.destination);
    std::swap(ends.source_port, ends.destination_port);
  }
  uint8_t block[64] = {};  // seed 0 first
  uint8_t* p = block + 2;
  std::memcpy(p, ends.source.data(), octets);
  std::memcpy(p + octets, ends.destination.data(), octets);
  p += 2 * octets;
  *p = static_cast<uint8_t>(protocol);
  p += 2;
  if (ends.has_ports) {
    store_be16(p, ends.source_port);
    store_be16(p + 2, ends.destination_port);
    p += 4;
  }
  store_be16(block + 62, static_cast<uint16_t>(8 * (p - block)));
  *p = 0x80;
  room[0] = '1';
  room[1] = ':';
  write_base64(sha1_of_block(block), room.data() + 2);
  return {room.data(), room.size()};
}

}  // namespace weir::transform
