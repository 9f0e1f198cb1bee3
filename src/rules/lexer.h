// lexer.h — The words of an expression.
//
// Spec:     RULES: numbers, strings without escapes, templates, names, operators; docs/RULES.md.
// Failure:  an Error with the place (1 is the first character).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/named_enum.h"
#include "base/result.h"
#include "rules/decimal.h"

namespace weir::rules {

#define WEIR_TOKEN_KINDS(X) X(end) X(number) X(string) X(templated) X(name) X(symbol)
WEIR_NAMED_ENUM(TokenKind, uint8_t, WEIR_TOKEN_KINDS)

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;  // of strings what is between the quotes
  Decimal number;
  size_t at = 0;

  bool is(std::string_view symbol_or_word) const {
    return (kind == TokenKind::symbol || kind == TokenKind::name) && text == symbol_or_word;
  }
};

Result<std::vector<Token>> tokens_of(std::string_view expression);

}  // namespace weir::rules
