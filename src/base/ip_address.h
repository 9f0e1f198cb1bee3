// ip_address.h — An IPv4 or IPv6 address as 16 octets, IPv4 in mapped form (RFC 4291 §2.5.5.2).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/byte_order.h"

namespace weir {

struct IpAddress {
  std::array<uint8_t, 16> octets{};  // network order

  static IpAddress from_v4(const uint8_t* four_octets) noexcept {
    IpAddress a;
    a.octets[10] = a.octets[11] = 0xff;
    std::memcpy(a.octets.data() + 12, four_octets, 4);
    return a;
  }
  /// `v4` in host order: 0xC0000201 is 192.0.2.1.
  static IpAddress from_v4(uint32_t v4) noexcept {
    uint8_t four[4];
    store_be32(four, v4);
    return from_v4(four);
  }
  static IpAddress from_v6(const uint8_t* sixteen_octets) noexcept {
    IpAddress a;
    std::memcpy(a.octets.data(), sixteen_octets, 16);
    return a;
  }
  /// Dotted quad or RFC 4291 text; nothing else.
  static std::optional<IpAddress> parse(std::string_view text);

  bool is_v4() const noexcept {
    static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(octets.data(), kMapped, sizeof kMapped) == 0;
  }
  bool is_unspecified() const noexcept { return *this == IpAddress{} || *this == from_v4(0u); }

  /// What goes on the wire: 4 octets for IPv4, 16 for IPv6.
  const uint8_t* wire_data() const noexcept { return octets.data() + (is_v4() ? 12 : 0); }
  size_t wire_octets() const noexcept { return is_v4() ? 4 : 16; }

  /// 192.0.2.1 or RFC 5952's form of an IPv6 address.
  std::string to_string() const;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

/// A hash for tables keyed by address. Not for adversarial chaining without a bound on probes:
/// `seed` is drawn at start so that collisions cannot be precomputed.
inline uint64_t hash_of(const IpAddress& a, uint64_t seed) noexcept {
  uint64_t lo, hi;
  std::memcpy(&lo, a.octets.data(), 8);
  std::memcpy(&hi, a.octets.data() + 8, 8);
  uint64_t h = (lo ^ seed) * 0x9E3779B97F4A7C15ull;
  h ^= h >> 32;
  h = (h ^ hi) * 0xD6E8FEB86659FD93ull;
  h ^= h >> 32;
  h *= 0xD6E8FEB86659FD93ull;
  return h ^ (h >> 32);
}

}  // namespace weir
