#include "decode/plan_rows.h"

#include "base/byte_order.h"
#include "decode/plan_arena.h"
#include "decode/plan_parts.h"

namespace weir::decode {
namespace {

constexpr uint32_t kEtherTypeIpv4 = 0x0800;
constexpr uint32_t kEtherTypeIpv6 = 0x86dd;
constexpr uint64_t kDurationMaxNs = 366ull * 86'400 * kNsPerSec;

enum class Family : uint8_t { undecided, v4, v6 };

/// A record that has both takes the one that is not zero; of the flow's own addresses source and
/// destination are decided together. Where both pairs say something, a packet travels inside
/// another (IOS-XR's SRv6 templates): the outer pair is the one that the record's own IP version or
/// EtherType means, else the one that the template names first.
Family choose_addresses(const Plan& plan, const Row& row, FlowRecord& r) noexcept {
  const auto is_flows = [](const DualAddress& dual) {
    return dual.destination == offsetof(FlowRecord, src_addr) ||
           dual.destination == offsetof(FlowRecord, dst_addr);
  };
  const std::span duals(plan.duals, plan.dual_count);
  bool v4 = false;
  bool v6 = false;
  bool v6_first = false;
  for (const DualAddress& dual : duals) {
    if (!is_flows(dual)) continue;
    v4 |= !all_zero(row.at(dual.field_v4, dual.offset_v4), 4);
    v6 |= !all_zero(row.at(dual.field_v6, dual.offset_v6), 16);
    v6_first = dual.field_v6 < dual.field_v4;
  }
  const bool nested = v4 && v6;
  const bool said_v4 = r.etype == kEtherTypeIpv4;
  const bool said_v6 = r.etype == kEtherTypeIpv6;
  const bool flow_is_v6 = v4 == v6 ? said_v6 || (v6_first && v6 && !said_v4) : v6;
  for (const DualAddress& dual : duals) {
    const uint8_t* p4 = row.at(dual.field_v4, dual.offset_v4);
    const uint8_t* p6 = row.at(dual.field_v6, dual.offset_v6);
    const IpAddress four = IpAddress::from_v4(p4);
    const IpAddress six = IpAddress::from_v6(p6);
    const bool take_v6 = is_flows(dual) ? flow_is_v6 : all_zero(p4, 4) && !all_zero(p6, 16);
    column<IpAddress>(r, dual.destination) = take_v6 ? six : four;
    if (is_flows(dual) && nested) {
      const bool source = dual.destination == offsetof(FlowRecord, src_addr);
      (source ? r.inner_src_addr : r.inner_dst_addr) = take_v6 ? four : six;
      r.addresses |= address::bit(source ? address::k_inner_src_addr : address::k_inner_dst_addr);
      r.present.set(source ? Field::inner_src_addr : Field::inner_dst_addr);
    }
  }
  if (!v4 && !v6) return Family::undecided;
  return flow_is_v6 ? Family::v6 : Family::v4;
}

/// The first candidate that is plausible; 0 if none is.
uint64_t first_plausible(const TimeCandidate* list, uint32_t count, const Row& row,
                         const TimeBase& base, TimeKind& kind) noexcept {
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t t = read_time(list[i].kind, row.at(list[i]), row.width(list[i]), base);
    if (t != 0) {
      kind = list[i].kind;
      return t;
    }
  }
  return 0;
}

}  // namespace

void choose_times(const Plan& plan, const Row& row, PlanContext& context, FlowRecord& r) noexcept {
  TimeBase base = context.times;
  if (plan.system_init.width != 0) {
    base.set_system_init(load_be(row.at(plan.system_init), plan.system_init.width));
  }
  TimeKind kind = TimeKind::count_;
  TimeKind end_kind = TimeKind::count_;
  uint64_t start = first_plausible(plan.starts, plan.start_count, row, base, kind);
  uint64_t end = first_plausible(plan.ends, plan.end_count, row, base, end_kind);
  if (kind == TimeKind::count_) kind = end_kind;
  if (start == 0 && end == 0) {
    if (plan.start_count + plan.end_count != 0) {
      context.quirks.note(Quirk::implausible_time);
    }
    r.time_flow_start_ns = r.time_flow_end_ns = base.fallback_ns();
    r.time_source = static_cast<uint32_t>(base.fallback_source());
    return;
  }
  if (start == 0 || end == 0) {
    uint64_t duration = 0;
    if (plan.duration.width != 0) {
      const uint64_t unit = plan.duration_role == TimeRole::duration_ms ? kNsPerMs : kNsPerUs;
      const uint64_t value = load_be(row.at(plan.duration), plan.duration.width);
      if (value < kDurationMaxNs / unit) duration = value * unit;
    }
    if (start == 0) start = end - duration;
    if (end == 0) end = start + duration;
  }
  r.time_flow_start_ns = start;
  r.time_flow_end_ns = end;
  r.time_source = static_cast<uint32_t>(source_of(kind));
}

void finish_row(const Plan& plan, const Row& row, PlanContext& context, FlowRecord& r) noexcept {
  if (plan.dual_count != 0) {
    const Family family = choose_addresses(plan, row, r);
    if (family != Family::undecided && r.etype == 0) {
      r.etype = family == Family::v4 ? kEtherTypeIpv4 : kEtherTypeIpv6;
    }
  }
  if (!plan.arena_ops.empty()) write_arena(plan, row, context, r);
}

}  // namespace weir::decode
