#include "fuse/fused_way.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>

#include "fuse/fused_run.h"

namespace weir::fuse {
namespace {

using decode::FuseRefusal;
using decode::LaidOutRecords;
using outbound::Batcher;
using outbound::BatchRoom;
using outbound::HeaderPrefix;

/// Odd records go the ordinary way alone, each found by the kernel, while there are no more than so many in a row.
constexpr uint32_t kOddAloneMax = 3;
/// Where a clock was never set, all records are odd: then the kernel is asked for one in so many.
constexpr uint32_t kOddRunMax = 16;
constexpr uint64_t kSharedMax = (uint64_t{1} << kLaneBits) - 1;
constexpr uint64_t kNineOctetsMax = ~uint64_t{0} >> 1;  // of a time

/// A prefix with the times behind it that all records of a set have.
class PrefixWithTimes {
 public:
  PrefixWithTimes(std::span<const uint8_t> prefix, uint64_t time_ns) noexcept {
    std::memcpy(octets_, prefix.data(), prefix.size());
    uint8_t* p = octets_ + prefix.size();
    p = outbound::parts::put_time(p, outbound::parts::kTimeStart, time_ns);
    p = outbound::parts::put_time(p, outbound::parts::kTimeEnd, time_ns);
    length_ = static_cast<size_t>(p - octets_);
  }
  std::span<const uint8_t> octets() const noexcept { return {octets_, length_}; }

 private:
  alignas(64) uint8_t octets_[outbound::kPrefixOctetsMax + outbound::kStoreSlackOctets];
  size_t length_;
};

/// Where neighbours name other samplers, looking up their rates one by one costs more than a form saves (fused/
/// netflow_v9_options_mix: 1.14 of the ordinary way's time).
bool has_many_samplers(const FusedForm& form, const LaidOutRecords& in) noexcept {
  constexpr uint32_t kRunMin = 8;
  const uint8_t* r = in.octets;
  uint64_t last = sampler_of(form, r);
  uint32_t changes = 0;
  for (uint32_t i = 1; i < in.count; ++i) {
    r += form.record_octets;
    const uint64_t sampler = sampler_of(form, r);
    changes += sampler != last;
    last = sampler;
  }
  return changes * kRunMin > in.count;
}

/// Why the kernels cannot write what all records of the set share.
FuseRefusal refusal_of(const FusedForm& form, const LaidOutRecords& in) noexcept {
  if (in.rate.rate > kSharedMax) return FuseRefusal::rate_too_large;
  // What the operator says goes before what records say.
  if (form.rate_width != 0 && in.rate.source == SamplingSource::override_) return FuseRefusal::override_beside_rates;
  if (form.sampler_width != 0 && has_many_samplers(form, in)) return FuseRefusal::samplers_in_turn;
  if (form.times == TimesForm::shared) return FuseRefusal::none;
  if (form.times == TimesForm::uptime && !in.times.has_uptime) return FuseRefusal::no_uptime;
  const uint64_t begin = in.times.window_begin_ns();
  const bool fits = begin <= kNineOctetsMax && in.times.window_span_ns() <= kNineOctetsMax - begin;
  return fits ? FuseRefusal::none : FuseRefusal::times_out_of_range;
}

class Way final : public FusedWay {
 public:
  explicit Way(Kernel kernel) noexcept : kernel_(kernel), encoder_(kernel) {
    [[maybe_unused]] const size_t octets = compile_netflow_v5(kernel, netflow_v5_);
    assert(octets != 0);
  }

  decode::RecordFuser::Compiled compile(const decode::Plan& plan) noexcept override {
    decode::RecordFuser::Compiled made;
    const size_t octets = compile_form(plan, kernel_, draft_, made.verdict);
    made.form = std::span(draft_).first(octets);
    return made;
  }

  Added add(const LaidOutRecords& in, RouteId route, Batcher& batcher) noexcept override {
    const FusedForm& form = form_of(in.form.empty() ? netflow_v5_ : in.form);
    if (const FuseRefusal refusal = refusal_of(form, in); refusal != FuseRefusal::none) return {refusal};
    const HeaderPrefix prefix(in.header);
    if (form.times == TimesForm::shared) {
      const PrefixWithTimes with_times(prefix.octets(), in.times.fallback_ns());
      return {FuseRefusal::none, add_with(form, in, prefix, with_times.octets(), route, batcher)};
    }
    return {FuseRefusal::none, add_with(form, in, prefix, prefix.octets(), route, batcher)};
  }

 private:
  /// How many went by the kernel.
  uint32_t add_with(const FusedForm& form, const LaidOutRecords& in, const HeaderPrefix& prefix,
                    std::span<const uint8_t> shared_prefix, RouteId route, Batcher& batcher) noexcept
      WEIR_RUNS_ON(rx_lcore) {
    FusedRun run(form, shared_prefix, in.times);
    // Where the first record says a rate, mostly all do.
    run.records_say_rate =
        form.rate_width != 0 && load_be(in.octets + form.rate_offset, form.rate_width) != 0;
    take_rate(run, in, in.rate);
    if (form.sampler_width != 0) static_cast<void>(take_sampler(run, in, in.octets));
    // As the batcher reckons with FlowRecords, so that batches end where theirs do.
    odd_.arena_parts = form.unmapped_octets != 0 ? arena_part::kUnmapped : 0;
    odd_.unmapped = {0, form.unmapped_octets};
    const size_t octets_max = outbound::Encoder::octets_max(prefix, odd_);
    const uint8_t* r = in.octets;
    uint32_t fused = 0;
    uint32_t odd_stops = 0;  // of the kernel in a row, each before it wrote anything but the first
    for (uint32_t left = in.count; left != 0;) {
      const BatchRoom room = batcher.room(octets_max, in.header, route);
      if (room.at == nullptr) {
        pass_over(form, in, r, left, room.why_not, route, batcher);
        break;
      }
      const uint32_t wanted = std::min(left, room.records_max);
      uint8_t* p = room.at;
      uint32_t n = 0;
      while (n < wanted && p <= room.last) {
        const Progress done = run_kernel(run, r, wanted - n, p, room.last);
        n += done.records;
        fused += done.records;
        r += size_t{done.records} * form.record_octets;
        p = done.end;
        if (!done.is_stopped) break;
        if (has_other_sampler(run, r) && take_sampler(run, in, r)) continue;
        odd_stops = done.records != 0 ? 1 : odd_stops + 1;
        for (uint32_t i = odd_run_of(odd_stops); i != 0 && n < wanted && p <= room.last; --i) {
          in.reader.read(r, odd_);
          p += encoder_.encode(prefix, {&odd_, 1}, in.arena, p);
          r += form.record_octets;
          ++n;
        }
      }
      batcher.commit(room, n, static_cast<size_t>(p - room.at), in.header);
      left -= n;
    }
    return fused;
  }

  /// How many records go the ordinary way before the kernel is asked again.
  static uint32_t odd_run_of(uint32_t odd_stops) noexcept {
    if (odd_stops <= kOddAloneMax) return 1;
    return std::min(uint32_t{1} << std::min(odd_stops - kOddAloneMax, 31u), kOddRunMax);
  }

  void take_rate(FusedRun& run, const LaidOutRecords& in,
                 const decode::RateResolver::Rate& rate) const noexcept {
    const FusedForm& form = run.form;
    run.share({run.records_say_rate ? 0 : rate.rate,
               static_cast<uint64_t>(run.records_say_rate ? SamplingSource::record : rate.source),
               form.times == TimesForm::shared
                   ? static_cast<uint64_t>(in.times.fallback_source())
                   : form.time_source},
              kernel_);
  }

  /// From now on the rate is that of the record's sampler; false where no lane can hold it.
  bool take_sampler(FusedRun& run, const LaidOutRecords& in, const uint8_t* record) const noexcept {
    const uint64_t sampler = sampler_of(run.form, record);
    const auto rate = in.rates->resolve(in.sampler, sampler, false, 0);
    if (rate.rate > kSharedMax) return false;
    run.sampler = sampler;
    run.has_sampler = true;
    take_rate(run, in, rate);
    return true;
  }

  Progress run_kernel(FusedRun& run, const uint8_t* records, uint32_t count, uint8_t* out,
                      const uint8_t* last) const noexcept {
    const uint32_t plain = count_plain(run, records, count);
    Progress done = run_kernel_on_plain(run, records, plain, out, last);
    done.is_stopped |= plain < count && done.records == plain;
    return done;
  }

  Progress run_kernel_on_plain(FusedRun& run, const uint8_t* records, uint32_t count, uint8_t* out,
                               const uint8_t* last) const noexcept {
#if defined(__x86_64__)
    if (kernel_ == Kernel::avx512_vbmi2) return run_avx512_vbmi2(run, records, count, out, last);
#endif
    return run_portable(run, records, count, out, last);
  }

  /// Records for which there is no buffer are read all the same: what is odd about them counts.
  void pass_over(const FusedForm& form, const LaidOutRecords& in, const uint8_t* records,
                 uint32_t count, outbound::RecordDrop why, RouteId route,
                 Batcher& batcher) noexcept WEIR_RUNS_ON(rx_lcore) {
    for (uint32_t i = 0; i < count; ++i) {
      in.reader.read(records + size_t{i} * form.record_octets, odd_);
    }
    batcher.drop(why, count, in.header, route);
  }

  const Kernel kernel_;
  const outbound::Encoder encoder_;
  FlowRecord odd_{};
  alignas(8) uint8_t netflow_v5_[kFormOctetsMax];
  alignas(8) uint8_t draft_[kFormOctetsMax];
};

}  // namespace

std::unique_ptr<FusedWay> FusedWay::create(Kernel kernel) {
  return std::unique_ptr<FusedWay>(new (std::nothrow) Way(kernel));
}

}  // namespace weir::fuse
