// encode_parts.h — The parts of encoding a record that both kernels share.
//
// A FlowMessage is written in this order, whatever the kernel: prefix, times, addresses, protocol
// chunk, blocks of integers (counters, basic, second, headers, context, nat, rare), MACs, arena
// fields.
//
// Runs on:  rx_lcore. Pure. Stores reach at most kStoreSlackOctets beyond what is written; loads
//           never leave the record, the prefix or the arena.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "export/encoder.h"
#include "export/protocol_names.h"
#include "export/wire.h"

namespace weir::outbound::parts {

using wire::Tag;
using wire::WireType;

inline constexpr size_t kBlockFields = 8;

/// The eight tags of a block of integers, for one field after the other and for all at once.
struct alignas(64) BlockTags {
  std::array<uint64_t, kBlockFields> lanes{};  // a two-octet tag in octets 0 and 1, a shorter in 1
  std::array<Tag, kBlockFields> tags{};

  constexpr explicit BlockTags(const std::array<uint32_t, kBlockFields>& numbers) {
    for (size_t i = 0; i < kBlockFields; ++i) {
      const Tag t = wire::tag(numbers[i], WireType::varint);
      tags[i] = t;
      lanes[i] = t.length == 1 ? uint64_t{t.octets} << 8 : t.octets;
    }
  }
};

#define WEIR_NUMBER_(member, number) number,
inline constexpr BlockTags kCounters({WEIR_BLOCK_COUNTERS(WEIR_NUMBER_)});
inline constexpr BlockTags kBasic({WEIR_BLOCK_BASIC(WEIR_NUMBER_)});
inline constexpr BlockTags kSecond({WEIR_BLOCK_SECOND(WEIR_NUMBER_)});
inline constexpr BlockTags kHeaders({WEIR_BLOCK_HEADERS(WEIR_NUMBER_)});
inline constexpr BlockTags kContext({WEIR_BLOCK_CONTEXT(WEIR_NUMBER_)});
inline constexpr BlockTags kNat({WEIR_BLOCK_NAT(WEIR_NUMBER_)});
#undef WEIR_NUMBER_

inline constexpr Tag kTimeStart = wire::tag(111, WireType::varint);
inline constexpr Tag kTimeEnd = wire::tag(112, WireType::varint);

// ---- framing ----

inline constexpr uint8_t kFlowsTag = 1 << 3 | 2;  // FlowBatch.flows
inline constexpr size_t kFrameOctets = 3;         // kFlowsTag and a length of two octets

/// How many octets are left free in front of a message: as many as the last one's frame took. PERF:
/// where messages lie around 128 octets, always leaving two for the length moved most of them, an
/// eighth of a receive core's time (bench_replay --protocol netflow_v5).
struct FrameGuess {
  size_t octets = kFrameOctets;
};

/// Moves the message that lies behind `reserved` octets so that its length takes as many octets as it
/// must. Returns the message's end.
uint8_t* reframe(uint8_t* frame, size_t reserved, size_t message_octets) noexcept;

/// Fills in the frame of the message that lies from frame + guess.octets to `end`. Lengths are minimal,
/// so that a batch's octets depend on its records alone (and equal what protobuf's own serializer
/// would frame).
WEIR_INLINE uint8_t* finish_frame(uint8_t* frame, uint8_t* end, FrameGuess& guess) noexcept {
  const size_t reserved = guess.octets;
  const auto octets = static_cast<size_t>(end - frame) - reserved;
  const size_t needed = octets < 128 ? kFrameOctets - 1 : kFrameOctets;
  if (needed != reserved || octets >= 16384) [[unlikely]] {
    guess.octets = needed;
    return reframe(frame, reserved, octets);
  }
  frame[0] = kFlowsTag;
  if (needed == kFrameOctets) {
    const auto length = static_cast<uint16_t>((octets & 0x7f) | 0x80 | octets >> 7 << 8);
    std::memcpy(frame + 1, &length, sizeof length);
  } else {
    frame[1] = static_cast<uint8_t>(octets);
  }
  return end;
}

/// Stores whole 64 octets; the prefix has room for that.
WEIR_INLINE uint8_t* put_prefix(uint8_t* p, std::span<const uint8_t> prefix) noexcept {
  std::memcpy(p, prefix.data(), 64);
  for (size_t i = 64; i < prefix.size(); i += 64) std::memcpy(p + i, prefix.data() + i, 64);
  return p + prefix.size();
}

// ---- times ----

/// Since 1972 a time is always nine octets, until 2262.
WEIR_INLINE uint8_t* put_time(uint8_t* p, Tag t, uint64_t ns) noexcept {
  if ((ns >> 56) - 1 >= 0x7f) [[unlikely]] {
    return put_field(p, t, ns);
  }
  const uint64_t octets = wire::spread56(ns) | 0x8080808080808080;
  std::memcpy(p, &t.octets, sizeof t.octets);
  std::memcpy(p + 2, &octets, sizeof octets);
  p[10] = static_cast<uint8_t>(ns >> 56);
  return p + 11;
}

// ---- addresses ----

/// Four octets where the address is IPv4-mapped, else sixteen. Loads up to 28 octets from the
/// address on, which stay in the record, and chooses without a branch.
WEIR_INLINE uint8_t* put_address(uint8_t* p, Tag t, const uint8_t* address) noexcept {
  uint64_t high;
  uint32_t middle;
  std::memcpy(&high, address, sizeof high);
  std::memcpy(&middle, address + 8, sizeof middle);
  const bool v4 = (high | (middle ^ 0xffff0000u)) == 0;
  const size_t skipped = v4 ? 12 : 0;
  const size_t octets = 16 - skipped;
  std::memcpy(p, &t.octets, sizeof t.octets);
  p += t.length;
  *p = static_cast<uint8_t>(octets);
  std::memcpy(p + 1, address + skipped, 16);
  return p + 1 + octets;
}

inline constexpr auto kAddressTags = std::to_array<Tag>({
#define WEIR_TAG_(member, number) wire::tag(number, WireType::octets),
    WEIR_ADDRESSES(WEIR_TAG_)
#undef WEIR_TAG_
});
static_assert(sizeof(IpAddress) == 16);
static_assert(offsetof(FlowRecord, inner_dst_addr) + 28 <= sizeof(FlowRecord));

/// Those of `which`, a bit each.
WEIR_INLINE uint8_t* put_addresses(uint8_t* p, const FlowRecord& r, unsigned which) noexcept {
  const auto* base = reinterpret_cast<const uint8_t*>(&r) + offsetof(FlowRecord, src_addr);
  for (unsigned left = which; left != 0; left &= left - 1) {
    const auto i = static_cast<size_t>(std::countr_zero(left));
    p = put_address(p, kAddressTags[i], base + 16 * i);
  }
  return p;
}

// ---- etype, proto, protocol_name ----

inline constexpr uint32_t kEtypeIpv4 = 0x0800;
inline constexpr uint32_t kEtypeIpv6 = 0x86dd;

/// The three fields as they stand for one protocol over IPv4 or IPv6.
struct ProtocolChunk {
  std::array<uint8_t, 31> octets{};
  uint8_t length = 0;
};
struct alignas(64) ProtocolChunks {
  std::array<ProtocolChunk, 512> by_family_and_number;  // IPv4 first
};
extern const ProtocolChunks kProtocolChunks;

/// Any etype and protocol; a protocol 0 that was not exported has no name.
uint8_t* put_protocol_slowly(uint8_t* p, const FlowRecord& r) noexcept;

WEIR_INLINE uint8_t* put_protocol(uint8_t* p, const FlowRecord& r) noexcept {
  const bool v6 = r.etype == kEtypeIpv6;
  // Unsigned wrap makes this true for protocol 0 as well.
  if ((r.etype != kEtypeIpv4 && !v6) || r.proto - 1u >= 255u) [[unlikely]] {
    return put_protocol_slowly(p, r);
  }
  const ProtocolChunk& chunk =
      kProtocolChunks.by_family_and_number[r.proto + (v6 ? size_t{256} : size_t{0})];
  std::memcpy(p, &chunk, 32);
  return p + chunk.length;
}

// ---- the rest ----

WEIR_INLINE uint8_t* put_macs(uint8_t* p, const FlowRecord& r) noexcept {
  if ((r.src_mac | r.dst_mac) == 0) return p;
  p = wire::put_field(p, wire::tag(27, WireType::varint), r.src_mac);
  return wire::put_field(p, wire::tag(28, WireType::varint), r.dst_mac);
}

WEIR_INLINE uint8_t* put_rare(uint8_t* p, const FlowRecord& r) noexcept {
  if ((r.blocks & block::kRare) == 0) return p;
#define WEIR_PUT_(member, number) \
  p = wire::put_field(p, wire::tag(number, WireType::varint), r.member);
  WEIR_BLOCK_RARE(WEIR_PUT_)
#undef WEIR_PUT_
  return p;
}

/// Upper bound of what put_arena writes.
size_t arena_octets_max(const FlowRecord& r) noexcept;

/// Lists, strings and unmapped elements. References that leave the arena are cut to it.
uint8_t* put_arena(uint8_t* p, const FlowRecord& r, const uint8_t* arena) noexcept;

/// The kernels. See Encoder::encode.
size_t encode_portable(std::span<const uint8_t> prefix, std::span<const FlowRecord> records,
                       const uint8_t* arena, uint8_t* out) noexcept;
#if defined(__x86_64__)
size_t encode_avx512_vbmi2(std::span<const uint8_t> prefix, std::span<const FlowRecord> records,
                           const uint8_t* arena, uint8_t* out) noexcept;
#endif

}  // namespace weir::outbound::parts
