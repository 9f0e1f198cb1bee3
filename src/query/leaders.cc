#include "query/leaders.h"

#include <algorithm>

namespace weir::query {
namespace {

constexpr int64_t kWindowMinUs = 86'400 * kUsPerSec;  // less has seldom so many flows that it is worth it
constexpr int64_t kFlowsMaxUs = 120 * kUsPerSec;        // of a window, of which there are no sums: its ends

bool is_by_a_sum(const Plan& plan) {
  if (plan.order.empty() || plan.order.front().what != Order::What::aggregate || !plan.order.front().is_descending) return false;
  return has_sums_for(plan.aggregates[plan.order.front().index], Summed::whole);
}

/// Nothing of it is joined: rollups have no exporters beside them.
bool is_of_flows_alone(const Plan& plan) {
  const auto is_of_flows = [](const Field* field) { return field == nullptr || field->column.starts_with("f."); };
  return std::all_of(plan.keys.begin(), plan.keys.end(), [&](const Key& key) { return is_of_flows(key.field); }) &&
         std::all_of(plan.aggregates.begin(), plan.aggregates.end(), [&](const Aggregate& a) { return is_of_flows(a.field); });
}

/// Sums are there for all of it but its ends.
bool has_sums_of_window(const Plan& plan) {
  const auto length_us = plan.window.length_us();
  if (!length_us || *length_us < kWindowMinUs) return false;
  int64_t flows_us = 0;
  for (const Piece& piece : pieces_of(plan)) {
    if (piece.grain.empty()) flows_us += *piece.end_us - *piece.start_us;
  }
  return flows_us <= kFlowsMaxUs;
}

}  // namespace

std::vector<Bound> bounds_of(const Plan& plan) {
  // Of a filter nobody knows how few flows it leaves.
  const bool has_filter = !plan.filter.parts.empty() || plan.filter.field != nullptr;
  if (plan.shape != Shape::groups || plan.keys.size() < 2 || plan.limit > kLeadersLimitMax || has_filter || !plan.having.empty()) return {};
  if (!is_by_a_sum(plan) || !is_of_flows_alone(plan) || !has_sums_of_window(plan)) return {};
  std::vector<Bound> bounds;
  for (const Key& key : plan.keys) {
    if (key.field->kind != FieldKind::address) continue;
    if (const Rollup* const rollup = rollup_by(key.field->column)) bounds.push_back({rollup, key.field->column});
  }
  return bounds;
}

}  // namespace weir::query
