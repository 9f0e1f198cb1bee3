// encoder_avx512.cc — Eight integer fields at a time: AVX-512 VBMI2 (Ice Lake, Zen 4, later).
//
// Writes exactly what encode_portable writes (tests/export/encoder_test.cc holds the two together).
#include "base/avx512.h"
#include "export/encode_parts.h"

#if defined(__x86_64__)

namespace weir::outbound::parts {
namespace {

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
constexpr LaneTables kLaneTables;

/// For each octet of a lane the bit of the value at which its seven bits begin; where the tag goes,
/// one beyond the 42.
constexpr uint64_t kSevens = 0x231c'150e'0700'3030;
constexpr uint64_t kSevenBits = 0x7f7f'7f7f'7f7f'0000;
constexpr uint64_t kContinued = 0x8080'8080'8080'8080;
constexpr uint64_t kVarintOctets = 0xffff'ffff'ffff'0000;
constexpr uint64_t kBeyondLane = ~uint64_t{0} << LaneTables::kLaneBits;

WEIR_AVX512_INLINE __m512i each_lane(uint64_t v) noexcept {
  return _mm512_set1_epi64(static_cast<long long>(v));
}

/// Eight values below 2^42 as tagged varints, those that are 0 left out: each value is cut into
/// octets of seven bits in a lane of its own, all but the last get the continuation bit, the tag
/// goes below, and what is kept of the lanes is compressed into one run.
WEIR_AVX512_INLINE uint8_t* put_lanes(uint8_t* p, __m512i values, const BlockTags& tags) noexcept {
  const __m512i zeros = _mm512_lzcnt_epi64(values);
  const __m512i shift =
      _mm512_permutexvar_epi8(zeros, _mm512_load_si512(kLaneTables.shift_bits.data()));
  const __m512i continued = _mm512_srlv_epi64(each_lane(kContinued), shift);
  constexpr int kAndThenOr = 0xea;  // (a & b) | c
  __m512i x = _mm512_multishift_epi64_epi8(each_lane(kSevens), values);
  x = _mm512_ternarylogic_epi64(x, each_lane(kSevenBits), _mm512_load_si512(tags.lanes.data()),
                                kAndThenOr);
  x = _mm512_ternarylogic_epi64(continued, each_lane(kVarintOctets), x, kAndThenOr);
  const __m512i kept_by_lane =
      _mm512_permutexvar_epi8(zeros, _mm512_load_si512(kLaneTables.kept.data()));
  const auto kept = static_cast<uint64_t>(_mm_cvtsi128_si64(_mm512_cvtepi64_epi8(kept_by_lane))) &
                    tags.kept_octets;
  _mm512_storeu_si512(p, _mm512_maskz_compress_epi8(kept, x));
  return p + __builtin_popcountll(kept);
}

WEIR_AVX512_INLINE uint8_t* put_block32(uint8_t* p, const uint32_t* fields,
                                        const BlockTags& tags) noexcept {
  const __m256i packed = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(fields));
  return put_lanes(p, _mm512_cvtepu32_epi64(packed), tags);
}

/// Source, destination and next hop, which lie side by side, where all of them that are present are
/// IPv4, as they are in most records: their last four octets, each behind tag and length, in one
/// store.
struct alignas(64) Ipv4Run {
  std::array<uint8_t, 64> from{};          // octets of the record's four first addresses
  std::array<uint8_t, 64> fixed{};         // tags and lengths
  std::array<uint32_t, 8> octets{};        // by presence: what is kept of the run
  std::array<uint16_t, 8> prefix_words{};  // by presence: what to compare with ::ffff:0:0/96
  static constexpr size_t kAddresses = 3;
  constexpr Ipv4Run() {
    for (size_t i = 0; i < kAddresses; ++i) {
      fixed[6 * i] = static_cast<uint8_t>(kAddressTags[i].octets);
      fixed[6 * i + 1] = 4;
      for (size_t k = 0; k < 4; ++k) from[6 * i + 2 + k] = static_cast<uint8_t>(16 * i + 12 + k);
    }
    for (size_t present = 0; present < 8; ++present) {
      for (size_t i = 0; i < kAddresses; ++i) {
        if ((present >> i & 1) == 0) continue;
        octets[present] |= 0x3fu << (6 * i);
        prefix_words[present] = static_cast<uint16_t>(prefix_words[present] | 0x7u << (4 * i));
      }
    }
  }
};
constexpr Ipv4Run kIpv4Run;
static_assert(kAddressTags[0].length == 1 && kAddressTags[1].length == 1 &&
              kAddressTags[2].length == 1);

WEIR_AVX512_INLINE uint8_t* put_addresses_at_once(uint8_t* p, const FlowRecord& r) noexcept {
  constexpr unsigned kRun = (1u << Ipv4Run::kAddresses) - 1;
  const unsigned present = r.addresses & kRun;
  const __m512i four = _mm512_loadu_si512(&r.src_addr);
  const __m512i mapped =
      _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0, static_cast<int>(0xffff0000u), 0));
  const __mmask16 unlike =
      _mm512_mask_cmpneq_epi32_mask(kIpv4Run.prefix_words[present], four, mapped);
  if (unlike != 0) return put_addresses(p, r, r.addresses);
  // What `fixed` holds goes over the octets that `from` leaves at 0: those of no address.
  const __m512i moved = _mm512_maskz_permutexvar_epi8(
      0x3c | 0x3c << 6 | 0x3c << 12, _mm512_load_si512(kIpv4Run.from.data()), four);
  const __m512i run = _mm512_or_si512(moved, _mm512_load_si512(kIpv4Run.fixed.data()));
  const uint32_t kept = kIpv4Run.octets[present];
  const __m256i packed = _mm256_maskz_compress_epi8(kept, _mm512_castsi512_si256(run));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), packed);
  return put_addresses(p + __builtin_popcount(kept), r, r.addresses & ~kRun);
}

WEIR_AVX512_INLINE uint8_t* put_counters(uint8_t* p, const FlowRecord& r) noexcept {
  const __m512i values = _mm512_loadu_si512(&r.bytes);
  if (_mm512_test_epi64_mask(values, each_lane(kBeyondLane)) != 0) [[unlikely]] {
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
  const uint64_t octets = _pdep_u64(ns, 0x7f7f7f7f7f7f7f7f) | 0x8080808080808080;
  std::memcpy(p, &t.octets, sizeof t.octets);
  std::memcpy(p + 2, &octets, sizeof octets);
  p[10] = static_cast<uint8_t>(ns >> 56);
  return p + 11;
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

WEIR_AVX512_INLINE uint8_t* put_rare_shortly(uint8_t* p, const FlowRecord& r) noexcept {
  if ((r.blocks & block::kRare) == 0) return p;
#define WEIR_PUT_(member, number) p = put_short(p, wire::tag(number, WireType::varint), r.member);
  WEIR_BLOCK_RARE(WEIR_PUT_)
#undef WEIR_PUT_
  return p;
}

/// An address that is longer than the 48 bits it has is nobody's; the ordinary way writes it.
WEIR_AVX512_INLINE uint8_t* put_macs_shortly(uint8_t* p, const FlowRecord& r) noexcept {
  const uint64_t either = r.src_mac | r.dst_mac;
  if (either == 0) return p;
  if (either >> 48 != 0) [[unlikely]] {
    return put_macs(p, r);
  }
  p = put_short(p, wire::tag(27, WireType::varint), r.src_mac);
  return put_short(p, wire::tag(28, WireType::varint), r.dst_mac);
}

}  // namespace

// PERF: bound by the number of instructions (about 20 a block of eight fields), not by latency:
// records depend on one another only in where they begin. Tried: masks of octets smeared in scalar
// registers instead of the tables by leading zeros (18.9 against 14.8 ns a record,
// encode_only/netflow_v5), addresses one by one instead of three at once (14.8 against 13.8).
WEIR_AVX512 size_t encode_avx512_vbmi2(std::span<const uint8_t> prefix,
                                       std::span<const FlowRecord> records, const uint8_t* arena,
                                       uint8_t* out) noexcept {
  uint8_t* p = out;
  FrameGuess guess;
  for (const FlowRecord& r : records) {
    uint8_t* const frame = p;
    p = put_prefix(p + guess.octets, prefix);
    p = put_time(p, kTimeStart, r.time_flow_start_ns);
    p = put_time(p, kTimeEnd, r.time_flow_end_ns);
    p = put_addresses_at_once(p, r);
    p = put_protocol(p, r);
    p = put_counters(p, r);
    if ((r.blocks & block::kBasic) != 0) p = put_block32(p, &r.src_port, kBasic);
    if ((r.blocks & block::kSecond) != 0) p = put_block32(p, &r.src_net, kSecond);
    if ((r.blocks & block::kHeaders) != 0) p = put_block32(p, &r.src_vlan, kHeaders);
    if ((r.blocks & block::kContext) != 0) p = put_block32(p, &r.next_hop_as, kContext);
    if ((r.blocks & block::kNat) != 0) p = put_block32(p, &r.post_nat_dst_port, kNat);
    p = put_rare_shortly(p, r);
    p = put_macs_shortly(p, r);
    if (r.arena_parts != 0) [[unlikely]] {
      p = put_arena(p, r, arena);
    }
    p = finish_frame(frame, p, guess);
  }
  return static_cast<size_t>(p - out);
}

}  // namespace weir::outbound::parts
#endif
