// compiler.h — Expressions → flat code.
//
// Runs on:  any thread, when rules are read.
// Failure:  an Error with the place: names that are not there, types that can never go together, and what of the language is not for flows
//           on their way (closures, objects, regular expressions).
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "rules/ast.h"
#include "rules/compile_parts.h"
#include "rules/interpreter.h"
#include "rules/program.h"

namespace weir::rules {

/// A value that is computed once for each flow, for all rules.
struct Derived {
  std::string name;
  uint8_t types = 0;           // the kinds of values (compile_parts.h) that it may be
  const Node* tree = nullptr;  // what it is of, which outlives all compilation
};

/// What expressions of one set of rules may name beside the flow's fields.
struct Environment {
  std::map<std::string, std::shared_ptr<const NamedSet>, std::less<>> sets;
  std::map<std::string, std::shared_ptr<const Dictionary>, std::less<>> dictionaries;
  std::vector<Derived> derived;
  /// Null where none is called that.
  const Derived* find_derived(std::string_view name) const noexcept {
    const auto at = std::find_if(derived.begin(), derived.end(), [name](const Derived& each) { return each.name == name; });
    return at != derived.end() ? &*at : nullptr;
  }
  std::vector<std::string> derived_later;  // in the same file, further down or just now: for messages
  std::map<std::string, std::string, std::less<>> aliases;  // derived values that are nothing but a field, and the field
};

/// Names and functions for the interpreter, so that it means by them what compiled code does. `root` and `environment`
/// outlive it.
Scope scope_of(const Environment& environment, const Value& root);

/// Where jumps lead that are not yet known.
using Label = std::vector<size_t>;

/// Whether types that can never go together are an error, as what somebody writes for flows; or have no value when a flow comes to them,
/// as decision files have it.
enum class TypeMistakes : uint8_t { are_refused, have_no_value };

class Compiler {
 public:
  Compiler(const Environment& environment, Program& program, TypeMistakes mistakes = TypeMistakes::are_refused)
      : environment_(environment), program_(program), mistakes_(mistakes) {}

  /// Code that jumps to `label` where the expression is `when`, and goes on where it is not.
  Result<void> jump_if(const Node& node, bool when, Label& label);
  /// Code that leaves the expression's value in register 0; which kinds of values that may be (compile_parts.h).
  Result<uint8_t> value(const Node& node);

  /// The value of a constant; nothing of what is none, or has none.
  std::optional<Value> folded(const Node& node);
  /// More to spend on constants: an expression's own literals always go.
  void grant(size_t expression_octets) noexcept { left_ += kWeightOfOctet * expression_octets; }

  size_t emit(const Instruction& instruction);
  void bind(const Label& label);
  uint16_t text_constant(std::string text);

 private:
  using Types = uint8_t;  // which kinds of cells a value may be

  Result<Types> value_in(const Node& node, uint8_t target);
  Result<Types> name_in(const Node& node, uint8_t target);
  Result<Types> binary_in(const Node& node, uint8_t target);
  Result<Types> call_in(const Node& node, uint8_t target);
  Result<Types> boolean_in(const Node& node, uint8_t target);
  Result<Types> membership_in(const Node& node, uint8_t target);
  Result<Types> cidr_in(const Node& node, uint8_t target);
  Result<Types> lookup_in(const Node& node, uint8_t target);
  Result<Types> list_call_in(const Node& node, FieldRef list, uint8_t target);
  Result<Types> entry_of_list(const Node& what, FieldRef list, uint8_t target);

  /// Whether it was a condition on the flow itself, which needs no registers.
  Result<bool> fused(const Node& node, bool when, Label& label);
  bool fused_comparison(const Node& node, bool when, Label& label);
  Result<bool> fused_membership(const Node& node, bool when, Label& label);
  void emit_condition(Instruction instruction, bool when, Label& label);
  /// The same, where what it comes to is wanted as a value.
  Result<bool> fused_value(const Node& node, uint8_t target);

  Result<uint16_t> set_index(const Node& node);
  Result<uint16_t> prefixes_of(const Node& node);
  uint16_t add_set(std::shared_ptr<const NamedSet> set);
  uint16_t constant(const Cell& cell);
  uint16_t truth(bool value);
  Error wrong(const Node& node, const std::string& what) const;
  Error never_equal(const Node& node, Types left, Types right) const;
  bool refuses() const noexcept { return mistakes_ == TypeMistakes::are_refused; }

  static constexpr uint64_t kWeightOfOctet = 8;  // `1,` is two octets, one value, and folded twice in two compilations at most

  const Environment& environment_;
  Program& program_;
  const TypeMistakes mistakes_;
  uint64_t left_ = kInterpretedMax;  // for all constants together
  std::map<const Node*, std::optional<Value>> folded_;  // trees outlive their compilation
  std::array<std::optional<uint16_t>, 2> truths_;       // the constants false and true
};

}  // namespace weir::rules
