// jdm.h — Decision files of existing installations (JDM), interpreted.
//
// Spec:     docs/RULES.md, "Decision files": input, output and expression nodes in any graph without circles; the same results as the
//           reference engine (@gorules/zen-engine), which tests ask where it is at hand.
// Runs on:  any thread. Allocates.
// Bounds:   kDecisionOctetsMax, kDecisionNodesMax, kDecisionExpressionsMax, kDecisionDepthMax; kInterpretedMax (interpreter.h) for all expressions together.
// Failure:  an Error that names node and expression: when the file is read for what is beyond us, when it runs for what has no value.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rules/ast.h"
#include "rules/value.h"

namespace weir::rules {

inline constexpr size_t kDecisionOctetsMax = 4 << 20;
inline constexpr size_t kDecisionNodesMax = 1000;
inline constexpr size_t kDecisionExpressionsMax = 10'000;
/// Values in values that a step may make: what copies, compares and writes them recurses.
inline constexpr size_t kDecisionDepthMax = 512;

class Decision {
 public:
  static Result<Decision> parse(std::string_view json);

  /// What comes out at the end. An expression without a value ends all of it, as in the engine. `did`: takes what each expression
  /// came to.
  struct Trace {
    std::string node, key, value;
  };
  Result<Value> evaluate(const Value& input, std::vector<Trace>* did = nullptr) const;

  struct Expression {
    std::vector<std::string> path;  // of the key, by its points
    std::string key, text;
    NodePtr tree;
  };
  struct Step {
    std::string id, name;
    bool is_input = false;       // what the decision is asked about goes out
    bool is_output = false;      // nothing runs behind it
    bool is_expression = false;  // else what comes in goes out
    bool passes_through = false;
    std::vector<std::string> input_path, output_path;
    std::vector<Expression> expressions;
    std::vector<size_t> parents;  // steps before it, in the order in which their outputs are merged

    /// For messages.
    const std::string& shown() const { return name.empty() ? id : name; }
  };
  const std::vector<Step>& steps() const { return steps_; }
  /// Steps that nothing comes behind, whose outputs are merged into the result, in that order.
  const std::vector<size_t>& ends() const { return ends_; }

 private:
  Result<Value> run(const Step& step, const Value& input, uint64_t& left, std::vector<Trace>* did) const;
  static Result<Step> read_step(const Value& node, size_t& expressions);

  static Result<Decision> in_order(std::vector<Step> steps, const std::vector<std::vector<size_t>>& parents,
                                   const std::vector<std::vector<size_t>>& children);

  std::vector<Step> steps_;  // those that run, in their order: all parents come first
  std::vector<size_t> ends_;
};

/// `patch` over `into`: null takes a key away, objects on both sides are merged, everything else is replaced.
void merge_patch(Value& into, const Value& patch);

}  // namespace weir::rules
