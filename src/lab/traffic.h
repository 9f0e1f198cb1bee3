// traffic.h — Made-up flows that look like traffic: few busy hosts and many quiet ones, a mix of
// services, sizes over four orders of magnitude.
//
// Spec:     addresses are documentation and benchmark ones only: RFC 5737, RFC 2544, RFC 3849.
//
// The same seed gives the same flows on every machine and compiler: integers only, our own
// generator.
#pragma once

#include <cstdint>

#include "base/ip_address.h"

namespace weir::lab {

/// SplitMix64: one addition and a hash a number, good enough for made-up traffic.
class Random {
 public:
  explicit constexpr Random(uint64_t seed) noexcept : state_(seed) {}

  constexpr uint64_t next() noexcept {
    state_ += 0x9E3779B97F4A7C15ull;
    uint64_t z = state_;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
  }
  /// 0 to n - 1; n is not 0. The bias of a multiplication instead of a rejection is below 2^-32.
  constexpr uint32_t below(uint32_t n) noexcept {
    return static_cast<uint32_t>((next() >> 32) * n >> 32);
  }
  /// 1 to 2^octaves - 1, each octave as likely as any other: a Zipf distribution in steps.
  constexpr uint32_t by_octave(uint32_t octaves) noexcept {
    const uint32_t low = uint32_t{1} << below(octaves);
    return low + below(low);
  }

 private:
  uint64_t state_;
};

/// One flow as an exporter saw it. Of ICMP, dst_port is type × 256 + code, as exporters have it.
struct Flow {
  IpAddress src;
  IpAddress dst;
  IpAddress next_hop;
  uint16_t src_port;
  uint16_t dst_port;
  uint8_t proto;
  uint8_t tcp_flags;
  uint8_t tos;
  uint8_t src_mask;
  uint8_t dst_mask;
  uint8_t end_reason;  // IPFIX element 136
  uint8_t direction;   // 0 ingress, 1 egress
  uint16_t vlan;
  uint32_t in_if;
  uint32_t out_if;
  uint32_t src_as;
  uint32_t dst_as;
  uint32_t flow_label;  // IPv6 only
  uint64_t src_mac;
  uint64_t dst_mac;
  uint32_t packets;
  uint64_t octets;
  uint32_t duration_ms;
  uint32_t idle_ms;  // from its last packet to the export
};

/// Interfaces that flows pass: from an access one to an uplink, or back.
inline constexpr uint32_t kUplinks = 4;  // 1 to 4
inline constexpr uint32_t kAccessInterfaceFirst = 101;
inline constexpr uint32_t kAccessInterfaces = 24;

enum class Families : uint8_t { ipv4_only, ipv4_and_ipv6 };

class TrafficModel {
 public:
  TrafficModel(uint64_t seed, Families families) noexcept : random_(seed), families_(families) {}
  Flow next() noexcept;

 private:
  Random random_;
  Families families_;
};

}  // namespace weir::lab
