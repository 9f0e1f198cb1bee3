#include "classify/rule_groups.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <bit>
#include <numeric>

#include "lab/frame_builder.h"

namespace weir::classify {
namespace {

using lab::text;

/// Of TCP, in the order of their priorities.
struct Rules {
  std::vector<Rule> rules;
  PayloadGate gate;

  void add(const std::string& pattern, const std::vector<std::string>& ports = {}, uint32_t flags = 0) {
    Rule& rule = rules.emplace_back();
    rule.look = LookPlace::payload;
    rule.pattern.expression = pattern;
    rule.pattern.flags = flags;
    if (ports.empty()) return;
    rule.ports.emplace();
    for (const std::string& port : ports) EXPECT_TRUE(rule.ports->add(port));
  }
  void sort() {
    std::vector<uint16_t> which(rules.size());
    std::iota(which.begin(), which.end(), uint16_t{0});
    sort_into_groups(rules, which, gate);
    size_t sorted = 0;
    for (const GateGroup& group : gate.groups()) sorted += group.lookout.rules.size();
    EXPECT_EQ(sorted, rules.size());
    EXPECT_LE(gate.groups().size(), kGateGroupsMax);
  }
  /// Whether the payload is looked at for the rule.
  bool is_asked(size_t rule, const std::string& payload, uint32_t port) const {
    for (uint64_t left = gate.candidates(text(payload), 40'000, port); left != 0; left &= left - 1) {
      const auto& of = gate.groups()[static_cast<size_t>(std::countr_zero(left))].lookout.rules;
      if (std::find(of.begin(), of.end(), rule) != of.end()) return true;
    }
    return false;
  }
  int groups_asked(const std::string& payload, uint32_t port) const {
    return std::popcount(gate.candidates(text(payload), 40'000, port));
  }
};

TEST(RuleGroups, CompareFewWaysOneByOneAndLeaveManyToTheEngine) {
  Rules few;
  for (int i = 0; i < 10; ++i) few.add(fmt::format("^GET /{}", i));
  few.sort();
  ASSERT_EQ(few.gate.groups().size(), 1u);
  EXPECT_TRUE(few.gate.groups()[0].exact);
  for (const char* const form : {"^GET /w{:04}", "^.{{8}}w{:04}"}) {
    Rules many;
    for (int i = 0; i < 1000; ++i) many.add(fmt::format(fmt::runtime(form), i));
    many.sort();
    ASSERT_EQ(many.gate.groups().size(), 1u) << form;
    EXPECT_FALSE(many.gate.groups()[0].exact) << form;
  }
}

TEST(RuleGroups, OfAnOperatorWithManyPortsLeaveOthersTheirs) {
  Rules some;
  for (int i = 0; i < 200; ++i) some.add(fmt::format("^word{} .*x", i), {std::to_string(2000 + i)});
  some.add("^\\x16\\x03", {}, 0);
  some.add("^BEGIN.*x", {"179"});
  some.add("anywhere", {"6881"});
  some.sort();
  const size_t tls = 200, bgp = 201, anywhere = 202;
  EXPECT_TRUE(some.is_asked(tls, "\x16\x03\x01\x02\x03", 443));
  EXPECT_TRUE(some.is_asked(bgp, "BEGIN it", 179));
  EXPECT_TRUE(some.is_asked(anywhere, "random octets", 6881));
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(some.is_asked(static_cast<size_t>(i), fmt::format("word{} and", i), static_cast<uint32_t>(2000 + i)));
  // Most of what is sampled is nothing in particular.
  EXPECT_EQ(some.groups_asked("random octets", 443), 0);
  EXPECT_EQ(some.groups_asked("random octets", 2007), 0);
  EXPECT_LE(some.groups_asked("random octets", 6881), 1);
}

TEST(RuleGroups, AreBoundedWhateverRulesSay) {
  Rules many;
  for (int i = 0; i < 3000; ++i) many.add(fmt::format("word{}", i), {std::to_string(i + 1), std::to_string(i + 10'000)}, i % 2 == 0 ? 0 : pattern_flag::kCaseless);
  for (int i = 0; i < 200; ++i) many.add(fmt::format("^{}{}[0-9]+", static_cast<char>('A' + i % 26), static_cast<char>('a' + i / 26)));
  many.sort();
  for (size_t i = 0; i < 3000; i += 37) EXPECT_TRUE(many.is_asked(i, "it is a word", static_cast<uint32_t>(i + 1)));
  EXPECT_TRUE(many.is_asked(3000, "Aa12", 5));
}

TEST(RuleGroups, BeyondTheDraftsShareOneOfAnyKind) {
  Rules many;
  for (int i = 0; i < 1024; ++i) many.add("^AB[0-9]+x", {std::to_string(i + 1)});
  many.add("foo[0-9]+bar");
  many.add("^QZ[0-9]+y");
  many.sort();
  EXPECT_TRUE(many.is_asked(1024, "it is foo1bar", 5));
  EXPECT_TRUE(many.is_asked(1025, "QZ12y", 5));
  EXPECT_TRUE(many.is_asked(7, "AB1x", 8));
}

}  // namespace
}  // namespace weir::classify
