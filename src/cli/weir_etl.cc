// weir_etl.cc — The program `weir-etl`: rules on flows, looked at before they are used, and used.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/read_file.h"
#include "base/version.h"
#include "cli/run_app.h"
#include "cli/weir_etl_run.h"
#include "export/json_flow.h"
#include "export/outbound_batch.h"
#include "flow/flow_parser.h"
#include "rules/jdm.h"
#include "rules/rule_set.h"
#include "transform/decision_writer.h"
#include "transform/flow_facts.h"
#include "transform/ocsf_event.h"

namespace weir::cli {
namespace {

constexpr size_t kLineOctetsMax = 1 << 20;

std::unique_ptr<const rules::RuleSet> read_rules(const std::string& path) {
  auto read = rules::RuleSet::read(path, transform::event_targets());
  if (read) return std::move(*read);
  fmt::print(stderr, "weir-etl: {}\n", read.error().message);
  return nullptr;
}

/// `drop`, `sample 1 in 10`, `set app_name`, `label web`.
std::string actions_of(const rules::Rule& rule, const rules::Program& program) {
  std::string text;
  const auto add = [&](const std::string& action) { text += (text.empty() ? "" : ", ") + action; };
  if (rule.drops) add("drop");
  if (rule.sample != 0) add(fmt::format("sample 1 in {}", rule.sample));
  for (const auto& assignment : rule.set) add("set " + program.targets[assignment.target].name);
  for (const std::string& label : rule.labels) add("label " + label);
  return text;
}

int check(const std::string& path) {
  const auto rules = read_rules(path);
  if (rules == nullptr) return 1;
  const rules::Environment& names = rules->environment();
  fmt::print("{}: good. {} rules, {} sets, {} dictionaries, {} derived values; {} instructions; sha256 {}\n", path,
             rules->rules().size(), names.sets.size(), names.dictionaries.size(), names.derived.size(),
             rules->program().code.size(), rules->hash());
  if (rules->decision() != nullptr) {
    const rules::DecisionProgram& program = rules->decision()->program;
    fmt::print("decision {}: {} steps, {} instructions; its results stand for the events\n", program.name, program.steps.size(),
               program.values.code.size());
  }
  for (const rules::Rule& rule : rules->rules()) {
    fmt::print("  {:<24} {}  ({})\n", rule.id, actions_of(rule, rules->program()),
               rule.condition.empty() ? "always" : rule.condition);
  }
  return 0;
}

void print_trace(const rules::PlainOutcome& outcome) {
  for (const auto& [name, value] : outcome.derived) fmt::print("derive {:<24} {}\n", name, value);
  for (const rules::RuleTrace& trace : outcome.trace) {
    std::string did;
    for (const std::string& each : trace.did) did += (did.empty() ? "" : ", ") + each;
    if (!trace.error.empty()) did += fmt::format("{}NO VALUE: {}", did.empty() ? "" : ", then ", trace.error);
    fmt::print("rule   {:<24} {}{}\n", trace.rule->id, trace.matched ? "matched: " : trace.error.empty() ? "did not match" : "",
               did);
  }
}

/// What each expression of a decision file came to, and all of it.
bool explain_decision(const rules::DecisionFile& decision, FlowView flow, const transform::Decisions& decisions, std::span<char> room) {
  auto end = transform::DecisionEnd::written;
  transform::DecisionWriter writer;
  const size_t octets = writer.write(decision.program, flow, decisions, room, end);
  flow.numbers[static_cast<size_t>(NumberSlot::sampling_rate)] = transform::sampling_rate_of(flow, decisions);
  std::vector<rules::Decision::Trace> did;
  [[maybe_unused]] const auto plain = decision.plain.evaluate(rules::context_of(flow), &did);
  fmt::print("decision {}\n", decision.program.name);
  for (const auto& trace : did) fmt::print("  node '{}': {} = {}\n", trace.node, trace.key, trace.value);
  if (end == transform::DecisionEnd::written) fmt::print("result {}\n", std::string_view(room.data(), octets));
  else if (end == transform::DecisionEnd::too_large) fmt::print("no result: it is too long\n");
  else fmt::print("no result: an expression has no value for this flow: {}\n", writer.without_value());
  return end == transform::DecisionEnd::written;
}

/// What `weir decode` prints on one line.
struct Line {
  std::string kind;                        // of what sFlow tells beside flows; empty: a flow
  std::string flow;                        // of a discarded packet: the packet
  std::optional<uint32_t> discard_reason;  // likewise
};
Line line_of(const std::string& text) {
  Line line{.kind = {}, .flow = text, .discard_reason = {}};
  const auto object = rules::parse_json(text);
  const rules::Value* const kind = object ? object->find("kind") : nullptr;
  if (kind == nullptr) return line;
  line.kind = kind->string;
  const rules::Value* const packet = object->find("packet");
  if (line.kind != name_of(outbound::RecordKind::sflow_discard) || packet == nullptr) return line;
  const rules::Value* const code = object->find("reason_code");
  line.flow = packet->to_json();
  line.discard_reason = static_cast<uint32_t>(code != nullptr ? code->number.to_uint64().value_or(0) : 0);
  return line;
}

/// One flow: what each rule did, and the event that came of it.
bool explain_one(const rules::RuleSet& rules, const Line& line) {
  const auto flow = outbound::parse_json_line(line.flow);
  if (!flow) {
    fmt::print(stderr, "weir-etl explain: {}; it reads flows as `weir decode --format json` prints them\n", flow.error().message);
    return false;
  }
  const std::string message = flow->SerializeAsString();
  FlowView view;
  if (!parse_flow({reinterpret_cast<const uint8_t*>(message.data()), message.size()}, view)) {
    fmt::print(stderr, "weir-etl explain: the flow is larger than {} octets\n", kFlowMessageOctetsMax);
    return false;
  }
  print_trace(rules::run_plainly(rules, view));
  rules::Scratch scratch;
  rules::Outcome outcome;
  rules.program().run(view, scratch, outcome);
  if (outcome.is_dropped) {
    fmt::print("dropped by {}{}\n", rules.rules()[outcome.decided_by].id, outcome.is_sampled_out ? ", which samples" : "");
    return true;
  }
  std::vector<char> event(transform::kEventOctetsMax);
  transform::EventContext context;
  context.discard_reason = line.discard_reason;
  context.stored_ms = wall_clock_ns() / kNsPerMs;  // as if a stream took it now
  context.decisions = {&outcome, &rules.program(), rules.local_prefixes()};
  if (rules.decision() != nullptr) return explain_decision(*rules.decision(), view, context.decisions, event);
  const size_t octets = transform::OcsfWriter({.rules_name = rules.name(), .rules_hash = rules.hash()}).write(view, context, event);
  fmt::print("event  {}\n", std::string_view(event.data(), octets));
  return octets != 0;
}

int explain(const std::string& path) {
  const auto rules = read_rules(path);
  if (rules == nullptr) return 1;
  bool good = true;
  size_t lines = 0, flows = 0;
  for (std::string line; std::getline(std::cin, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (line.size() > kLineOctetsMax) {
      fmt::print(stderr, "weir-etl explain: a line of {} octets, limit {}\n", line.size(), kLineOctetsMax);
      return 1;
    }
    if (lines++ != 0) fmt::print("\n");
    if (const Line read = line_of(line); read.kind == name_of(outbound::RecordKind::sflow_counters)) {
      fmt::print("{}: counters are no flow, and no rule sees them\n", read.kind);
    } else {
      ++flows;
      good &= explain_one(*rules, read);
    }
    std::fflush(stdout);
  }
  if (flows == 0) fmt::print(stderr, "weir-etl explain: standard input has no flow\n");
  return good && flows != 0 ? 0 : 1;
}

/// Standard input to its end; nothing where it is longer.
std::optional<std::string> read_input(size_t octets_max) {
  std::string text;
  char some[64 * 1024];
  while (text.size() <= octets_max && (std::cin.read(some, sizeof some), std::cin.gcount() > 0)) {
    text.append(some, static_cast<size_t>(std::cin.gcount()));
  }
  return text.size() <= octets_max ? std::optional(std::move(text)) : std::nullopt;
}

int evaluate(const std::string& path) {
  const auto text = read_file(path, rules::kDecisionOctetsMax);
  if (!text) {
    fmt::print(stderr, "weir-etl: {}\n", text.error().message);
    return 1;
  }
  const auto decision = rules::Decision::parse(*text);
  if (!decision) {
    fmt::print(stderr, "weir-etl: {}: {}\n", path, decision.error().message);
    return 1;
  }
  const auto input_text = read_input(rules::kDecisionOctetsMax);
  if (!input_text) {
    fmt::print(stderr, "weir-etl eval: standard input is longer than {} octets\n", rules::kDecisionOctetsMax);
    return 1;
  }
  const auto input = rules::parse_json(*input_text);
  if (!input || !input->is(rules::ValueKind::object)) {
    fmt::print(stderr, "weir-etl eval: standard input is no JSON object\n");
    return 1;
  }
  const auto result = decision->evaluate(*input);
  if (!result) {
    fmt::print(stderr, "weir-etl eval: {}\n", result.error().message);
    return 1;
  }
  fmt::print("{}\n", result->to_json());
  return 0;
}

}  // namespace
}  // namespace weir::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app{"weir-etl makes events of flows by rules that say what flows mean: which are left out, what their events say.\n",
               "weir-etl"};
  app.footer(
      "Examples:\n"
      "  weir-etl run -c /etc/weir/weir-etl.yaml\n"
      "      flows of a stream become events of another\n"
      "  weir-etl check rules.yaml\n"
      "      is it right, and what does it do\n"
      "  weir decode --format json capture.pcap | head -1 | weir-etl explain rules.yaml\n"
      "      what each rule does with one flow, and the event that comes of it\n"
      "  weir decode --format ocsf --rules rules.yaml capture.pcap\n"
      "      the events of a capture under the rules\n"
      "  weir-etl eval decision.json < input.json\n"
      "      what a decision file makes of an input\n"
      "Exit status: 0 done; 1 a configuration, rules or a flow are wrong; 2 wrong command line.");
  app.require_subcommand(1);
  app.set_version_flag("--version", weir::version_line("weir-etl"));
  int exit_code = 0;
  std::string path;
  weir::cli::add_etl_run_commands(app, exit_code);
  CLI::App* const check = app.add_subcommand("check", "Read a file of rules, and say what is wrong with it or what it does");
  check->add_option("RULES", path, "File of rules (docs/RULES.md)")->required();
  check->callback([&] { exit_code = weir::cli::check(path); });
  CLI::App* const explain = app.add_subcommand(
      "explain", "Read flows from standard input, JSON as `weir decode` prints it, and say what each rule does with them");
  explain->add_option("RULES", path, "File of rules (docs/RULES.md)")->required();
  explain->callback([&] { exit_code = weir::cli::explain(path); });
  CLI::App* const eval = app.add_subcommand(
      "eval", "Read a JSON object from standard input, and print what a decision file (JDM) of an existing installation makes of it");
  eval->add_option("FILE", path, "Decision file: input, expression and output nodes")->required();
  eval->callback([&] { exit_code = weir::cli::evaluate(path); });
  return weir::cli::run_app(app, argc, argv, exit_code);
}
