#include "rules/lexer.h"

#include <fmt/format.h>

#include <array>

namespace weir::rules {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '$' || c == '#'; }
bool is_in_name(char c) { return begins_name(c) || is_digit(c); }

constexpr std::array<std::string_view, 28> kSymbols = {"..", "??", "==", "!=", "<=", ">=", "<", ">", "+", "-",
                                                       "*",  "/",  "%",  "^",  "!",  "?",  ":", "(", ")", "[",
                                                       "]",  "{",  "}",  ",",  ".",  "@",  ";", "="};

/// Octets of the number at the beginning: a point must have a digit behind it, so that `1..5` is an interval.
size_t number_octets(std::string_view s) {
  size_t i = 0;
  const auto digits = [&] {
    while (i < s.size() && (is_digit(s[i]) || s[i] == '_')) ++i;
  };
  digits();
  if (i + 1 < s.size() && s[i] == '.' && is_digit(s[i + 1])) {
    ++i;
    digits();
  }
  if (i < s.size() && s[i] == 'e') {  // no E, as in the engine
    size_t j = i + 1;
    if (j < s.size() && (s[j] == '+' || s[j] == '-')) ++j;
    if (j < s.size() && is_digit(s[j])) {
      i = j;
      digits();
    }
  }
  return i;
}

/// The end of the template that begins at `at`: quotes inside of ${…} are not its own.
size_t template_end(std::string_view s, size_t at) {
  int depth = 0;
  for (size_t i = at + 1; i < s.size(); ++i) {
    if (s[i] == '$' && i + 1 < s.size() && s[i + 1] == '{') {
      ++depth;
      ++i;
    } else if (depth > 0 && s[i] == '{') {
      ++depth;
    } else if (depth > 0 && s[i] == '}') {
      --depth;
    } else if (s[i] == '`' && depth == 0) {
      return i;
    }
  }
  return std::string_view::npos;
}

}  // namespace

Result<std::vector<Token>> tokens_of(std::string_view s) {
  std::vector<Token> tokens;
  size_t i = 0;
  while (i < s.size()) {
    const char c = s[i];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++i;
      continue;
    }
    Token token;
    token.at = i;
    size_t octets = 0;
    if (is_digit(c)) {
      octets = number_octets(s.substr(i));
      token.kind = TokenKind::number;
      token.text = s.substr(i, octets);
      const auto number = Decimal::parse(token.text);
      if (!number) return Error{fmt::format("at {}: {} is a number of more than 28 digits", i + 1, token.text)};
      token.number = *number;
    } else if (c == '\'' || c == '"') {
      const size_t end = s.find(c, i + 1);
      if (end == std::string_view::npos) return Error{fmt::format("at {}: the string has no end", i + 1)};
      token.kind = TokenKind::string;
      token.text = s.substr(i + 1, end - i - 1);
      octets = end + 1 - i;
    } else if (c == '`') {
      const size_t end = template_end(s, i);
      if (end == std::string_view::npos) return Error{fmt::format("at {}: the template has no end", i + 1)};
      token.kind = TokenKind::templated;
      token.text = s.substr(i + 1, end - i - 1);
      octets = end + 1 - i;
    } else if (begins_name(c)) {
      while (i + octets < s.size() && is_in_name(s[i + octets])) ++octets;
      token.kind = TokenKind::name;
      token.text = s.substr(i, octets);
    } else {
      for (const std::string_view symbol : kSymbols) {
        if (s.substr(i).starts_with(symbol)) {
          token.kind = TokenKind::symbol;
          token.text = symbol;
          octets = symbol.size();
          break;
        }
      }
      if (octets == 0) return Error{fmt::format("at {}: '{}' is no part of an expression", i + 1, c)};
    }
    tokens.push_back(std::move(token));
    i += octets;
  }
  Token end;
  end.at = s.size();
  tokens.push_back(std::move(end));
  return tokens;
}

}  // namespace weir::rules
