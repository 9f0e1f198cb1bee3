#include "classify/payload_gate.h"

#include <gmock/gmock.h>

#include <random>

#include "classify_support.h"

namespace weir::classify {
namespace {

std::optional<PatternHead> head(const char* expression, uint32_t flags = pattern_flag::kDotAll) {
  return head_of({.expression = expression, .flags = flags});
}

/// The octets of a place, as far as they print.
std::string at(const std::optional<PatternHead>& head, size_t place) {
  std::string text;
  for (size_t c = 0; head && c < 256; ++c)
    if ((*head)[place].test(c)) text += static_cast<char>(c);
  return text.size() > 100 ? "any" : text;
}

TEST(PatternHead, IsOfWhatAPatternBeginsWith) {
  EXPECT_EQ(at(head("^abc"), 0), "a");
  EXPECT_EQ(at(head("^abc"), 2), "c");
  EXPECT_EQ(at(head("^abc"), 3), "any");
  EXPECT_EQ(at(head("^(GET|POST) /"), 0), "GP");
  EXPECT_EQ(at(head("^(GET|POST) /"), 3), " T");
  EXPECT_EQ(at(head("^[a-c]?x"), 0), "abcx");
  EXPECT_EQ(at(head("^a{2}b"), 1), "a");
  EXPECT_EQ(at(head("^a{0,200}b"), 3), "any");
  EXPECT_EQ(at(head("^a{4,}b"), 3), "a");
  EXPECT_EQ(at(head("^.a"), 0), "any");
  EXPECT_EQ(at(head("^.a"), 1), "a");
  EXPECT_EQ(at(head("^\\x41[\\x42-\\x44]"), 1), "BCD");
  EXPECT_EQ(at(head("^a|^b"), 0), "ab");
  EXPECT_EQ(at(head("^ab", pattern_flag::kCaseless), 1), "Bb");
}

TEST(PatternHead, IsNothingWherePatternsBeginAnywhereOrWithWhatIsNotKnown) {
  for (const char* const pattern : {"abc", "a|^b", "^a|b", "^(?i)a", "^a\\b", "^[[:alpha:]]", "^\\pLa", "^a$", "(^a|b)", "^a*+b", "^\\Qa.\\E"})
    EXPECT_FALSE(head(pattern)) << pattern;
  EXPECT_FALSE(head("^a", pattern_flag::kMultiline));
  EXPECT_FALSE(head("^a", pattern_flag::kUtf8));
}

// Whatever the engine finds, the head admits: on patterns with all that is looked through, and texts made to meet them.
TEST(PatternHead, AdmitsAllThatTheEngineFinds) {
  WEIR_NEEDS_ENGINE();
  std::mt19937 random(11);
  const auto below = [&random](size_t n) { return random() % n; };
  std::vector<Pattern> patterns;
  const auto atom = [&](auto&& self, int depth) -> std::string {
    static constexpr const char* kAtoms[] = {"a", "b", "A", "\\x61", ".", "[ab]", "[^a]", "[a-c\\x00]", "\\.", "\\d", "\\n", "[\\d\\-b]"};
    static constexpr const char* kCounts[] = {"", "", "", "?", "*", "+", "{2}", "{0,2}", "{1,}", "{3,7}", "??", "+?"};
    std::string text = kAtoms[below(std::size(kAtoms))];
    if (depth > 0 && below(3) == 0) {
      text = below(2) == 0 ? "(" : "(?:";
      for (size_t i = 0, n = 1 + below(3); i < n; ++i) text += (i == 0 ? "" : below(2) == 0 ? "|" : "") + self(self, depth - 1);
      text += ")";
    }
    return text + kCounts[below(std::size(kCounts))];
  };
  for (int i = 0; i < 400; ++i) {
    std::string text = "^";
    for (size_t k = 0, n = 1 + below(4); k < n; ++k) text += atom(atom, 2);
    if (below(6) == 0) text += "|^" + atom(atom, 1);
    Pattern pattern{text, below(2) == 0 ? pattern_flag::kDotAll : pattern_flag::kCaseless};
    CompiledPatterns compiled;
    if (!compile_here({&pattern, 1}, compiled)) patterns.push_back(pattern);  // what is made up here takes no time
  }
  ASSERT_GT(patterns.size(), 200u);
  size_t known = 0, found = 0, met_exactly = 0;
  for (const Pattern& pattern : patterns) {
    CompiledPatterns compiled;
    ASSERT_FALSE(compile_here({&pattern, 1}, compiled));
    const auto database = PatternDatabase::load(compiled.database);
    PatternScratch scratch;
    ASSERT_TRUE(scratch.fit(**database));
    const auto told = head_of(pattern);
    known += told.has_value();
    ExactMatch exact;
    const auto ways = exact_ways_of(pattern);
    if (ways) exact.add(0, *ways);
    met_exactly += ways.has_value();
    for (int i = 0; told && i < 300; ++i) {
      testing::Octets text(below(8));
      for (uint8_t& c : text) c = static_cast<uint8_t>("abcABC.0-\n\0x"[below(12)]);
      size_t hits = 0, met = 0, hits_of_width = 0;
      (*database)->scan(text, scratch, [&](uint16_t) { ++hits; });
      exact.find(text, [&](uint16_t) { ++met; });
      EXPECT_TRUE(!ways || met == hits) << pattern.expression;
      if (hits == 0) continue;
      ++found;
      // What is beyond the width makes no match.
      (*database)->scan(std::span(text).first(std::min<size_t>(text.size(), compiled.width_max)), scratch, [&](uint16_t) { ++hits_of_width; });
      EXPECT_EQ(hits_of_width, hits) << pattern.expression;
      for (size_t place = 0; place < std::min(kHeadOctets, text.size()); ++place)
        EXPECT_TRUE((*told)[place].test(text[place])) << pattern.expression << " at " << place;
    }
  }
  EXPECT_GT(known, patterns.size() / 2) << "what begins in too many ways is left alone";
  EXPECT_GT(found, 5000u);
  EXPECT_GT(met_exactly, 20u);
}

}  // namespace
}  // namespace weir::classify
