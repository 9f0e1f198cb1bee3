// scanner.h — A part of a query's text, read from the left.
//
// Which characters make a word depends on what is expected: `2001:db8::1` is a value, `sort:total:desc` is not one. So there
// are no tokens: the parser asks for what may come.
//
// Private to src/query.
#pragma once

#include <string_view>

#include "query/ast.h"

namespace weir::query {

class Scanner {
 public:
  Scanner(std::string_view text, size_t begin, size_t end) : text_(text), at_(begin), end_(end) {}

  size_t at() const noexcept { return at_; }
  void go_to(size_t at) noexcept { at_ = at; }
  size_t end() const noexcept { return end_; }
  bool is_over() const noexcept { return at_ >= end_; }
  char peek(size_t ahead = 0) const noexcept { return at_ + ahead < end_ ? text_[at_ + ahead] : '\0'; }
  bool is_blank() const noexcept { return is_blank(peek()) && !is_over(); }
  void skip_blanks() noexcept;
  /// Takes `c` if it is next.
  bool take(char c) noexcept;
  /// Takes `word`, in any case, if it is next and ends there.
  bool take_word(std::string_view word) noexcept;
  bool is_at_word(std::string_view word) const noexcept;

  /// [A-Za-z_][A-Za-z0-9_.]*, empty if there is none.
  Text name();
  /// What a key and its colon look like: is there one?
  bool is_at_key() const noexcept;
  /// Up to a blank, a parenthesis that it did not open, or one of `stops`.
  Text word(std::string_view stops = {});
  bool is_at_quote() const noexcept;
  /// What is between quotes of three kinds; there are no escapes in it.
  Text quoted();
  /// `it` and what stands in it up to its partner: the place between them. For lists: quotes hide.
  Place bracketed();

  Scanner part(Place place) const { return {text_, place.at, place.at + place.octets}; }
  Text text_at(Place place) const { return {std::string(text_.substr(place.at, place.octets)), place, false}; }
  Place here(size_t octets = 1) const noexcept { return {at_, at_ + octets <= end_ ? octets : end_ - at_}; }
  /// A word, or the end, for messages: 'foo'.
  std::string what_is_here() const;

  static bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

 private:
  std::string_view text_;
  size_t at_;
  size_t end_;
};

bool is_identifier(std::string_view text) noexcept;
std::string lower(std::string_view text);
bool same_word(std::string_view a, std::string_view b) noexcept;  // in any case

}  // namespace weir::query
