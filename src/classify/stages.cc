#include "classify/stages.h"

namespace weir::classify {

Result<std::shared_ptr<const Stages>> Stages::make(std::shared_ptr<const RuleSet> rules, size_t cores) {
  auto all = std::make_shared<Stages>();
  for (size_t i = 0; i < cores; ++i) {
    auto stage = Stage::make(rules);
    if (!stage) return stage.error();
    all->stages_.push_back(std::move(*stage));
  }
  all->rules_ = std::move(rules);
  return std::shared_ptr<const Stages>(std::move(all));
}

RuleTotals Stages::totals(size_t rule) const noexcept {
  RuleTotals sum;
  for (const auto& stage : stages_) {
    const RuleCounters& c = stage->counters(rule);
    sum.hits += c.hits.value();
    sum.drops += c.drops.value();
    sum.errors += c.errors.value();
  }
  return sum;
}

StageTotals Stages::totals() const noexcept {
  StageTotals sum;
  for (const auto& stage : stages_) {
    const StageCounters& c = stage->counters();
    sum.records += c.records.value();
    sum.scans += c.scans.value();
    sum.scan_errors += c.scan_errors.value();
    sum.matched += c.matched.value();
    sum.names += c.names.value();
    sum.matches_left_out += c.matches_left_out.value();
    sum.labels_left_out += c.labels_left_out.value();
  }
  return sum;
}

}  // namespace weir::classify
