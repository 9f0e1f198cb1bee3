// lanes_avx512.h — What the AVX-512 kernels that write FlowMessages share: tagged varints, eight at a time.
//
// Runs on:  rx_lcore. Pure; included by files that hold such kernels (base/avx512.h).
#pragma once

#include "base/avx512.h"
#include "export/encode_parts.h"

#if defined(__x86_64__)

namespace weir::outbound::parts {

/// A lane of eight octets holds a tagged varint: two octets of tag, six of seven bits each. So values are below 2^42.
inline constexpr unsigned kLaneBits = 42;
inline constexpr uint64_t kBeyondLane = ~uint64_t{0} << kLaneBits;

/// For each octet of a lane the bit of the value at which its seven bits begin; where the tag goes,
/// one beyond the 42.
inline constexpr uint64_t kSevens = 0x231c'150e'0700'3030;
inline constexpr uint64_t kSevenBits = 0x7f7f'7f7f'7f7f'0000;
inline constexpr uint64_t kContinued = 0x8080'8080'8080'0000;

WEIR_AVX512_INLINE __m512i each_lane(uint64_t v) noexcept {
  return _mm512_set1_epi64(static_cast<long long>(v));
}
/// What stays in a register, instead of being made anew for each record.
WEIR_AVX512_INLINE __m512i held(__m512i v) noexcept {
  asm("" : "+v"(v));
  return v;
}

/// The constants of put_tagged_lanes, so that a loop keeps them in registers. PERF: left to itself the compiler makes them
/// anew for each block, two instructions each.
struct LaneConstants {
  __m512i sevens, seven_bits, continued, ones;

  WEIR_AVX512_INLINE LaneConstants() noexcept
      : sevens(held(each_lane(kSevens))),
        seven_bits(held(each_lane(kSevenBits))),
        continued(held(each_lane(kContinued))),
        ones(held(each_lane(~uint64_t{0}))) {}
};

/// Tagged varints one behind the other; what is behind them counts for nothing.
struct PackedLanes {
  __m512i octets;
  size_t length;
};

/// Eight values below 2^42 as tagged varints, those that are 0 left out: each value is cut into octets of seven bits in
/// a lane of its own with its tag (BlockTags::lanes) below, all octets under the highest get the continuation bit, and
/// what is not 0 then is compressed into one run: a varint has no octet of 0, nor has a tag.
WEIR_AVX512_INLINE PackedLanes pack_tagged_lanes(const LaneConstants& c, __m512i values,
                                                 __m512i tags) noexcept {
  constexpr int kAndThenOr = 0xea;  // (a & b) | c
  const __mmask8 any = _mm512_test_epi64_mask(values, values);
  __m512i x = _mm512_multishift_epi64_epi8(c.sevens, values);
  x = _mm512_maskz_ternarylogic_epi64(any, x, c.seven_bits, tags, kAndThenOr);
  const __m512i up_to_highest = _mm512_srlv_epi64(c.ones, _mm512_lzcnt_epi64(x));
  x = _mm512_ternarylogic_epi64(up_to_highest, c.continued, x, kAndThenOr);
  const __mmask64 kept = _mm512_test_epi8_mask(x, x);
  // PERF: the register that it is compressed into is waited for on Zen 5, whatever the instruction says: so into its own.
  return {_mm512_mask_compress_epi8(x, kept, x), static_cast<size_t>(__builtin_popcountll(kept))};
}

WEIR_AVX512_INLINE uint8_t* put_lanes(uint8_t* p, const PackedLanes& lanes) noexcept {
  _mm512_storeu_si512(p, lanes.octets);
  return p + lanes.length;
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
