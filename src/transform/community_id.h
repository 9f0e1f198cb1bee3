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

/// FIPS 180-4, of one block that is padded already. The portable form is the specification.
using Sha1Digest = std::array<uint8_t, 20>;
Sha1Digest sha1_of_block(const uint8_t (&block)[64]) noexcept;
Sha1Digest sha1_of_block_portable(const uint8_t (&block)[64]) noexcept;
/// Of sixteen octets, which two numbers are in network order.
Sha1Digest sha1_of_16(uint64_t first, uint64_t second) noexcept;

/// RFC 4648 section 4, with the character that fills up. `out` has room for kBase64Room. The portable form is the specification.
inline constexpr size_t kBase64Octets = 28;
inline constexpr size_t kBase64Room = 32;
void write_base64(const Sha1Digest& digest, char* out) noexcept;
void write_base64_portable(const Sha1Digest& digest, char* out) noexcept;

/// What of the text is behind "1:", in base64. False where there is none: where two addresses of one kind or a protocol are not told.
bool community_digest_of(const FlowView& flow, Sha1Digest& digest) noexcept;

}  // namespace weir::transform
