// plain_rules.cc — A flow through the rules by interpreting them: what each did, in words.
#include <fmt/format.h>

#include <algorithm>

#include "rules/compile_parts.h"
#include "rules/rule_set.h"

namespace weir::rules {

struct PlainRun {
  PlainRun(const RuleSet& of, const FlowView& view)
      : rules(of), flow(view), context(context_of(view)), scope(scope_of(of.environment(), context)) {
    scope.left = &left;
  }

  PlainOutcome run() {
    derive();
    for (size_t i = 0; i < rules.rules_.size() && !out.is_dropped; ++i) {
      const Rule& rule = rules.rules_[i];
      RuleTrace& trace = out.trace.emplace_back();
      trace.rule = &rule;
      trace.matched = rule.when == nullptr || holds(rule, trace);
      if (trace.matched) act(rule, static_cast<uint16_t>(i), trace);
      out.errors += !trace.error.empty();
    }
    return std::move(out);
  }

  void derive() {
    for (size_t i = 0; i < rules.derived_.size(); ++i) {
      const std::string& name = rules.environment_.derived[i].name;
      auto v = interpret(*rules.derived_[i], scope);
      const bool is_value = v && compile::cell_of(*v).has_value();
      out.errors += !is_value;
      context.set(name, is_value ? *v : Value());
      out.derived.emplace_back(name, v ? v->to_json() : "null: " + v.error().message);
    }
  }

  bool holds(const Rule& rule, RuleTrace& trace) {
    const auto v = interpret(*rule.when, scope);
    if (!v) {
      trace.error = v.error().message;
    } else if (!v->is(ValueKind::boolean)) {
      trace.error = fmt::format("the condition is {}", v->to_json());
    }
    return trace.error.empty() && v->boolean;
  }

  void act(const Rule& rule, uint16_t index, RuleTrace& trace) {
    if (rule.drops) {
      out.is_dropped = true;
      trace.did.push_back("dropped it");
      return;
    }
    if (rule.sample != 0) {
      if (!keeps_sample(flow, index, rule.sample)) {
        out.is_dropped = out.is_sampled_out = true;
        trace.did.push_back(fmt::format("left it out, keeping one in {}", rule.sample));
        return;
      }
      if (__builtin_mul_overflow(out.sampling_factor, rule.sample, &out.sampling_factor)) out.sampling_factor = UINT64_MAX;
      trace.did.push_back(fmt::format("kept it, one in {}", rule.sample));
    }
    for (const Rule::Assignment& a : rule.set) {
      const Target& target = rules.program_.targets[a.target];
      const auto v = interpret(*a.value, scope);
      if (!v) {
        trace.error = fmt::format("set {}: {}", target.name, v.error().message);
        return;
      }
      const auto cell = compile::cell_of(*v);
      const auto forget = [&] { std::erase_if(out.set, [&](const auto& each) { return each.first == target.name; }); };
      if (cell && is_left_out(target, *cell)) {
        trace.did.push_back(fmt::format("left {} out, for it is null", target.name));
        forget();
        continue;
      }
      if (!cell || !is_allowed(target, *cell)) {
        trace.error = fmt::format("set {}: it cannot be {}; {}", target.name, v->to_json(), allowed_of(target));
        return;
      }
      trace.did.push_back(fmt::format("set {} = {}", target.name, v->to_json()));
      forget();
      out.set.emplace_back(target.name, *v);
    }
    for (const std::string& label : rule.labels) {
      if (std::find(out.labels.begin(), out.labels.end(), label) != out.labels.end()) {
        trace.did.push_back("labelled it " + label + ", as it was already");
      } else if (out.labels.size() < kFlowLabelsMax) {
        out.labels.push_back(label);
        trace.did.push_back("labelled it " + label);
      } else {
        ++out.labels_left_out;
        trace.did.push_back(fmt::format("left the label {} out: a flow has {} already", label, kFlowLabelsMax));
      }
    }
  }

  const RuleSet& rules;
  const FlowView& flow;
  Value context;
  Scope scope;
  uint64_t left = kInterpretedMax;  // for all of the rules together
  PlainOutcome out;
};

PlainOutcome run_plainly(const RuleSet& rules, const FlowView& flow) { return PlainRun(rules, flow).run(); }

}  // namespace weir::rules
