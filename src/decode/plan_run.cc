#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/byte_order.h"
#include "decode/plan.h"
#include "decode/plan_lines.h"
#include "decode/plan_parts.h"
#include "decode/plan_rows.h"

namespace weir::decode {
namespace {

void store_v4(IpAddress& a, const uint8_t* four) noexcept {
  uint32_t octets;
  std::memcpy(&octets, four, 4);
  const uint64_t halves[2] = {0, uint64_t{octets} << 32 | 0xffff'0000u};  // little endian
  std::memcpy(a.octets.data(), halves, sizeof halves);
}
static_assert(std::endian::native == std::endian::little);

/// Where column `op.destination` of each record is, and where its octets are.
struct Walk {
  const uint8_t* from;
  uint32_t step;
  uint8_t* to;
  uint32_t count;

  template <class T, class Convert>
  void each(Convert convert) const noexcept {
    const uint8_t* p = from;
    uint8_t* d = to;
    for (uint32_t i = 0; i < count; ++i) {
      const T v = convert(p);
      std::memcpy(d, &v, sizeof v);
      p += step;
      d += sizeof(FlowRecord);
    }
  }
};

void run_op(const Op& op, const Walk& w, const TimeBase& times) noexcept {
  const uint32_t width = op.width;
  switch (op.kind) {
    case OpKind::u8_to_u32: w.each<uint32_t>([](const uint8_t* p) { return *p; }); break;
    case OpKind::u16_to_u32: w.each<uint32_t>([](const uint8_t* p) { return load_be16(p); }); break;
    case OpKind::u32_to_u32: w.each<uint32_t>([](const uint8_t* p) { return load_be32(p); }); break;
    case OpKind::any_to_u32:
      w.each<uint32_t>([width](const uint8_t* p) { return saturated(load_be(p, width)); });
      break;
    case OpKind::u8_to_u64: w.each<uint64_t>([](const uint8_t* p) { return *p; }); break;
    case OpKind::u16_to_u64: w.each<uint64_t>([](const uint8_t* p) { return load_be16(p); }); break;
    case OpKind::u32_to_u64: w.each<uint64_t>([](const uint8_t* p) { return load_be32(p); }); break;
    case OpKind::u64_to_u64: w.each<uint64_t>([](const uint8_t* p) { return load_be64(p); }); break;
    case OpKind::any_to_u64:
      w.each<uint64_t>([width](const uint8_t* p) { return load_be(p, width); });
      break;
    case OpKind::u8_to_u16: w.each<uint16_t>([](const uint8_t* p) { return *p; }); break;
    case OpKind::any_to_u16:
      w.each<uint16_t>([width](const uint8_t* p) {
        return static_cast<uint16_t>(std::min<uint64_t>(load_be(p, width), UINT16_MAX));
      });
      break;
    case OpKind::merge_to_u32: {
      const uint8_t* p = w.from;
      uint8_t* d = w.to;
      for (uint32_t i = 0; i < w.count; ++i, p += w.step, d += sizeof(FlowRecord)) {
        uint32_t v;
        std::memcpy(&v, d, sizeof v);
        if (v == 0) {
          v = saturated(load_be(p, width));
          std::memcpy(d, &v, sizeof v);
        }
      }
      break;
    }
    case OpKind::dscp_to_u32:
      w.each<uint32_t>(
          [width](const uint8_t* p) { return saturated(load_be(p, width) << 2 & 0xff); });
      break;
    case OpKind::ip_version_to_etype:
      w.each<uint32_t>([](const uint8_t* p) { return *p == 4 ? 0x0800u : *p == 6 ? 0x86ddu : 0u; });
      break;
    case OpKind::mac6: w.each<uint64_t>([](const uint8_t* p) { return load_be(p, 6); }); break;
    case OpKind::mac8: w.each<uint64_t>([](const uint8_t* p) { return mac_of_8(p); }); break;
    case OpKind::address_v4:
      w.each<IpAddress>([](const uint8_t* p) {
        IpAddress a;
        store_v4(a, p);
        return a;
      });
      break;
    case OpKind::address_v6:
      w.each<IpAddress>([](const uint8_t* p) { return IpAddress::from_v6(p); });
      break;
    case OpKind::time_uptime: {
      const TimeBase base = times;
      w.each<uint64_t>([&base](const uint8_t* p) { return base.from_uptime(load_be32(p)); });
      break;
    }
    case OpKind::time_ms:
      w.each<uint64_t>([](const uint8_t* p) {
        // What would not fit is far outside the window; 0 is, too.
        const uint64_t ms = load_be64(p);
        return ms < UINT64_MAX / kNsPerMs ? ms * kNsPerMs : 0;
      });
      break;
    case OpKind::time_s:
      w.each<uint64_t>([](const uint8_t* p) { return load_be32(p) * kNsPerSec; });
      break;
  }
}

void run_ops(std::span<const Op> ops, const Row& first, uint32_t step, uint32_t count,
             const TimeBase& times, FlowRecord* records) noexcept {
  for (const Op& op : ops) {
    const Walk walk{first.at(op), step,
                    static_cast<uint8_t*>(static_cast<void*>(records)) + op.destination, count};
    run_op(op, walk, times);
  }
}

LineTimes line_times(TimeSource source) noexcept {
  switch (source) {
    case TimeSource::uptime: return LineTimes::uptime;
    case TimeSource::milliseconds: return LineTimes::milliseconds;
    case TimeSource::seconds: return LineTimes::seconds;
    default: return LineTimes::none;
  }
}

/// A record's own rate that cannot be is the last resort: as it is, or the other way round.
RateResolver::Rate doubtful_rate(uint64_t said, const RateResolver::Rate& known,
                                 QuirkBook& quirks) noexcept {
  quirks.note(Quirk::implausible_rate);
  if (known.rate != 0) return known;
  const uint64_t swapped =
      said <= UINT32_MAX ? __builtin_bswap32(static_cast<uint32_t>(said)) : said;
  return {swapped <= kRatePlausibleMax ? swapped : said, SamplingSource::record};
}

/// Packets are sampled where they are metered.
uint32_t metered_interface(const FlowRecord& r) noexcept {
  return r.flow_direction == 1 && r.out_if != 0 ? r.out_if : r.in_if;
}

/// The rows whose times are not plausible, a bit each.
uint32_t implausible_times(const TimeBase& base, std::span<const FlowRecord> records) noexcept {
  const uint64_t begin = base.window_begin_ns();
  const uint64_t span = base.window_span_ns();
  uint32_t rows = 0;
  uint32_t bit = 1;
  for (const FlowRecord& r : records) {
    if (r.time_flow_start_ns - begin > span || r.time_flow_end_ns - begin > span) rows |= bit;
    bit <<= 1;
  }
  return rows;
}

constexpr uint32_t kIcmpv6 = 58;

/// Whether a port says a type that is assigned, and a code that one of them has: an echo's
/// identifier, which others write there, seldom does.
bool looks_like_icmp(uint32_t proto, uint32_t port) noexcept {
  const uint32_t type = port >> 8;
  if ((port & 0xff) > 15) return false;
  if (proto == kIcmpv6) return (type >= 1 && type <= 4) || (type >= 128 && type <= 161);
  return (type >= 3 && type <= 18) || (type >= 30 && type <= 43);
}

/// Where elements say type 0 and code 0: they leave it to the port, or tell an echo's reply, and the port
/// holds its identifier.
bool is_said_by_port(const FlowRecord& r) noexcept {
  return looks_like_icmp(r.proto, r.dst_port) ||
         (r.proto == kIcmpv6 && looks_like_icmp(r.proto, r.dst_port << 8));
}

}  // namespace

void move_icmp_out_of_ports(FlowRecord& r, bool type_from_port) noexcept {
  if (type_from_port || (r.icmp_type == 0 && r.icmp_code == 0 && is_said_by_port(r))) {
    uint32_t port = r.dst_port;
    if (port == 0 && type_from_port && looks_like_icmp(r.proto, r.src_port)) port = r.src_port;
    r.icmp_type = port >> 8 & 0xff;
    r.icmp_code = port & 0xff;
    // IOS-XR writes the type of neighbour discovery alone; ICMPv6 has no type 0 (RFC 4443 §2.1).
    if (r.proto == kIcmpv6 && r.icmp_type == 0) std::swap(r.icmp_type, r.icmp_code);
  }
  r.src_port = 0;
  r.dst_port = 0;
  r.present.set(Field::icmp_type);
  r.present.set(Field::icmp_code);
}

uint32_t walk_fields(std::span<const FieldSpec> fields, const uint8_t* octets, uint32_t size,
                     WalkBegin begin, uint32_t* offsets, uint16_t* widths) noexcept {
  uint32_t at = begin.offset;
  for (size_t i = begin.field; i < fields.size(); ++i) {
    uint32_t width = fields[i].length;
    if (width == kVariableLength) {
      // RFC 7011 §7: one octet, or 255 and two octets.
      if (size - at < 1) return 0;
      width = octets[at++];
      if (width == 255) {
        if (size - at < 2) return 0;
        width = load_be16(octets + at);
        at += 2;
      }
    }
    if (size - at < width) return 0;
    offsets[i] = at;
    widths[i] = static_cast<uint16_t>(width);
    at += width;
  }
  return at;
}

PlanRun::PlanRun(const Plan& plan, PlanContext& context) noexcept
    : plan_(plan),
      context_(context),
      fast_times_(plan.fast_times &&
                  (plan.time_source != TimeSource::uptime || context.times.has_uptime)),
      by_interface_(plan.metered_if && context.rates.by_interface()),
      rate_by_row_(plan.record_rate || plan.sampler != SamplerKind::none || by_interface_) {
  std::memset(static_cast<void*>(&stencil_), 0, sizeof stencil_);
  stencil_.present = plan.present;
  stencil_.blocks = plan.blocks;
  stencil_.addresses = plan.addresses;
  stencil_.etype = plan.etype;
  stencil_.time_source = static_cast<uint32_t>(plan.time_source);
  IpAddress* const addresses = &stencil_.src_addr;
  for (unsigned left = plan.fused_v4; left != 0; left &= left - 1) {
    addresses[std::countr_zero(left)] = IpAddress::from_v4(0u);
  }
  if (!rate_by_row_) {
    const RateResolver::Rate rate = context.rates.resolve(SamplerKind::none, 0, false, 0);
    stencil_.sampling_rate = rate.rate;
    stencil_.sampling_source = static_cast<uint32_t>(rate.source);
  }
}

void PlanRun::rows(const uint8_t* octets, uint32_t count, FlowRecord* records) noexcept {
  fill(Row{octets}, plan_.record_octets, count, records);
}

void PlanRun::row(const Row& row, FlowRecord& record) noexcept { fill(row, 0, 1, &record); }

void PlanRun::fill(const Row& first, uint32_t step, uint32_t count, FlowRecord* records) noexcept {
  uint32_t odd_times = fill_columns(first, step, count, records);
  if (!fast_times_) odd_times = ~uint32_t{0} >> (kBurstRecords - count);
  const std::span all(records, count);
  Row row = first;
  for (; odd_times != 0; odd_times &= odd_times - 1) {
    const auto i = static_cast<uint32_t>(std::countr_zero(odd_times));
    row.octets = first.octets + size_t{i} * step;
    choose_times(plan_, row, context_, records[i]);
  }
  if (plan_.has_proto) {
    for (FlowRecord& r : all) {
      if (is_icmp(r.proto)) move_icmp_out_of_ports(r, plan_.icmp_in_port);
    }
  }
  if (rate_by_row_) find_rates(all);
  if (plan_.row_work) {
    row = first;
    for (FlowRecord& r : all) {
      finish_row(plan_, row, context_, r);
      row.octets += step;
    }
  }
}

/// Runs the ops, fused where the kernel can. Returns the rows whose times the ops found implausible,
/// a bit each.
uint32_t PlanRun::fill_columns(const Row& first, uint32_t step, uint32_t count,
                               FlowRecord* records) const noexcept {
#if defined(__x86_64__)
  if (context_.kernel == Kernel::avx512_vbmi2 && !plan_.moves.empty()) {
    const LineRun run{plan_.moves, stencil_, context_.times,
                      fast_times_ ? line_times(plan_.time_source) : LineTimes::none};
    const uint32_t odd_times = run_lines_avx512_vbmi2(run, first, step, count, records);
    run_ops(plan_.ops.subspan(plan_.fused_ops), first, step, count, context_.times, records);
    return odd_times;
  }
#endif
  // Beyond its first lines the stencil holds only what the ops for addresses write themselves.
  static constexpr size_t kStencilOctets = offsetof(FlowRecord, src_addr);
  std::memset(static_cast<void*>(records), 0, count * sizeof(FlowRecord));
  for (FlowRecord& r : std::span(records, count)) {
    std::memcpy(static_cast<void*>(&r), &stencil_, kStencilOctets);
  }
  run_ops(plan_.ops, first, step, count, context_.times, records);
  return fast_times_ ? implausible_times(context_.times, {records, count}) : 0;
}

/// Rates where a record, its sampler or its interface may name them.
void PlanRun::find_rates(std::span<FlowRecord> records) const noexcept {
  // Neighbours mostly come from one sampler and interface.
  const FlowRecord* like = nullptr;
  RateResolver::Rate rate;
  const bool overridden = context_.rates.is_override();
  for (FlowRecord& r : records) {
    const uint64_t said = overridden ? 0 : r.sampling_rate;
    if (said != 0 && said <= kRatePlausibleMax) {
      r.sampling_source = static_cast<uint32_t>(SamplingSource::record);
      continue;
    }
    if (like == nullptr || r.sampler_id != like->sampler_id ||
        (by_interface_ && metered_interface(r) != metered_interface(*like))) {
      rate = context_.rates.resolve(plan_.sampler, r.sampler_id, plan_.metered_if,
                                    metered_interface(r));
      like = &r;
    }
    const auto chosen = said == 0 ? rate : doubtful_rate(said, rate, context_.quirks);
    r.sampling_rate = chosen.rate;
    r.sampling_source = static_cast<uint32_t>(chosen.source);
  }
}

}  // namespace weir::decode
