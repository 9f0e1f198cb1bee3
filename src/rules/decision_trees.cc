#include "rules/decision_trees.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "rules/compile_parts.h"
#include "rules/decision_tree_parts.h"
#include "rules/flow_fields.h"
#include "rules/functions.h"
#include "rules/interpreter.h"

namespace weir::rules {

using namespace trees;

namespace {

constexpr std::array<std::string_view, 8> kClosures = {"all", "none", "some", "one", "filter", "map", "flatMap", "count"};
constexpr size_t kOctetsOfNode = 64;  // of text, that count as much as a node

/// Makes the trees, and counts what they take.
class Maker {
 public:
  explicit Maker(DecisionTrees& trees) : trees_(trees) {}

  Result<void> run(const Decision& decision) {
    const NodePtr flow = flow_tree();
    std::vector<NodePtr> outputs;
    NodePtr result = made(NodeKind::object, 0);
    for (const Decision::Step& step : decision.steps()) {
      where_ = fmt::format("node '{}'", step.shown());
      NodePtr in = step.is_input ? copy(*flow) : made(NodeKind::object, 0);
      if (step.is_input) {
        outputs.push_back(std::move(in));
        continue;
      }
      for (const size_t parent : step.parents) merge(*in, *outputs[parent]);
      if (step.is_expression) in = outcome_of(step, std::move(in));
      if (!error_.empty()) return Error{error_};
      outputs.push_back(std::move(in));
    }
    for (const size_t end : decision.ends()) merge(*result, *outputs[end]);
    if (!error_.empty()) return Error{error_};
    trees_.result = std::move(result);
    return {};
  }

 private:
  static NodePtr flow_tree() {
    NodePtr flow = made(NodeKind::object, 0);
    for (const std::string_view name : field_names()) {
      NodePtr field = made(NodeKind::name, 0);
      field->text = name;
      flow->children.push_back(text_node(std::string(name), 0));
      flow->children.push_back(std::move(field));
    }
    return flow;
  }

  void fail(const std::string& what) {
    if (error_.empty()) error_ = fmt::format("{}: {}", where_, what);
  }
  void fail(const Node& n, const std::string& what) { fail(fmt::format("at {}: {}", n.at + 1, what)); }

  /// Counts a node, and its text, which may be all of what it takes.
  bool take(std::string_view text) { return take(1 + text.size() / kOctetsOfNode); }
  bool take(uint64_t weight) {
    made_ += weight;
    if (made_ > kTreeNodesMax) fail(fmt::format("what it is of takes more than {} steps", kTreeNodesMax));
    return made_ <= kTreeNodesMax;
  }

  NodePtr copy(const Node& n) {
    if (!take(n.text)) return made(NodeKind::null_literal, n.at);
    NodePtr c = made(n.kind, n.at);
    c->op = n.op;
    c->flag = n.flag;
    c->flag2 = n.flag2;
    c->number = n.number;
    c->text = n.text;
    c->expression = n.expression;
    c->from = n.from;
    for (const NodePtr& child : n.children) c->children.push_back(child == nullptr ? nullptr : copy(*child));
    return c;
  }

  /// merge_patch, of objects.
  void merge(Node& into, const Node& patch) {
    for (size_t i = 0; i + 1 < patch.children.size(); i += 2) {
      const std::string& key = patch.children[i]->text;
      const Node& value = *patch.children[i + 1];
      if (value.kind == NodeKind::null_literal) {
        erase_member(into, key);
        continue;
      }
      if (const auto place = place_of(into, key)) {
        Node& there = *into.children[*place];
        if (there.kind == NodeKind::object && value.kind == NodeKind::object) {
          there.expression = 0;
          merge(there, value);
          continue;
        }
        if (objectness_of(there) != Objectness::never && objectness_of(value) != Objectness::never) {
          fail(fmt::format("{}: two objects are merged here, one of which is not there for every flow", key));
          return;
        }
      }
      if (const auto place = place_of(into, key); place && patch.children[i]->flag) {
        put_over(into, *place, value);
      } else {
        set_member(into, key, copy(value), may_be_null(value));
      }
      if (!error_.empty()) return;
    }
  }

  /// A member that is not there where `value` is null: then the one that was there before stays.
  void put_over(Node& into, size_t place, const Node& value) {
    NodePtr all = either(value, *into.children[place]);
    if (depth_of(*all) > kDecisionDepthMax) fail(fmt::format("what it is of is deeper than {} steps", kDecisionDepthMax));
    into.children[place] = std::move(all);
  }
  /// `value ?? otherwise`, where the branches may be lists and objects, which no program computes.
  NodePtr either(const Node& value, const Node& otherwise) {
    if (value.kind == NodeKind::null_literal) return copy(otherwise);
    if (!may_be_null(value)) return copy(value);
    if (value.kind == NodeKind::conditional) {
      NodePtr r = copy_of_head(value);
      r->children.push_back(copy(*value.children[0]));
      r->children.push_back(either(*value.children[1], otherwise));
      r->children.push_back(either(*value.children[2], otherwise));
      return r;
    }
    NodePtr r = made(NodeKind::coalesce, value.at);
    r->from = value.from;
    const bool is_coalesce = value.kind == NodeKind::coalesce;
    r->children.push_back(copy(is_coalesce ? *value.children[0] : value));
    r->children.push_back(is_coalesce ? either(*value.children[1], otherwise) : copy(otherwise));
    return r;
  }

  /// What is at the end of the path; null where nothing is.
  NodePtr at_path(const Node& root, const std::vector<std::string>& path) {
    const Node* at = &root;
    for (const std::string& name : path) {
      if (at->kind != NodeKind::object && objectness_of(*at) != Objectness::never) {
        fail(fmt::format("inputField: {} is of what is not there for every flow", name));
      }
      at = at->kind == NodeKind::object ? member_of(*at, name) : nullptr;
      if (at == nullptr) return made(NodeKind::null_literal, 0);
    }
    return copy(*at);
  }

  /// Decision's set_at.
  void set_at(Node& root, const std::vector<std::string>& path, NodePtr value) {
    Node* at = &root;
    for (size_t i = 0; i + 1 < path.size(); ++i) {
      if (!place_of(*at, path[i])) set_member(*at, path[i], made(NodeKind::object, value->at));
      Node* const next = at->children[*place_of(*at, path[i])].get();
      if (next->kind != NodeKind::object && objectness_of(*next) != Objectness::never) {
        fail(fmt::format("{} is not an object for every flow", path[i]));
      }
      if (next->kind != NodeKind::object) return;
      next->expression = 0;  // it is more than that one's value now
      at = next;
    }
    set_member(*at, path.back(), std::move(value));
  }

  /// What came from another stays that one's.
  static void say_from(Node& n, uint32_t expression) {
    if (n.from != 0) return;
    n.from = expression;
    for (const NodePtr& child : n.children) {
      if (child != nullptr) say_from(*child, expression);
    }
  }

  NodePtr outcome_of(const Decision::Step& step, NodePtr in) {
    const NodePtr seen = at_path(*in, step.input_path);
    names_fail_ = seen->kind != NodeKind::object && seen->kind != NodeKind::null_literal;
    NodePtr all = made(NodeKind::object, 0);
    seen_ = seen.get();
    made_so_far_ = all.get();
    const std::string node = where_;
    for (const Decision::Expression& e : step.expressions) {
      if (!error_.empty()) return all;
      where_ = fmt::format("{}: {} = {}", node, e.key, e.text);
      NodePtr tree = resolved(*e.tree);
      if (never_has_a_value(*tree)) fail("it has no value, whatever the flow");
      if (e.path.size() + depth_of(*tree) > kDecisionDepthMax) fail(fmt::format("it is deeper than {} steps", kDecisionDepthMax));
      if (!error_.empty()) return all;
      const auto number = static_cast<uint32_t>(trees_.expressions.size() + 1);
      tree->expression = number;
      say_from(*tree, number);
      set_at(*all, e.path, copy(*tree));
      trees_.expressions.push_back({where_, std::move(tree), number});
    }
    where_ = node;
    if (!step.output_path.empty()) {
      NodePtr outer = made(NodeKind::object, 0);
      set_at(*outer, step.output_path, std::move(all));
      all = std::move(outer);
    }
    if (depth_of(*all) > kDecisionDepthMax) fail(fmt::format("what it makes is deeper than {} values", kDecisionDepthMax));
    if (!step.passes_through || !error_.empty()) return all;
    merge(*in, *all);
    return in;
  }

  /// What is left of a constant that has none.
  static bool never_has_a_value(const Node& n) {
    if (n.kind != NodeKind::array && n.kind != NodeKind::object) return compile::is_constant(n) && may_fail(n);
    return std::any_of(n.children.begin(), n.children.end(), [](const NodePtr& child) { return never_has_a_value(*child); });
  }

  /// The expression over the flow's fields.
  NodePtr resolved(const Node& n) {
    if (!error_.empty()) return made(NodeKind::null_literal, n.at);
    switch (n.kind) {
      case NodeKind::name:
        for (const std::string_view alias : aliases_) {
          if (alias == n.text) return copy(n);
        }
        if (names_fail_) fail(n, "its node's input is not an object for every flow");
        return moved_to(n, seen_->kind == NodeKind::object ? member_of(*seen_, n.text) : nullptr);
      case NodeKind::reference: return moved_to(n, made_so_far_->children.empty() ? nullptr : made_so_far_);
      case NodeKind::root: return moved_to(n, seen_);
      case NodeKind::member:
        if (const Node* const of = object_of(*n.children[0])) return moved_to(n, member_of(*of, n.text));
        return member(n, resolved(*n.children[0]), n.text);
      case NodeKind::index: return index(n);
      default: break;
    }
    NodePtr r = copy_of_head(n);
    const bool is_closure = n.kind == NodeKind::call && std::find(kClosures.begin(), kClosures.end(), n.text) != kClosures.end();
    for (size_t i = 0; i < n.children.size(); ++i) {
      const bool is_alias = is_closure && n.flag && i == 1 && n.children.size() == 3;
      if (is_alias) aliases_.push_back(n.children[1]->text);
      if (n.children[i] == nullptr) r->children.push_back(nullptr);
      else if (is_alias) r->children.push_back(copy(*n.children[i]));
      else r->children.push_back(i == 1 && is_range(n) ? range(*n.children[i]) : resolved(*n.children[i]));
    }
    if (is_closure && n.flag && n.children.size() == 3) aliases_.pop_back();
    return simplified(std::move(r));
  }

  /// Of `$`, `$root` and their members those that are objects, without a copy of all that a path leaves out; null: it takes resolving.
  const Node* object_of(const Node& n) {
    const Node* at = n.kind == NodeKind::reference ? (made_so_far_->children.empty() ? nullptr : made_so_far_) : n.kind == NodeKind::root ? seen_ : nullptr;
    if (n.kind == NodeKind::member) {
      const Node* const of = object_of(*n.children[0]);
      at = of != nullptr ? member_of(*of, n.text) : nullptr;
    }
    return at != nullptr && at->kind == NodeKind::object ? at : nullptr;
  }

  /// Right behind 'in' an interval has all numbers between its ends; anywhere else it is a list of whole ones.
  static bool is_range(const Node& n) {
    return (n.kind == NodeKind::membership || n.kind == NodeKind::not_membership) && n.children[1]->kind == NodeKind::interval;
  }
  NodePtr range(const Node& n) {
    NodePtr r = copy_of_head(n);
    for (const NodePtr& end : n.children) r->children.push_back(resolved(*end));
    return r;
  }

  NodePtr moved_to(const Node& n, const Node* what) {
    NodePtr r = what == nullptr ? made(NodeKind::null_literal, n.at) : copy(*what);
    r->at = n.at;
    return r;
  }
  NodePtr copy_of_head(const Node& n) {
    NodePtr r = made(n.kind, n.at);
    r->op = n.op;
    r->flag = n.flag;
    r->flag2 = n.flag2;
    r->number = n.number;
    r->text = n.text;
    r->from = n.from;
    take(n.text);
    return r;
  }

  /// `of`.name. What would be left out of `of` must have a value for every flow, or be asked for elsewhere.
  NodePtr member(const Node& n, NodePtr of, const std::string& name) {
    if (of->kind == NodeKind::conditional) {
      NodePtr r = copy_of_head(*of);
      r->children.push_back(std::move(of->children[0]));
      r->children.push_back(member(n, std::move(of->children[1]), name));
      r->children.push_back(member(n, std::move(of->children[2]), name));
      return simplified(std::move(r));
    }
    const bool is_simple = is_literal(*of) || is_scalar_field(*of);
    if (is_simple || (of->kind == NodeKind::object && (of->expression != 0 || is_own(n) || !may_fail(*of)))) {
      const auto place = of->kind == NodeKind::object ? place_of(*of, name) : std::nullopt;
      return place ? std::move(of->children[*place]) : made(NodeKind::null_literal, n.at);
    }
    fail(n, "a member of what only a flow's values would show");
    return made(NodeKind::null_literal, n.at);
  }
  NodePtr index(const Node& n) {
    const NodePtr key = resolved(*n.children[1]);
    if (key->kind == NodeKind::string_literal) {
      if (const Node* const whole = object_of(*n.children[0])) return moved_to(n, member_of(*whole, key->text));
    }
    NodePtr of = resolved(*n.children[0]);
    if (key->kind == NodeKind::string_literal) return member(n, std::move(of), key->text);
    if (of->kind == NodeKind::null_literal && is_literal(*key)) return of;
    if (key->kind == NodeKind::number_literal && of->kind == NodeKind::array && (is_own(n) || !may_fail(*of))) {
      const auto i = key->number.rounded(Decimal::Toward::zero).to_uint64();
      if (!i) return nothing(n.at);
      return i && *i < of->children.size() ? std::move(of->children[*i]) : made(NodeKind::null_literal, n.at);
    }
    fail(n, "an index of what only a flow's values would show");
    return of;
  }
  /// Of what the node is given or has made: all of it has its value already.
  static bool is_own(const Node& n) {
    const Node* at = &n;
    while (at->kind == NodeKind::member || at->kind == NodeKind::index) at = at->children[0].get();
    return at->kind == NodeKind::name || at->kind == NodeKind::reference || at->kind == NodeKind::root;
  }

  /// As little as is left of it where parts are constant; no operand that is still asked is left out.
  NodePtr simplified(NodePtr n) {
    auto& c = n->children;
    switch (n->kind) {
      case NodeKind::coalesce:
        if (c[0]->kind == NodeKind::null_literal) return std::move(c[1]);
        if (!may_be_null(*c[0])) return std::move(c[0]);
        break;
      case NodeKind::conditional:
        if (is_truth(*c[0], true)) return std::move(c[1]);
        if (is_truth(*c[0], false)) return std::move(c[2]);
        break;
      case NodeKind::logical_and:
        if (is_truth(*c[0], false)) return std::move(c[0]);
        break;
      case NodeKind::logical_or:
        if (is_truth(*c[0], true)) return std::move(c[0]);
        break;
      case NodeKind::object: return object(std::move(n));
      case NodeKind::interval:
        if (!compile::is_constant(*n)) fail(*n, "an interval whose ends only a flow's values would show");
        if (is_literal(*c[0]) && is_literal(*c[1]) && c[0]->kind != c[1]->kind) return nothing(n->at);
        if (c[0]->kind == NodeKind::number_literal) return n;
        break;
      default: break;
    }
    if (is_literal(*n) || n->kind == NodeKind::array || !compile::is_constant(*n)) return n;
    Scope scope;
    scope.left = &left_;
    const auto value = interpret(*n, scope);
    if (!value && left_ == 0) fail(*n, value.error().message);
    if (value && !take(weight_of(*value))) return n;
    return value ? node_of(*value, n->at) : nothing(n->at);
  }

  /// What never has a value, as short as can be: the constant that has none may be long, and is looked at again wherever it is copied to.
  static NodePtr nothing(size_t at) {
    NodePtr none = made(NodeKind::unary_minus, at);
    none->children.push_back(made(NodeKind::null_literal, at));
    return none;
  }

  /// The last one of each key; which must be known.
  NodePtr object(NodePtr n) {
    NodePtr all = made(NodeKind::object, n->at);
    for (size_t i = 0; i + 1 < n->children.size(); i += 2) {
      Node& key = *n->children[i];
      if (is_literal(key) && key.kind != NodeKind::string_literal) {
        if (const auto value = interpret(key, {})) n->children[i] = text_node(text_of(*value), key.at);
      }
      if (n->children[i]->kind != NodeKind::string_literal) {
        fail(*n->children[i], "a key that is no text that is the same for every flow");
        break;
      }
      // What is written over is asked all the same.
      if (const Node* const before = member_of(*all, n->children[i]->text); before != nullptr && may_fail(*before)) {
        fail(*n, fmt::format("two members {}", n->children[i]->text));
      }
      set_member(*all, n->children[i]->text, std::move(n->children[i + 1]));
    }
    return all;
  }

  DecisionTrees& trees_;
  std::string where_;
  std::string error_;
  uint64_t made_ = 0;
  uint64_t left_ = kInterpretedMax;  // for all constants together
  const Node* seen_ = nullptr;
  bool names_fail_ = false;  // it is no object, and not null for every flow
  const Node* made_so_far_ = nullptr;
  std::vector<std::string_view> aliases_;  // of closures
};

}  // namespace

Result<DecisionTrees> DecisionTrees::of(const Decision& decision) {
  DecisionTrees trees;
  if (const auto run = Maker(trees).run(decision); !run) return run.error();
  return trees;
}

}  // namespace weir::rules
