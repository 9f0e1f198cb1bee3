// decision_program.h — A decision file as flat code: what writes its result for a flow without making a value of it.
//
// Spec:     docs/RULES.md, "Decision files"; Decision::evaluate (jdm.h) of context_of(flow) says what the result is, and the two are compared
//           on random flows and expressions.
// Runs on:  compiled on any thread, when rules are read; constant from then on. transform/decision_writer.h runs it.
// Bounds:   kDecisionStepsMax; jumps lead forwards only. What runs between is a Program's, with its bounds.
// Failure:  an Error that names node, expression and place.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "rules/jdm.h"
#include "rules/program.h"

namespace weir::rules {

inline constexpr size_t kDecisionStepsMax = 100'000;

// clang-format off
enum class DecisionOp : uint8_t {
  put_text,       // at, octets: of texts
  put_field,      // field
  put_list,       // field: its items, between commas
  put_value,      // what evaluate has left
  close_object,   // a brace in the place of the last comma
  evaluate,       // at: where the program begins that leaves a value, or has none; value: which of the places it is of
  unless_number,  // field.slot, compare, value: jumps where it does not hold
  unless_true,    // jumps; the value is true or false
  if_null,        // jumps
  jump,
  finish,
};
// clang-format on

struct DecisionStep {
  DecisionOp op = DecisionOp::finish;
  BinaryOperator compare = BinaryOperator::equal;
  FieldRef field;
  uint32_t at = 0, octets = 0;
  uint32_t jump = 0;
  uint64_t value = 0;
};

struct DecisionProgram {
  std::string name;  // of the file, without its folder
  std::string texts;
  std::vector<DecisionStep> steps;
  std::vector<std::string> places;  // what each expression is called, one line; those that others use are theirs too
  Program values;

  static Result<DecisionProgram> compile(const Decision& decision);
};

}  // namespace weir::rules
