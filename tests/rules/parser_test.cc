// Expressions that nobody would write: none may do more than be refused.
#include "rules/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "rules/interpreter.h"

namespace weir::rules {
namespace {

using ::testing::HasSubstr;

std::string repeated(const std::string& text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(Parser, RefusesWhatIsTooDeepOrTooLong) {
  const auto error = [](const std::string& text) {
    const auto parsed = parse_expression(text);
    return parsed ? "" : parsed.error().message;
  };
  EXPECT_EQ(error("1" + repeated(" + 1", 390)), "");
  EXPECT_THAT(error("1" + repeated(" + 1", 4000)), HasSubstr("more than 400 operators in a row"));
  EXPECT_THAT(error("a" + repeated(".a", 4000)), HasSubstr("more than 400"));
  EXPECT_THAT(error(repeated("(", 8000)), HasSubstr("deeper than 64"));
  EXPECT_THAT(error(repeated("-", 8000) + "1"), HasSubstr("deeper than 64"));
  EXPECT_THAT(error(repeated("not ", 4000) + "a"), HasSubstr("deeper than 64"));
  EXPECT_THAT(error(repeated("a ? ", 4000)), HasSubstr("deeper than 64"));
  EXPECT_THAT(error(repeated("[", 8000)), HasSubstr("deeper than 64"));
  EXPECT_THAT(error(repeated("{a: ", 4000)), HasSubstr("deeper than 64"));
  EXPECT_THAT(error(repeated("`${", 2000)), HasSubstr("has no end"));
  EXPECT_THAT(error(repeated("1 ", 10'000)), HasSubstr("limit 16384"));
}

TEST(Parser, SurvivesDamageAnywhere) {
  const std::string good[] = {
      "proto == 6 and dst_port in @web ? `a ${lookup('x', src_addr) ?? 'b'} c` : {a: [1, 2.5e3], 'b c': s[1:2].d}",
      "not (cidr(a, '10.0.0.0/8') or x in (1..5]) and -2 ^ 2 != round(7.5, 1) % 3",
      "map(filter(items as i, i.x > 1), #.y + 1)[0] ?? $root.z",
  };
  const std::string pieces = "()[]{}'\"`$#@.,:;?!=<>+-*/%^ \n0129aex_\xff";
  std::mt19937_64 random(7);
  size_t parsed_count = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string text = good[random() % std::size(good)];
    for (uint64_t i = random() % 5; i > 0; --i) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0: text[at] = pieces[random() % pieces.size()]; break;
        case 1: text.insert(at, 1, pieces[random() % pieces.size()]); break;
        default: text.erase(at, 1 + random() % 3); break;
      }
      if (text.empty()) text = "x";
    }
    for (const auto& parsed : {parse_expression(text), parse_cell(text)}) {
      if (!parsed) {
        EXPECT_FALSE(parsed.error().message.empty());
        continue;
      }
      ++parsed_count;
      const Value root = Value::object({{"items", Value::array({Value::object({{"x", Value::of(Decimal(3))}, {"y", Value::of(Decimal(4))}})})}});
      const auto ignored = interpret(**parsed, {.root = &root, .reference = &root});
      static_cast<void>(ignored.has_value());
    }
  }
  EXPECT_GT(parsed_count, 5000u);
}

}  // namespace
}  // namespace weir::rules
