// Regular expressions: what they find, that it is what the standard library's find, and that no text takes long.
#include "rules/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <regex>

namespace weir::rules {
namespace {

using ::testing::HasSubstr;

std::string found(std::string_view pattern, std::string_view text) {
  const auto parsed = Pattern::parse(pattern);
  if (!parsed) return "error: " + parsed.error().message;
  const auto groups = parsed->find(text);
  if (!groups) return "nothing";
  std::string all;
  for (const Pattern::Group& group : *groups) {
    all += all.empty() ? "" : ",";
    all += group ? "<" + std::string(*group) + ">" : "-";
  }
  return all;
}

TEST(Pattern, FindsTheFirstAndOfThoseTheOneThatItPrefers) {
  EXPECT_EQ(found("a|ab", "xab"), "<a>");
  EXPECT_EQ(found("a+?", "aab"), "<a>");
  EXPECT_EQ(found("a+", "xaab"), "<aa>");
  EXPECT_EQ(found("^(.*?)=(.*)$", "k=v=w"), "<k=v=w>,<k>,<v=w>");
  EXPECT_EQ(found("(x)?y", "y"), "<y>,-");
  EXPECT_EQ(found("(x?)y", "y"), "<y>,<>");
  EXPECT_EQ(found("b", "aaa"), "nothing");
  EXPECT_EQ(found("", "a"), "<>");
  EXPECT_EQ(found("(a*)*b", "aaab"), "<aaab>,<aaa>");
  EXPECT_EQ(found("a{2}b{1,2}c{0,}", "aabbbcc"), "<aabb>");
  EXPECT_EQ(found("a{2}b{1,2}c{0,}", "aabbcc"), "<aabbcc>");
  EXPECT_EQ(found("client_ip\":\"([^\"]+)\"", R"({"client_ip":"192.0.2.1","x":1})"), R"(<client_ip":"192.0.2.1">,<192.0.2.1>)");
}

TEST(Pattern, KnowsTheDialect) {
  EXPECT_EQ(found(R"(\d+\.\w\s\S)", "x 12.a b"), "<12.a b>");
  EXPECT_EQ(found(R"(\bweb\b)", "webs web"), "<web>");
  EXPECT_EQ(found(R"([^a-c\d-]+)", "a1-xyz9"), "<xyz>");
  EXPECT_EQ(found("[[:alpha:]_]+[]]", "1ab_]"), "<ab_]>");
  EXPECT_EQ(found("(?i)Web[a-f]", "xWEBC"), "<WEBC>");
  EXPECT_EQ(found("a.b", "a\nb"), "nothing");
  EXPECT_EQ(found("(?s)a.b", "a\nb"), "<a\nb>");
  EXPECT_EQ(found("(?m)^b$", "a\nb\nc"), "<b>");
  EXPECT_EQ(found("b$", "b\n"), "nothing");
  EXPECT_EQ(found("(?P<year>\\d{4})-(?:\\d\\d)", "on 2026-11"), "<2026-11>,<2026>");
  EXPECT_EQ(found("gr.n", "grün"), "<grün>") << "a character, not an octet";
  EXPECT_EQ(found("[ü-ÿ]", "grün"), "<ü>");
  EXPECT_EQ(found("\\x41\\u00fc\\x{1F600}", "Aü😀"), "<Aü😀>");
  EXPECT_EQ(found("a.c", "a\xff" "c"), "<a\xff" "c>");
}

TEST(Pattern, SaysWhatItDoesNotUnderstand) {
  for (const char* const wrong : {"(a", "a)", "[a", "[b-a]", "*a", "a{2", "a{3,2}", "\\", "(a)\\1", "(?=a)", "(?<!a)", "\\p{L}", "[[:odd:]]", "(?x)a", "\\xg0", "[a[b]]", "[a-[b]]", "[a&&b]", "[a--b]", "[--a]", "[a~~b]",
                                "[\\d-z]", "\\<a", "a\\>", "[\\<]", "\\x4", "[\\x]", "\\u12", "\\x{}", "\\ud800", "(?P<>a)", "(?<1>a)", "(?<a", "(?P<n>a)(?P<n>b)", "\\ü"}) {
    EXPECT_THAT(found(wrong, "a"), HasSubstr(std::string("error: '") + wrong + "': at ")) << wrong;
  }
  EXPECT_THAT(found(std::string(1001, 'a'), ""), HasSubstr("longer than 1000"));
  EXPECT_THAT(found("((a{40}){40}){40}", ""), HasSubstr("too large"));
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "(?:";
  EXPECT_THAT(found(deep, ""), HasSubstr("too deep"));
  EXPECT_THAT(found(std::string(60, '('), ""), HasSubstr("more than 50 groups"));
}

TEST(Pattern, TakesWhatMayBeEmptyAsTheEngineDoes) {
  EXPECT_EQ(found("(|a)*", "aaa"), "<>,<>");
  EXPECT_EQ(found("(|a)+", "aaa"), "<>,<>");
  EXPECT_EQ(found("(a|b?)+?", "aab"), "<a>,<a>");
  EXPECT_EQ(found("(|a)*b", "ab"), "<ab>,<a>");
  EXPECT_EQ(found("(a{0,2}?){2,}", "aaa"), "<>,<>");
  EXPECT_EQ(found("(a|)*?", "aaa"), "<>,-");
}

TEST(Pattern, TakesNoLongerForAnyText) {
  EXPECT_EQ(found("(.|x)*y", std::string(64 * 1024, 'z')), "nothing");
  EXPECT_EQ(found("^(a+)+$", std::string(2000, 'a') + "b"), "nothing");
  EXPECT_EQ(found("(a?){100}a{100}", std::string(100, 'a')).substr(0, 3), "<aa");
}

/// Without repetitions of nothing, of which the two think differently.
class PatternMaker {
 public:
  std::string some(int depth) {
    std::string text = piece(depth);
    while (random_() % 3 != 0) text += piece(depth);
    return depth > 0 && random_() % 4 == 0 ? text + "|" + some(depth - 1) : text;
  }
  std::string text() {
    std::string made;
    while (random_() % 9 != 0) made += "abc1 "[random_() % 5];
    return made;
  }

 private:
  std::string piece(int depth) {
    static constexpr const char* kPieces[] = {"a", "b", "c", "1", "[ab]", "[^a]", ".", "\\d", "\\w", "\\s", "(?:ab)"};
    static constexpr const char* kTimes[] = {"", "", "", "*", "+", "?", "{2}", "{1,3}", "*?", "+?", "??", "{2,}"};
    std::string made = depth > 0 && random_() % 3 == 0 ? "(" + some(depth - 1) + ")" : kPieces[random_() % std::size(kPieces)];
    if (made[0] != '(' || made[1] == '?') made += kTimes[random_() % std::size(kTimes)];
    if (random_() % 25 == 0) made += random_() % 2 == 0 ? "\\b" : "$";
    return made;
  }
  std::mt19937_64 random_{286};
};

TEST(Pattern, FindsWhatTheStandardLibraryFinds) {
  PatternMaker maker;
  size_t matched = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::string pattern = maker.some(3);
    if (pattern.size() > 60) continue;
    const auto ours = Pattern::parse(pattern);
    ASSERT_TRUE(ours) << ours.error().message;
    const std::regex theirs(pattern);
    for (int k = 0; k < 5; ++k) {
      const std::string text = maker.text();
      std::smatch match;
      const bool is_there = std::regex_search(text, match, theirs);
      const auto groups = ours->find(text);
      ASSERT_EQ(groups.has_value(), is_there) << pattern << " in '" << text << "'";
      if (!is_there) continue;
      ++matched;
      for (size_t g = 0; g < match.size(); ++g) ASSERT_EQ(groups->at(g).value_or(""), match[g].str()) << pattern << " in '" << text << "', group " << g;
    }
  }
  EXPECT_GT(matched, 3000u);
}

}  // namespace
}  // namespace weir::rules
