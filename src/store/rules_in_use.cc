#include "store/rules_in_use.h"

#include "transform/decisions.h"

namespace weir::store {

Result<std::shared_ptr<const RulesInUse>> read_rules(const std::string& path, const enrich::EnrichConfig& enrichment, uint64_t version,
                                                     const std::atomic<bool>* gives_up, StampedFiles* files) {
  StampedFiles own;
  if (files == nullptr) files = &own;
  std::unique_ptr<const rules::RuleSet> rules;
  if (!path.empty()) {
    auto read = rules::RuleSet::read(path, transform::event_targets(), files);
    if (!read) return Error{"rules: " + read.error().message};
    rules = std::move(*read);
  }
  std::shared_ptr<const enrich::Enrichment> known;
  enrichment.look_at_all(files);
  if (!enrichment.empty()) {
    auto loaded = enrich::Enrichment::load(enrichment, gives_up);
    if (!loaded) return Error{"enrichment: " + loaded.error().message};
    known = std::move(*loaded);
  }
  return std::shared_ptr<const RulesInUse>(new RulesInUse{std::move(rules), version, std::move(known), *files});
}

feed::FilesIdentity identity_of(const RulesInUse& rules) {
  return feed::identity_of(rules.rules == nullptr ? std::string() : rules.rules->hash(), rules.enrichment.get());
}

}  // namespace weir::store
