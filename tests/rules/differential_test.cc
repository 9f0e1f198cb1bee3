// The flat program does what interpreting the rules does, on flows and on expressions made at random.
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "rules/flow_maker.h"
#include "rules/outcome_text.h"

namespace weir::rules {
namespace {

using testing::FlowMaker;
using testing::summary;
using testing::Viewed;

/// Expressions of the grammar that rules on flows have; many of them have no sense.
class ExpressionMaker {
 public:
  explicit ExpressionMaker(FlowMaker& maker) : maker_(maker) {}

  std::string condition(int depth) {
    switch (maker_.below(depth > 0 ? 16 : 9)) {
      case 0: return number_field() + comparison() + std::to_string(maker_.number());
      case 1: return std::to_string(maker_.number()) + comparison() + number_field();
      case 2: return address_field() + pick({" == ", " != "}) + pick({"'10.0.0.1'", "'2001:db8::1'", "'2001:DB8::1'", "''", "'x'"});
      case 3: return text_field() + pick({" == ", " != "}) + text_literal();
      case 4: return number_field() + pick({" in ", " not in "}) + pick({"@ports", "[80, 443]", "[1..1023]", "(6..99)", "[100..65535)", "[1, 6.0, 17]"});
      case 5: return address_field() + pick({" in ", " not in "}) + "@local";
      case 6: return "cidr(" + address_field() + ", " + pick({"@local", "'10.0.0.0/8'", "'2001:db8::/32'"}) + ")";
      case 7: return pick({"contains(as_path, 443)", "443 in as_path", "as_path == 1 or true", "'ssh' in labels", "len(as_path) > 1",
                           "'2001:db8::1' in srv6_segments", "len(labels) == 0", "is_private(src_addr)", "flow_type == 'IPFIX'",
                           "src_mac == '00:00:00:00:00:50'", "src_mac == mac(dst_port)", "mac(bytes) == mac(src_mac)", "mac(site) == src_mac", "big", "fraction > 2", "named == 'ssh'"});
      case 8: return text_field() + " in @apps";
      case 9: return "(" + condition(depth - 1) + " and " + condition(depth - 1) + ")";
      case 10: return "(" + condition(depth - 1) + " or " + condition(depth - 1) + ")";
      case 11: return "not (" + condition(depth - 1) + ")";
      case 12: return "(" + condition(depth - 1) + " ? " + condition(depth - 1) + " : " + condition(depth - 1) + ")";
      case 13: return value(depth - 1) + comparison() + value(depth - 1);
      case 14: return value(depth - 1) + " in [" + value(depth - 1) + ".." + value(0) + "]";
      default: return "(" + value(depth - 1) + pick({" == ", " != "}) + value(depth - 1) + ")";
    }
  }
  std::string value(int depth) {
    switch (maker_.below(depth > 0 ? 13 : 4)) {
      case 0: return number_field();
      case 1: return std::to_string(maker_.below(7)) + pick({"", ".5", ".25"});
      case 2: return text_field();
      case 3: return pick({"lookup('apps', dst_port)", "lookup('apps', application_name, 'owner')", "ip_version(src_addr)", "null", "flow_type",
                           "fraction", "named", "src_addr", "src_mac", "mac(application_name)", "mac(src_as)"});
      case 4: return "(" + value(depth - 1) + pick({" + ", " - ", " * ", " / ", " % "}) + value(depth - 1) + ")";
      case 5: return "(" + value(depth - 1) + " ?? " + value(depth - 1) + ")";
      case 6: return pick({"floor(", "ceil(", "abs(", "trunc(", "round("}) + value(depth - 1) + ")";
      case 7: return pick({"mac(", "upper(", "lower(", "trim(", "string(", "len(", "number("}) + value(depth - 1) + ")";
      case 8: return "(" + condition(depth - 1) + " ? " + value(depth - 1) + " : " + value(depth - 1) + ")";
      case 9: return "bit_and(" + number_field() + ", " + value(0) + ")";
      case 10: return "-" + value(depth - 1);
      case 11: return "`a ${" + value(0) + "} b ${" + value(0) + "}`";
      default: return "(" + value(depth - 1) + " ^ " + std::to_string(maker_.below(4)) + ")";
    }
  }

 private:
  std::string pick(std::initializer_list<const char*> of) { return *(of.begin() + maker_.below(of.size())); }
  std::string number_field() { return pick({"bytes", "packets", "src_port", "dst_port", "proto", "src_as", "tcp_flags"}); }
  std::string address_field() { return pick({"src_addr", "dst_addr", "sampler_address"}); }
  std::string text_field() { return pick({"application_name", "in_if_name", "site"}); }
  std::string text_literal() { return pick({"'ssh'", "''", "\" web \"", "'10.0.0.1'"}); }
  std::string comparison() { return pick({" == ", " != ", " < ", " <= ", " > ", " >= "}); }

  FlowMaker& maker_;
};

std::string with_header(const std::string& rules) {
  return "version: 1\n"
         "sets:\n  local: [10.0.0.0/8, '2001:db8::/32']\n  ports: [80, 443, 1024-65535]\n  apps: [ssh, http]\n"
         "dictionaries: {apps: apps.csv}\n"
         "derive:\n  big: bytes > 1000\n  fraction: bytes / packets\n  named: application_name\n"
         "rules:\n" + rules;
}

class Differential : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "weir_rules_" + std::to_string(getpid());
    mkdir(folder_.c_str(), 0700);
    FILE* file = fopen((folder_ + "/apps.csv").c_str(), "w");
    ASSERT_NE(file, nullptr);
    fputs("key,name,owner\n443,https,web\n80,http,web\nssh,Secure Shell,\"ops, nights\"\n", file);
    fclose(file);
  }
  void TearDown() override {
    unlink((folder_ + "/apps.csv").c_str());
    rmdir(folder_.c_str());
  }
  std::string folder_;
};

TEST_F(Differential, CompiledRulesDoWhatInterpretedOnesDo) {
  FlowMaker maker(140);
  ExpressionMaker expressions(maker);
  Scratch scratch;
  Outcome out;
  size_t compiled = 0, refused = 0, matched = 0, errors = 0;
  for (int round = 0; round < 6500; ++round) {
    const auto quoted = [](std::string s) {  // YAML's single quotes are doubled inside
      for (size_t i = 0; (i = s.find('\'', i)) != std::string::npos; i += 2) s.insert(i, "'");
      return "'" + s + "'";
    };
    std::string text = "  - id: a\n    when: " + quoted(expressions.condition(4)) + "\n    then:\n      labels: [first]\n";
    text += "      set: {unmapped.x: " + quoted(expressions.value(3)) + ", count: " + quoted(expressions.value(1)) + "}\n";
    text += "  - id: b\n    when: " + quoted(expressions.condition(2)) + "\n    then: " +
            (maker.below(3) == 0 ? "{drop: true}" : "{sample: 3, labels: [second]}") + "\n";
    const auto rules = RuleSet::parse(with_header(text), "r", folder_, testing::targets());
    if (!rules) {
      ++refused;
      continue;
    }
    ++compiled;
    for (int i = 0; i < 25; ++i) {
      const Viewed flow(maker.flow());
      (*rules)->program().run(flow.view, scratch, out);
      const PlainOutcome plain = run_plainly(**rules, flow.view);
      ASSERT_EQ(summary(**rules, out), summary(**rules, plain)) << text;
      matched += out.labels != 0;
      errors += out.errors != 0;
    }
  }
  std::cout << compiled << " rule sets compiled, " << refused << " refused; " << matched << " flows matched, " << errors
            << " had errors\n";
  EXPECT_GT(compiled, 900u);
  EXPECT_GT(matched, 5000u);
  EXPECT_GT(errors, 1000u);
}

/// Rules enough for an index, most of whose conditions begin with what it goes by; flows whose values meet them.
TEST_F(Differential, ManyRulesDoWhatEachOfThemInterpretedDoes) {
  FlowMaker maker(141);
  ExpressionMaker expressions(maker);
  Scratch scratch;
  Outcome out;
  size_t compiled = 0, matched = 0, dropped = 0;
  const auto pick = [&](std::initializer_list<const char*> of) { return std::string(*(of.begin() + maker.below(of.size()))); };
  const auto guard = [&]() -> std::string {
    switch (maker.below(7)) {
      case 0: return pick({"proto", "tcp_flags", "src_port", "dst_port", "src_as"}) + " == " + std::to_string(maker.number());
      case 1: return pick({"src_port", "dst_port"}) + " in " + pick({"@ports", "[80, 443]", "[22]"});
      case 2: return "cidr(" + pick({"src_addr", "dst_addr"}) + ", " +
                     pick({"@local", "'10.0.0.0/8'", "'10.0.0.0/31'", "'0.0.0.0/0'", "'::/0'", "'2001:db8::/32'", "'ffff::/16'"}) + ")";
      case 3: return "not (proto == " + std::to_string(maker.number()) + ")";
      case 4: return "(dst_port == 443 or src_port == 80)";
      case 5: return expressions.condition(0);
      default: return pick({"src_addr", "dst_addr"}) + " in @local";
    }
  };
  for (int round = 0; round < 300; ++round) {
    std::string text;
    const size_t rules_wanted = 8 + maker.below(round % 10 == 0 ? 190 : 30);
    for (size_t i = 0; i < rules_wanted; ++i) {
      std::string when = guard();
      while (maker.below(3) != 0) when += pick({" and ", " and ", " and ", " or "}) + guard();
      for (size_t at = 0; (at = when.find('\'', at)) != std::string::npos; at += 2) when.insert(at, "'");
      text += "  - id: r" + std::to_string(i) + "\n    when: '" + when + "'\n    then: ";
      text += maker.below(40) == 0 ? "{drop: true}\n" : "{labels: [r" + std::to_string(i) + "], set: {count: " + std::to_string(i) + "}}\n";
    }
    const auto rules = RuleSet::parse(with_header(text), "r", folder_, testing::targets());
    if (!rules) continue;
    ++compiled;
    ASSERT_FALSE((*rules)->program().index.empty());
    std::vector<RuleCounts> counts(rules_wanted);
    for (int i = 0; i < 60; ++i) {
      const Viewed flow(maker.flow());
      (*rules)->program().run(flow.view, scratch, out, counts);
      const PlainOutcome plain = run_plainly(**rules, flow.view);
      ASSERT_EQ(summary(**rules, out), summary(**rules, plain)) << text;
      matched += out.labels != 0;
      dropped += out.is_dropped;
    }
  }
  std::cout << compiled << " rule sets compiled; " << matched << " flows matched, " << dropped << " dropped\n";
  EXPECT_GT(compiled, 100u);
  EXPECT_GT(matched, 3000u);
  EXPECT_GT(dropped, 300u);
}

}  // namespace
}  // namespace weir::rules
