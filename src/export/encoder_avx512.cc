// encoder_avx512.cc — Eight integer fields at a time, with AVX-512 VBMI2 (Ice Lake, Zen 4 and later).
//
// Writes exactly what encode_portable writes (tests/export/encoder_test.cc holds the two together).
#include "export/encode_parts.h"

#if defined(__x86_64__)
// g++ 12 takes its own "undefined" vectors in these headers for a mistake (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#define WEIR_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,bmi,bmi2,lzcnt,popcnt")))
#define WEIR_AVX512_INLINE WEIR_AVX512 inline __attribute__((always_inline))

namespace weir::outbound::parts {
namespace {

constexpr uint64_t each_octet(uint8_t v) { return 0x0101010101010101ull * v; }

/// For each of a lane's octets the bit at which its seven bits begin: six octets, 42 bits. The
/// other two are masked off.
constexpr uint64_t kSevens = 0x0000'231c'150e'0700;
constexpr uint64_t kSevenBitMask = 0x00007f7f7f7f7f7f;
constexpr uint64_t kBeyond42Bits = 0xfffffc0000000000;

/// Eight values below 2^42 as tagged varints, those that are 0 left out.
///
/// In each 64-bit lane the value is cut into octets of seven bits; the mask of octets that are not zero,
/// smeared downwards within the lane, says which octets the varint has, and shifted by one which of
/// them have the continuation bit. Two octets of tag go below, then all lanes are compressed into one.
WEIR_AVX512_INLINE uint8_t* put_lanes(uint8_t* p, __m512i values, const BlockTags& tags) noexcept {
  __m512i x = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(kSevens), values);
  x = _mm512_and_si512(x, _mm512_set1_epi64(kSevenBitMask));
  uint64_t has = _mm512_test_epi8_mask(x, x);
  has |= has >> 1 & each_octet(0x1f);
  has |= has >> 2 & each_octet(0x0f);
  has |= has >> 4 & each_octet(0x03);
  const uint64_t not_zero = has & each_octet(0x01);
  const __mmask64 continued = has >> 1 & each_octet(0x1f);
  x = _mm512_mask_add_epi8(x, continued, x, _mm512_set1_epi8(static_cast<char>(0x80)));
  x = _mm512_or_si512(_mm512_slli_epi64(x, 16), _mm512_load_si512(tags.lanes.data()));
  const uint64_t kept = has << 2 | ((not_zero | not_zero << 1) & tags.lane_octets);
  _mm512_storeu_si512(p, _mm512_maskz_compress_epi8(kept, x));
  return p + __builtin_popcountll(kept);
}

WEIR_AVX512_INLINE uint8_t* put_block32(uint8_t* p, const uint32_t* fields,
                                        const BlockTags& tags) noexcept {
  const __m256i packed = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(fields));
  return put_lanes(p, _mm512_cvtepu32_epi64(packed), tags);
}

WEIR_AVX512_INLINE uint8_t* put_counters(uint8_t* p, const FlowRecord& r) noexcept {
  const __m512i values = _mm512_loadu_si512(&r.bytes);
  if (_mm512_test_epi64_mask(values, _mm512_set1_epi64(static_cast<long long>(kBeyond42Bits))) != 0)
      [[unlikely]] {
    const uint64_t* fields = &r.bytes;
    for (size_t i = 0; i < kBlockFields; ++i) p = wire::put_field(p, kCounters.tags[i], fields[i]);
    return p;
  }
  return put_lanes(p, values, kCounters);
}

WEIR_AVX512_INLINE uint8_t* put_time(uint8_t* p, Tag t, uint64_t ns) noexcept {
  if ((ns >> 56) - 1 >= 0x7f) [[unlikely]] {
    return wire::put_field(p, t, ns);
  }
  const uint64_t octets = _pdep_u64(ns, each_octet(0x7f)) | each_octet(0x80);
  std::memcpy(p, &t.octets, sizeof t.octets);
  std::memcpy(p + 2, &octets, sizeof octets);
  p[10] = static_cast<uint8_t>(ns >> 56);
  return p + 11;
}

}  // namespace

// PERF: bound by the number of instructions (about 40 a block, 200 in all for a v5 record), not by latency:
// records do not depend on one another but for where they begin. Measured in perf/bench_decode.
WEIR_AVX512 size_t encode_avx512_vbmi2(std::span<const uint8_t> prefix,
                                       std::span<const FlowRecord> records, const uint8_t* arena,
                                       uint8_t* out) noexcept {
  uint8_t* p = out;
  for (const FlowRecord& r : records) {
    uint8_t* const frame = p;
    p = put_prefix(p + kFrameOctets, prefix);
    p = put_time(p, kTimeStart, r.time_flow_start_ns);
    p = put_time(p, kTimeEnd, r.time_flow_end_ns);
    p = put_addresses(p, r);
    p = put_protocol(p, r);
    p = put_counters(p, r);
    if ((r.blocks & block::kBasic) != 0) p = put_block32(p, &r.src_port, kBasic);
    if ((r.blocks & block::kSecond) != 0) p = put_block32(p, &r.src_net, kSecond);
    if ((r.blocks & block::kHeaders) != 0) p = put_block32(p, &r.src_vlan, kHeaders);
    if ((r.blocks & block::kContext) != 0) p = put_block32(p, &r.next_hop_as, kContext);
    if ((r.blocks & block::kNat) != 0) p = put_block32(p, &r.post_nat_dst_port, kNat);
    p = put_rare(p, r);
    p = put_macs(p, r);
    if (r.has_arena != 0) [[unlikely]] {
      p = put_arena(p, r, arena);
    }
    p = finish_frame(frame, p);
  }
  return static_cast<size_t>(p - out);
}

}  // namespace weir::outbound::parts
#endif
