// checksum.h — The Internet checksum.
//
// Spec:     RFC 1071; the pseudo-headers of RFC 768 and RFC 8200 §8.1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/byte_order.h"
#include "base/ip_address.h"

namespace weir::packet {

/// A running one's complement sum of 16-bit words. Every part but the last has an even length.
class ChecksumSum {
 public:
  constexpr ChecksumSum& add(uint32_t word) noexcept {
    sum_ += word;
    return *this;
  }
  ChecksumSum& add(std::span<const uint8_t> octets) noexcept {
    size_t i = 0;
    for (; i + 2 <= octets.size(); i += 2) sum_ += load_be16(octets.data() + i);
    if (i < octets.size()) sum_ += static_cast<uint32_t>(octets[i]) << 8;
    return *this;
  }
  /// Addresses, protocol and length, as they go before a UDP header.
  ChecksumSum& add_pseudo_header(const IpAddress& src, const IpAddress& dst, uint8_t protocol,
                                 uint32_t length) noexcept {
    add({src.wire_data(), src.wire_octets()});
    add({dst.wire_data(), dst.wire_octets()});
    return add(uint32_t{protocol}).add(length >> 16).add(length & 0xffff);
  }
  /// 0 when the octets summed include a checksum that is right.
  constexpr uint16_t complement() const noexcept {
    uint64_t s = sum_;
    while (s >> 16) s = (s & 0xffff) + (s >> 16);
    return static_cast<uint16_t>(~s);
  }

 private:
  uint64_t sum_ = 0;
};

}  // namespace weir::packet
