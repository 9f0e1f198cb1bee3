// rule_set.h — Rules of classification, read, checked and compiled: what all cores share.
//
// Spec:     docs/CLASSIFICATION.md.
// Runs on:  made on any thread that may wait (patterns are compiled in a process of their own); constant from then on.
// Bounds:   those of rule.h and pattern.h.
// Failure:  an Error that names file, line and rule, with the engine's words where it refused a pattern; nothing is
//           taken of rules with one.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "classify/pattern_compiler.h"
#include "classify/payload_gate.h"
#include "classify/record_view.h"
#include "classify/rule.h"

namespace weir::classify {

struct RuleSetOptions {
  ElementFinder find_element;
  PatternStore cache;  // of compiled patterns
};

class RuleSet {
 public:
  /// A file, or all files of a folder that end in .yaml, by name; of each of `paths`.
  static Result<std::shared_ptr<const RuleSet>> read(const std::vector<std::string>& paths, const RuleSetOptions& options);
  /// Of texts: (name, text) each.
  static Result<std::shared_ptr<const RuleSet>> parse(const std::vector<std::pair<std::string, std::string>>& files,
                                                      const RuleSetOptions& options);

  /// By priority; of the same one, in the order of their files.
  const std::vector<Rule>& rules() const noexcept { return rules_; }
  /// The files that were read.
  const std::vector<std::string>& files() const noexcept { return files_; }
  /// What an operator wants to know, and what changes nothing.
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }
  /// SHA-256 of all files, in hexadecimal digits.
  const std::string& hash() const noexcept { return hash_; }
  /// Subjects that rules route to, each once.
  const std::vector<std::string>& routes() const noexcept { return routes_; }
  /// Whether there is something to ask of records that have no text, no packet and no element: then none may go by
  /// unseen (FusedWay).
  bool asks_every_record() const noexcept { return !plain_.empty(); }
  /// Whether those that have elements without a column may not.
  bool asks_elements() const noexcept { return !elements_.empty(); }
  size_t patterns() const noexcept { return patterns_; }
  size_t database_octets() const noexcept;

 private:
  friend class Stage;
  /// What a stage does with a rule that matched.
  ///
  /// PERF: a line of its own, and one for the three texts: rules themselves are spread over ten (bench_classify, sflow_all_known).
  struct alignas(64) Action {
    std::string_view labels, rule_id;  // as records have them: lengths and octets; each label once
    std::string_view application;      // the three stand one behind the other, in this order
    uint32_t sample = 0;               // one in so many; 0: all
    uint16_t route = 0;                // place in routes() + 1; 0: none
    Extract extracts = Extract::none;
    bool drops = false;
    bool asks_more = false;  // than its pattern, where that one looks
  };
  static_assert(sizeof(Action) == 64);
  /// All places where patterns look, in their order.
  template <class Set, class Use>
  static void for_each_lookout(Set& set, Use use) {
    for (auto* gate : {&set.tcp_, &set.udp_})
      for (auto& group : gate->groups()) use(group.lookout);
    for (auto& each : set.texts_) use(each.second);
    for (auto& each : set.elements_) use(each.second);
  }
  Result<void> compile(const RuleSetOptions& options);
  /// Rules of one transport by what can be scanned for together.
  Result<void> prepare_actions();

  std::vector<std::string> files_;
  std::vector<Rule> rules_;
  std::vector<Action> actions_;   // by rule
  std::vector<uint64_t> salts_;   // of sampling, by rule
  std::deque<std::string> texts_of_actions_;
  rules::Program program_;
  RecordFields fields_;
  PayloadGate tcp_, udp_;
  std::vector<std::pair<LookPlace, Lookout>> texts_;  // fields of records
  std::vector<std::pair<ElementKey, Lookout>> elements_;
  std::vector<uint16_t> plain_;  // rules without a pattern
  std::vector<std::string> routes_;
  std::string hash_;
  std::vector<std::string> warnings_;
  size_t patterns_ = 0;
};

}  // namespace weir::classify
