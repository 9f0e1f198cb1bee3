// The language's conformance vectors: expression; input; expected result. The inputs are themselves expressions.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

#include "rules/interpreter.h"
#include "rules/parser.h"

namespace weir::rules {
namespace {

std::filesystem::path vectors_folder() {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  return std::filesystem::path(root != nullptr ? root : ".") / ".." / "shared" / "rules" / "expression";
}

struct Vector {
  std::string expression, input, expected;
  size_t line;
};

/// Fields by semicolons that are not in quotes, templates or brackets.
std::vector<Vector> read_vectors(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<Vector> vectors;
  std::string line;
  for (size_t number = 1; std::getline(file, line); ++number) {
    if (number == 1 || line.empty() || line[0] == '#') continue;
    std::vector<std::string> cells(1);
    char quote = 0;
    for (const char c : line) {
      if (quote == 0 && (c == '\'' || c == '"' || c == '`')) quote = c;
      else if (c == quote) quote = 0;
      if (c == ';' && quote == 0) cells.emplace_back();
      else cells.back() += c;
    }
    if (cells.size() == 2) cells.insert(cells.begin() + 1, "");  // some have no input
    cells.resize(3);
    vectors.push_back({cells[0], cells[1], cells[2], number});
  }
  return vectors;
}

Value json5(const std::string& text) {
  if (text.find_first_not_of(' ') == std::string::npos) return Value::object();
  auto v = evaluate(text, {});
  EXPECT_TRUE(v) << text << ": " << v.error().message;
  return v ? *v : Value();
}

/// What the language has and we do not: dates, likeness, chance, and assignments (whole expressions in quotes).
bool is_beyond_us(const std::string& expression) {
  if (expression[0] == '"') return true;
  for (const char* const word : {"date", "time(", "duration(", "year(", "monthOfYear", "monthString", "dayOf", "weekOf",
                                 "weekdayString", "startOf", "endOf", "fuzzyMatch", "rand("}) {
    if (expression.find(word) != std::string::npos) return true;
  }
  return false;
}

enum class Kind : uint8_t { expressions, cells };

void run_vectors(const char* name, Kind kind, size_t at_least) {
  const auto path = vectors_folder() / name;
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  size_t run = 0, left_out = 0;
  for (const Vector& v : read_vectors(path)) {
    if (is_beyond_us(v.expression)) {
      ++left_out;
      continue;
    }
    SCOPED_TRACE(std::string(name) + ":" + std::to_string(v.line) + ": " + v.expression);
    ++run;
    const Value input = json5(v.input);
    const Value* const reference = input.find("$");
    auto parsed = kind == Kind::cells ? parse_cell(v.expression) : parse_expression(v.expression);
    ASSERT_TRUE(parsed) << parsed.error().message;
    auto result = interpret(**parsed, {.root = &input, .reference = reference});
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_TRUE(*result == json5(v.expected)) << result->to_json();
  }
  std::cout << name << ": " << run << " run, " << left_out << " of dates, likeness, chance and assignment left out\n";
  EXPECT_GE(run, at_least);
}

TEST(ExpressionVectors, AreWhatExpressionsMean) { run_vectors("standard.csv", Kind::expressions, 400); }

TEST(ExpressionVectors, AreWhatCellsOfDecisionTablesMean) { run_vectors("unary.csv", Kind::cells, 85); }

}  // namespace
}  // namespace weir::rules
