// Rules, expressions and decision files, each octet of them changed and each end cut off: refused with a place, or they mean one thing.
#include <gtest/gtest.h>

#include <random>

#include "fuzz/rules_oracle.h"
#include "rules/good_rules.h"

namespace weir::rules {
namespace {

using namespace std::literals;

/// Calls `check` for each beginning of the text, and for changes of it: what stands in such files, in places where it does not belong.
template <class Check>
void damage(const std::string& good, uint64_t changes_of_an_octet, Check check) {
  check(good);
  for (size_t length = 0; length < good.size(); ++length) check(good.substr(0, length));
  std::mt19937_64 random(285);
  constexpr auto kOctets = "()[]{}'\"`,.:;?!#$@&*|>-+=%^~/\\<0159aex \n\t\0\x7f\x80\xc3\xff"sv;
  for (size_t at = 0; at < good.size(); ++at) {
    for (uint64_t i = 0; i < changes_of_an_octet; ++i) {
      std::string bad = good;
      bad[at] = kOctets[random() % kOctets.size()];
      if (random() % 3 == 0) bad.insert(random() % bad.size(), good.substr(at, random() % 12));
      check(bad);
    }
  }
}

TEST(Damage, OfExpressionsIsRefusedWithItsPlaceOrMeansOneThing) {
  RulesOracle oracle;
  for (const char* const good : testing::kGoodExpressions) damage(good, 6, [&](const std::string& text) { oracle.check_expression(text); });
}

TEST(Damage, OfFilesOfRulesIsRefusedWithItsLineOrMeansOneThing) {
  RulesOracle oracle;
  for (const char* const good : testing::kGoodRules) damage(good, 4, [&](const std::string& text) { oracle.check_file(text); });
}

TEST(Damage, OfDecisionFilesIsRefusedOrGivesJson) {
  RulesOracle oracle;
  for (const char* const good : testing::kGoodDecisions) damage(good, 4, [&](const std::string& text) { oracle.check_decision(text); });
}

}  // namespace
}  // namespace weir::rules
