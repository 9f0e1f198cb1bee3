// community_id.h — A flow → its Community ID, by which other tools (Zeek, Suricata, …) name the same connection.
//
// Spec:     Community ID v1, seed 0: "1:" and the base64 of the SHA-1 of seed, addresses, protocol, a zero octet and ports; the lesser
//           of both ends first. ICMP has its type and that of the answer for ports, or type and code where there is no answer.
// Runs on:  any thread. Pure: no allocation.
// Bounds:   what is hashed is 16 or 40 octets: one block of SHA-1.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "flow/flow_view.h"

namespace weir::transform {

inline constexpr size_t kCommunityIdOctets = 30;

/// Where two addresses of one kind and a protocol are told; else empty. `room` is what the text then lies in.
std::string_view community_id_of(const FlowView& flow, std::array<char, kCommunityIdOctets>& room) noexcept;

/// FIPS 180-4, of one block that is padded already. The portable form is the specification.
using Sha1Digest = std::array<uint8_t, 20>;
Sha1Digest sha1_of_block(const uint8_t (&block)[64]) noexcept;
Sha1Digest sha1_of_block_portable(const uint8_t (&block)[64]) noexcept;

}  // namespace weir::transform
