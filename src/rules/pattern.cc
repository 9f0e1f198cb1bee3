#include "rules/pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/utf8.h"

namespace weir::rules {
namespace {

constexpr uint32_t kCharacterMax = 0x10ffff;
constexpr uint32_t kNoCharacter = 0x110000;  // and the octet, of what is no UTF-8

uint32_t character_at(std::string_view text, size_t at, size_t& octets) noexcept {
  const auto* const p = reinterpret_cast<const uint8_t*>(text.data()) + at;
  octets = utf8_character_octets(p, text.size() - at);
  if (octets == 0) return octets = 1, kNoCharacter + p[0];
  uint32_t c = octets == 1 ? p[0] : p[0] & (0xffu >> (octets + 1));
  for (size_t i = 1; i < octets; ++i) c = c << 6 | (p[i] & 0x3f);
  return c;
}

bool is_in_word(uint32_t c) noexcept { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }
uint32_t lower(uint32_t c) noexcept { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; }

using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;
const Ranges kDigits = {{'0', '9'}};
const Ranges kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const Ranges kSpace = {{'\t', '\r'}, {' ', ' '}};

Ranges all_but(const Ranges& ranges) {
  Ranges others;
  uint32_t next = 0;
  for (const auto& [first, last] : ranges) {
    if (first > next) others.emplace_back(next, first - 1);
    next = last + 1;
  }
  others.emplace_back(next, kNoCharacter + 0xff);
  return others;
}

/// Puts them in order, and makes one of those that meet.
void join(Ranges& ranges) {
  std::sort(ranges.begin(), ranges.end());
  size_t kept = 0;
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first <= ranges[kept].second + 1) ranges[kept].second = std::max(ranges[kept].second, ranges[i].second);
    else ranges[++kept] = ranges[i];
  }
  if (!ranges.empty()) ranges.resize(kept + 1);
}

/// \d and the like.
std::optional<Ranges> shorthand(char c) {
  switch (c) {
    case 'd': return kDigits;
    case 'w': return kWord;
    case 's': return kSpace;
    case 'D': return all_but(kDigits);
    case 'W': return all_but(kWord);
    case 'S': return all_but(kSpace);
    default: return std::nullopt;
  }
}

std::optional<Ranges> named_class(std::string_view name) {
  if (name == "alpha") return Ranges{{'A', 'Z'}, {'a', 'z'}};
  if (name == "digit") return kDigits;
  if (name == "alnum") return Ranges{{'0', '9'}, {'A', 'Z'}, {'a', 'z'}};
  if (name == "upper") return Ranges{{'A', 'Z'}};
  if (name == "lower") return Ranges{{'a', 'z'}};
  if (name == "space") return kSpace;
  if (name == "punct") return Ranges{{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}};
  if (name == "xdigit") return Ranges{{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
  return std::nullopt;
}

}  // namespace

bool Pattern::Class::has(uint32_t character) const noexcept {
  const auto behind = std::upper_bound(ranges.begin(), ranges.end(), character, [](uint32_t c, const auto& r) { return c < r.first; });
  return (behind != ranges.begin() && character <= std::prev(behind)->second) != is_negated;
}

/// Text → steps. The jumps of a part are from where they stand, so that a repeated one can be copied.
class PatternParser {
 public:
  explicit PatternParser(std::string_view text) : text_(text) {}

  Result<Pattern> parse() {
    if (text_.size() > kPatternOctetsMax) return Error{fmt::format("a pattern longer than {} octets", kPatternOctetsMax)};
    take_flags();
    Part all = alternatives();
    if (error_.empty() && at_ < text_.size()) fail("')' closes nothing");
    if (!error_.empty()) return Error{error_};
    put(pattern_.steps_, {.op = Op::save, .to = 0});
    append(pattern_.steps_, all);
    put(pattern_.steps_, {.op = Op::save, .to = 1});
    put(pattern_.steps_, {.op = Op::found});
    if (!error_.empty()) return Error{error_};
    return std::move(pattern_);
  }

 private:
  using Op = Pattern::Op;
  using Step = Pattern::Step;
  using Part = std::vector<Step>;
  static constexpr int kDepthMax = 64;

  void fail(const std::string& why) {
    if (error_.empty()) error_ = fmt::format("'{}': at {}: {}", text_, at_ + 1, why);
  }
  bool is_over() const { return at_ >= text_.size() || !error_.empty(); }
  bool take(std::string_view what) {
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }
  void put(Part& part, Step step) {
    if (part.size() >= kPatternStepsMax) return fail("it is too large");
    part.push_back(step);
  }
  void append(Part& part, const Part& more) {
    if (part.size() + more.size() > kPatternStepsMax) return fail("it is too large");
    part.insert(part.end(), more.begin(), more.end());
  }
  static int32_t size_of(const Part& part) { return static_cast<int32_t>(part.size()); }

  void take_flags() {
    size_t end = 2;
    if (!text_.starts_with("(?")) return;
    while (end < text_.size() && std::string_view("ism").find(text_[end]) != std::string_view::npos) ++end;
    if (end == 2 || end >= text_.size() || text_[end] != ')') return;
    for (const char flag : text_.substr(2, end - 2)) (flag == 'i' ? pattern_.ignores_case_ : flag == 's' ? dot_is_all_ : has_lines_) = true;
    at_ = end + 1;
  }

  Part alternatives() {
    if (++depth_ > kDepthMax) return fail("groups are too deep"), Part();
    Part part = sequence();
    while (error_.empty() && take("|")) {
      const Part other = sequence();
      Part both;
      put(both, {.op = Op::split, .to = size_of(part) + 2});
      append(both, part);
      put(both, {.op = Op::jump, .to = size_of(other) + 1});
      append(both, other);
      part = std::move(both);
    }
    --depth_;
    return part;
  }

  Part sequence() {
    Part part;
    while (!is_over() && text_[at_] != '|' && text_[at_] != ')') append(part, repeated(atom()));
    return part;
  }

  Part repeated(Part part) {
    while (!is_over()) {
      size_t least = 0, most = SIZE_MAX;
      if (take("+")) least = 1;
      else if (take("?")) most = 1;
      else if (!take("*") && !count(least, most)) break;
      const bool is_lazy = take("?");
      Part all;
      for (size_t i = 0; i < least && error_.empty(); ++i) append(all, part);
      if (most == SIZE_MAX) {
        // x* is (x+)?, and behind x+ the way back: so what may be empty is taken as the engine takes it.
        if (least == 0) put(all, {.op = Op::split, .is_lazy = is_lazy, .to = size_of(part) + 2});
        if (least == 0) append(all, part);
        put(all, {.op = Op::split, .is_lazy = !is_lazy, .to = -size_of(part)});
      }
      for (size_t i = least; i < most && most != SIZE_MAX && error_.empty(); ++i) {
        const auto rest = static_cast<int32_t>(most - i);
        put(all, {.op = Op::split, .is_lazy = is_lazy, .to = rest * (size_of(part) + 1)});
        append(all, part);
      }
      part = std::move(all);
    }
    return part;
  }

  /// {2}, {2,} or {2,5}.
  bool count(size_t& least, size_t& most) {
    if (is_over() || text_[at_] != '{') return false;
    ++at_;
    const auto number = [&](size_t otherwise) {
      if (is_over() || text_[at_] < '0' || text_[at_] > '9') return otherwise;
      size_t n = 0;
      for (; !is_over() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) n = std::min(n * 10 + static_cast<size_t>(text_[at_] - '0'), kPatternStepsMax + 1);
      return n;
    };
    least = number(SIZE_MAX);
    most = take(",") ? number(SIZE_MAX) : least;
    if (least == SIZE_MAX || most < least || !take("}")) return fail("'{' is to have a count behind it, as {2}, {2,} and {2,5} have"), true;
    if (least > kPatternStepsMax || (most != SIZE_MAX && most > kPatternStepsMax)) fail("it is too large");
    return true;
  }

  Part atom() {
    if (take("(")) return group();
    if (take("[")) return set(bracket());
    if (take(".")) return set(dot_is_all_ ? Pattern::Class{{}, true} : Pattern::Class{{{'\n', '\n'}}, true});
    if (take("^")) return {{.op = has_lines_ ? Op::line_begin : Op::text_begin}};
    if (take("$")) return {{.op = has_lines_ ? Op::line_end : Op::text_end}};
    if (take("\\")) return escaped();
    if (std::string_view("*+?{").find(text_[at_]) != std::string_view::npos) return fail("there is nothing to repeat"), Part();
    return set(one(next_character()));
  }

  Part group() {
    size_t number = 0;
    bool is_kept = true;
    if (take("?:")) {
      is_kept = false;
    } else if (take("?P<") || (text_.substr(at_).starts_with("?<") && text_.substr(at_, 3) != "?<=" && text_.substr(at_, 3) != "?<!" && take("?<"))) {
      take_name();
    } else if (take("?")) {
      return fail("no such group is known: (…), (?:…) and (?P<name>…) are"), Part();
    }
    if (is_kept) number = pattern_.groups_++;
    if (pattern_.groups_ > kPatternGroupsMax) return fail(fmt::format("more than {} groups", kPatternGroupsMax)), Part();
    const Part inner = alternatives();
    if (error_.empty() && !take(")")) fail("a group has no end");
    if (!is_kept) return inner;
    Part part;
    put(part, {.op = Op::save, .to = static_cast<int32_t>(2 * number)});
    append(part, inner);
    put(part, {.op = Op::save, .to = static_cast<int32_t>(2 * number + 1)});
    return part;
  }

  void take_name() {
    const size_t begin = at_;
    while (!is_over() && is_in_word(static_cast<uint8_t>(text_[at_]))) ++at_;
    const std::string_view name = text_.substr(begin, at_ - begin);
    if (name.empty() || (name[0] >= '0' && name[0] <= '9') || !take(">")) return fail("a group's name is letters, digits and _");
    if (std::find(names_.begin(), names_.end(), name) != names_.end()) return fail(fmt::format("there are two groups {}", name));
    names_.push_back(name);
  }

  Part escaped() {
    if (is_over()) return fail("a backslash is the last character"), Part();
    const char c = text_[at_];
    if (auto ranges = shorthand(c)) return ++at_, set({std::move(*ranges), false});
    if (take("b")) return {{.op = Op::word_edge}};
    if (take("B")) return {{.op = Op::no_word_edge}};
    if (take("A")) return {{.op = Op::text_begin}};
    if (take("z")) return {{.op = Op::text_end}};
    return set(one(escaped_character()));
  }

  uint32_t escaped_character() {
    if (is_over()) return fail("a backslash is the last character"), 0;
    const char c = text_[at_];
    constexpr std::string_view kLetters = "ntrfv", kMean = "\n\t\r\f\v";
    if (const size_t at = kLetters.find(c); at != std::string_view::npos) return ++at_, static_cast<uint32_t>(kMean[at]);
    if (c == 'x' || c == 'u') {
      ++at_;
      size_t digits = c == 'x' ? 2 : 4;
      const bool is_open = take("{");
      if (is_open) digits = 6;
      uint32_t value = 0;
      size_t i = 0;
      for (; i < digits && !is_over() && !(is_open && text_[at_] == '}'); ++i, ++at_) {
        const size_t digit = std::string_view("0123456789abcdef").find(static_cast<char>(lower(static_cast<uint8_t>(text_[at_]))));
        if (digit == std::string_view::npos) return fail("a hexadecimal digit is wanted"), 0;
        value = value << 4 | static_cast<uint32_t>(digit);
      }
      const bool is_whole = is_open ? i != 0 && take("}") : i == digits;
      if (!is_whole || value > kCharacterMax || (value >= 0xd800 && value <= 0xdfff)) fail("it is no character");
      return value;
    }
    const auto octet = static_cast<uint8_t>(c);
    // \< and \> are edges of words to the engine.
    if (octet >= 0x80) return fail("there is no such character to be had by a backslash"), 0;
    if ((is_in_word(octet) && c != '_') || c == '<' || c == '>') return fail(fmt::format("\\{} is not known here", c)), 0;
    return next_character();
  }

  uint32_t next_character() {
    size_t octets = 1;
    const uint32_t c = character_at(text_, at_, octets);
    at_ += octets;
    return c;
  }

  Pattern::Class bracket() {
    Pattern::Class made;
    made.is_negated = take("^");
    for (bool is_first = true; !is_over() && (is_first || text_[at_] != ']'); is_first = false) {
      if (take("[:")) {
        const size_t end = text_.find(":]", at_);
        const auto ranges = end == std::string_view::npos ? std::nullopt : named_class(text_.substr(at_, end - at_));
        if (!ranges) return fail("no such class is known"), made;
        at_ = end + 2;
        made.ranges.insert(made.ranges.end(), ranges->begin(), ranges->end());
        continue;
      }
      // To the engine, classes in classes, and what both have or one has alone.
      for (const std::string_view other : {"[", "&&", "--", "~~"}) {
        if (text_.substr(at_).starts_with(other)) return fail(fmt::format("'{}' in a class is not known here", other)), made;
      }
      const bool is_escaped = take("\\");
      if (is_escaped && !is_over()) {
        if (const auto ranges = shorthand(text_[at_])) {
          ++at_;
          made.ranges.insert(made.ranges.end(), ranges->begin(), ranges->end());
          if (at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']') return fail("a range begins with a character"), made;
          continue;
        }
      }
      const uint32_t first = is_escaped ? escaped_character() : next_character();
      uint32_t last = first;
      if (at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']' && text_[at_ + 1] != '-') {
        ++at_;
        if (text_[at_] == '[') return fail("a range ends with a character"), made;
        last = take("\\") ? escaped_character() : next_character();
      }
      if (last < first) fail("a range goes backwards");
      made.ranges.emplace_back(first, last);
    }
    if (!take("]")) fail("a class has no end");
    return made;
  }

  static Pattern::Class one(uint32_t character) { return {{{character, character}}, false}; }

  Part set(Pattern::Class characters) {
    if (pattern_.ignores_case_) {
      const size_t before = characters.ranges.size();
      for (size_t i = 0; i < before; ++i) {
        const auto [first, last] = characters.ranges[i];
        for (uint32_t c = 'a'; c <= 'z'; ++c) {
          const uint32_t upper = c - 'a' + 'A';
          if (c >= first && c <= last) characters.ranges.emplace_back(upper, upper);
          if (upper >= first && upper <= last) characters.ranges.emplace_back(c, c);
        }
      }
    }
    join(characters.ranges);
    pattern_.classes_.push_back(std::move(characters));
    return {{.op = Op::characters, .to = static_cast<int32_t>(pattern_.classes_.size() - 1)}};
  }

  const std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  bool dot_is_all_ = false, has_lines_ = false;
  std::vector<std::string_view> names_;
  std::string error_;
  Pattern pattern_;
};

/// All ways at once, from one character to the next, the better ones first.
class PatternRun {
 public:
  PatternRun(const Pattern& pattern, std::string_view text) : pattern_(pattern), text_(text), seen_(pattern.steps_.size(), SIZE_MAX) {}

  std::optional<std::vector<Pattern::Group>> run() {
    std::vector<Way> ways, next;
    for (size_t at = 0;;) {
      if (best_.empty()) follow({0, Places(2 * pattern_.groups_, SIZE_MAX)}, at, ways);
      if (ways.empty() && !best_.empty()) break;
      size_t octets = 1;
      const bool is_end = at >= text_.size();
      const uint32_t c = is_end ? 0 : character_at(text_, at, octets);
      next.clear();
      for (Way& way : ways) {
        const Pattern::Step& step = pattern_.steps_[way.step];
        if (step.op == Pattern::Op::found) {
          best_ = std::move(way.places);
          break;  // what comes behind it is worse
        }
        if (is_end || !pattern_.classes_[static_cast<size_t>(step.to)].has(c)) continue;
        follow({way.step + 1, std::move(way.places)}, at + octets, next);
      }
      if (is_end) break;
      at += octets;
      std::swap(ways, next);
    }
    if (best_.empty()) return std::nullopt;
    std::vector<Pattern::Group> groups;
    for (size_t i = 0; i < pattern_.groups_; ++i) {
      const size_t begin = best_[2 * i], end = best_[2 * i + 1];
      groups.push_back(begin == SIZE_MAX || end == SIZE_MAX ? Pattern::Group() : text_.substr(begin, end - begin));
    }
    return groups;
  }

 private:
  using Places = std::vector<size_t>;
  struct Way {
    size_t step;
    Places places;
  };

  bool holds(Pattern::Op op, size_t at) const noexcept {
    const bool before = at > 0 && is_in_word(static_cast<uint8_t>(text_[at - 1]));
    const bool behind = at < text_.size() && is_in_word(static_cast<uint8_t>(text_[at]));
    switch (op) {
      case Pattern::Op::text_begin: return at == 0;
      case Pattern::Op::text_end: return at == text_.size();
      case Pattern::Op::line_begin: return at == 0 || text_[at - 1] == '\n';
      case Pattern::Op::line_end: return at == text_.size() || text_[at] == '\n';
      case Pattern::Op::word_edge: return before != behind;
      default: return before == behind;
    }
  }

  /// To all steps that are reached without a character; each once for a place in the text.
  void follow(Way begin, size_t at, std::vector<Way>& ways) {
    open_.clear();
    open_.push_back(std::move(begin));
    while (!open_.empty()) {
      Way way = std::move(open_.back());
      open_.pop_back();
      if (seen_[way.step] == at) continue;
      seen_[way.step] = at;
      const Pattern::Step& step = pattern_.steps_[way.step];
      const size_t target = way.step + static_cast<size_t>(static_cast<ptrdiff_t>(step.to));
      switch (step.op) {
        case Pattern::Op::characters:
        case Pattern::Op::found: ways.push_back(std::move(way)); break;
        case Pattern::Op::jump: open_.push_back({target, std::move(way.places)}); break;
        case Pattern::Op::split: {
          // The last one is followed first.
          Way other{step.is_lazy ? way.step + 1 : target, way.places};
          open_.push_back(std::move(other));
          open_.push_back({step.is_lazy ? target : way.step + 1, std::move(way.places)});
          break;
        }
        case Pattern::Op::save:
          way.places[static_cast<size_t>(step.to)] = at;
          open_.push_back({way.step + 1, std::move(way.places)});
          break;
        default:
          if (holds(step.op, at)) open_.push_back({way.step + 1, std::move(way.places)});
      }
    }
  }

  const Pattern& pattern_;
  const std::string_view text_;
  std::vector<size_t> seen_;  // by step: where in the text it was reached last
  std::vector<Way> open_;
  Places best_;
};

Result<Pattern> Pattern::parse(std::string_view text) { return PatternParser(text).parse(); }

std::optional<std::vector<Pattern::Group>> Pattern::find(std::string_view text) const { return PatternRun(*this, text).run(); }

}  // namespace weir::rules
