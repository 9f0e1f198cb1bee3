// rules_in_use.h — The rules that flows go by now, and what is known of addresses: immutable, replaced as a whole.
//
// Runs on:  made by the control thread, read by the etl_thread, which takes the newest with each message.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "enrich/enrichment.h"
#include "etl/config.h"
#include "feed/taken_up.h"
#include "rules/rule_set.h"
#include "transform/ocsf_event.h"

namespace weir::etl {

struct RulesInUse {
  std::unique_ptr<const rules::RuleSet> rules;  // null: none, each flow becomes an event
  uint64_t version = 0;                         // 1: the first since the start
  uint64_t read_ns = 0;                         // wall clock
  transform::OcsfWriter writer;
  std::shared_ptr<const enrich::Enrichment> enrichment;  // null: nothing is known of addresses
  StampedFiles files;                           // all that was read for it

  /// Null: none, flows become events.
  const rules::DecisionFile* decision() const noexcept { return rules == nullptr ? nullptr : rules->decision(); }
  feed::FilesIdentity identity() const;
};

/// Reads the files that the configuration names, if it names some. `gives_up`: as Enrichment::load has it. `files`: takes those that were
/// read, also where one is wrong; may be null.
Result<std::shared_ptr<const RulesInUse>> read_rules(const EtlConfig& config, uint64_t version, const std::atomic<bool>* gives_up = nullptr,
                                                     StampedFiles* files = nullptr);

/// What the machine has for a configuration, and what was read for it: a start reads it once.
struct CheckedFiles {
  std::vector<std::string> warnings;
  std::shared_ptr<const RulesInUse> rules;
};
/// feed::check_files, and rules and data that can be read; or all that is wrong.
Result<CheckedFiles> check_files(const EtlConfig& config);

}  // namespace weir::etl
