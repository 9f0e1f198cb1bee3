// rules_oracle.h — What must hold of any text that somebody takes for rules, for an expression of one, or for a decision file.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "rules/flow_maker.h"
#include "rules/interpreter.h"
#include "rules/jdm.h"
#include "rules/outcome_text.h"
#include "rules/parser.h"

namespace weir::rules {

class RulesOracle {
 public:
  RulesOracle() {
    testing::FlowMaker maker(285);
    for (int i = 0; i < 12; ++i) flows_.push_back(std::make_unique<testing::Viewed>(maker.flow()));
  }

  /// A file: refused with its name and a line of it, or compiled to what interpreting it does.
  void check_file(std::string_view text) { check_file(text, text); }

  /// An expression: refused with a place in it, or it ends with a value or an error; and as a condition and a value of rules it does
  /// compiled what it does interpreted.
  void check_expression(std::string_view text) {
    for (const auto& parsed : {parse_expression(text), parse_cell(text)}) {
      if (parsed) {
        const auto v = interpret(**parsed, {.root = &input_, .reference = &input_});
        if (v) check_json(*v, text);
      } else {
        check_place(parsed.error().message, text);
      }
    }
    const std::string quoted = nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    check_file("version: 1\n"
               "sets: {local: [10.0.0.0/8, '2001:db8::/32'], ports: [80, 443, 1024-65535], apps: [ssh, http]}\n"
               "derive: {big: bytes > 1000, fraction: bytes / packets, named: application_name}\n"
               "rules:\n"
               "  - {id: a, when: " + quoted + ", then: {labels: [first]}}\n",
               text);
    check_file("version: 1\nrules:\n  - {id: a, then: {set: {unmapped.x: " + quoted + "}}}\n", text);
  }

  /// A decision file: refused with a reason, or what it makes of an input is JSON or an error.
  void check_decision(std::string_view text) {
    const auto decision = Decision::parse(text);
    if (!decision) {
      if (decision.error().message.empty()) fail("a message says what is wrong", text);
      return;
    }
    const auto result = decision->evaluate(input_);
    if (result) check_json(*result, text);
    if (!result && result.error().message.empty()) fail("a message says what has no value", text);
  }

 private:
  [[noreturn]] static void fail(const std::string& what, std::string_view text) {
    std::fprintf(stderr, "does not hold: %s\n%.*s\n", what.c_str(), static_cast<int>(text.size()), text.data());
    std::abort();
  }

  void check_file(std::string_view rules, std::string_view shown) {
    if (rules.find("dictionaries") != std::string_view::npos) return;  // they would be any file of this machine
    const auto set = RuleSet::parse(std::string(rules), "f", "", testing::targets());
    if (!set) {
      const std::string& why = set.error().message;
      const auto lines = static_cast<size_t>(std::count(rules.begin(), rules.end(), '\n')) + 1;
      const size_t line = why.rfind("f:", 0) == 0 ? std::strtoull(why.c_str() + 2, nullptr, 10) : 0;
      if (line < 1 || line > lines + 1) fail("a mistake has a line of the file: " + why, shown);
      return;
    }
    for (const auto& flow : flows_) {
      (*set)->program().run(flow->view, scratch_, out_);
      // Text that is made for a flow has a bound, which interpreting has not.
      constexpr size_t kUsedAtMost = 3 << 10;
      if (scratch_.take(kScratchOctets - kUsedAtMost) == nullptr) continue;
      const PlainOutcome plain = run_plainly(**set, flow->view);
      const std::string compiled = testing::summary(**set, out_), interpreted = testing::summary(**set, plain);
      if (compiled != interpreted) fail("compiled: " + compiled + "\ninterpreted: " + interpreted, shown);
    }
  }

  static void check_place(const std::string& why, std::string_view text) {
    if (why.empty()) fail("a message says what is wrong", text);
    if (why.rfind("at ", 0) != 0) return;  // of all of it
    if (const size_t at = std::strtoull(why.c_str() + 3, nullptr, 10); at < 1 || at > text.size() + 1) fail("a place lies in the expression: " + why, text);
  }

  static void check_json(const Value& v, std::string_view text) {
    if (nlohmann::json::parse(v.to_json(), nullptr, false).is_discarded()) fail("a value is JSON: " + v.to_json(), text);
  }

  std::vector<std::unique_ptr<testing::Viewed>> flows_;
  Scratch scratch_;
  Outcome out_;
  const Value input_ = *parse_json(
      R"({"bytes":1000,"packets":7,"proto":6,"src_addr":"10.0.0.1","protocol_name":"TCP","n":null,"t":true,"as_path":[1,2,3],"o":{"a":{"b":1.5}},"body":"x|9|y"})");
};

}  // namespace weir::rules
