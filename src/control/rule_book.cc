#include "control/rule_book.h"

namespace weir::control {
namespace {

void add(classify::RuleTotals& to, const classify::RuleTotals& more) {
  to.hits += more.hits;
  to.drops += more.drops;
  to.errors += more.errors;
}

void add(classify::StageTotals& to, const classify::StageTotals& more) {
  to.records += more.records;
  to.scans += more.scans;
  to.scan_errors += more.scan_errors;
  to.matched += more.matched;
  to.names += more.names;
  to.matches_left_out += more.matches_left_out;
  to.labels_left_out += more.labels_left_out;
}

void add_rules(std::map<std::string, classify::RuleTotals, std::less<>>& to, const classify::Stages& stages) {
  const auto& rules = stages.rules()->rules();
  for (size_t i = 0; i < rules.size(); ++i) add(to[rules[i].id], stages.totals(i));
}

}  // namespace

void RuleBook::settle() {
  if (leaving_ == nullptr) return;
  add(past_all_, leaving_->totals());
  std::map<std::string, classify::RuleTotals, std::less<>> kept;
  // Only of rules that the set had which has gone: what went before it is in there.
  for (const classify::Rule& rule : leaving_->rules()->rules()) {
    if (const auto at = past_.find(rule.id); at != past_.end()) kept.insert(*at);
  }
  past_ = std::move(kept);
  add_rules(past_, *leaving_);
  leaving_.reset();
}

RulesView RuleBook::view(const classify::Stages* now) const {
  RulesView view;
  view.all = past_all_;
  if (leaving_ != nullptr) add(view.all, leaving_->totals());
  if (now == nullptr) return view;
  add(view.all, now->totals());
  view.rules = now->rules();
  std::map<std::string, classify::RuleTotals, std::less<>> going;
  if (leaving_ != nullptr) add_rules(going, *leaving_);
  const auto& rules = view.rules->rules();
  view.totals.resize(rules.size());
  for (size_t i = 0; i < rules.size(); ++i) {
    view.totals[i] = now->totals(i);
    if (const auto at = past_.find(rules[i].id); at != past_.end()) add(view.totals[i], at->second);
    if (const auto at = going.find(rules[i].id); at != going.end()) add(view.totals[i], at->second);
  }
  return view;
}

}  // namespace weir::control
