#include "classify/pattern_head.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace weir::classify {
namespace {

using Octets = std::bitset<256>;
/// One way to begin: octets by place, as many at most as are asked for; what is shorter goes on with whatever follows.
using Way = std::vector<Octets>;
using Ways = std::vector<Way>;

constexpr size_t kWaysMax = 256;  // more are not looked through
constexpr unsigned kDepthMax = 16;

class HeadReader {
 public:
  HeadReader(std::string_view text, uint32_t flags, size_t octets_max)
      : text_(text), octets_max_(octets_max), is_caseless_((flags & pattern_flag::kCaseless) != 0), is_dot_all_((flags & pattern_flag::kDotAll) != 0) {}

  /// Alternatives at the top: each must begin with ^.
  std::optional<Ways> read() {
    Ways all;
    do {
      if (!take('^')) return std::nullopt;
      auto ways = sequence(0);
      if (!ways) return std::nullopt;
      all.insert(all.end(), ways->begin(), ways->end());
    } while (take('|'));
    if (at_ != text_.size() || all.size() > kWaysMax) return std::nullopt;
    return all;
  }

 private:
  bool at_end() const { return at_ == text_.size(); }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  /// Up to | or ).
  std::optional<Ways> sequence(unsigned depth) {
    Ways ways{{}};
    while (!at_end() && text_[at_] != '|' && text_[at_] != ')') {
      auto atom = one(depth);
      if (!atom) return std::nullopt;
      auto repeated = quantified(std::move(*atom));
      if (!repeated) return std::nullopt;
      ways = join(ways, *repeated);
      if (ways.size() > kWaysMax) return std::nullopt;
    }
    return ways;
  }

  std::optional<Ways> one(unsigned depth) {
    const char c = text_[at_++];
    switch (c) {
      case '(': return group(depth);
      case '[': return of(character_class());
      case '.': return of(dot());
      case '\\': return of(escaped());
      case '^': case '$': case '*': case '+': case '?': case '{': return std::nullopt;
      default: return of(octet(static_cast<uint8_t>(c)));
    }
  }

  std::optional<Ways> group(unsigned depth) {
    if (depth == kDepthMax) return std::nullopt;
    if (take('?') && !take(':')) return std::nullopt;
    Ways all;
    do {
      auto ways = sequence(depth + 1);
      if (!ways) return std::nullopt;
      all.insert(all.end(), ways->begin(), ways->end());
    } while (take('|'));
    if (!take(')') || all.size() > kWaysMax) return std::nullopt;
    return all;
  }

  /// With what follows it: ?, *, +, {n}, {n,}, {n,m}, and a ? for laziness.
  std::optional<Ways> quantified(Ways atom) {
    size_t least = 1, most = 1;
    if (take('?')) {
      least = 0;
    } else if (take('*')) {
      least = 0, most = octets_max_;
    } else if (take('+')) {
      most = octets_max_;
    } else if (take('{')) {
      const auto first = number();
      if (!first) return std::nullopt;
      least = most = *first;
      if (take(',')) most = !at_end() && text_[at_] == '}' ? octets_max_ : number().value_or(SIZE_MAX);
      if (most == SIZE_MAX || most < least || !take('}')) return std::nullopt;
    } else {
      return atom;
    }
    take('?');
    if (!at_end() && (text_[at_] == '+' || text_[at_] == '*' || text_[at_] == '{')) return std::nullopt;
    Ways repeated, all;
    repeated.emplace_back();
    for (size_t n = 0;; ++n) {
      if (n >= least) all.insert(all.end(), repeated.begin(), repeated.end());
      // Whatever is repeated has an octet at least, or the next round is as this one.
      if (n == most || n == octets_max_) break;
      repeated = join(repeated, atom);
      if (repeated.size() > kWaysMax || all.size() > kWaysMax) return std::nullopt;
    }
    if (least > octets_max_) all = repeated;
    return all;
  }

  std::optional<size_t> number() {
    size_t n = 0;
    const size_t begin = at_;
    while (!at_end() && text_[at_] >= '0' && text_[at_] <= '9' && n < 100'000) n = n * 10 + static_cast<size_t>(text_[at_++] - '0');
    return at_ == begin ? std::nullopt : std::optional(n);
  }

  Ways join(const Ways& first, const Ways& second) const {
    Ways all;
    for (const Way& a : first) {
      if (a.size() == octets_max_) {
        all.push_back(a);
        continue;
      }
      for (const Way& b : second) {
        Way both = a;
        for (size_t i = 0; i < b.size() && both.size() < octets_max_; ++i) both.push_back(b[i]);
        all.push_back(std::move(both));
        if (all.size() > kWaysMax) return all;
      }
    }
    return all;
  }

  static std::optional<Ways> of(const std::optional<Octets>& octets) {
    if (!octets) return std::nullopt;
    return Ways{Way{*octets}};
  }

  std::optional<Octets> dot() const {
    Octets all;
    all.set();
    if (!is_dot_all_) all.reset('\n');
    return all;
  }
  std::optional<Octets> octet(uint8_t c) const {
    Octets one;
    add(one, c);
    return one;
  }
  void add(Octets& to, uint8_t c) const {
    to.set(c);
    if (!is_caseless_ || c > 127) return;
    to.set(static_cast<uint8_t>(std::tolower(c)));
    to.set(static_cast<uint8_t>(std::toupper(c)));
  }

  /// Behind the backslash: an octet, or a class of them.
  std::optional<Octets> escaped() {
    if (at_end()) return std::nullopt;
    const char c = text_[at_++];
    Octets set;
    switch (c) {
      case 'x': {
        const auto v = hexadecimal();
        return v ? octet(*v) : std::nullopt;
      }
      case 'n': return octet('\n');
      case 'r': return octet('\r');
      case 't': return octet('\t');
      case 'd':
        for (int i = '0'; i <= '9'; ++i) set.set(static_cast<size_t>(i));
        return set;
      default: return std::ispunct(static_cast<unsigned char>(c)) != 0 ? octet(static_cast<uint8_t>(c)) : std::nullopt;
    }
  }

  std::optional<uint8_t> hexadecimal() {
    unsigned v = 0;
    for (int i = 0; i < 2; ++i) {
      if (at_end() || std::isxdigit(static_cast<unsigned char>(text_[at_])) == 0) return std::nullopt;
      const char c = static_cast<char>(std::tolower(text_[at_++]));
      v = v * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return static_cast<uint8_t>(v);
  }

  /// Behind the [.
  std::optional<Octets> character_class() {
    Octets set;
    const bool is_negated = take('^');
    for (bool is_first = true;; is_first = false) {
      if (at_end()) return std::nullopt;
      if (text_[at_] == ']' && !is_first) break;
      const auto low = member(set);
      if (!low) return std::nullopt;
      if (*low < 0) continue;  // a class of octets, which is in the set now
      int high = *low;
      if (at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']') {
        ++at_;
        const auto end = member(set);
        if (!end || *end < *low) return std::nullopt;
        high = *end;
      }
      for (int c = *low; c <= high; ++c) add(set, static_cast<uint8_t>(c));
    }
    ++at_;
    return is_negated ? ~set : set;
  }

  /// An octet, or -1 where it was a class, which is added to the set.
  std::optional<int> member(Octets& set) {
    const char c = text_[at_++];
    if (c == '[') return std::nullopt;  // [:alpha:] and the like
    if (c != '\\') return static_cast<uint8_t>(c);
    if (at_end()) return std::nullopt;
    if (text_[at_] == 'd') {
      set |= *escaped();
      return -1;
    }
    // Of one octet; its other case is added with the range.
    const bool was_caseless = is_caseless_;
    is_caseless_ = false;
    const auto one = escaped();
    is_caseless_ = was_caseless;
    if (!one) return std::nullopt;
    return static_cast<int>(one->_Find_first());
  }

  const std::string_view text_;
  const size_t octets_max_;
  size_t at_ = 0;
  bool is_caseless_;
  const bool is_dot_all_;
};

std::optional<Ways> ways_of(const Pattern& pattern, size_t octets_max) {
  constexpr uint32_t kOtherMeaning = pattern_flag::kMultiline | pattern_flag::kUtf8 | pattern_flag::kUcp;
  if ((pattern.flags & kOtherMeaning) != 0) return std::nullopt;
  return HeadReader(pattern.expression, pattern.flags, octets_max).read();
}

std::vector<OctetRange> ranges_of(const Octets& octets) {
  std::vector<OctetRange> ranges;
  for (size_t c = 0; c < octets.size(); ++c) {
    if (!octets.test(c)) continue;
    if (ranges.empty() || ranges.back().last + 1u != c) ranges.push_back({static_cast<uint8_t>(c), 0});
    ranges.back().last = static_cast<uint8_t>(c);
  }
  return ranges;
}

}  // namespace

std::optional<std::vector<std::vector<OctetRange>>> exact_ways_of(const Pattern& pattern) {
  // A way as long as is asked for may have been cut off there.
  const auto ways = ways_of(pattern, kExactOctetsMax + 1);
  if (!ways || ways->empty()) return std::nullopt;
  std::vector<std::vector<OctetRange>> exact;
  for (const Way& way : *ways) {
    if (way.empty() || way.size() > kExactOctetsMax) return std::nullopt;
    std::vector<std::vector<OctetRange>> some{{}};
    for (const Octets& octets : way) {
      std::vector<std::vector<OctetRange>> more;
      for (const auto& before : some) {
        for (const OctetRange& range : ranges_of(octets)) {
          more.push_back(before);
          more.back().push_back(range);
        }
      }
      some = std::move(more);
      if (some.size() > kExactWaysMax) return std::nullopt;
    }
    exact.insert(exact.end(), some.begin(), some.end());
    if (exact.size() > kExactWaysMax) return std::nullopt;
  }
  return exact;
}

std::optional<PatternHead> head_of(const Pattern& pattern) {
  const auto ways = ways_of(pattern, kHeadOctets);
  if (!ways) return std::nullopt;
  PatternHead head{};
  for (const Way& way : *ways) {
    for (size_t i = 0; i < kHeadOctets; ++i) {
      if (i < way.size()) {
        head[i] |= way[i];
      } else {
        head[i].set();
      }
    }
  }
  return head;
}

bool overlap(const PatternHead& a, const PatternHead& b) {
  for (size_t i = 0; i < kHeadOctets; ++i)
    if ((a[i] & b[i]).none()) return false;
  return true;
}

}  // namespace weir::classify
