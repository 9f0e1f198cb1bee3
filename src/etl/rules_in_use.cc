#include "etl/rules_in_use.h"

#include "base/clock.h"
#include "transform/decisions.h"

namespace weir::etl {

Result<std::shared_ptr<const RulesInUse>> read_rules(const EtlConfig& config, uint64_t version,
                                                     const std::atomic<bool>* gives_up, StampedFiles* files) {
  StampedFiles own;
  if (files == nullptr) files = &own;
  transform::OcsfOptions options;
  options.product_name = config.ocsf.product_name;
  options.product_vendor = config.ocsf.product_vendor;
  options.cloud_provider = config.ocsf.cloud_provider;
  options.timezone_offset_minutes = config.ocsf.timezone_offset;
  options.community_id = config.ocsf.community_id;
  options.observables = config.ocsf.observables;
  std::unique_ptr<const rules::RuleSet> rules;
  if (!config.rules.empty()) {
    auto read = rules::RuleSet::read(config.rules, transform::event_targets(), files);
    if (!read) return Error{"rules: " + read.error().message};
    rules = std::move(*read);
    options.rules_name = rules->name();
    options.rules_hash = rules->hash();
  }
  std::shared_ptr<const enrich::Enrichment> enrichment;
  config.enrichment.look_at_all(files);
  if (!config.enrichment.empty()) {
    auto loaded = enrich::Enrichment::load(config.enrichment, gives_up);
    if (!loaded) return Error{"enrichment: " + loaded.error().message};
    enrichment = std::move(*loaded);
    for (const enrich::SourceLook& source : enrichment->sources()) options.data_sets.emplace_back(source.type, source.uid());
  }
  return std::shared_ptr<const RulesInUse>(
      new RulesInUse{std::move(rules), version, wall_clock_ns(), transform::OcsfWriter(options), std::move(enrichment), *files});
}

Result<CheckedFiles> check_files(const EtlConfig& config) {
  auto found = feed::check_files(config);
  auto rules = read_rules(config, 1);
  if (found && rules) return CheckedFiles{std::move(*found), std::move(*rules)};
  std::string wrong = found ? "" : found.error().message;
  if (!rules) wrong += (wrong.empty() ? "" : "\n") + rules.error().message;
  return Error{wrong};
}

feed::FilesIdentity RulesInUse::identity() const {
  return feed::identity_of(rules == nullptr ? std::string() : rules->hash(), enrichment.get());
}

}  // namespace weir::etl
