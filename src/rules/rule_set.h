// rule_set.h — A file of rules, or a folder of such files: read, checked, compiled.
//
// Spec:     docs/RULES.md.
// Runs on:  any thread, off the flows' way. What it makes is constant.
// Bounds:   kRulesFileOctetsMax, kRulesMax, kDerivedMax, kTargetsMax; those of sets and dictionaries (sets.h).
// Failure:  an Error that names file, line, rule and what is allowed there; nothing is taken of a file with one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file_stamp.h"
#include "base/result.h"
#include "rules/compiler.h"
#include "rules/decision_program.h"

namespace weir::rules {

inline constexpr size_t kRulesFileOctetsMax = 16 << 20;
inline constexpr size_t kRulesMax = 10'000;
inline constexpr uint64_t kSampleMax = 1'000'000'000;

/// A rule as it was written, for those who look at it plainly.
struct Rule {
  std::string id;
  size_t line = 0;
  std::string condition;  // empty: always
  NodePtr when;
  bool drops = false;
  uint64_t sample = 0;  // 0: not
  struct Assignment {
    size_t target;
    std::string text;
    NodePtr value;
  };
  std::vector<Assignment> set;
  std::vector<std::string> labels;
};

/// Plainly, and as it runs for each flow.
struct DecisionFile {
  Decision plain;
  DecisionProgram program;
};

class RuleSet {
 public:
  /// Of a folder its files that end in .yaml, in the order of their names, as if they were one: an id, a set and the like are there once.
  /// `targets`: what rules may set beside unmapped.<name>.
  /// `files`: takes each file that is read, as it was before, also where it is wrong; may be null.
  static Result<std::unique_ptr<const RuleSet>> read(const std::string& path, const std::vector<Target>& targets, StampedFiles* files = nullptr);
  /// Of text; `folder` is where dictionaries are.
  static Result<std::unique_ptr<const RuleSet>> parse(const std::string& text, const std::string& name, const std::string& folder,
                                                      const std::vector<Target>& targets, StampedFiles* files = nullptr);

  const Program& program() const { return program_; }
  const std::vector<Rule>& rules() const { return rules_; }
  const Environment& environment() const { return environment_; }
  /// What makes of each flow that is kept what stands for its event; null where the file names none.
  const DecisionFile* decision() const { return decision_.get(); }
  /// SHA-256 of the file, its dictionaries and its decision file, in hexadecimal digits: which rules made an event.
  const std::string& hash() const { return hash_; }
  /// The file's name, or the folder's, without what it lies in.
  const std::string& name() const { return name_; }
  /// Prefixes of the operator's own networks; null where the file has none.
  const PrefixSet* local_prefixes() const { return local_ != nullptr ? &local_->prefixes : nullptr; }

 private:
  friend class RuleReader;
  friend struct PlainRun;
  std::string name_;
  std::string hash_;
  Program program_;
  Environment environment_;
  std::vector<NodePtr> derived_;
  std::vector<Rule> rules_;
  std::shared_ptr<const NamedSet> local_;
  std::unique_ptr<const DecisionFile> decision_;
};

/// What each rule did, found out by interpreting it.
struct RuleTrace {
  const Rule* rule = nullptr;
  bool matched = false;
  std::string error;                // why it could not be asked, or not set something
  std::vector<std::string> did;     // in words
};
struct PlainOutcome {
  bool is_dropped = false;
  bool is_sampled_out = false;
  uint64_t sampling_factor = 1;
  size_t errors = 0;
  std::vector<std::pair<std::string, Value>> set;  // target and value, the last one of each
  std::vector<std::string> labels;
  size_t labels_left_out = 0;
  std::vector<std::pair<std::string, std::string>> derived;  // name and value, or why it has none
  std::vector<RuleTrace> trace;
};

/// The rules' meaning for one flow, interpreted: the specification of Program::run.
PlainOutcome run_plainly(const RuleSet& rules, const FlowView& flow);

/// Whether a rule that samples one in `n` keeps this flow: the same wherever and however often it is asked.
bool keeps_sample(const FlowView& flow, uint16_t rule, uint64_t n) noexcept;
/// Whether a target may have this value.
bool is_allowed(const Target& target, const Cell& cell) noexcept;
/// What it may have, in words.
std::string allowed_of(const Target& target);
/// Whether it says that the attribute is not written: null, of what is no number, as a key that a dictionary has not.
bool is_left_out(const Target& target, const Cell& cell) noexcept;

}  // namespace weir::rules
