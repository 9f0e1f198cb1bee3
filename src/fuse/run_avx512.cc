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
using outbound::parts::kTimeEnd;
using outbound::parts::kTimeStart;

constexpr uint64_t kBeyondLane = ~uint64_t{0} << kLaneBits;

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

/// What stays in a register, instead of being made anew for each record.
WEIR_AVX512_INLINE __m512i held(__m512i v) noexcept {
  asm("" : "+v"(v));
  return v;
}
WEIR_AVX512_INLINE __m256i held(__m256i v) noexcept {
  asm("" : "+v"(v));
  return v;
}

WEIR_AVX512_INLINE __m256i table(const uint8_t* at) noexcept {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
}

template <TimesForm kForm>
struct Times {
  __m512i from;
  uint64_t filled;
  __m256i uptime_ms, export_ns, begin, span, unit, groups, order, fixed;

  WEIR_AVX512_INLINE explicit Times(const FusedRun& run) noexcept
      : from(_mm512_loadu_si512(run.form.times_from)),
        filled(run.form.times_filled),
        uptime_ms(_mm256_set1_epi64x(run.uptime_ms)),
        export_ns(_mm256_set1_epi64x(static_cast<long long>(run.export_ns))),
        begin(_mm256_set1_epi64x(static_cast<long long>(run.window_begin_ns))),
        span(_mm256_set1_epi64x(static_cast<long long>(run.window_span_ns))),
        unit(held(_mm256_set1_epi64x(kForm == TimesForm::seconds ? kNsPerSec : kNsPerMs))),
        groups(held(table(kTimes.groups))),
        order(held(table(kTimes.order))),
        fixed(held(table(kTimes.fixed))) {}

  template <bool kWide>
  WEIR_AVX512_INLINE uint8_t* put(uint8_t* p, const RecordOctets<kWide>& r,
                                  unsigned& odd) const noexcept {
    const __m256i v = _mm512_castsi512_si256(r.take(filled, from));
    __m256i t;
    if constexpr (kForm == TimesForm::uptime) {
      const __m256i before_ms = _mm256_sub_epi32(uptime_ms, v);
      t = _mm256_sub_epi64(export_ns, _mm256_mul_epi32(before_ms, unit));
    } else if constexpr (kForm == TimesForm::milliseconds) {
      const __mmask8 fits = _mm256_cmplt_epu64_mask(
          v, _mm256_set1_epi64x(static_cast<long long>(UINT64_MAX / kNsPerMs)));
      t = _mm256_maskz_mullo_epi64(fits, v, unit);
    } else {
      t = _mm256_mul_epu32(v, unit);
    }
    odd |= _mm256_cmpgt_epu64_mask(_mm256_sub_epi64(t, begin), span);
    constexpr int kAndThenOr = 0xea;  // (a & b) | c
    const __m256i cut = _mm256_multishift_epi64_epi8(groups, t);
    const __m256i placed = _mm256_maskz_permutexvar_epi8(TimesTables::kMoved, order, cut);
    const __m256i whole =
        _mm256_ternarylogic_epi64(placed, _mm256_set1_epi8(0x7f), fixed, kAndThenOr);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), whole);
    return p + TimesTables::kOctets;
  }
};

template <>
struct Times<TimesForm::shared> {
  WEIR_AVX512_INLINE explicit Times(const FusedRun&) noexcept {}
  template <bool kWide>
  WEIR_AVX512_INLINE uint8_t* put(uint8_t* p, const RecordOctets<kWide>&, unsigned&) const noexcept {
    return p;
  }
};

template <bool kWide>
WEIR_AVX512_INLINE uint8_t* put_chunks(uint8_t* p, const RecordOctets<kWide>& record,
                                       const Chunk* chunks, size_t count) noexcept {
  for (size_t i = 0; i < count; ++i) {
    const Chunk& c = chunks[i];
    const __m512i moved = record.take(c.moved, _mm512_loadu_si512(c.from));
    _mm512_storeu_si512(p, _mm512_or_si512(moved, _mm512_loadu_si512(c.fixed)));
    p += c.octets;
  }
  return p;
}

template <TimesForm kForm, bool kWide>
WEIR_AVX512_INLINE Progress run_form(FusedRun& run, const uint8_t* records, uint32_t count,
                                     uint8_t* out, const uint8_t* last) noexcept {
  const FusedForm& form = run.form;
  const uint32_t octets = form.record_octets;
  const uint64_t first_mask = octets >= 64 ? ~uint64_t{0} : ~uint64_t{0} >> (64 - octets);
  const uint64_t second_mask = octets <= 64 ? 0 : ~uint64_t{0} >> (128 - octets);
  const Times<kForm> times(run);
  const outbound::parts::LaneConstants lanes;
  const __m512i beyond = held(each_lane(kBeyondLane));
  const Chunk* const chunks = form.chunks();
  const LaneBlock* const blocks = form.blocks();
  const size_t block_count = form.block_count;
  const bool has_v6 = form.v6_count != 0;
  const bool has_rates = names_rates(form);
  const size_t chunk_count = form.chunk_count;
  outbound::parts::FrameGuess guess = run.guess;
  uint8_t* p = out;
  const uint8_t* r = records;
  uint32_t n = 0;
  bool is_stopped = false;
  for (; n < count && p <= last; ++n, r += octets) {
    const RecordOctets<kWide> record(r, first_mask, second_mask);
    unsigned odd = 0;
    uint8_t* end = outbound::parts::put_prefix(p + guess.octets, run.prefix);
    end = times.put(end, record, odd);
    end = put_chunks(end, record, chunks, chunk_count);
    LaneSet set;
    end = put_family(end, form, r, set);
    if (end == nullptr || (has_v6 && has_mapped_address(form, r)) ||
        (has_rates && has_other_rate(run, r))) [[unlikely]] {
      is_stopped = true;
      break;
    }
    const LaneBlock* const set_blocks = blocks + (set == kIcmp ? block_count : 0);
    const uint64_t* const shared = run.shared[set];
    for (size_t i = 0; i < block_count; ++i) {
      const LaneBlock& b = set_blocks[i];
      const __m512i values =
          _mm512_or_si512(record.take(b.filled, _mm512_loadu_si512(b.from)),
                          _mm512_load_si512(shared + kBlockLanes * i));
      odd |= _mm512_test_epi64_mask(values, beyond);
      const __m512i tags =
          _mm512_cvtepu16_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b.tags)));
      end = outbound::parts::put_tagged_lanes(lanes, end, values, tags, b.kept_octets);
    }
    for (size_t i = 0; i < form.mac_count; ++i) {
      end = outbound::parts::put_short(end, form.macs[i].tag, load_be48(r + form.macs[i].offset));
    }
    end = put_chunks(end, record, chunks + chunk_count, form.tail_chunk_count);
    if (odd != 0) [[unlikely]] {
      is_stopped = true;
      break;
    }
    p = outbound::parts::finish_frame(p, end, guess);
  }
  run.guess = guess;
  return {n, p, is_stopped};
}

template <TimesForm kForm>
WEIR_AVX512_INLINE Progress run_of_width(FusedRun& run, const uint8_t* records, uint32_t count,
                                         uint8_t* out, const uint8_t* last) noexcept {
  if (run.form.record_octets <= 64) return run_form<kForm, false>(run, records, count, out, last);
  return run_form<kForm, true>(run, records, count, out, last);
}

}  // namespace

WEIR_AVX512 Progress run_avx512_vbmi2(FusedRun& run, const uint8_t* records, uint32_t count,
                                      uint8_t* out, const uint8_t* last) noexcept {
  switch (run.form.times) {
    case TimesForm::uptime: return run_of_width<TimesForm::uptime>(run, records, count, out, last);
    case TimesForm::milliseconds:
      return run_of_width<TimesForm::milliseconds>(run, records, count, out, last);
    case TimesForm::seconds:
      return run_of_width<TimesForm::seconds>(run, records, count, out, last);
    case TimesForm::shared: break;
  }
  return run_of_width<TimesForm::shared>(run, records, count, out, last);
}

}  // namespace weir::fuse
#endif
