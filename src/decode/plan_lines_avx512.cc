// plan_lines_avx512.cc — A cache line of the record at a time: AVX-512 VBMI (Ice Lake, Zen 4, later).
//
// Fills exactly what the columns of plan_run.cc fill (tests/decode/plan_kernels_test.cc and
// tests/fuzz/plan_fuzz.cc hold the two together).
//
// PERF: some six instructions a line and record, and eight stores of 64 octets a record; the columns
// took 26 and 39 ns a record where this takes 11 and 20 (decode_only/netflow_v9 and /ipfix).
#include "base/avx512.h"
#include "decode/plan_lines.h"

#if defined(__x86_64__)

namespace weir::decode {
namespace {

constexpr uint32_t kLineOctets = 64;
constexpr uint32_t kLines = sizeof(FlowRecord) / kLineOctets;
constexpr uint32_t kTimesLine = offsetof(FlowRecord, time_flow_start_ns) / kLineOctets;
static_assert(offsetof(FlowRecord, time_flow_start_ns) % kLineOctets == 0);
static_assert(offsetof(FlowRecord, time_flow_end_ns) % kLineOctets == 8);
constexpr __mmask8 kTimesLanes = 0x03;
static_assert(kBurstRecords <= 32, "a bit each");

WEIR_AVX512_INLINE __m512i each_lane(uint64_t v) noexcept {
  return _mm512_set1_epi64(static_cast<long long>(v));
}

/// A move with its masks in registers.
struct Move {
  __m512i from;
  __mmask64 filled;
  __mmask64 read;
  const uint8_t* at;

  WEIR_AVX512_INLINE Move(const LineMove& m, const Row& row) noexcept
      : from(_mm512_loadu_si512(m.from)), filled(m.filled), read(m.read), at(row.at(m)) {}
  /// What it fills for the record `octets` behind the first; 0 elsewhere. A masked load does not
  /// touch what lies outside its mask, be it another page.
  WEIR_AVX512_INLINE __m512i operator()(size_t octets) const noexcept {
    return _mm512_maskz_permutexvar_epi8(filled, from, _mm512_maskz_loadu_epi8(read, at + octets));
  }
};

/// Lines that moves have filled are stored as they are.
struct AsMoved {
  WEIR_AVX512_INLINE __m512i operator()(__m512i line, uint32_t) noexcept { return line; }
};

/// In the line that begins with them, the times as they came become nanoseconds since the epoch.
template <LineTimes kTimes>
struct WithTimes {
  __m512i uptime_ms, export_ns, begin, span;
  uint32_t implausible = 0;

  WEIR_AVX512_INLINE explicit WithTimes(const TimeBase& base) noexcept
      : uptime_ms(each_lane(base.uptime_ms)),
        export_ns(each_lane(base.export_ns)),
        begin(each_lane(base.window_begin_ns())),
        span(each_lane(base.window_span_ns())) {}

  WEIR_AVX512_INLINE __m512i operator()(__m512i line, uint32_t i) noexcept {
    __m512i t;
    if constexpr (kTimes == LineTimes::uptime) {
      // The product of signed 32-bit numbers, as TimeBase::from_uptime has it.
      const __m512i before_ms = _mm512_sub_epi32(uptime_ms, line);
      t = _mm512_sub_epi64(export_ns, _mm512_mul_epi32(before_ms, each_lane(kNsPerMs)));
    } else if constexpr (kTimes == LineTimes::milliseconds) {
      const __mmask8 fits = _mm512_cmplt_epu64_mask(line, each_lane(UINT64_MAX / kNsPerMs));
      t = _mm512_maskz_mullo_epi64(fits, line, each_lane(kNsPerMs));
    } else {
      t = _mm512_mul_epu32(line, each_lane(kNsPerSec));
    }
    const __mmask8 outside =
        _mm512_mask_cmpgt_epu64_mask(kTimesLanes, _mm512_sub_epi64(t, begin), span);
    implausible |= static_cast<uint32_t>(outside != 0) << i;
    return _mm512_mask_mov_epi64(line, kTimesLanes, t);
  }
};

/// One line of each record.
struct Column {
  __m512i stencil;
  uint8_t* to;
  uint32_t step;
  uint32_t count;
};

/// The line of one record; of many, where there are more than two moves.
template <class Finish>
WEIR_AVX512_INLINE void fill_one(const Column& c, std::span<const LineMove> moves, const Row& row,
                                 uint32_t i, Finish& finish) noexcept {
  __m512i line = c.stencil;
  for (const LineMove& m : moves) {
    line = _mm512_or_si512(line, Move(m, row)(size_t{i} * c.step));
  }
  _mm512_store_si512(c.to + size_t{i} * sizeof(FlowRecord), finish(line, i));
}

template <class Finish>
WEIR_AVX512_INLINE void fill(const Column& c, std::span<const LineMove> moves, const Row& row,
                             Finish& finish) noexcept {
  uint8_t* to = c.to;
  size_t at = 0;
  if (c.count == 1) {
    fill_one(c, moves, row, 0, finish);
  } else if (moves.size() == 1) {
    const Move a(moves[0], row);
    for (uint32_t i = 0; i < c.count; ++i, to += sizeof(FlowRecord), at += c.step) {
      _mm512_store_si512(to, finish(_mm512_or_si512(c.stencil, a(at)), i));
    }
  } else if (moves.size() == 2) {
    const Move a(moves[0], row);
    const Move b(moves[1], row);
    for (uint32_t i = 0; i < c.count; ++i, to += sizeof(FlowRecord), at += c.step) {
      constexpr int kOr3 = 0xfe;
      _mm512_store_si512(to, finish(_mm512_ternarylogic_epi64(c.stencil, a(at), b(at), kOr3), i));
    }
  } else {
    for (uint32_t i = 0; i < c.count; ++i) fill_one(c, moves, row, i, finish);
  }
}

template <LineTimes kTimes>
WEIR_AVX512_INLINE uint32_t fill_times(const Column& c, std::span<const LineMove> moves,
                                       const Row& row, const TimeBase& base) noexcept {
  WithTimes<kTimes> with_times(base);
  fill(c, moves, row, with_times);
  return with_times.implausible;
}

}  // namespace

WEIR_AVX512 uint32_t run_lines_avx512_vbmi2(const LineRun& run, const Row& first, uint32_t step,
                                            uint32_t count, FlowRecord* records) noexcept {
  const auto* stencil = static_cast<const uint8_t*>(static_cast<const void*>(&run.stencil));
  auto* to = static_cast<uint8_t*>(static_cast<void*>(records));
  uint32_t implausible = 0;
  size_t at = 0;
  for (uint32_t l = 0; l < kLines; ++l, stencil += kLineOctets, to += kLineOctets) {
    const Column c{_mm512_load_si512(stencil), to, step, count};
    const size_t begin = at;
    while (at < run.moves.size() && run.moves[at].line == l) ++at;
    const std::span<const LineMove> moves = run.moves.subspan(begin, at - begin);
    if (l == kTimesLine && run.times != LineTimes::none) {
      switch (run.times) {
        case LineTimes::uptime:
          implausible = fill_times<LineTimes::uptime>(c, moves, first, run.base);
          break;
        case LineTimes::milliseconds:
          implausible = fill_times<LineTimes::milliseconds>(c, moves, first, run.base);
          break;
        case LineTimes::seconds:
        case LineTimes::none:
          implausible = fill_times<LineTimes::seconds>(c, moves, first, run.base);
          break;
      }
    } else {
      AsMoved as_moved;
      fill(c, moves, first, as_moved);
    }
  }
  return implausible;
}

}  // namespace weir::decode
#endif
