// wire.h — Protobuf's wire format: tags and varints at compile time, and at run time.
//
// Spec:     protobuf encoding: a field is a tag (number << 3 | wire type) as a varint, then a
//           varint, or a length and octets. Varints here are always of minimal length.
// Bounds:   "stores" may reach beyond what is "written" (what the returned pointer covers) by up to
//           kStoreSlackOctets; see encoder.h.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define WEIR_INLINE inline __attribute__((always_inline))

namespace weir::outbound::wire {

enum class WireType : uint32_t { varint = 0, octets = 2 };

/// A tag of one or two octets: fields 1 to 2047.
struct Tag {
  uint16_t octets = 0;  // as stored little-endian
  uint16_t length = 0;
};

constexpr Tag tag(uint32_t number, WireType type) {
  const uint32_t key = number << 3 | static_cast<uint32_t>(type);
  if (key < 0x80) return {static_cast<uint16_t>(key), 1};
  return {static_cast<uint16_t>((key & 0x7f) | 0x80 | (key >> 7) << 8), 2};
}

inline constexpr size_t kTagOctetsMax = 2;
inline constexpr size_t kVarint32OctetsMax = 5;
inline constexpr size_t kVarint64OctetsMax = 10;

constexpr size_t varint_octets(uint64_t v) noexcept {
  return (static_cast<size_t>(std::bit_width(v | 1)) * 9 + 64) / 64;
}

/// The low 56 bits in groups of seven, one an octet.
constexpr uint64_t spread56(uint64_t v) noexcept {
  v = (v & 0x000000000fffffff) | (v & 0x00fffffff0000000) << 4;
  v = (v & 0x00003fff00003fff) | (v & 0x0fffc0000fffc000) << 2;
  return (v & 0x007f007f007f007f) | (v & 0x3f803f803f803f80) << 1;
}

inline uint8_t* put_varint(uint8_t* p, uint64_t v) noexcept {
  while (v >= 0x80) {
    *p++ = static_cast<uint8_t>(v | 0x80);
    v >>= 7;
  }
  *p++ = static_cast<uint8_t>(v);
  return p;
}

WEIR_INLINE uint8_t* put_tag(uint8_t* p, Tag t) noexcept {
  std::memcpy(p, &t.octets, sizeof t.octets);
  return p + t.length;
}

/// The field, or nothing where `v` is 0. Stores up to 12 octets.
/// PERF: one branch, on 0, which a column nearly always or nearly never is; the length costs none.
/// Without any branch it is a fifth slower, with the usual loop over the octets as fast: that is
/// faster only where the branch predictor has learnt the values by heart (decode_encode_portable,
/// perf/bench_decode).
WEIR_INLINE uint8_t* put_field(uint8_t* p, Tag t, uint64_t v) noexcept {
  if (v == 0) return p;
  if (v >> 56 != 0) [[unlikely]] {
    return put_varint(put_tag(p, t), v);
  }
  const size_t length = varint_octets(v);
  const uint64_t octets = spread56(v) | (0x0080808080808080 & ~(~uint64_t{0} << (8 * length - 8)));
  std::memcpy(p, &t.octets, sizeof t.octets);
  std::memcpy(p + t.length, &octets, sizeof octets);
  return p + t.length + length;
}

}  // namespace weir::outbound::wire
