#include "rules/jdm.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "rules/functions.h"
#include "rules/interpreter.h"
#include "rules/parser.h"

namespace weir::rules {
namespace {

constexpr std::string_view kClosures[] = {"all", "none", "some", "one", "filter", "map", "flatMap", "count"};

std::string too_deep() { return fmt::format("its result is deeper than {} values", kDecisionDepthMax); }

std::string text_at(const Value& object, std::string_view key) {
  const Value* const v = object.find(key);
  return v != nullptr && v->is(ValueKind::string) ? v->string : std::string();
}

bool is_true(const Value& object, std::string_view key) {
  const Value* const v = object.find(key);
  return v != nullptr && v->is(ValueKind::boolean) && v->boolean;
}

std::vector<std::string> path_of(const std::string& dotted) {
  std::vector<std::string> path;
  for (size_t at = 0; !dotted.empty();) {
    const size_t point = dotted.find('.', at);
    path.push_back(dotted.substr(at, point - at));
    if (point == std::string::npos) break;
    at = point + 1;
  }
  return path;
}

/// What is at the end of the path; null where nothing is.
const Value* value_at(const Value& root, const std::vector<std::string>& path) {
  const Value* at = &root;
  for (size_t i = 0; i < path.size() && at != nullptr; ++i) at = at->find(path[i]);
  return at;
}

/// Makes the objects on the way; where something else is, it stays, and nothing is set.
void set_at(Value& root, const std::vector<std::string>& path, Value value) {
  Value* at = &root;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    Value* next = at->find(path[i]);
    if (next == nullptr) next = &at->set(path[i], Value::object());
    if (!next->is(ValueKind::object)) return;
    at = next;
  }
  at->set(path.back(), std::move(value));
}

/// What is asked for and not there, of all functions and names; empty where all are.
std::string missing_part(const Node& node) {
  // What other nodes made is not kept: it would be null here and a value in the engine.
  const bool is_text_key = node.kind == NodeKind::index && node.children[1]->kind == NodeKind::string_literal;
  if ((node.kind != NodeKind::string_literal && node.text == "$nodes") || (is_text_key && node.children[1]->text == "$nodes")) return "$nodes";
  if (node.kind == NodeKind::call && std::find(std::begin(kClosures), std::end(kClosures), node.text) == std::end(kClosures) &&
      !call_function(node.text, {}).has_value()) {
    return node.text + "()";
  }
  for (const NodePtr& child : node.children) {
    if (child == nullptr) continue;
    if (std::string name = missing_part(*child); !name.empty()) return name;
  }
  return {};
}

}  // namespace

void merge_patch(Value& into, const Value& patch) {
  if (!patch.is(ValueKind::object) || !into.is(ValueKind::object)) {
    into = patch;
    return;
  }
  for (const auto& [key, value] : patch.members) {
    if (value.is(ValueKind::null)) {
      std::erase_if(into.members, [&key = key](const auto& member) { return member.first == key; });
      continue;
    }
    Value* const there = into.find(key);
    if (there != nullptr && there->is(ValueKind::object) && value.is(ValueKind::object)) {
      merge_patch(*there, value);
    } else {
      into.set(key, value);
    }
  }
}

Result<Decision::Step> Decision::read_step(const Value& node, size_t& expressions) {
  Step step;
  step.id = text_at(node, "id");
  step.name = text_at(node, "name");
  const std::string type = text_at(node, "type");
  const std::string where = fmt::format("node '{}'", step.shown());
  const Value* const found = node.find("content");
  const Value content = found != nullptr && found->is(ValueKind::object) ? *found : Value::object();
  step.is_input = type == "inputNode";
  step.is_output = type == "outputNode";
  if (type == "inputNode" || type == "outputNode") {
    if (content.find("schema") != nullptr && !text_at(content, "schema").empty()) {
      return Error{fmt::format("{}: its schema is not looked at here", where)};
    }
    return step;
  }
  if (type != "expressionNode") {
    return Error{fmt::format("{} is a {}; what runs here are inputNode, expressionNode and outputNode", where, type)};
  }
  if (const std::string mode = text_at(content, "executionMode"); !mode.empty() && mode != "single") {
    return Error{fmt::format("{}: executionMode is '{}'; what runs here is single", where, mode)};
  }
  step.is_expression = true;
  step.passes_through = is_true(content, "passThrough");
  step.input_path = path_of(text_at(content, "inputField"));
  step.output_path = path_of(text_at(content, "outputPath"));
  if (step.input_path.size() > kDepthMax || step.output_path.size() > kDepthMax) {
    return Error{fmt::format("{}: a path of more than {} names", where, kDepthMax)};
  }
  const Value* const list = content.find("expressions");
  if (list == nullptr || !list->is(ValueKind::array)) return Error{fmt::format("{} has no expressions", where)};
  for (const Value& each : list->items) {
    const std::string key = text_at(each, "key");
    Expression expression{path_of(key), key, text_at(each, "value"), nullptr};
    if (key.empty() || expression.text.empty()) continue;  // as the engine does
    if (expression.path.size() > kDepthMax) return Error{fmt::format("{}: a key of more than {} names", where, kDepthMax)};
    if (++expressions > kDecisionExpressionsMax) return Error{fmt::format("more than {} expressions", kDecisionExpressionsMax)};
    auto parsed = parse_expression(expression.text);
    if (!parsed) return Error{fmt::format("{}: {} = {}: {}", where, key, expression.text, parsed.error().message)};
    if (const std::string name = missing_part(**parsed); !name.empty()) {
      return Error{fmt::format("{}: {} = {}: {} is not known here", where, key, expression.text, name)};
    }
    expression.tree = std::move(*parsed);
    step.expressions.push_back(std::move(expression));
  }
  return step;
}

Result<Decision> Decision::parse(std::string_view json) {
  if (json.size() > kDecisionOctetsMax) return Error{fmt::format("larger than {} octets", kDecisionOctetsMax)};
  const auto root = parse_json(json);
  const Value* const nodes = root ? root->find("nodes") : nullptr;
  const Value* const edges = root ? root->find("edges") : nullptr;
  if (nodes == nullptr || edges == nullptr || !nodes->is(ValueKind::array) || !edges->is(ValueKind::array)) {
    return Error{"it is no decision file: JSON with nodes and edges"};
  }
  if (nodes->items.size() > kDecisionNodesMax) {
    return Error{fmt::format("{} nodes, limit {}", nodes->items.size(), kDecisionNodesMax)};
  }
  std::vector<Step> steps;
  std::map<std::string, size_t> places;
  size_t expressions = 0;
  for (const Value& node : nodes->items) {
    auto step = read_step(node, expressions);
    if (!step) return step.error();
    if (!places.emplace(step->id, steps.size()).second) return Error{fmt::format("there are two nodes {}", step->id)};
    steps.push_back(std::move(*step));
  }
  const auto inputs = std::count_if(steps.begin(), steps.end(), [](const Step& step) { return step.is_input; });
  if (inputs != 1) return Error{fmt::format("it has {} input nodes, and needs one", inputs)};
  std::vector<std::vector<size_t>> parents(steps.size()), children(steps.size());
  for (const Value& edge : edges->items) {
    const auto from = places.find(text_at(edge, "sourceId"));
    const auto to = places.find(text_at(edge, "targetId"));
    if (from == places.end() || to == places.end()) {
      return Error{fmt::format("an edge from '{}' to '{}', which are not both there", text_at(edge, "sourceId"), text_at(edge, "targetId"))};
    }
    parents[to->second].push_back(from->second);
    children[from->second].push_back(to->second);
  }
  return in_order(std::move(steps), parents, children);
}

/// Those that run, as the engine walks: from the input on, to the children in the order of the edges, those first that somebody waits
/// for; no further than the first output. What it never comes to does not run.
Result<Decision> Decision::in_order(std::vector<Step> steps, const std::vector<std::vector<size_t>>& parents,
                                    const std::vector<std::vector<size_t>>& children) {
  // A circle anywhere is one, whether or not the walk comes by.
  std::vector<size_t> waits_for(steps.size()), ready;
  for (size_t i = 0; i < steps.size(); ++i) {
    waits_for[i] = parents[i].size();
    if (waits_for[i] == 0) ready.push_back(i);
  }
  for (size_t i = 0; i < ready.size(); ++i) {
    for (const size_t child : children[ready[i]]) {
      if (--waits_for[child] == 0) ready.push_back(child);
    }
  }
  if (ready.size() != steps.size()) return Error{"its nodes go in a circle"};

  constexpr size_t kNot = SIZE_MAX;
  std::vector<size_t> place_of(steps.size(), kNot), walk, to_visit;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].is_input) to_visit.push_back(i);
  }
  bool is_done = false;
  while (!to_visit.empty() && !is_done) {
    const size_t i = to_visit.back();
    to_visit.pop_back();
    if (place_of[i] != kNot) continue;
    const auto is_missing = [&](size_t parent) { return place_of[parent] == kNot; };
    if (std::any_of(parents[i].begin(), parents[i].end(), is_missing)) {
      to_visit.push_back(i);
      std::copy_if(parents[i].rbegin(), parents[i].rend(), std::back_inserter(to_visit), is_missing);
      continue;
    }
    place_of[i] = walk.size();
    walk.push_back(i);
    to_visit.insert(to_visit.end(), children[i].rbegin(), children[i].rend());
    is_done = steps[i].is_output;
  }

  Decision decision;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (place_of[i] != kNot && children[i].empty()) decision.ends_.push_back(place_of[i]);
  }
  for (const size_t i : walk) {
    // The engine merges what came by the last edge first.
    for (auto p = parents[i].rbegin(); p != parents[i].rend(); ++p) steps[i].parents.push_back(place_of[*p]);
    decision.steps_.push_back(std::move(steps[i]));
  }
  return decision;
}

Result<Value> Decision::run(const Step& step, const Value& input, uint64_t& left, std::vector<Trace>* did) const {
  const Value* const found = value_at(input, step.input_path);
  const Value nothing;
  const Value& seen = found != nullptr ? *found : nothing;
  const auto wrong = [&step](const std::string& what) {
    return Error{fmt::format("node '{}': {}", step.shown(), what)};
  };
  Value made = Value::object();
  for (const Expression& e : step.expressions) {
    auto v = interpret(*e.tree, {.root = &seen, .reference = made.members.empty() ? nullptr : &made, .in_set = nullptr, .call = nullptr, .left = &left});
    if (did != nullptr) did->push_back({step.shown(), e.key, v ? v->to_json() : "no value: " + v.error().message});
    if (!v) return wrong(fmt::format("{}: {}", e.text, v.error().message));
    // Each step may put its paths around all that the one before it made.
    if (e.path.size() + depth_of(*v) > kDecisionDepthMax) return wrong(fmt::format("{}: {}", e.text, too_deep()));
    set_at(made, e.path, std::move(*v));
  }
  if (!step.output_path.empty()) {
    if (step.output_path.size() + depth_of(made) > kDecisionDepthMax) return wrong(too_deep());
    Value outer = Value::object();
    set_at(outer, step.output_path, std::move(made));
    made = std::move(outer);
  }
  if (!step.passes_through) return made;
  Value all = input;
  merge_patch(all, made);
  return all;
}

Result<Value> Decision::evaluate(const Value& input, std::vector<Trace>* did) const {
  std::vector<Value> outputs;
  Value result = Value::object();
  uint64_t left = kInterpretedMax;
  for (const Step& step : steps_) {
    uint64_t weight = step.is_input ? weight_of(input) : 0;
    for (const size_t parent : step.parents) {
      weight += weight_of(outputs[parent]);
      if (weight > left) break;
    }
    // What a step is given is copied, and what passes through is kept.
    if (weight > left) return Error{fmt::format("node '{}': the decision takes more than one may", step.shown())};
    left -= weight;
    Value in = Value::object();
    for (const size_t parent : step.parents) merge_patch(in, outputs[parent]);
    if (step.is_input) in = input;
    if (!step.is_expression) {
      outputs.push_back(std::move(in));
      continue;
    }
    auto out = run(step, in, left, did);
    if (!out) return out.error();
    outputs.push_back(std::move(*out));
  }
  for (const size_t end : ends_) merge_patch(result, outputs[end]);
  return result;
}

}  // namespace weir::rules
