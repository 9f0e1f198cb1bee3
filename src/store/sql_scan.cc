#include "store/sql_scan.h"

#include <strings.h>

#include <algorithm>
#include <string>
#include <vector>

namespace weir::store {
namespace {

bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_word(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is(std::string_view word, std::string_view other) noexcept {
  return word.size() == other.size() && strncasecmp(word.data(), other.data(), word.size()) == 0;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  SqlLook look() {
    while (at_ < text_.size()) {
      const size_t before = at_;
      if (is_space(text_[at_])) {
        ++at_;
      } else if (starts("--")) {
        at_ = std::min(text_.find_first_of("\n\r", at_), text_.size());
      } else if (starts("/*")) {
        skip_comment();
      } else if (text_[at_] == ';') {
        ++at_;
      } else {
        token();
        if (begin_ == text_.size()) begin_ = before;
        end_ = at_;
      }
    }
    look_.statement = begin_ < end_ ? text_.substr(begin_, end_ - begin_) : std::string_view();
    return look_;
  }

 private:
  bool starts(std::string_view with) const noexcept { return text_.compare(at_, with.size(), with) == 0; }

  void skip_comment() {
    unsigned depth = 0;
    do {
      if (starts("/*")) {
        ++depth;
        at_ += 2;
      } else if (starts("*/")) {
        --depth;
        at_ += 2;
      } else {
        ++at_;
      }
    } while (depth > 0 && at_ < text_.size());
  }

  void skip_quoted(char quote, bool has_escapes) {
    for (++at_; at_ < text_.size(); ++at_) {
      if (has_escapes && text_[at_] == '\\') {
        ++at_;
      } else if (text_[at_] == quote) {
        ++at_;
        if (at_ >= text_.size() || text_[at_] != quote) return;
      }
    }
    at_ = text_.size();
  }

  void skip_dollars() {
    size_t end = at_ + 1;
    while (end < text_.size() && is_word(text_[end])) ++end;
    if (end >= text_.size() || text_[end] != '$' || (end > at_ + 1 && text_[at_ + 1] >= '0' && text_[at_ + 1] <= '9')) {
      at_ = end;  // a parameter
      return;
    }
    const std::string_view tag = text_.substr(at_, end + 1 - at_);
    const size_t close = text_.find(tag, end + 1);
    at_ = close == std::string_view::npos ? text_.size() : close + tag.size();
  }

  void token() {
    const char c = text_[at_];
    if (c == '\'' || c == '"') return skip_quoted(c, false);
    if (c == '$') return skip_dollars();
    if (is_word(c)) return word();
    if (c == '(' || c == '[' || c == '{') {
      has_with_.push_back(false);
      look_.nesting = std::max(look_.nesting, static_cast<unsigned>(has_with_.size() - 1));
    } else if ((c == ')' || c == ']' || c == '}') && has_with_.size() > 1) {
      withs_ -= has_with_.back() ? 1 : 0;
      has_with_.pop_back();
    }
    ++at_;
  }

  void word() {
    const size_t begin = at_;
    while (at_ < text_.size() && (is_word(text_[at_]) || text_[at_] == '$')) ++at_;
    const std::string_view name = text_.substr(begin, at_ - begin);
    if (is(name, "e") && at_ < text_.size() && text_[at_] == '\'') return skip_quoted('\'', true);
    // TIMESTAMP WITH TIME ZONE makes nothing deeper.
    if (!is(name, "with") || has_with_.back() || is(next_word(), "time")) return;
    has_with_.back() = true;
    look_.with_nesting = std::max(look_.with_nesting, ++withs_);
  }

  std::string_view next_word() const noexcept {
    size_t begin = at_;
    while (begin < text_.size() && is_space(text_[begin])) ++begin;
    size_t end = begin;
    while (end < text_.size() && is_word(text_[end])) ++end;
    return text_.substr(begin, end - begin);
  }

  const std::string_view text_;
  size_t at_ = 0, begin_ = text_.size(), end_ = 0;
  std::vector<bool> has_with_ = {false};  // of each open bracket
  unsigned withs_ = 0;
  SqlLook look_;
};

}  // namespace

SqlLook look_at_sql(std::string_view text) { return Scanner(text).look(); }

}  // namespace weir::store
