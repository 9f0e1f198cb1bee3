// lanes_avx512.h — What the AVX-512 kernels that write FlowMessages share: tagged varints, eight at a time.
//
// Runs on:  rx_lcore. Pure; included by files that hold such kernels (base/avx512.h).
#pragma once

#include "base/avx512.h"
#include "export/encode_parts.h"

#if defined(__x86_64__)

namespace weir::outbound::parts {

/// How a lane of eight octets comes to hold a tagged varint: two octets of tag, six of seven bits
/// each. Values are below 2^42. The tables go by the value's leading zeros; 64 of them (the value
/// 0) are 0 there.
struct alignas(64) LaneTables {
  std::array<uint8_t, 64> kept{};        // a bit an octet: the tag's and the varint's
  std::array<uint8_t, 64> shift_bits{};  // of a row of 0x80: shifted right, it ends in time
  constexpr LaneTables() {
    for (unsigned zeros = 64 - kLaneBits; zeros < 64; ++zeros) {
      const unsigned octets = (64 - zeros + 6) / 7;
      kept[zeros] = static_cast<uint8_t>(((1u << octets) - 1) << 2 | 3u);
      shift_bits[zeros] = static_cast<uint8_t>(64 - 8 * (octets + 1));
    }
  }
  static constexpr unsigned kLaneBits = 42;
};
inline constexpr LaneTables kLaneTables;

/// For each octet of a lane the bit of the value at which its seven bits begin; where the tag goes,
/// one beyond the 42.
inline constexpr uint64_t kSevens = 0x231c'150e'0700'3030;
inline constexpr uint64_t kSevenBits = 0x7f7f'7f7f'7f7f'0000;
inline constexpr uint64_t kContinued = 0x8080'8080'8080'8080;
inline constexpr uint64_t kVarintOctets = 0xffff'ffff'ffff'0000;

WEIR_AVX512_INLINE __m512i each_lane(uint64_t v) noexcept {
  return _mm512_set1_epi64(static_cast<long long>(v));
}

/// The constants of put_tagged_lanes, so that a loop keeps them in registers. PERF: left to itself the compiler makes them
/// anew for each block, two instructions each.
struct LaneConstants {
  __m512i kept, shift_bits, sevens, seven_bits, continued, varint_octets;

  WEIR_AVX512_INLINE static __m512i held(__m512i v) noexcept {
    asm("" : "+v"(v));
    return v;
  }
  WEIR_AVX512_INLINE LaneConstants() noexcept
      : kept(held(_mm512_load_si512(kLaneTables.kept.data()))),
        shift_bits(held(_mm512_load_si512(kLaneTables.shift_bits.data()))),
        sevens(held(each_lane(kSevens))),
        seven_bits(held(each_lane(kSevenBits))),
        continued(held(each_lane(kContinued))),
        varint_octets(held(each_lane(kVarintOctets))) {}
};

/// Eight values below 2^42 as tagged varints, those that are 0 left out: each value is cut into
/// octets of seven bits in a lane of its own, all but the last get the continuation bit, the tag
/// goes below, and what is kept of the lanes is compressed into one run. `tags` and `tag_octets` are
/// BlockTags' lanes and kept_octets.
WEIR_AVX512_INLINE uint8_t* put_tagged_lanes(const LaneConstants& c, uint8_t* p, __m512i values,
                                             __m512i tags, uint64_t tag_octets) noexcept {
  const __m512i zeros = _mm512_lzcnt_epi64(values);
  const __m512i shift = _mm512_permutexvar_epi8(zeros, c.shift_bits);
  const __m512i continued = _mm512_srlv_epi64(c.continued, shift);
  constexpr int kAndThenOr = 0xea;  // (a & b) | c
  __m512i x = _mm512_multishift_epi64_epi8(c.sevens, values);
  x = _mm512_ternarylogic_epi64(x, c.seven_bits, tags, kAndThenOr);
  x = _mm512_ternarylogic_epi64(continued, c.varint_octets, x, kAndThenOr);
  const __m512i kept_by_lane = _mm512_permutexvar_epi8(zeros, c.kept);
  const auto kept = static_cast<uint64_t>(_mm_cvtsi128_si64(_mm512_cvtepi64_epi8(kept_by_lane))) &
                    tag_octets;
  _mm512_storeu_si512(p, _mm512_maskz_compress_epi8(kept, x));
  return p + __builtin_popcountll(kept);
}

/// wire::put_field of what is below 2^56.
WEIR_AVX512_INLINE uint8_t* put_short(uint8_t* p, Tag t, uint64_t v) noexcept {
  if (v == 0) return p;
  const size_t length = wire::varint_octets(v);
  const uint64_t continued =
      _bzhi_u64(0x0080'8080'8080'8080, static_cast<unsigned>(8 * length - 8));
  const uint64_t octets = _pdep_u64(v, 0x7f7f'7f7f'7f7f'7f7f) | continued;
  std::memcpy(p, &t.octets, sizeof t.octets);
  std::memcpy(p + t.length, &octets, sizeof octets);
  return p + t.length + length;
}

}  // namespace weir::outbound::parts
#endif
