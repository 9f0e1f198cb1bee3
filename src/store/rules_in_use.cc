#include "store/rules_in_use.h"

#include "transform/decisions.h"

namespace weir::store {

Result<std::shared_ptr<const RulesInUse>> read_rules(const std::string& path, uint64_t version) {
  std::unique_ptr<const rules::RuleSet> rules;
  if (!path.empty()) {
    auto read = rules::RuleSet::read(path, transform::event_targets());
    if (!read) return read.error();
    rules = std::move(*read);
  }
  return std::shared_ptr<const RulesInUse>(new RulesInUse{std::move(rules), version});
}

}  // namespace weir::store
