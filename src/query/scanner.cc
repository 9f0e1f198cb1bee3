#include "query/scanner.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/printable.h"

namespace weir::query {
namespace {

constexpr size_t kShownOctetsMax = 40;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool begins_name(char c) noexcept { return (lower(c) >= 'a' && lower(c) <= 'z') || c == '_'; }
bool is_in_identifier(char c) noexcept { return begins_name(c) || (c >= '0' && c <= '9'); }
bool is_in_name(char c) noexcept { return is_in_identifier(c) || c == '.'; }

}  // namespace

bool is_identifier(std::string_view text) noexcept {
  return !text.empty() && begins_name(text.front()) && std::all_of(text.begin(), text.end(), is_in_identifier);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

bool same_word(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

void Scanner::skip_blanks() noexcept {
  while (is_blank()) ++at_;
}

bool Scanner::take(char c) noexcept {
  if (is_over() || text_[at_] != c) return false;
  ++at_;
  return true;
}

bool Scanner::is_at_word(std::string_view word) const noexcept {
  return at_ + word.size() <= end_ && same_word(text_.substr(at_, word.size()), word) &&
         !is_in_name(peek(word.size())) && peek(word.size()) != ':';
}

bool Scanner::take_word(std::string_view word) noexcept {
  if (!is_at_word(word)) return false;
  at_ += word.size();
  return true;
}

Text Scanner::name() {
  const size_t begin = at_;
  if (begins_name(peek())) {
    while (!is_over() && is_in_name(text_[at_])) ++at_;
  }
  return text_at({begin, at_ - begin});
}

bool Scanner::is_at_key() const noexcept {
  Scanner ahead = *this;
  if (!begins_name(ahead.peek())) return false;
  while (is_in_name(ahead.peek())) ++ahead.at_;
  return ahead.peek() == ':';
}

Text Scanner::word(std::string_view stops) {
  const size_t begin = at_;
  int depth = 0;
  for (; !is_over() && !is_blank(); ++at_) {
    const char c = text_[at_];
    if (stops.find(c) != std::string_view::npos) break;
    if (c == '(') ++depth;
    if (c == ')' && --depth < 0) break;
  }
  return text_at({begin, at_ - begin});
}

bool Scanner::is_at_quote() const noexcept { return peek() == '"' || peek() == '\'' || peek() == '`'; }

Text Scanner::quoted() {
  const size_t close = text_.substr(0, end_).find(text_[at_], at_ + 1);
  if (close == std::string_view::npos) {
    refuse({at_, end_ - at_}, fmt::format("the quote {} is not closed", text_[at_]));
  }
  Text inside = text_at({at_ + 1, close - at_ - 1});
  inside.is_quoted = true;
  at_ = close + 1;
  return inside;
}

Place Scanner::bracketed() {
  const size_t open = at_;
  const char closing = text_[at_] == '(' ? ')' : ']';
  ++at_;
  bool item_begins = true;  // only there a quote is one: O'Brien has none
  while (!is_over() && text_[at_] != closing) {
    if (item_begins && is_at_quote()) {
      static_cast<void>(quoted());
      item_begins = false;
      continue;
    }
    item_begins = text_[at_] == ',' || (item_begins && is_blank());
    ++at_;
  }
  if (is_over()) refuse({open, end_ - open}, fmt::format("{} is not closed by {}", text_[open], closing));
  ++at_;
  return {open + 1, at_ - open - 2};
}

std::string Scanner::what_is_here() const {
  if (is_over()) return "the end";
  Scanner ahead = *this;
  const Text word = ahead.word();
  std::string shown = word.text.empty() ? std::string(1, text_[at_]) : word.text;
  if (shown.size() > kShownOctetsMax) {
    size_t cut = kShownOctetsMax;
    while (cut > 0 && (static_cast<unsigned char>(shown[cut]) & 0xc0) == 0x80) --cut;
    shown = shown.substr(0, cut) + "...";
  }
  return fmt::format("'{}'", printable(shown));
}

}  // namespace weir::query
