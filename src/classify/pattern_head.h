// pattern_head.h — Which octets a match of an anchored pattern can begin with.
//
// Runs on:  any thread, when rules are read.
// Bounds:   kExactOctetsMax octets, kExactWaysMax ways.
// Failure:  nothing where the pattern is not anchored, or uses what is not looked through here: then it may begin with anything,
//           and anywhere. What is told is never too little (tests/classify/pattern_head_test.cc asks the engine).
#pragma once

#include <array>
#include <bitset>
#include <optional>

#include "classify/pattern.h"

namespace weir::classify {

inline constexpr size_t kHeadOctets = 4;
inline constexpr size_t kExactOctetsMax = 32;
inline constexpr size_t kExactWaysMax = 8;

/// Octets that may stand at each of the first places.
using PatternHead = std::array<std::bitset<256>, kHeadOctets>;

std::optional<PatternHead> head_of(const Pattern& pattern);

struct OctetRange {
  uint8_t first = 0;
  uint8_t last = 0;
};

/// Where a pattern says of a fixed number of octets which each may be, and nothing of what follows: each way to meet it. It is found
/// where one of them is, which is told without an engine. Nothing of other patterns, and of those with many ways.
std::optional<std::vector<std::vector<OctetRange>>> exact_ways_of(const Pattern& pattern);

/// Whether something can begin as both.
bool overlap(const PatternHead& a, const PatternHead& b);

}  // namespace weir::classify
