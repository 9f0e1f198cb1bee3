// rules_in_use.h — The rules that flows go by now: immutable, replaced as a whole.
//
// Runs on:  made by the control thread, read by the ingest_thread, which takes the newest with each message.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "rules/rule_set.h"

namespace weir::store {

struct RulesInUse {
  std::unique_ptr<const rules::RuleSet> rules;  // null: none, each flow becomes a row
  uint64_t version = 0;                         // 1: the first since the start
};

/// Reads the file; an empty name is none.
Result<std::shared_ptr<const RulesInUse>> read_rules(const std::string& path, uint64_t version);

}  // namespace weir::store
