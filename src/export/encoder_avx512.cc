// encoder_avx512.cc — Eight integer fields at a time: AVX-512 VBMI2 (Ice Lake, Zen 4, later).
//
// Writes exactly what encode_portable writes (tests/export/encoder_test.cc holds the two together).
#include "export/lanes_avx512.h"

#if defined(__x86_64__)

namespace weir::outbound::parts {
namespace {

WEIR_AVX512_INLINE uint8_t* put_block(const LaneConstants& c, uint8_t* p, __m512i values,
                                      const BlockTags& tags) noexcept {
  return put_lanes(p, pack_tagged_lanes(c, values, _mm512_load_si512(tags.lanes.data())));
}

WEIR_AVX512_INLINE uint8_t* put_block32(const LaneConstants& c, uint8_t* p, const uint32_t* fields,
                                        const BlockTags& tags) noexcept {
  const __m256i packed = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(fields));
  return put_block(c, p, _mm512_cvtepu32_epi64(packed), tags);
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

WEIR_AVX512_INLINE uint8_t* put_counters(const LaneConstants& c, uint8_t* p,
                                         const FlowRecord& r) noexcept {
  const __m512i values = _mm512_loadu_si512(&r.bytes);
  if (_mm512_test_epi64_mask(values, each_lane(kBeyondLane)) != 0) [[unlikely]] {
    const uint64_t* fields = &r.bytes;
    for (size_t i = 0; i < kBlockFields; ++i) p = wire::put_field(p, kCounters.tags[i], fields[i]);
    return p;
  }
  return put_block(c, p, values, kCounters);
}

WEIR_AVX512_INLINE uint8_t* put_time_shortly(uint8_t* p, Tag t, uint64_t ns) noexcept {
  if ((ns >> 56) - 1 >= 0x7f) [[unlikely]] {
    return wire::put_field(p, t, ns);
  }
  const uint64_t octets = _pdep_u64(ns, 0x7f7f7f7f7f7f7f7f) | 0x8080808080808080;
  std::memcpy(p, &t.octets, sizeof t.octets);
  std::memcpy(p + 2, &octets, sizeof octets);
  p[10] = static_cast<uint8_t>(ns >> 56);
  return p + 11;
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

// PERF: bound by the number of instructions (about 15 a block of eight fields), not by latency:
// records depend on one another only in where they begin. Tried: masks of octets smeared in scalar
// registers (18.9 against 14.8 ns a record, encode_only/netflow_v5) or read of tables by leading zeros (1.04 of the time,
// fused/ipfix), addresses one by one instead of three at once (14.8 against 13.8).
WEIR_AVX512 size_t encode_avx512_vbmi2(std::span<const uint8_t> prefix,
                                       std::span<const FlowRecord> records, const uint8_t* arena,
                                       uint8_t* out) noexcept {
  uint8_t* p = out;
  FrameGuess guess;
  const LaneConstants c;
  for (const FlowRecord& r : records) {
    uint8_t* const frame = p;
    p = put_prefix(p + guess.octets, prefix);
    p = put_time_shortly(p, kTimeStart, r.time_flow_start_ns);
    p = put_time_shortly(p, kTimeEnd, r.time_flow_end_ns);
    p = put_addresses_at_once(p, r);
    p = put_protocol(p, r);
    p = put_counters(c, p, r);
    if ((r.blocks & block::kBasic) != 0) p = put_block32(c, p, &r.src_port, kBasic);
    if ((r.blocks & block::kSecond) != 0) p = put_block32(c, p, &r.src_net, kSecond);
    if ((r.blocks & block::kHeaders) != 0) p = put_block32(c, p, &r.src_vlan, kHeaders);
    if ((r.blocks & block::kContext) != 0) p = put_block32(c, p, &r.next_hop_as, kContext);
    if ((r.blocks & block::kNat) != 0) p = put_block32(c, p, &r.post_nat_dst_port, kNat);
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
