// decision_writer.h — What a decision file makes of a flow, written as JSON.
//
// Spec:     docs/RULES.md, "Decision files".
// Runs on:  any thread; what a run needs is the caller's. Pure: no clock, no allocation.
// Bounds:   writes into the caller's octets.
// Failure:  no_value where an expression has none for this flow, as the engine ends the decision there; too_large where the result does
//           not fit. Nothing is written then.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "flow/flow_view.h"
#include "rules/decision_program.h"
#include "transform/decisions.h"

namespace weir::transform {

enum class DecisionEnd : uint8_t { written, no_value, too_large };

/// Memory that runs share, one after the other.
class DecisionWriter {
 public:
  /// The octets; 0 where `end` is not written. The rate of sampling is the one after rules left flows out.
  size_t write(const rules::DecisionProgram& program, const FlowView& flow, const Decisions& decisions, std::span<char> out,
               DecisionEnd& end) noexcept;
  /// Of a run that ended with no_value: which expression had none, itself or by another that it uses. Into the program.
  std::string_view without_value() const noexcept { return without_value_; }

 private:
  size_t run(const rules::DecisionProgram& program, const FlowView& flow, std::span<char> out, DecisionEnd& end) noexcept;

  std::string_view without_value_;
  rules::Scratch scratch_;
  rules::Outcome outcome_;
  FlowView scaled_;
};

}  // namespace weir::transform
