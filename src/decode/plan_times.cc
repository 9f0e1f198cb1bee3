#include "decode/plan_times.h"

namespace weir::decode {

bool PlanTimes::add(const TimeUse& use, uint16_t i, uint32_t offset,
                    CompileQuirks& quirks) noexcept {
  const uint16_t width = writer_.field(i).length;
  if (width > 8) {  // of variable length, too
    if (width != kVariableLength) ++quirks.odd_width;
    return false;
  }
  const TimeCandidate c{offset, i, width, use.kind};
  switch (use.role) {
    case TimeRole::system_init_ms:
      if (plan_.system_init.width == 0) plan_.system_init = c;
      return true;
    case TimeRole::duration_ms:
    case TimeRole::duration_us:
      if (plan_.duration.width != 0) return false;
      plan_.duration = c;
      plan_.duration_role = use.role;
      return true;
    case TimeRole::start: return insert(plan_.starts, plan_.start_count, c);
    case TimeRole::end: return insert(plan_.ends, plan_.end_count, c);
    case TimeRole::observed: {
      if (observed_.width != 0) return false;
      observed_ = c;
      return true;
    }
    case TimeRole::none: break;
  }
  return false;
}

bool PlanTimes::insert(TimeCandidate (&list)[kTimeCandidatesMax], uint8_t& count,
                       const TimeCandidate& c) noexcept {
  // One place is kept for the observation time.
  if (count == kTimeCandidatesMax - 1) return false;
  uint32_t at = count;
  while (at > 0 && list[at - 1].kind > c.kind) {
    list[at] = list[at - 1];
    --at;
  }
  list[at] = c;
  ++count;
  return true;
}

void PlanTimes::finish() noexcept {
  keep_rest(plan_.starts, plan_.start_count);
  keep_rest(plan_.ends, plan_.end_count);
  if (plan_.duration.width != 0 && plan_.start_count != 0 && plan_.end_count != 0) {
    keep(plan_.duration);
  }
  if (observed_.width != 0) {
    if (plan_.start_count != 0 && plan_.end_count != 0) keep(observed_);
    plan_.starts[plan_.start_count++] = observed_;
    plan_.ends[plan_.end_count++] = observed_;
  }
  if (plan_.start_count != 0) plan_.present.set(Field::time_flow_start_ns);
  if (plan_.end_count != 0) plan_.present.set(Field::time_flow_end_ns);
  if (plan_.system_init.width != 0) return;
  if (plan_.start_count == 0 || plan_.end_count == 0) return;
  const TimeCandidate& start = plan_.starts[0];
  const TimeCandidate& end = plan_.ends[0];
  if (start.kind != end.kind) return;
  OpKind op;
  if (start.kind == TimeKind::uptime && start.width == 4 && end.width == 4) {
    op = OpKind::time_uptime;
  } else if (start.kind == TimeKind::milliseconds && start.width == 8 && end.width == 8) {
    op = OpKind::time_ms;
  } else if (start.kind == TimeKind::seconds && start.width == 4 && end.width == 4) {
    op = OpKind::time_s;
  } else {
    return;
  }
  writer_.add_op(op, start.field, start.offset, start.width, Field::time_flow_start_ns);
  writer_.add_op(op, end.field, end.offset, end.width, Field::time_flow_end_ns);
  plan_.fast_times = true;
  plan_.time_source = source_of(start.kind);
}

void PlanTimes::keep_rest(const TimeCandidate (&list)[kTimeCandidatesMax], uint8_t count) noexcept {
  for (uint32_t i = 1; i < count; ++i) keep(list[i]);
}

void PlanTimes::keep(const TimeCandidate& c) noexcept {
  writer_.add_arena(ArenaOpKind::unmapped, c.field, c.offset, Field::unmapped);
}

}  // namespace weir::decode
