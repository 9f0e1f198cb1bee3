// rules_in_use.h — The rules that flows go by now: immutable, replaced as a whole.
//
// Runs on:  made by the control thread, read by the ingest_thread, which takes the newest with each message.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "enrich/enrichment.h"
#include "feed/taken_up.h"
#include "rules/rule_set.h"

namespace weir::store {

struct RulesInUse {
  std::unique_ptr<const rules::RuleSet> rules;  // null: none, each flow becomes a row
  uint64_t version = 0;                         // 1: the first since the start
  std::shared_ptr<const enrich::Enrichment> enrichment;  // null: nothing is known of addresses
  StampedFiles files;                           // all that was read for it
};

/// Reads the files; an empty name of rules is none. `gives_up`: as Enrichment::load has it. `files`: takes those that were read, also
/// where one is wrong; may be null.
Result<std::shared_ptr<const RulesInUse>> read_rules(const std::string& path, const enrich::EnrichConfig& enrichment, uint64_t version,
                                                     const std::atomic<bool>* gives_up = nullptr, StampedFiles* files = nullptr);
feed::FilesIdentity identity_of(const RulesInUse& rules);

}  // namespace weir::store
