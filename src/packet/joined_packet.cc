#include "packet/joined_packet.h"

#include <cstring>

#include "base/byte_order.h"
#include "packet/checksum.h"

namespace weir::packet {
namespace {

constexpr size_t kEthernetOctets = 14;
constexpr size_t kVlanTagOctets = 4;
constexpr size_t kIpv4Octets = 20;
constexpr size_t kIpv6Octets = 40;

void finish_ipv4(uint8_t* ip, size_t octets) noexcept {
  ip[0] = 0x45;  // no options
  store_be16(ip + 2, static_cast<uint16_t>(kIpv4Octets + octets));
  store_be16(ip + 6, 0);   // a whole
  store_be16(ip + 10, 0);  // the checksum is over itself as zero
  store_be16(ip + 10, ChecksumSum{}.add(std::span<const uint8_t>(ip, kIpv4Octets)).complement());
}

void finish_ipv6(uint8_t* ip, size_t octets, uint8_t next_header) noexcept {
  store_be16(ip + 4, static_cast<uint16_t>(octets));
  ip[6] = next_header;
}

}  // namespace

size_t write_joined_headers(std::span<const uint8_t> frame, const FrameView& joined, size_t octets,
                            std::span<uint8_t, kJoinedHeaderOctetsMax> out) noexcept {
  const size_t before = kEthernetOctets + kVlanTagOctets * joined.vlan_tags;
  const bool is_v4 = joined.src.is_v4();
  const size_t headers = before + (is_v4 ? kIpv4Octets : kIpv6Octets);
  std::memcpy(out.data(), frame.data(), headers);
  if (is_v4) {
    finish_ipv4(out.data() + before, octets);
  } else {
    finish_ipv6(out.data() + before, octets, joined.fragment.next_header);
  }
  return headers;
}

}  // namespace weir::packet
