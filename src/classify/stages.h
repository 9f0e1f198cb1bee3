// stages.h — The stages of all cores that go by the same rules.
//
// Runs on:  made on any thread; each stage is its core's; counters are read by any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "classify/stage.h"

namespace weir::classify {

/// Plain numbers of one rule, or of all stages: sums over cores.
struct RuleTotals {
  uint64_t hits = 0;
  uint64_t drops = 0;
  uint64_t errors = 0;
};
struct StageTotals {
  uint64_t records = 0;
  uint64_t scans = 0;
  uint64_t scan_errors = 0;
  uint64_t matched = 0;
  uint64_t names = 0;
  uint64_t matches_left_out = 0;
  uint64_t labels_left_out = 0;
};

class Stages {
 public:
  static Result<std::shared_ptr<const Stages>> make(std::shared_ptr<const RuleSet> rules, size_t cores);

  const std::shared_ptr<const RuleSet>& rules() const noexcept { return rules_; }
  size_t cores() const noexcept { return stages_.size(); }
  /// That core's own, whoever shares the others.
  Stage& of_core(size_t core) const noexcept { return *stages_[core]; }

  RuleTotals totals(size_t rule) const noexcept;
  StageTotals totals() const noexcept;

 private:
  std::shared_ptr<const RuleSet> rules_;
  std::vector<std::unique_ptr<Stage>> stages_;
};

}  // namespace weir::classify
