// program.h — Rules as flat code: what runs for each flow.
//
// Spec:     docs/RULES.md; the interpreter (interpreter.h) says what an expression means, and the two are compared on random flows.
// Runs on:  any thread; a program is constant, what a run needs is the caller's.
// Bounds:   no allocation, no recursion; jumps lead forwards only, so a run takes at most as many steps as there are instructions.
//           Text that is made for a flow takes at most kScratchOctets.
// Failure:  an expression that has no value for this flow (a text added to a number, text beyond the scratch) makes its rule
//           not apply, and is counted.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/named_enum.h"
#include "flow/flow_view.h"
#include "rules/decimal.h"
#include "rules/flow_fields.h"
#include "rules/rule_index.h"
#include "rules/sets.h"

namespace weir::rules {

inline constexpr size_t kRegistersMax = 32;
inline constexpr size_t kScratchOctets = 8 * 1024;
inline constexpr size_t kInstructionsMax = 100'000;
inline constexpr size_t kTargetsMax = 64;
inline constexpr size_t kDerivedMax = 32;
inline constexpr size_t kFlowLabelsMax = 16;  // that rules give one flow

#define WEIR_CELL_KINDS(X) X(null) X(boolean) X(number) X(text)
WEIR_NAMED_ENUM(CellKind, uint8_t, WEIR_CELL_KINDS)

/// A value while a program runs.
struct Cell {
  CellKind kind = CellKind::null;
  bool boolean = false;
  Decimal number;
  std::string_view text;

  static Cell of(bool v) noexcept;
  static Cell of(const Decimal& v) noexcept;
  static Cell of(std::string_view v) noexcept;
  friend bool operator==(const Cell& a, const Cell& b) noexcept;
};

// Functions of values. The names are the language's.
#define WEIR_CELL_FUNCTIONS(X)                                                                                     \
  X(len) X(contains) X(startsWith) X(endsWith) X(upper) X(lower) X(trim) X(abs) X(floor) X(ceil) X(round) X(trunc) \
  X(string) X(number) X(isNumeric) X(bit_and) X(is_private) X(ip_version) X(mac)
enum class CellFunction : uint8_t {
#define WEIR_FUNCTION_(n) n##_,
  WEIR_CELL_FUNCTIONS(WEIR_FUNCTION_)
#undef WEIR_FUNCTION_
      count_
};

// clang-format off
enum class Op : uint8_t {
  // Conditions on the flow itself: they jump where the answer is `flag`.
  if_number,        // a: slot, b: BinaryOperator, value: what with
  if_number_in,     // a: slot, index: set
  if_address_in,    // a: slot, index: set
  if_address_is,    // a: slot, index: constant (octets)
  if_text_is,       // a: slot, index: constant
  if_list_has,      // a: slot, value: number
  // Conditions on registers, which must be booleans.
  if_true,          // a: register
  if_null,          // a: register (no boolean asked)
  jump,
  // Registers: a is where the result goes, b and c are what of.
  load_constant,    // index
  load_field,       // b: FieldKind, c: slot
  load_derived,     // index
  arithmetic,       // flag unused, index: BinaryOperator
  negate, invert, check_number, check_boolean,
  member_of_set,    // b: register, index: set
  address_in_set,   // b: OctetsSlot, index: set
  in_interval,      // b: first of three registers: value, low, high; index: bit 0 low outside, bit 1 high outside
  equal_any,        // b: register, c: another; a becomes true where equal (a was false or true before)
  list_length,      // c: slot, b: FieldKind
  list_contains,    // b: register, c: slot, index: FieldKind
  call,             // b: first argument, c: how many, index: CellFunction
  whole_quotient,   // b, c: registers; index: CellFunction, floor or trunc of the quotient
  concatenate,      // b: first, c: how many; templates
  lookup,           // b: key's register, c: column, index: dictionary
  no_value,         // what cannot have one, whatever the flow
  // Rules.
  begin_rule,       // index: rule; jump: the next rule
  hit,
  drop,
  sample,           // value: one in so many; index: salt
  set_target,       // a: register, index: target
  add_label,        // index: constant
  store_derived,    // a: register, index
  next_rule,        // between rules: on to the next one that the flow may match
  finish,
};
// clang-format on

struct Instruction {
  Op op = Op::finish;
  uint8_t a = 0, b = 0, c = 0;
  bool flag = false;
  uint16_t index = 0;
  uint32_t jump = 0;
  uint64_t value = 0;
};

/// What a target may be given. Enumerations and ranges keep events valid whatever a rule computes.
enum class TargetKind : uint8_t { text, integer, any };
struct Target {
  std::string name;
  TargetKind kind = TargetKind::text;
  std::vector<int64_t> allowed;  // of integers; empty: 0 to 2^53
};

/// What a flow's run came to. Views are into the program, the flow or the scratch.
struct Outcome {
  bool is_dropped = false;
  bool is_sampled_out = false;
  uint16_t decided_by = 0;       // the rule that dropped it
  uint64_t sampling_factor = 1;  // one in so many of its like were kept
  uint64_t targets_set = 0;      // bit i: targets[i] has a value
  uint16_t errors = 0;
  uint16_t labels = 0;
  uint32_t labels_left_out = 0;  // beyond kFlowLabelsMax
  std::array<std::string_view, kFlowLabelsMax> label;
  std::array<Cell, kTargetsMax> targets;

  bool has(size_t target) const noexcept { return (targets_set >> target & 1) != 0; }
};

/// Memory that runs share, one after the other.
class Scratch {
 public:
  void clear() noexcept { used_ = 0; }
  /// Null where there is not as much.
  char* take(size_t octets) noexcept {
    if (kScratchOctets - used_ < octets) return nullptr;
    char* const p = octets_.get() + used_;
    used_ += octets;
    return p;
  }
  std::array<Cell, kRegistersMax> registers;
  std::array<Cell, kDerivedMax> derived;
  std::array<uint64_t, kIndexedRulesMax / 64> candidates;  // rules that are still to be asked

 private:
  std::unique_ptr<char[]> octets_ = std::make_unique<char[]>(kScratchOctets);
  size_t used_ = 0;
};

/// One writer: whoever runs the program.
struct RuleCounts {
  uint64_t hits = 0;
  uint64_t errors = 0;
};

class Program {
 public:
  /// `counts`: one for each rule, or empty. Begins with the instruction at `begin`.
  void run(const FlowView& flow, Scratch& scratch, Outcome& outcome, std::span<RuleCounts> counts = {},
           size_t begin = 0) const noexcept;

  std::vector<Instruction> code;
  std::deque<std::string> constant_texts;  // what constants' views look at
  std::vector<Cell> constants;
  std::vector<std::shared_ptr<const NamedSet>> sets;
  std::vector<std::shared_ptr<const Dictionary>> dictionaries;
  std::vector<Target> targets;
  size_t rules = 0;
  // Of rules between which there is next_rule; empty: one after the other.
  RuleIndex index;
  std::vector<uint32_t> rule_begins;
};

}  // namespace weir::rules
