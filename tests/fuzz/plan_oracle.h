// plan_oracle.h — A template and records of it, decoded by both kernels: the same records come out.
//
// Oracles: all 512 octets of each record, the arena and the counted quirks are equal; no kernel
// touches an octet behind the last record, which ends where the memory does.
//
// Input: flags, a seed for what is not worth an octet each, the number of fields, two octets for
// each field (element and width, mostly of those that have a column), then the records' octets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/byte_order.h"
#include "decode/plan.h"
#include "fuzz/guarded_octets.h"

namespace weir::decode {

class PlanOracle {
 public:
  PlanOracle() : arena_ops_(kFieldsMax), draft_(std::make_unique<PlanDraft>()) {
    draft_->arena_ops = arena_ops_;
    for (Side& s : sides_) s.records.resize(kBurstRecords);
  }

  struct Seen {
    uint32_t records = 0;
    uint32_t moves = 0;
    uint32_t ops = 0;         // that were not fused
    uint32_t fast_times = 0;  // whether the plan makes times of its ops
  };

  Seen check(const uint8_t* data, size_t size) {
    Input in{data, size};
    const uint8_t flags = in.octet();
    seed_ = in.octet();
    const uint32_t field_count = 1 + in.octet() % kFieldsMax;
    fields_.clear();
    for (uint32_t i = 0; i < field_count; ++i) {
      const uint8_t element = in.octet();
      const uint8_t width = in.octet();
      fields_.push_back(field(element, width, (flags & 1) != 0));
    }
    CompileQuirks quirks;
    compile_plan(fields_, (flags & 2) != 0, *draft_, quirks);
    const Plan& plan = draft_->plan;
    Seen seen{0, static_cast<uint32_t>(plan.moves.size()),
              static_cast<uint32_t>(plan.ops.size()) - plan.fused_ops, plan.fast_times};
    if (plan.record_octets == 0) return seen;
    check_moves(plan);

    TimeBase times;
    times.received_ns = kReceivedNs;
    times.export_ns = kReceivedNs - uint64_t{seed_} * kNsPerSec;
    times.uptime_ms = 0x8000'0000u * ((flags >> 2) & 1) + seed_ * 1000u;
    times.has_uptime = (flags & 8) != 0;
    times.past_max_ns = (flags & 16) != 0 ? kDayNs : 0;
    times.future_max_ns = kDayNs;
    const Rates rates((flags & 32) != 0);

    const std::span<uint8_t> octets = memory_.hold(in.rest(kRecordsOctetsMax));
    if (plan.fixed_length) {
      const auto count = static_cast<uint32_t>(octets.size() / plan.record_octets);
      // The last record ends where the memory does.
      const std::span<uint8_t> records = octets.last(size_t{count} * plan.record_octets);
      if ((flags & 64) != 0) make_times_plausible(plan, records);
      for (uint32_t done = 0; done < count;) {
        const uint32_t n = std::min<uint32_t>(count - done, kBurstRecords);
        run(plan, times, rates, n, [&](PlanRun& r, FlowRecord* to) {
          r.rows(records.data() + size_t{done} * plan.record_octets, n, to);
        });
        compare(n);
        done += n;
        seen.records += n;
      }
    } else {
      std::span<uint8_t> left = octets;
      while (left.size() >= plan.record_octets) {
        offsets_.assign(fields_.size(), 0);
        widths_.assign(fields_.size(), 0);
        const uint32_t length =
            walk_fields(fields_, left.data(), static_cast<uint32_t>(left.size()), {},
                        offsets_.data(), widths_.data());
        if (length == 0) break;
        run(plan, times, rates, 1, [&](PlanRun& r, FlowRecord* to) {
          r.row({left.data(), offsets_.data(), widths_.data()}, *to);
        });
        compare(1);
        left = left.subspan(length);
        ++seen.records;
      }
    }
    return seen;
  }

 private:
  static constexpr uint32_t kFieldsMax = 64;
  static constexpr size_t kRecordsOctetsMax = 16 * 1024;
  static constexpr uint64_t kReceivedNs = 1'760'000'000ull * 1'000'000'000;
  static constexpr uint64_t kDayNs = 86'400ull * 1'000'000'000;

  struct Input {
    const uint8_t* p;
    size_t left;
    uint8_t octet() noexcept {
      if (left == 0) return 0;
      --left;
      return *p++;
    }
    std::span<const uint8_t> rest(size_t max) const noexcept { return {p, std::min(left, max)}; }
  };

  /// Elements that have a column in one way or another; the rest have none.
  static FieldSpec field(uint8_t element, uint8_t width, bool varies) noexcept {
    static constexpr uint16_t kElements[] = {
        1,   2,   4,   5,   6,   7,   8,   9,   10,  11,  12,  13,  14,  15,  16,  17,  18,
        21,  22,  23,  24,  27,  28,  29,  30,  31,  32,  34,  47,  48,  52,  54,  56,  57,
        58,  59,  60,  61,  62,  63,  70,  71,  80,  81,  85,  86,  88,  89,  95,  96,  128,
        136, 138, 139, 140, 148, 150, 151, 152, 153, 154, 156, 160, 161, 176, 177, 178, 179,
        180, 181, 182, 183, 192, 195, 197, 210, 225, 226, 227, 228, 230, 231, 232, 233, 234,
        235, 243, 252, 256, 281, 298, 299, 302, 323, 352, 361, 362, 363, 364, 371, 1000};
    const uint16_t id = kElements[element % std::size(kElements)];
    if (varies && width % 8 == 7) return {0, id, kVariableLength};
    return {0, id, width_of(id, width)};
  }
  /// Mostly what the element has, else anything.
  static uint16_t width_of(uint16_t id, uint8_t choice) noexcept {
    if (choice >= 192) return choice % 20;
    switch (id) {
      case 8:
      case 12:
      case 15:
      case 18:
      case 47:
      case 225:
      case 226: return 4;
      case 27:
      case 28:
      case 62:
      case 63:
      case 140:
      case 281: return 16;
      case 56:
      case 57:
      case 80:
      case 81: return choice % 4 == 0 ? 8 : 6;
      case 70:
      case 71: return 3;
      case 21:
      case 22:
      case 150:
      case 151: return 4;
      case 152:
      case 153:
      case 154:
      case 156:
      case 160: return 8;
      case 96:
      case 371: return choice % 40;
      default: {
        static constexpr uint16_t kWidths[] = {1, 2, 4, 8, 4, 2, 3, 5};
        return kWidths[choice % std::size(kWidths)];
      }
    }
  }

  class Rates final : public RateResolver {
   public:
    explicit Rates(bool by_interface) : by_interface_(by_interface) {}
    bool by_interface() const noexcept override { return by_interface_; }
    Rate resolve(SamplerKind kind, uint64_t sampler, bool has_interface,
                 uint32_t interface) const noexcept override {
      Rate r{7, SamplingSource::domain};
      if (kind != SamplerKind::none) r = {sampler * 3 + 1, SamplingSource::sampler};
      if (has_interface && by_interface_) r.rate += interface;
      return r;
    }

   private:
    const bool by_interface_;
  };

  /// Every list is of the template itself.
  class OwnTemplate final : public TemplateFinder {
   public:
    explicit OwnTemplate(const Plan& plan) : fields_(plan.fields) {}
    std::span<const FieldSpec> fields_of(uint16_t) const noexcept override { return fields_; }

   private:
    const std::span<const FieldSpec> fields_;
  };

  /// One kernel's way.
  struct Side {
    Kernel kernel;
    std::vector<FlowRecord> records{};
    std::unique_ptr<Arena> arena = std::make_unique<Arena>();
    CounterArray<Quirk> quirks{};
    void reset(uint32_t count) noexcept {
      arena->clear();
      // What is overwritten whole may hold anything.
      std::memset(static_cast<void*>(records.data()), 0xa5, count * sizeof(FlowRecord));
    }
  };

  template <class Use>
  void run(const Plan& plan, const TimeBase& times, const RateResolver& rates, uint32_t count,
           Use use) {
    for (Side& s : sides_) {
      if (s.kernel != Kernel::portable && best_kernel() != s.kernel) continue;
      s.reset(count);
      const OwnTemplate templates(plan);
      QuirkBook quirks(s.quirks);
      PlanContext context{times, rates, *s.arena, templates, false, quirks, s.kernel};
      PlanRun plan_run(plan, context);
      use(plan_run, s.records.data());
    }
  }

  void compare(uint32_t count) const {
    const Side& a = sides_[0];
    const Side& b = sides_[1];
    if (best_kernel() != b.kernel) return;
    for (uint32_t i = 0; i < count; ++i) {
      if (std::memcmp(&a.records[i], &b.records[i], sizeof(FlowRecord)) != 0) {
        explain(i);
        std::abort();
      }
    }
    if (a.arena->used() != b.arena->used() ||
        std::memcmp(a.arena->data(), b.arena->data(), a.arena->used()) != 0 ||
        a.quirks.total() != b.quirks.total()) {
      std::fprintf(stderr, "arena or quirks differ\n");
      std::abort();
    }
  }
  void explain(uint32_t i) const {
    const auto* a = reinterpret_cast<const uint8_t*>(&sides_[0].records[i]);
    const auto* b = reinterpret_cast<const uint8_t*>(&sides_[1].records[i]);
    for (const FieldSpec& f : fields_) std::fprintf(stderr, "{%u, %u} ", f.id, f.length);
    for (size_t at = 0; at < sizeof(FlowRecord); ++at) {
      if (a[at] == b[at]) continue;
      std::fprintf(stderr, "\nrecord %u octet %zu: portable %02x, other %02x", i, at, a[at], b[at]);
    }
    std::fprintf(stderr, "\n");
  }

  /// What a sanitizer does not see of masked loads.
  static void check_moves(const Plan& plan) {
    uint8_t line = 0;
    for (const LineMove& m : plan.moves) {
      if (m.line < line || m.read == 0 || m.filled == 0) std::abort();
      line = m.line;
      if (plan.fixed_length && m.offset + std::bit_width(m.read) > plan.record_octets) std::abort();
    }
  }

  /// Random octets are never milliseconds of this century.
  void make_times_plausible(const Plan& plan, std::span<uint8_t> records) const {
    for (size_t begin = 0; begin < records.size(); begin += plan.record_octets) {
      size_t at = begin;
      for (const FieldSpec& f : fields_) {
        const uint64_t before = load_be(records.data() + at, std::min<size_t>(f.length, 2));
        if ((f.id == 150 || f.id == 151) && f.length == 4) {
          store_be32(records.data() + at, static_cast<uint32_t>(kReceivedNs / kNsPerSec - before));
        } else if ((f.id == 152 || f.id == 153) && f.length == 8 && before % 16 != 0) {
          store_be64(records.data() + at, kReceivedNs / kNsPerMs - before * 10);
        }
        at += f.length;
      }
    }
  }

  uint32_t seed_ = 0;
  std::vector<FieldSpec> fields_;
  std::vector<ArenaOp> arena_ops_;
  std::unique_ptr<PlanDraft> draft_;
  GuardedOctets memory_;
  std::vector<uint32_t> offsets_;
  std::vector<uint16_t> widths_;
  Side sides_[2] = {{Kernel::portable}, {Kernel::avx512_vbmi2}};
};

}  // namespace weir::decode
