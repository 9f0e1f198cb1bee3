#include "rules/decision_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "rules/compile_parts.h"
#include "rules/compiler.h"
#include "rules/decision_tree_parts.h"
#include "rules/decision_trees.h"
#include "rules/interpreter.h"

namespace weir::rules {
namespace {

using compile::field_of;
using compile::is_list;
using trees::may_be_null;
using trees::may_fail;

constexpr uint16_t kNoRule = UINT16_MAX;

std::string json_of(const std::string& text) { return Value::of(text).to_json(); }

/// For a header: short, and without line ends.
std::string line_of(const std::string& where) {
  constexpr size_t kOctetsMax = 200;
  std::string line = where.substr(0, kOctetsMax);
  while (line.size() < where.size() && !line.empty() && (where[line.size()] & 0xc0) == 0x80) line.pop_back();  // within a character
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line.size() < where.size() ? line + "…" : line;
}

class Writer {
 public:
  explicit Writer(DecisionProgram& program) : program_(program), compiler_(kNothing, program.values, TypeMistakes::have_no_value) {}

  Result<void> write(const DecisionTrees& trees) {
    program_.places.resize(trees.expressions.size() + 1);
    for (const DecisionTrees::Expression& e : trees.expressions) program_.places[e.number] = line_of(e.where);
    put(*trees.result);
    for (const DecisionTrees::Expression& e : trees.expressions) {
      if (!written_.contains(e.number)) check(*e.tree);
    }
    flush();
    add({.op = DecisionOp::finish});
    if (program_.steps.size() > kDecisionStepsMax || program_.values.code.size() > kInstructionsMax ||
        program_.values.constants.size() > UINT16_MAX || program_.values.sets.size() > UINT16_MAX) {
      fail("it is too large for one program");
    }
    if (!error_.empty()) return Error{error_};
    return {};
  }

  /// Everything of an expression, so that what is beyond us is told of the one that says it.
  Result<void> try_out(const Node& tree) {
    put(tree);
    if (!error_.empty()) return Error{error_};
    return {};
  }

 private:
  using Jumps = std::vector<size_t>;

  void fail(const std::string& what) {
    if (error_.empty()) error_ = what;
  }
  size_t add(const DecisionStep& step) {
    flush();
    program_.steps.push_back(step);
    if (program_.steps.size() > kDecisionStepsMax) fail(fmt::format("it takes more than {} steps", kDecisionStepsMax));
    return program_.steps.size() - 1;
  }
  void flush() {
    if (pending_.empty()) return;
    const std::string text = std::move(pending_);
    pending_.clear();
    add({.op = DecisionOp::put_text, .at = static_cast<uint32_t>(program_.texts.size()), .octets = static_cast<uint32_t>(text.size())});
    program_.texts += text;
  }
  void bind(const Jumps& jumps) {
    flush();
    for (const size_t at : jumps) program_.steps[at].jump = static_cast<uint32_t>(program_.steps.size());
  }

  /// Its value, as JSON.
  void put(const Node& n) {
    if (!error_.empty()) return;
    if (n.expression != 0 && branches_ == 0) written_.insert(n.expression);
    switch (n.kind) {
      case NodeKind::null_literal: pending_ += "null"; return;
      case NodeKind::boolean_literal: pending_ += n.flag ? "true" : "false"; return;
      case NodeKind::number_literal: pending_ += n.number.to_json(); return;
      case NodeKind::string_literal: pending_ += json_of(n.text); return;
      case NodeKind::interval: {
        const auto value = interpret(n, {});
        if (!value) return fail(value.error().message);
        pending_ += value->to_json();
        return;
      }
      case NodeKind::name: return put_field(n);
      case NodeKind::object: return put_object(n);
      case NodeKind::array:
        pending_ += '[';
        for (size_t i = 0; i < n.children.size(); ++i) {
          if (i != 0) pending_ += ',';
          put(*n.children[i]);
        }
        pending_ += ']';
        return;
      case NodeKind::conditional:
        return branch(n, [this](const Node& part) { put(part); });
      case NodeKind::coalesce:
        return either(
            n, [this] { add({.op = DecisionOp::put_value}); }, [this](const Node& part) { put(part); });
      default:
        evaluate(n);
        add({.op = DecisionOp::put_value});
    }
  }

  void put_field(const Node& n) {
    const auto field = field_of(n);
    if (!field) return fail(fmt::format("at {}: {} is no field of flows", n.at + 1, n.text));
    if (is_list(field->kind)) {
      pending_ += '[';
      add({.op = DecisionOp::put_list, .field = *field});
      pending_ += ']';
    } else {
      add({.op = DecisionOp::put_field, .field = *field});
    }
  }

  void put_object(const Node& n) {
    bool has_some_sometimes = false;
    for (size_t i = 0; i < n.children.size(); i += 2) has_some_sometimes |= n.children[i]->flag;
    pending_ += '{';
    for (size_t i = 0; i < n.children.size(); i += 2) {
      const std::string key = json_of(n.children[i]->text) + ":";
      if (n.children[i]->flag) {
        put_unless_null(key, *n.children[i + 1]);
        continue;
      }
      if (!has_some_sometimes && i != 0) pending_ += ',';
      pending_ += key;
      put(*n.children[i + 1]);
      if (has_some_sometimes) pending_ += ',';
    }
    if (has_some_sometimes) add({.op = DecisionOp::close_object});
    else pending_ += '}';
  }

  /// A member that is not there where its value is null.
  void put_unless_null(const std::string& key, const Node& n) {
    if (!error_.empty() || n.kind == NodeKind::null_literal) return;
    if (n.expression != 0 && branches_ == 0) written_.insert(n.expression);
    const auto put_part = [&](const Node& part) { put_unless_null(key, part); };
    const auto put_made = [&] {
      pending_ += key;
      add({.op = DecisionOp::put_value});
      pending_ += ',';
    };
    if (!may_be_null(n)) {
      pending_ += key;
      put(n);
      pending_ += ',';
    } else if (n.kind == NodeKind::conditional) {
      branch(n, put_part);
    } else if (n.kind == NodeKind::coalesce) {
      either(n, put_made, put_part);
    } else {
      evaluate(n);
      const Jumps end = {add({.op = DecisionOp::if_null})};
      put_made();
      bind(end);
    }
  }

  /// Nothing, but that it has a value.
  void check(const Node& n) {
    if (!error_.empty() || !may_fail(n)) return;
    if (n.kind == NodeKind::object || n.kind == NodeKind::array) {
      for (const NodePtr& child : n.children) check(*child);
    } else if (n.kind == NodeKind::conditional) {
      branch(n, [this](const Node& part) { check(part); });
    } else if (n.kind == NodeKind::coalesce) {
      either(
          n, [] {}, [this](const Node& part) { check(part); });
    } else {
      evaluate(n);
    }
  }

  template <class Part>
  void branch(const Node& n, Part part) {
    Jumps otherwise = {condition(*n.children[0])};
    ++branches_;
    part(*n.children[1]);
    const Jumps end = {add({.op = DecisionOp::jump})};
    bind(otherwise);
    part(*n.children[2]);
    --branches_;
    bind(end);
  }

  template <class Made, class Part>
  void either(const Node& n, Made made, Part part) {
    evaluate(*n.children[0]);
    const Jumps is_null = {add({.op = DecisionOp::if_null})};
    ++branches_;
    made();
    const Jumps end = {add({.op = DecisionOp::jump})};
    bind(is_null);
    part(*n.children[1]);
    --branches_;
    bind(end);
  }

  /// Where to go on if it does not hold.
  size_t condition(const Node& n) {
    // PERF: most are of this kind, and need no program (decision, perf/bench_transform).
    const auto field = n.kind == NodeKind::binary && n.op <= BinaryOperator::greater_equal ? field_of(*n.children[0]) : std::nullopt;
    if (field && field->kind == FieldKind::number && n.children[1]->kind == NodeKind::number_literal) {
      if (const auto number = n.children[1]->number.to_uint64()) {
        return add({.op = DecisionOp::unless_number, .compare = n.op, .field = *field, .value = *number});
      }
    }
    const size_t begin = compiler_.emit({.op = Op::begin_rule, .index = kNoRule});
    Label no;
    if (const auto compiled = compiler_.jump_if(n, false, no); !compiled) fail(compiled.error().message);
    leave(true);
    const size_t end = compiler_.emit({.op = Op::jump});
    compiler_.bind(no);
    leave(false);
    compiler_.bind({begin, end});
    compiler_.emit({.op = Op::finish});
    add({.op = DecisionOp::evaluate, .at = static_cast<uint32_t>(begin), .value = n.from});
    return add({.op = DecisionOp::unless_true});
  }
  void leave(bool truth) {
    program_.values.constants.push_back(Cell::of(truth));
    compiler_.emit({.op = Op::load_constant, .a = 0, .index = static_cast<uint16_t>(program_.values.constants.size() - 1)});
  }

  void evaluate(const Node& n) {
    const size_t begin = compiler_.emit({.op = Op::begin_rule, .index = kNoRule});
    if (const auto compiled = compiler_.value(n); !compiled) fail(compiled.error().message);
    compiler_.bind({begin});
    compiler_.emit({.op = Op::finish});
    add({.op = DecisionOp::evaluate, .at = static_cast<uint32_t>(begin), .value = n.from});
  }

  inline static const Environment kNothing;
  DecisionProgram& program_;
  Compiler compiler_;
  std::string pending_;  // text that is the same for every flow
  std::string error_;
  unsigned branches_ = 0;
  std::set<uint32_t> written_;  // expressions whose value is asked of every flow
};

}  // namespace

Result<DecisionProgram> DecisionProgram::compile(const Decision& decision) {
  const auto trees = DecisionTrees::of(decision);
  if (!trees) return trees.error();
  for (const DecisionTrees::Expression& e : trees->expressions) {
    DecisionProgram alone;
    if (const auto tried = Writer(alone).try_out(*e.tree); !tried) return Error{fmt::format("{}: {}", e.where, tried.error().message)};
  }
  DecisionProgram program;
  if (const auto written = Writer(program).write(*trees); !written) return written.error();
  return program;
}

}  // namespace weir::rules
