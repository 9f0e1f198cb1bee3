#include "etl/rules_in_use.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "transform/decisions.h"

namespace weir::etl {

Result<std::shared_ptr<const RulesInUse>> read_rules(const EtlConfig& config, uint64_t version) {
  transform::OcsfOptions options;
  options.product_name = config.ocsf.product_name;
  options.product_vendor = config.ocsf.product_vendor;
  options.cloud_provider = config.ocsf.cloud_provider;
  options.observables = config.ocsf.observables;
  std::unique_ptr<const rules::RuleSet> rules;
  if (!config.rules.empty()) {
    auto read = rules::RuleSet::read(config.rules, transform::event_targets());
    if (!read) return read.error();
    rules = std::move(*read);
    options.rules_name = rules->name();
    options.rules_hash = rules->hash();
  }
  std::shared_ptr<const enrich::Enrichment> enrichment;
  if (!config.enrichment.empty()) {
    auto loaded = enrich::Enrichment::load(config.enrichment);
    if (!loaded) return loaded.error();
    enrichment = std::move(*loaded);
    for (const enrich::SourceLook& source : enrichment->sources()) options.data_sets.emplace_back(source.type, source.version);
  }
  return std::shared_ptr<const RulesInUse>(
      new RulesInUse{std::move(rules), version, wall_clock_ns(), transform::OcsfWriter(options), std::move(enrichment)});
}

std::string RulesInUse::identity() const {
  std::string text = rules == nullptr ? "" : rules->hash();
  if (enrichment == nullptr) return text;
  for (const enrich::SourceLook& source : enrichment->sources()) {
    text += fmt::format(" {} {} {} {}", source.path, source.type, source.digest, source.prefixes);
  }
  return text;
}

}  // namespace weir::etl
