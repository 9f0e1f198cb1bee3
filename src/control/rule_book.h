// rule_book.h — What rules of classification have done since the start, over all cores and reloads.
//
// Runs on:  control_thread.
// Bounds:   a row for each rule of the set that goes; what a rule that is gone has done is forgotten.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/thread_roles.h"
#include "classify/stages.h"

namespace weir::control {

/// The set that goes and what it has done; an immutable copy.
struct RulesView {
  std::shared_ptr<const classify::RuleSet> rules;  // null: records are not classified
  std::vector<classify::RuleTotals> totals;        // by rule
  classify::StageTotals all;
};

class RuleBook {
 public:
  /// Cores are about to go by other rules than these; null: they had none.
  void leave(std::shared_ptr<const classify::Stages> stages) WEIR_RUNS_ON(control_thread) { leaving_ = std::move(stages); }
  /// None of them goes by the old ones any more.
  void settle() WEIR_RUNS_ON(control_thread);
  RulesView view(const classify::Stages* now) const WEIR_RUNS_ON(control_thread);

 private:
  std::shared_ptr<const classify::Stages> leaving_;
  std::map<std::string, classify::RuleTotals, std::less<>> past_;  // by rule id
  classify::StageTotals past_all_;
};

}  // namespace weir::control
