// pattern.h — Regular expressions of matches() and extract(): what a pattern finds in a text.
//
// Spec:     the dialect that the reference engine has (Rust's): literals, . \d \w \s \b, classes, groups with and without a name, alternatives,
//           greedy and lazy repetition, (?i), (?s) and (?m) in front. No references back, no looking around, no
//           classes of Unicode or of classes. \w \d \s \b and (?i) know ASCII alone, where the engine's know Unicode.
// Runs on:  any thread. Allocates.
// Bounds:   kPatternOctetsMax, kPatternStepsMax, kPatternGroupsMax. All ways through a pattern are followed at once, so time grows with the
//           text's octets times the pattern's steps, whatever the text is; nothing recurses through a text.
// Failure:  an Error that says what of the pattern is not understood.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::rules {

inline constexpr size_t kPatternOctetsMax = 1000;
inline constexpr size_t kPatternStepsMax = 2000;
inline constexpr size_t kPatternGroupsMax = 50;

class Pattern {
 public:
  static Result<Pattern> parse(std::string_view text);

  /// A group's text; nothing where it took no part.
  using Group = std::optional<std::string_view>;
  /// What the first match is, and each group in it, as views into the text; nothing where there is none.
  std::optional<std::vector<Group>> find(std::string_view text) const;
  /// What finding takes in a text of so many octets at most: steps, dearer ones where there are groups to carry along.
  uint64_t work(size_t octets) const noexcept { return (octets + 1) * steps_.size() * (4 + groups_); }

 private:
  friend class PatternParser;
  friend class PatternRun;
  enum class Op : uint8_t { characters, split, jump, save, text_begin, text_end, line_begin, line_end, word_edge, no_word_edge, found };
  struct Step {
    Op op = Op::found;
    bool is_lazy = false;  // split: the second way first
    int32_t to = 0;        // split, jump: from here; save: the place; characters: the class
  };
  struct Class {
    std::vector<std::pair<uint32_t, uint32_t>> ranges;  // in order, with gaps between them
    bool is_negated = false;
    bool has(uint32_t character) const noexcept;
  };

  std::vector<Step> steps_;
  std::vector<Class> classes_;
  size_t groups_ = 1;
  bool ignores_case_ = false;
};

}  // namespace weir::rules
