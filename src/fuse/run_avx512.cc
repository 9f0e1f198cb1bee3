// run_avx512.cc — Eight integer fields at a time, from the exported record: AVX-512 VBMI2 (Ice Lake, Zen 4, later).
//
// Writes exactly what run_portable writes (tests/fuse holds the two together).
#include "base/avx512.h"
#include "base/clock.h"
#include "export/lanes_avx512.h"
#include "fuse/fused_run.h"

#if defined(__x86_64__)

namespace weir::fuse {
namespace {

using outbound::parts::each_lane;
using outbound::parts::held;
using outbound::parts::kTimeEnd;
using outbound::parts::kTimeStart;
using outbound::parts::PackedLanes;

static_assert(kLaneBits == outbound::parts::kLaneBits);

/// A record of up to 64 or up to 128 octets in registers. A masked load does not touch what lies outside its mask.
template <bool kWide>
struct RecordOctets {
  __m512i first;
  __m512i second;

  WEIR_AVX512_INLINE RecordOctets(const uint8_t* r, uint64_t first_mask, uint64_t second_mask) noexcept
      : first(_mm512_maskz_loadu_epi8(first_mask, r)),
        second(kWide ? _mm512_maskz_loadu_epi8(second_mask, r + 64) : _mm512_setzero_si512()) {}
  WEIR_AVX512_INLINE __m512i take(uint64_t filled, __m512i from) const noexcept {
    if constexpr (kWide) return _mm512_maskz_permutex2var_epi8(filled, first, from, second);
    return _mm512_maskz_permutexvar_epi8(filled, from, first);
  }
};

/// Start and end, each in two lanes: the first is cut into eight groups of seven bits, of the second one octet
/// holds what is left. A time since 1972 is nine octets, each but the last with its continuation bit.
struct alignas(64) TimesTables {
  uint8_t groups[32]{};  // where in the value each octet begins
  uint8_t order[32]{};   // tag, tag, nine octets; twice
  uint8_t fixed[32]{};   // tags and continuation bits
  static constexpr uint32_t kOctets = 22;
  static constexpr uint32_t kMoved = 0x1ff << 2 | 0x1ffu << 13;
  constexpr TimesTables() {
    for (unsigned time = 0; time < 2; ++time) {
      const Tag tag = time == 0 ? kTimeStart : kTimeEnd;
      fixed[11 * time] = static_cast<uint8_t>(tag.octets);
      fixed[11 * time + 1] = static_cast<uint8_t>(tag.octets >> 8);
      for (unsigned i = 0; i < 9; ++i) {
        groups[16 * time + i] = static_cast<uint8_t>(7 * i);
        order[11 * time + 2 + i] = static_cast<uint8_t>(16 * time + i);
        if (i < 8) fixed[11 * time + 2 + i] = 0x80;
      }
    }
  }
};
constexpr TimesTables kTimes;
static_assert(kTimeStart.length == 2 && kTimeEnd.length == 2);

WEIR_AVX512_INLINE __m256i held(__m256i v) noexcept {
  asm("" : "+v"(v));
  return v;
}

WEIR_AVX512_INLINE __m256i table(const uint8_t* at) noexcept {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
}

/// How the kernel reads times: not at all, before an uptime, or in units since the epoch.
enum class TimesRead : uint8_t { shared, uptime, epoch };

template <TimesRead kRead>
struct Times {
  static constexpr size_t kOctets = TimesTables::kOctets;
  __m512i from;
  uint64_t filled;
  __m256i uptime_ms, export_ns, begin, span, unit, units_max, groups, order, fixed;

  WEIR_AVX512_INLINE explicit Times(const FusedRun& run, const FusedForm& form) noexcept
      : from(_mm512_loadu_si512(form.times_from)),
        filled(form.times_filled),
        uptime_ms(_mm256_set1_epi64x(run.uptime_ms)),
        export_ns(both(run.export_ns)),
        begin(both(run.window_begin_ns)),
        span(both(run.window_span_ns)),
        unit(held(both(form.times == TimesForm::seconds ? kNsPerSec : kNsPerMs))),
        units_max(both(form.times == TimesForm::seconds ? UINT32_MAX : UINT64_MAX / kNsPerMs - 1)),
        groups(held(table(kTimes.groups))),
        order(held(table(kTimes.order))),
        fixed(held(table(kTimes.fixed))) {}

  WEIR_AVX512_INLINE static __m256i both(uint64_t v) noexcept {
    return _mm256_set1_epi64x(static_cast<long long>(v));
  }

  /// Which times, if any, are not plausible: what is written then is not to be kept.
  template <bool kWide>
  WEIR_AVX512_INLINE uint8_t* put(uint8_t* p, const RecordOctets<kWide>& r,
                                  __mmask8& odd) const noexcept {
    const __m256i v = _mm512_castsi512_si256(r.take(filled, from));
    __m256i t;
    if constexpr (kRead == TimesRead::uptime) {
      const __m256i before_ms = _mm256_sub_epi32(uptime_ms, v);
      t = _mm256_sub_epi64(export_ns, _mm256_mul_epi32(before_ms, unit));
    } else {
      t = _mm256_maskz_mullo_epi64(_mm256_cmple_epu64_mask(v, units_max), v, unit);
    }
    odd = _mm256_cmpgt_epu64_mask(_mm256_sub_epi64(t, begin), span);
    // The bit above seven is the next group's; where it counts `fixed` has it set, and the ninth octet has none.
    const __m256i cut = _mm256_multishift_epi64_epi8(groups, t);
    const __m256i placed = _mm256_maskz_permutexvar_epi8(TimesTables::kMoved, order, cut);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_or_si256(placed, fixed));
    return p + TimesTables::kOctets;
  }
};

template <>
struct Times<TimesRead::shared> {
  static constexpr size_t kOctets = 0;
  WEIR_AVX512_INLINE explicit Times(const FusedRun&, const FusedForm&) noexcept {}
  template <bool kWide>
  WEIR_AVX512_INLINE uint8_t* put(uint8_t* p, const RecordOctets<kWide>&, __mmask8&) const noexcept {
    return p;
  }
};

/// The 64 octets of a chunk, of which `octets` count.
struct ChunkTables {
  __m512i from, fixed;
  uint64_t moved, octets;
};

WEIR_AVX512_INLINE ChunkTables tables_of(const Chunk& c) noexcept {
  return {_mm512_loadu_si512(c.from), _mm512_loadu_si512(c.fixed), c.moved, c.octets};
}

template <bool kWide>
WEIR_AVX512_INLINE uint8_t* put_chunk(uint8_t* p, const RecordOctets<kWide>& record,
                                      const ChunkTables& c) noexcept {
  _mm512_storeu_si512(p, _mm512_or_si512(record.take(c.moved, c.from), c.fixed));
  return p + c.octets;
}

/// A block and what all records have in it.
struct BlockTables {
  __m512i from, tags, shared;
  uint64_t filled;
};

WEIR_AVX512_INLINE BlockTables tables_of(const LaneBlock& b, const uint64_t* shared) noexcept {
  return {_mm512_loadu_si512(b.from),
          _mm512_cvtepu16_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b.tags))),
          _mm512_load_si512(shared), b.filled};
}

/// The lanes of a record, and what of all their values is beyond them.
template <bool kWide>
struct Lanes {
  const outbound::parts::LaneConstants& constants;
  const RecordOctets<kWide>& record;
  __m512i any = _mm512_setzero_si512();

  WEIR_AVX512_INLINE PackedLanes pack(const BlockTables& b) noexcept {
    const __m512i values = _mm512_or_si512(record.take(b.filled, b.from), b.shared);
    any = _mm512_or_si512(any, values);
    return outbound::parts::pack_tagged_lanes(constants, values, b.tags);
  }
  WEIR_AVX512_INLINE uint8_t* put(uint8_t* p, const BlockTables& b) noexcept {
    return outbound::parts::put_lanes(p, pack(b));
  }
};

/// What few templates have: MAC addresses, and elements without a column.
template <bool kWide>
WEIR_AVX512_INLINE uint8_t* put_rest(uint8_t* p, const FusedForm& form, const RecordOctets<kWide>& record,
                                     const uint8_t* octets, const Chunk* tail) noexcept {
  for (size_t i = 0; i < form.mac_count; ++i) {
    p = outbound::parts::put_short(p, form.macs[i].tag, load_be48(octets + form.macs[i].offset));
  }
  for (size_t i = 0; i < form.tail_chunk_count; ++i) p = put_chunk(p, record, tables_of(tail[i]));
  return p;
}

/// Writes the frame of a message of so many octets, below 16384, and says how many it takes. What a short length does not
/// need of its two is the message's to write over. PERF: without a branch, for messages that lie around 128 octets.
WEIR_AVX512_INLINE size_t put_frame(uint8_t* p, uint32_t octets) noexcept {
  const uint32_t is_long = octets >= 0x80;
  const uint32_t length = octets + (-is_long & ((octets & ~0x7fu) + 0x80));
  const uint32_t frame = outbound::parts::kFlowsTag | length << 8;
  std::memcpy(p, &frame, sizeof frame);
  return outbound::parts::kFrameOctets - 1 + is_long;
}

/// The prefix's first octets, a chunk and kHeld blocks stay in registers. PERF: what is read for each record instead waits
/// for stores whose places the records before decide: tables of two blocks cost 2.4 of 8.2 ns (v5), far more than so few
/// loads should, the prefix and the chunk 1.1. Two blocks leave room for their octets as well, so that the message's length
/// is known before any of it is written, and nothing is guessed where messages lie around 128 octets.
template <TimesRead kRead, bool kWide, size_t kHeld>
WEIR_AVX512_INLINE Progress run_form(FusedRun& run, const uint8_t* records, uint32_t count,
                                     uint8_t* out, const uint8_t* last) noexcept {
  const FusedForm form = run.form;  // a copy, which no store of octets can change
  const uint32_t octets = form.record_octets;
  const uint64_t first_mask = octets >= 64 ? ~uint64_t{0} : ~uint64_t{0} >> (64 - octets);
  const uint64_t second_mask = octets <= 64 ? 0 : ~uint64_t{0} >> (128 - octets);
  const Times<kRead> times(run, form);
  const outbound::parts::LaneConstants lane_constants;
  constexpr bool kKnowsLength = kHeld == kBlocksMin;
  const __m512i beyond = held(each_lane(outbound::parts::kBeyondLane));
  const std::span<const uint8_t> prefix = run.prefix;
  const __m512i prefix_begin = held(_mm512_loadu_si512(prefix.data()));
  const Chunk* const chunks = run.form.chunks();
  const ChunkTables first_chunk = tables_of(chunks[0]);
  const size_t chunk_count = form.chunk_count;
  const outbound::parts::ProtocolChunk* const protocols = protocols_of_all(form);
  const LaneBlock* const blocks = run.form.blocks();
  BlockTables held_blocks[kHeld];
  for (size_t i = 0; i < kHeld; ++i) {
    held_blocks[i] = tables_of(blocks[i], run.shared[kPorts] + kBlockLanes * i);
  }
  outbound::parts::FrameGuess guess = run.guess;
  [[maybe_unused]] const bool has_more = form.block_count > kHeld || form.mac_count != 0 || form.tail_chunk_count != 0;
  size_t fixed_octets = prefix.size() + Times<kRead>::kOctets;
  for (size_t i = 0; i < chunk_count; ++i) fixed_octets += chunks[i].octets;
  uint8_t* p = out;
  const uint8_t* r = records;
  uint32_t n = 0;
  bool is_stopped = false;
  for (; n < count && p <= last; ++n, r += octets) {
    const RecordOctets<kWide> record(r, first_mask, second_mask);
    Lanes<kWide> lanes{lane_constants, record};
    LaneSet set;
    const outbound::parts::ProtocolChunk* const family = find_family(form, protocols, r, set);
    if (family == nullptr) [[unlikely]] {
      is_stopped = true;
      break;
    }
    const LaneBlock* const of_set = blocks + (set == kIcmp ? form.block_count : 0);
    [[maybe_unused]] PackedLanes packed[kHeld];
    if constexpr (kKnowsLength) {
      size_t message_octets = fixed_octets + family->length;
      for (size_t i = 0; i < kHeld; ++i) {
        packed[i] = lanes.pack(set == kPorts ? held_blocks[i]
                                             : tables_of(of_set[i], run.shared[set] + kBlockLanes * i));
        message_octets += packed[i].length;
      }
      guess.octets = put_frame(p, static_cast<uint32_t>(message_octets));
    }
    uint8_t* end = p + guess.octets;
    _mm512_storeu_si512(end, prefix_begin);
    for (size_t i = 64; i < prefix.size(); i += 64) std::memcpy(end + i, prefix.data() + i, 64);
    end += prefix.size();
    __mmask8 odd_times = 0;
    end = times.put(end, record, odd_times);
    end = put_chunk(end, record, first_chunk);
    for (size_t i = 1; i < chunk_count; ++i) end = put_chunk(end, record, tables_of(chunks[i]));
    end = put_family(end, *family);
    size_t block = 0;
    if constexpr (kKnowsLength) {
      for (; block < kHeld; ++block) end = outbound::parts::put_lanes(end, packed[block]);
    } else if (set == kPorts) [[likely]] {
      for (; block < kHeld; ++block) end = lanes.put(end, held_blocks[block]);
    }
    for (; block < form.block_count; ++block) {
      end = lanes.put(end, tables_of(of_set[block], run.shared[set] + kBlockLanes * block));
    }
    end = put_rest(end, form, record, r, chunks + chunk_count);
    if ((odd_times | _mm512_test_epi64_mask(lanes.any, beyond)) != 0) [[unlikely]] {
      is_stopped = true;
      break;
    }
    if constexpr (kKnowsLength) {
      p = has_more ? outbound::parts::finish_frame(p, end, guess) : end;
    } else {
      p = outbound::parts::finish_frame(p, end, guess);
    }
  }
  run.guess = guess;
  return {n, p, is_stopped};
}

template <TimesRead kRead>
WEIR_AVX512_INLINE Progress run_of_size(FusedRun& run, const uint8_t* records, uint32_t count,
                                        uint8_t* out, const uint8_t* last) noexcept {
  const bool is_wide = run.form.record_octets > 64;
  if (run.form.block_count == kBlocksMin) {
    return is_wide ? run_form<kRead, true, kBlocksMin>(run, records, count, out, last)
                   : run_form<kRead, false, kBlocksMin>(run, records, count, out, last);
  }
  return is_wide ? run_form<kRead, true, kBlocksMin + 1>(run, records, count, out, last)
                 : run_form<kRead, false, kBlocksMin + 1>(run, records, count, out, last);
}

}  // namespace

WEIR_AVX512 Progress run_avx512_vbmi2(FusedRun& run, const uint8_t* records, uint32_t count,
                                      uint8_t* out, const uint8_t* last) noexcept {
  switch (run.form.times) {
    case TimesForm::uptime: return run_of_size<TimesRead::uptime>(run, records, count, out, last);
    case TimesForm::milliseconds:
    case TimesForm::seconds: return run_of_size<TimesRead::epoch>(run, records, count, out, last);
    case TimesForm::shared: break;
  }
  return run_of_size<TimesRead::shared>(run, records, count, out, last);
}

}  // namespace weir::fuse
#endif
